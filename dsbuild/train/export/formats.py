"""The formats in which a trained model is served, and how to run each of them.

saved_model    TensorFlow Serving: signatures `serving_default` and `image_bytes`
keras          one file for `keras.saving.load_model`, on any backend
onnx           ONNX Runtime, images of any size
tflite         LiteRT, images of one size; tflite_fp16 and tflite_int8 are smaller

All take RGB uint8 `images` (n, h, w, 3) and return `classes` int32 (n, h, w), or (n,) for a model
that classifies. `image_bytes` takes one file or a batch of files, whose images may differ in size:
their classes then lie at the upper left of planes of the largest size, and the rest is OUTSIDE.

`python -m dsbuild.train.export.formats FORM PATH IN OUT` runs a model in a process of its own: IN
is an .npz of batches, OUT an .npz of their classes.
"""

import sys
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsbuild.train.export import tflite

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Images = NDArray[np.uint8]
Classes = NDArray[np.int32]
Run = Callable[[Images], Classes]
ENDINGS = {
    "saved_model": "",
    "keras": ".keras",
    "onnx": ".onnx",
    tflite.FLOAT: ".tflite",
    tflite.HALF: "_fp16.tflite",
    tflite.INT8: "_int8.tflite",
}
PACKAGES = {"onnx": ("tf2onnx", "onnxruntime")} | dict.fromkeys(tflite.FORMS, ("ai-edge-litert",))
OUTSIDE = -1  # beyond an image that is smaller than others of its batch
_DIMENSIONS = ("batch", "height", "width")


def write(
    form: str,
    network: "keras.Model",
    path: str,
    images: Callable[[], Iterable[Images]] = tuple,
    span: tuple[int, int] | None = None,
) -> None:
    """Write a model of `graph.served` in a format, to a path that has its ending.

    An int8 model is calibrated with `images`. Values of the range `span` in files of 16 bits
    become 0 to 255, where a model takes files.
    """
    if form in tflite.FORMS:
        tflite.write(network, path, form, images)
    elif form == "saved_model":
        _saved_model(network, path, span)
    else:
        _WRITERS[form](network, path)


def _saved_model(network: "keras.Model", path: str, span: tuple[int, int] | None) -> None:
    import keras
    import tensorflow as tf

    archive = keras.export.ExportArchive()
    archive.track(network)

    def classes(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"classes": network(images, training=False)}

    def decoded(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"classes": _classes_of_files(network, image_bytes, span)}

    images = tf.TensorSpec((None, None, None, 3), tf.uint8, name="images")
    text = tf.TensorSpec(None, tf.string, name="image_bytes")
    archive.add_endpoint("serving_default", classes, [images])
    archive.add_endpoint("image_bytes", decoded, [text])
    archive.write_out(path, verbose=False)


def _classes_of_files(
    network: "keras.Model", image_bytes: "tf.Tensor", span: tuple[int, int] | None
) -> "tf.Tensor":
    """Return classes int32 of one file () or a batch of files (n,), in the graph."""
    import tensorflow as tf

    from dsbuild.train.export import photo

    def add(number: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = photo.pixels(files[number], span)
        one = network(image[tf.newaxis], training=False)
        if pixels:
            size = tf.maximum(tf.shape(found)[1:], tf.shape(one)[1:])
            found, one = (_outside(planes, size) for planes in (found, one))
        return number + 1, tf.concat([found, one], 0)

    pixels = len(network.outputs[0].shape) == 3
    files = tf.reshape(image_bytes, [-1])
    begin = tf.constant(0), tf.zeros([0] * (3 if pixels else 1), tf.int32)
    _, found = tf.while_loop(
        lambda number, _: number < tf.size(files),
        add,
        begin,
        (begin[0].shape, tf.TensorShape([None] * (3 if pixels else 1))),
    )
    # One file has one plane; a batch has one plane per file.
    shape = tf.concat([tf.shape(image_bytes), tf.shape(found)[1:]], 0)
    return tf.reshape(found, shape)


def _outside(planes: "tf.Tensor", size: "tf.Tensor") -> "tf.Tensor":
    """Return planes of classes (n, h, w) padded below and on the right with OUTSIDE."""
    import tensorflow as tf

    pads = [[0, 0], *([0, size[axis] - tf.shape(planes)[axis + 1]] for axis in (0, 1))]
    return tf.pad(planes, pads, constant_values=OUTSIDE)


def _keras(network: "keras.Model", path: str) -> None:
    network.save(path)


def _onnx(network: "keras.Model", path: str) -> None:
    import keras
    import onnx

    # Keras exports no model before its first call.
    network.predict_on_batch(np.zeros((1, 33, 33, 3), np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # tf2onnx uses names of NumPy 1
        if keras.backend.backend() == "tensorflow":
            from dsbuild.train.export import onnx_ops  # noqa: F401 - registers them
        network.export(path, format="onnx", verbose=False)
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        for name, dimension in zip(_DIMENSIONS, value.type.tensor_type.shape.dim, strict=False):
            dimension.dim_param = name
    onnx.save(model, path)


_WRITERS = {"keras": _keras, "onnx": _onnx}


def load(form: str, path: str) -> Run:
    """Return a function that runs a written model: images to classes."""
    return _READERS[form](path)


def _load_saved_model(path: str) -> Run:
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    call = loaded.signatures["serving_default"]

    def run(images: Images) -> Classes:
        _ = loaded  # which owns the variables
        return np.asarray(call(images=tf.constant(images))["classes"])

    return run


def _load_keras(path: str) -> Run:
    from dsbuild.train.export.layers import load_model

    network = load_model(path)
    return lambda images: np.asarray(network.predict_on_batch(images))


def _load_onnx(path: str) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: np.asarray(session.run(None, {"images": images})[0])


def _load_tflite(path: str) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()

    def one(image: Images) -> Classes:
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(target["index"])[0])

    return lambda images: np.stack([one(image) for image in images])


_READERS = {
    "saved_model": _load_saved_model,
    "keras": _load_keras,
    "onnx": _load_onnx,
    **dict.fromkeys(tflite.FORMS, _load_tflite),
}


def main(form: str, path: str, source: str, out: str) -> None:
    """Run a written model on the batches in a file."""
    run = load(form, path)
    with np.load(source) as batches:
        classes: dict[str, Any] = {name: run(images) for name, images in batches.items()}
    np.savez(out, **classes)


if __name__ == "__main__":
    main(*sys.argv[1:])
