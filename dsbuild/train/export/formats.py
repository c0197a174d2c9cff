"""The forms in which a trained model is served, and what runs each of them.

saved_model    TensorFlow Serving: signatures `serving_default` and `image_bytes`
keras          one file for `keras.saving.load_model`, on any backend
onnx           ONNX Runtime, images of any size
tflite         LiteRT, images of one size

All take RGB uint8 `images` (n, h, w, 3) and give `classes` int32 (n, h, w), or (n,) of a model
that classifies. `image_bytes` takes one file or a batch of some, whose images may be of several
sizes: then their classes lie at the upper left of planes of the largest, and the rest is OUTSIDE.

`python -m dsbuild.train.export.formats FORM PATH IN OUT` runs one in a process of its own: IN is an
.npz of batches, OUT one of what came of them.
"""

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

Run = Callable[[np.ndarray], np.ndarray]
ENDINGS = {"saved_model": "", "keras": ".keras", "onnx": ".onnx", "tflite": ".tflite"}
PACKAGES = {"onnx": ("tf2onnx", "onnxruntime"), "tflite": ("ai-edge-litert",)}
OUTSIDE = -1  # where an image of a batch of files is smaller than others
_DIMENSIONS = ("batch", "height", "width")


def write(form: str, network: Any, path: str) -> None:
    """Write a model of `graph.served` in a form to a path with its ending."""
    _WRITERS[form](network, path)


def _saved_model(network: Any, path: str) -> None:
    import keras
    import tensorflow as tf

    from dsbuild.train.export import photo

    archive = keras.export.ExportArchive()
    archive.track(network)

    def classes(images: Any) -> dict[str, Any]:
        return {"classes": network(images, training=False)}

    def decoded(image_bytes: Any) -> dict[str, Any]:
        def add(number: Any, found: Any) -> tuple[Any, Any]:
            image = photo.pixels(files[number])
            one = network(image[tf.newaxis], training=False)
            if pixels:
                size = tf.maximum(tf.shape(found)[1:], tf.shape(one)[1:])
                found, one = (_outside(planes, size) for planes in (found, one))
            return number + 1, tf.concat([found, one], 0)

        files = tf.reshape(image_bytes, [-1])
        begin = tf.constant(0), tf.zeros([0] * (3 if pixels else 1), tf.int32)
        _, found = tf.while_loop(
            lambda number, _: number < tf.size(files),
            add,
            begin,
            (begin[0].shape, tf.TensorShape([None] * (3 if pixels else 1))),
        )
        # One file has one plane; a batch has as many as it has files.
        shape = tf.concat([tf.shape(image_bytes), tf.shape(found)[1:]], 0)
        return {"classes": tf.reshape(found, shape)}

    pixels = len(network.outputs[0].shape) == 3
    images = tf.TensorSpec((None, None, None, 3), tf.uint8, name="images")
    text = tf.TensorSpec(None, tf.string, name="image_bytes")
    archive.add_endpoint("serving_default", classes, [images])
    archive.add_endpoint("image_bytes", decoded, [text])
    archive.write_out(path, verbose=False)


def _outside(planes: Any, size: Any) -> Any:
    """Return planes of classes (n, h, w) padded below and on the right with OUTSIDE."""
    import tensorflow as tf

    pads = [[0, 0], *([0, size[axis] - tf.shape(planes)[axis + 1]] for axis in (0, 1))]
    return tf.pad(planes, pads, constant_values=OUTSIDE)


def _keras(network: Any, path: str) -> None:
    network.save(path)


def _onnx(network: Any, path: str) -> None:
    import onnx

    network.predict_on_batch(np.zeros((1, 33, 33, 3), np.uint8))  # Keras exports none before
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # tf2onnx looks for names of NumPy 1
        network.export(path, format="onnx", verbose=False)
    made = onnx.load(path)
    for value in (*made.graph.input, *made.graph.output):
        for name, dimension in zip(_DIMENSIONS, value.type.tensor_type.shape.dim, strict=False):
            dimension.dim_param = name
    onnx.save(made, path)


def _tflite(network: Any, path: str) -> None:
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2 as frozen,
    )

    spec = tf.TensorSpec((1, *network.inputs[0].shape[1:]), tf.uint8, name="images")
    function = tf.function(lambda images: {"classes": network(images, training=False)})
    made = frozen(function.get_concrete_function(spec))
    found = tf.lite.TFLiteConverter.from_concrete_functions([made], network).convert()
    with open(path, "wb") as file:
        file.write(found)


_WRITERS = {"saved_model": _saved_model, "keras": _keras, "onnx": _onnx, "tflite": _tflite}


def load(form: str, path: str) -> Run:
    """Return what runs a written model: images to classes."""
    return _READERS[form](path)


def _load_saved_model(path: str) -> Run:
    import tensorflow as tf

    found = tf.saved_model.load(path)
    call = found.signatures["serving_default"]
    return lambda images: (found, call(images=tf.constant(images))["classes"].numpy())[1]


def _load_keras(path: str) -> Run:
    from dsbuild.train.export.layers import load_model

    found = load_model(path)
    return lambda images: np.asarray(found.predict_on_batch(images))


def _load_onnx(path: str) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"images": images})[0]


def _load_tflite(path: str) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    found = Interpreter(path)
    found.allocate_tensors()
    (taken,), (given,) = found.get_input_details(), found.get_output_details()

    def one(image: np.ndarray) -> np.ndarray:
        found.set_tensor(taken["index"], image[None])
        found.invoke()
        return found.get_tensor(given["index"])[0]

    return lambda images: np.stack([one(image) for image in images])


_READERS = {
    "saved_model": _load_saved_model,
    "keras": _load_keras,
    "onnx": _load_onnx,
    "tflite": _load_tflite,
}


def main(form: str, path: str, source: str, out: str) -> None:
    """Run a written model on batches of a file."""
    run = load(form, path)
    with np.load(source) as batches:
        np.savez(out, **{name: run(images) for name, images in batches.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
