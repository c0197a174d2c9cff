"""Several devices that share each step, and each batch."""

from typing import TYPE_CHECKING

from keras import backend

from dsbuild import engines
from dsbuild.errors import TrainError
from dsbuild.train.model.places import Tensor

if TYPE_CHECKING:  # the losses need no TensorFlow on other backends
    import tensorflow as tf


def strategy(devices: int | None, batch: int, parts: int = 1) -> "tf.distribute.Strategy":
    """Return the strategy of TensorFlow that spreads batches over devices.

    Args:
      devices: number of GPUs, or of parts of the CPU if there are none. Default: all GPUs, or one
        CPU.
      batch: samples in a step, over all devices.
      parts: in how many parts a step is computed.

    Raises TrainError if there are not as many devices, or if they cannot share the batch.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    count = devices or max(len(gpus), 1)
    if backend.backend() != "tensorflow":
        if devices not in (None, 1):
            raise TrainError(
                f"devices: found {devices}, expected 1 on {backend.backend()}; only TensorFlow "
                "spreads steps over devices: unset KERAS_BACKEND"
            )
        if parts > 1:
            raise TrainError(
                f"accumulate: found {parts}, expected 1 on {backend.backend()}; only TensorFlow "
                "computes steps in parts: unset KERAS_BACKEND"
            )
        count = 1
    if gpus and count > len(gpus):
        raise TrainError(f"devices: found {len(gpus)} GPUs, expected {count}")
    if batch % count:
        raise TrainError(f"batch: found {batch}, expected a multiple of {count} devices")
    if batch % (count * parts):
        raise TrainError(
            f"batch: found {batch}, expected a multiple of {count} devices times {parts} parts "
            "(--accumulate)"
        )
    if count == 1:
        return tf.distribute.get_strategy()
    if not gpus:
        _split_cpu(count)
    kind = "GPU" if gpus else "CPU"
    return tf.distribute.MirroredStrategy([f"{kind}:{number}" for number in range(count)])


def described(count: int) -> str:
    """Return the devices that a training uses, `count` of them, for people."""
    if backend.backend() != "tensorflow":
        return f"that of {backend.backend()}"
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")[:count]
    if not gpus:
        cores = engines.cores()
        parts = f", in {count} parts" if count > 1 else ""
        return f"CPU, {cores:,} core{'' if cores == 1 else 's'}{parts}"
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", "") for gpu in gpus]
    listed = ", ".join(filter(None, dict.fromkeys(names)))
    several = "GPU" if count == 1 else f"{count} GPUs"
    return f"{several}: {listed}" if listed else several


def _split_cpu(count: int) -> None:
    """Divide the CPU into logical devices, for the rest of the process."""
    import tensorflow as tf

    parts = [tf.config.LogicalDeviceConfiguration()] * count
    try:
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)
    except RuntimeError as error:  # TensorFlow has already been used
        if len(tf.config.list_logical_devices("CPU")) < count:
            raise TrainError(f"devices: {error}; set them before TensorFlow is used") from error


def total(part: Tensor) -> Tensor:
    """Return the sum of a tensor over the devices of a step; on one device, the tensor itself.

    Its gradient is that of the sum.
    """
    context = _replicas()
    if context is None:
        return part
    import tensorflow as tf

    return context.all_reduce(tf.distribute.ReduceOp.SUM, part)


def gathered(part: Tensor) -> Tensor:
    """Return a tensor of a batch with the samples of all devices of a step, in their order.

    Its gradient is that of the whole.
    """
    context = _replicas()
    return part if context is None else context.all_gather(part, 0)


def replicas() -> int:
    """Return how many devices share a step."""
    context = _replicas()
    return 1 if context is None else int(context.num_replicas_in_sync)


def _replicas() -> "tf.distribute.ReplicaContext | None":
    """Return the context of one of several devices of a step; None on one device."""
    if backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return None if context is None or context.num_replicas_in_sync == 1 else context
