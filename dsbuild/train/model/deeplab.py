"""DeepLabV3+ in Keras, of any backbone of the registry, for images of any size.

Layers are named so that a trainer selects them, and their variables' paths, by prefix:
`backbone_`, `aspp_`, `decoder_`, `gradient_` and `logits`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from dsbuild.errors import ModelError
from dsbuild.train.model import backbones
from dsbuild.train.model.backbones import BACKBONES
from dsbuild.train.model.head import Head
from dsbuild.train.model.layers import Pixels, Scale, Spread

TASKS = ("segmentation", "classification")
MERGES = {"max": keras.layers.Maximum, "mean": keras.layers.Average}
STRIDES = (8, 16, 32)
LOW = 4  # stride of the features that a decoder refines by, and of its logits


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What a model is: all that its weights depend on.

    Attributes:
      classes: number of logits; 1 is one logit of a sigmoid, such as for matting.
      backbone: one of BACKBONES.
      output_stride: of the backbone's last features, 8 or 16, or 32 as it was trained; where it
        is 8, rates are doubled.
      task: `segmentation` has logits for each pixel, `classification` for the image.
      width: factor of the backbone's channels; only MobileNetV2 has others than 1.
      width_multiple: of which channels of another width are multiples.
      rates: of the atrous convolutions of the pyramid at stride 16; may be empty.
      depth: channels of the head; None for what suits the backbone.
      separable: whether 3 x 3 convolutions of the head are depthwise separable.
      decoder: whether features of stride 4 refine the logits.
      gradient: whether there is a second input, a plane such as the Laplacian, for the decoder.
      scales: of the image, whose logits are merged.
      merge: one of MERGES, how.
      align_corners: whether images are scaled corner to corner, as DeepLab does; else pixels are
        areas, whose centres lie at halves. Features are windows about every stride-th pixel either
        way, and are brought back to where they lie; which has a first and a last one where a size
        is k stride + 1, such as 513.
      dropout: part of the features that is dropped before the decoder.
      momentum: of all batch normalisations.
      synchronized: whether batch normalisations share their statistics among devices.
    """

    classes: int = 21
    backbone: str = "mobilenet_v2"
    output_stride: int = 16
    task: str = "segmentation"
    width: float = 1.0
    width_multiple: int = 8
    rates: tuple[int, ...] = (6, 12, 18)
    depth: int | None = None
    separable: bool = True
    decoder: bool = True
    gradient: bool = False
    scales: tuple[float, ...] = (1.0,)
    merge: str = "max"
    align_corners: bool = True
    dropout: float = 0.1
    momentum: float = 0.99
    synchronized: bool = False

    def __post_init__(self):
        for name in ("rates", "scales"):  # as lists, such as JSON has them
            object.__setattr__(self, name, tuple(getattr(self, name)))
        self._one("task", TASKS)
        self._one("backbone", BACKBONES)
        self._one("output_stride", STRIDES)
        self._one("merge", MERGES)
        self._hold("classes", self.classes >= 1, "at least 1")
        self._hold("depth", self.depth is None or self.depth >= 1, "at least 1")
        self._hold("rates", all(rate >= 1 for rate in self.rates), "1 and up")
        self._hold("scales", self.scales and min(self.scales) > 0, "some above 0")
        self._hold("dropout", 0 <= self.dropout < 1, "0 and up, less than 1")
        self._hold("momentum", 0 <= self.momentum < 1, "0 and up, less than 1")
        wide = BACKBONES[self.backbone].wide
        self._hold("width", wide or self.width == 1, "1 for this backbone")
        self._hold("width", self.width > 0, "more than 0")
        self._one("width_multiple", (1, 8))
        pixels = self.task == "segmentation"
        decoded = pixels and self.decoder
        self._hold("gradient", decoded or not self.gradient, "False where there is no decoder")
        self._hold("scales", pixels or self.scales == (1.0,), "1 alone for classification")

    @property
    def stride(self) -> int:
        """The stride of the logits before they are brought to the image's size."""
        return LOW if self.decoder else self.output_stride

    def _one(self, name, known):
        self._hold(name, getattr(self, name) in known, "one of " + ", ".join(map(str, known)))

    def _hold(self, name, holds, expected):
        if not holds:
            raise ModelError(f"{name}: found {getattr(self, name)!r}, expected {expected}")


