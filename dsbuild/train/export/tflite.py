"""Models for LiteRT: in float32, with weights in float16, or in int8 with a float fallback.

An int8 model computes convolutions and sums in 8 bits, whose ranges come from images it has seen;
operations without an 8-bit version stay in float32. Its input is uint8 and its output int32, as in
the other formats.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dsbuild.train.tensorflow_env import without_chatter

if TYPE_CHECKING:
    import keras

FLOAT, HALF, INT8 = "tflite", "tflite_fp16", "tflite_int8"
FORMS = (FLOAT, HALF, INT8)


def write(
    network: "keras.Model",
    path: str,
    form: str = FLOAT,
    images: Callable[[], Iterable[NDArray[np.uint8]]] = tuple,
) -> None:
    """Write a model of `graph.served` for images of one size.

    Args:
      network: takes images of one size.
      path: of the file.
      form: one of FORMS.
      images: returns images (h, w, 3) of that size; an int8 model sees them all.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2 as frozen,
    )

    spec = tf.TensorSpec((1, *network.inputs[0].shape[1:]), tf.uint8, name="images")
    function = tf.function(lambda images: {"classes": network(images, training=False)})
    concrete = frozen(function.get_concrete_function(spec))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], network)
    if form != FLOAT:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if form == HALF:
        converter.target_spec.supported_types = [tf.float16]
    if form == INT8:
        converter.representative_dataset = lambda: ([image[None]] for image in images())
        sets = tf.lite.OpsSet
        converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS_INT8, sets.TFLITE_BUILTINS]
    with without_chatter():
        data = converter.convert()
    with open(path, "wb") as file:
        file.write(data)
