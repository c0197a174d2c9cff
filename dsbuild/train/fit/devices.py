"""Several devices that take a step together, each with its part of the batch."""

from typing import Any

from keras import backend

from dsbuild.errors import TrainError


def strategy(devices: int | None, batch: int) -> Any:
    """Return TensorFlow's strategy that spreads batches over devices.

    Args:
      devices: GPUs, or where there is none parts of the CPU; all GPUs, or one CPU, without it.
      batch: of all devices together.

    Raises TrainError for devices that are not there, or cannot share the batch.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    count = devices or max(len(gpus), 1)
    if backend.backend() != "tensorflow":
        if devices not in (None, 1):
            raise TrainError(
                f"devices: found {devices}, expected 1 on {backend.backend()}; steps are "
                "spread by TensorFlow alone, without KERAS_BACKEND"
            )
        count = 1
    if gpus and count > len(gpus):
        raise TrainError(f"devices: found {len(gpus)} GPUs, expected {count}")
    if batch % count:
        raise TrainError(f"batch: found {batch}, expected a multiple of {count} devices")
    if count == 1:
        return tf.distribute.get_strategy()
    if not gpus:
        parts = [tf.config.LogicalDeviceConfiguration()] * count
        try:
            tf.config.set_logical_device_configuration(
                tf.config.list_physical_devices("CPU")[0], parts
            )
        except RuntimeError as error:  # TensorFlow has begun
            if len(tf.config.list_logical_devices("CPU")) < count:
                raise TrainError(f"devices: {error}; set them before TensorFlow is used") from error
    kind = "GPU" if gpus else "CPU"
    return tf.distribute.MirroredStrategy([f"{kind}:{number}" for number in range(count)])


def total(part: Any) -> Any:
    """Return the sum of a tensor over the devices of a step: the tensor where there is one.

    Its gradient is that of the sum.
    """
    if backend.backend() != "tensorflow":
        return part
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return part
    return context.all_reduce(tf.distribute.ReduceOp.SUM, part)