def build(*, weights: str | None = None, **settings: Any) -> keras.Model:
    """Return the model of an Architecture's settings.

    It takes RGB of 0..255, uint8 or float32 (b, h, w, 3), and for the gradient branch a list
    with a plane (b, h, w, 1) besides; it gives logits float32 (b, h, w, classes), or (b, classes)
    where it classifies. Height and width are any, and need not be known before.

    Args:
      weights: those of the backbone: None, `imagenet`, or a file (see `backbones.build`).
      settings: the attributes of Architecture.
    """
    shape = Architecture(**settings)
    backbone = backbones.build(
        shape.backbone,
        shape.output_stride,
        width=shape.width,
        multiple=shape.width_multiple,
        weights=weights,
        momentum=shape.momentum,
        synchronized=shape.synchronized,
    )
    image = keras.Input((None, None, 3), name="image")
    pixels = Pixels(BACKBONES[shape.backbone].pixels, name="pixels")(image)
    if shape.task == "classification":
        return keras.Model(image, _classified(shape, backbone(pixels)[1]), name="classifier")
    inputs, planes = [image], [pixels]
    if shape.gradient:
        inputs.append(keras.Input((None, None, 1), name="gradient"))
        planes.append(inputs[1])
    logits, scaled = _merged(shape, _scorer(shape, backbone), planes)
    back = Spread(shape.stride, 1, shape.align_corners, dtype="float32", name="resize")
    logits = back([logits, image] if scaled is pixels else [logits, image, pixels, scaled])
    return keras.Model(inputs if shape.gradient else image, logits, name="deeplab")


def _classified(shape: Architecture, features: Any) -> Any:
    x = keras.layers.GlobalAveragePooling2D(name="pooling")(features)
    x = keras.layers.Dropout(shape.dropout, name="dropout")(x)
    return keras.layers.Dense(shape.classes, dtype="float32", name="logits")(x)


def _scorer(shape: Architecture, backbone: keras.Model) -> keras.Model:
    """Return the model from scaled pixels, and a plane, to logits of the shape's stride."""
    head = Head(
        shape.depth or BACKBONES[shape.backbone].depth,
        shape.separable,
        momentum=shape.momentum,
        synchronized=shape.synchronized,
    )
    low, x = backbone.output
    doubled = 2 if shape.output_stride == 8 else 1
    x = head.pyramid(x, [rate * doubled for rate in shape.rates], shape.dropout)
    inputs = list(backbone.inputs)
    if shape.gradient:
        inputs.append(keras.Input((None, None, 1), name="plane"))
    if shape.decoder:
        strides = shape.output_stride, LOW
        x = head.decoder(x, low, inputs[1] if shape.gradient else None, strides)
    x = keras.layers.Conv2D(shape.classes, 1, dtype="float32", name="logits")(x)
    return keras.Model(inputs, x, name="scorer")


def _merged(shape: Architecture, scorer: keras.Model, planes: list[Any]) -> tuple[Any, Any]:
    """Return logits of the image at each scale, merged, and the image that they are of.

    That is the image at the largest scale, to whose logits the others are brought.
    """
    found, images = [], []
    for number, factor in enumerate(sorted(shape.scales, reverse=True)):
        scaled = planes
        if factor != 1:
            scaled = [
                Scale(
                    factor,
                    shape.align_corners,
                    stride=shape.output_stride,
                    name=f"scale_{number}_{which}",
                )(plane)
                for which, plane in enumerate(planes)
            ]
        images.append(scaled[0])
        logits = scorer(scaled)
        if number:
            back = Spread(
                shape.stride,
                shape.stride,
                shape.align_corners,
                dtype="float32",
                name=f"unscale_{number}",
            )
            logits = back([logits, found[0], images[0], images[number]])
        found.append(logits)
    if len(found) == 1:
        return found[0], images[0]
    return MERGES[shape.merge](dtype="float32", name="merge")(found), images[0]


def named(model: keras.Model, *prefixes: str) -> Iterator[keras.layers.Layer]:
    """Yield the layers, of models within too, whose names start with one of the prefixes."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from named(layer, *prefixes)
        elif layer.name.startswith(prefixes):
            yield layer


def freeze(model: keras.Model, *prefixes: str) -> None:
    """Hold the weights of layers by the prefixes of their names; batch statistics, too."""
    for prefix in prefixes:
        found = list(named(model, prefix))
        if not found:
            have = sorted({layer.name.split("_")[0] for layer in named(model, "") if layer.weights})
            raise ModelError(f"{prefix}: found no such layers, expected one of {', '.join(have)}")
        for layer in found:
            layer.trainable = False


def freeze_batch_norm(model: keras.Model, *prefixes: str) -> None:
    """Hold statistics, scales and offsets of batch normalisations, of all or by prefixes."""
    for layer in named(model, *(prefixes or ("",))):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
