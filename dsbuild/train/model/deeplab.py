"""DeepLabV3+ in Keras, with any backbone of the registry, for images of any size.

Layers are named so that a trainer can select them, and their variables, by prefix: `backbone_`,
`aspp_`, `decoder_`, `gradient_` and `logits`.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from dsbuild.errors import ModelError
from dsbuild.train.choices import CELLS
from dsbuild.train.model import backbones
from dsbuild.train.model.backbones import BACKBONES
from dsbuild.train.model.head import Head
from dsbuild.train.model.layers import Pixels, Scale, Spread
from dsbuild.train.model.places import LARGEST, Tensor, first
from dsbuild.train.model.scalings import SCALINGS

TASKS = ("segmentation", "classification")
MERGES = {"max": keras.layers.Maximum, "mean": keras.layers.Average}
STRIDES = (8, 16, 32)
AUXILIARY = 16  # stride of the features of the auxiliary head, unless the output's is smaller
LOW = 4  # stride of the features that the decoder uses, and of its logits


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The settings that define a model and its weights.

    Attributes:
      classes: number of logits; 1 is one logit of a sigmoid, such as for matting.
      backbone: one of BACKBONES.
      output_stride: stride of the backbone's last features: 8 or 16, or 32 as it was trained; at 8
        the rates are doubled.
      dilate_first: whether the layers that lose a stride are dilated, too; see `atrous.convert`.
      pixels: how pixels are scaled, one of SCALINGS; None for what the backbone's weights expect.
      task: `segmentation` has logits for each pixel, `classification` for the image.
      width: factor of the backbone's channels; only MobileNetV2 has others than 1.
      width_multiple: channels are rounded to multiples of it for other widths.
      rates: atrous rates of the pyramid at stride 16; may be empty.
      depth: channels of the head; None for the default of the backbone.
      separable: whether 3 x 3 convolutions of the head are depthwise separable.
      decoder: whether features of stride 4 refine the logits.
      aspp_window: whether a 3 x 3 convolution follows the pyramid, if there is no decoder.
      gradient: whether the decoder takes a second input, a plane such as the Laplacian.
      scales: of the image, whose logits are merged.
      merge: how they are merged, one of MERGES.
      align_corners: whether images are scaled corner to corner, as in DeepLab; otherwise pixels
        are areas with their centres at halves. Either way features are resized back to where they
        lie, around every stride-th pixel or in the middles of cells; see `places`.
      multi_grid: factors for the atrous rates of the backbone's last three layers with windows, or
        none (Chen et al., Rethinking Atrous Convolution, 2017).
      dropout: share of the features that is dropped before the decoder.
      momentum: that of all batch normalisations.
      synchronized: whether batch normalisations share their statistics among devices.
    """

    classes: int = 21
    backbone: str = "mobilenet_v2"
    output_stride: int = 16
    dilate_first: bool = False
    pixels: str | None = None
    task: str = "segmentation"
    width: float = 1.0
    width_multiple: int = 8
    rates: tuple[int, ...] = (6, 12, 18)
    depth: int | None = None
    separable: bool = True
    decoder: bool = True
    aspp_window: bool = False
    gradient: bool = False
    scales: tuple[float, ...] = (1.0,)
    merge: str = "max"
    align_corners: bool = True
    multi_grid: tuple[int, ...] = ()
    dropout: float = 0.1
    momentum: float = 0.99
    synchronized: bool = False

    def __post_init__(self) -> None:
        for name in ("rates", "scales", "multi_grid"):  # JSON has lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        self._choose("task", TASKS)
        self._choose("backbone", BACKBONES)
        self._choose("output_stride", STRIDES)
        self._choose("pixels", (None, *SCALINGS))
        self._choose("merge", MERGES)
        self._hold("classes", self.classes >= 1, "at least 1")
        self._hold("depth", self.depth is None or self.depth >= 1, "at least 1")
        self._hold("rates", all(rate >= 1 for rate in self.rates), "at least 1")
        self._hold("scales", min(self.scales, default=0) > 0, "one or more, each above 0")
        self._hold("dropout", 0 <= self.dropout < 1, "at least 0 and less than 1")
        self._hold("momentum", 0 <= self.momentum < 1, "at least 0 and less than 1")
        wide = BACKBONES[self.backbone].wide
        self._hold("width", wide or self.width == 1, "1 for this backbone")
        self._hold("width", self.width > 0, "more than 0")
        self._choose("width_multiple", (1, 8))
        pixels = self.task == "segmentation"
        decoded = pixels and self.decoder
        self._hold("aspp_window", not (self.aspp_window and decoded), "False with a decoder")
        self._hold("gradient", decoded or not self.gradient, "False without a decoder")
        self._hold("scales", pixels or self.scales == (1.0,), "1.0 alone for classification")
        moves = self.dilate_first and self.cells
        self._hold("dilate_first", not moves, "False for ConvNeXt, whose features it would shift")

    @property
    def stride(self) -> int:
        """The stride of the logits before they are resized to the image's size."""
        return LOW if self.decoder else self.output_stride

    @property
    def cells(self) -> bool:
        """Whether features are cells of the image; see `places`."""
        return self.backbone in CELLS

    @property
    def start(self) -> float:
        """The place of the first of these logits on an axis of the image."""
        return first(LOW if self.decoder else LARGEST, self.cells)

    def _choose(self, name: str, choices: Collection[object]) -> None:
        self._hold(name, getattr(self, name) in choices, f"one of {', '.join(map(str, choices))}")

    def _hold(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ModelError(f"{name}: found {getattr(self, name)!r}, expected {expected}")


def build(*, weights: str | None = None, auxiliary: bool = False, **settings: Any) -> keras.Model:
    """Return the model of an Architecture.

    It takes RGB of 0..255, uint8 or float32 (b, h, w, 3), or with a gradient branch a list of that
    and a plane (b, h, w, 1). It returns logits float32 (b, h, w, classes), or (b, classes) for
    classification. Images may have any height and width.

    Args:
      weights: those of the backbone: None, `imagenet`, or a file (see `backbones.build`).
      auxiliary: whether the model also returns the logits of an auxiliary head, for training; see
        `single`.
      settings: the attributes of Architecture.
    """
    shape = Architecture(**settings)
    backbone = backbones.build(
        shape.backbone,
        shape.output_stride,
        width=shape.width,
        multiple=shape.width_multiple,
        weights=weights,
        dilate_first=shape.dilate_first,
        momentum=shape.momentum,
        synchronized=shape.synchronized,
        grid=shape.multi_grid,
        auxiliary=auxiliary,
    )
    image = keras.Input((None, None, 3), name="image")
    mode = backbones.scaling(shape.backbone, shape.pixels)
    pixels = Pixels(mode, name="pixels")(image)
    if shape.task == "classification":
        return keras.Model(image, _classified(shape, backbone(pixels)[1]), name="classifier")
    inputs, planes = [image], [pixels]
    if shape.gradient:
        inputs.append(keras.Input((None, None, 1), name="gradient"))
        planes.append(inputs[1])
    if auxiliary:
        logits, other = _scorer(shape, backbone)(planes)
        step, start = min(shape.output_stride, AUXILIARY), first(AUXILIARY, shape.cells)
        outputs = [
            _back(shape, shape.stride, shape.start, "resize")([logits, image]),
            _back(shape, step, start, "auxiliary_resize")([other, image]),
        ]
        return keras.Model(inputs if shape.gradient else image, outputs, name="deeplab")
    logits, scaled = _merged(shape, _scorer(shape, backbone), planes)
    back = _back(shape, shape.stride, shape.start, "resize")
    logits = back([logits, image] if scaled is pixels else [logits, image, pixels, scaled])
    return keras.Model(inputs if shape.gradient else image, logits, name="deeplab")


def _back(shape: Architecture, stride: int, start: float, name: str) -> Spread:
    """Return the layer from logits of a stride, the first of which lies at `start`, to pixels."""
    return Spread(stride, 1, shape.align_corners, start, dtype="float32", name=name)


def _classified(shape: Architecture, features: Tensor) -> Tensor:
    x = keras.layers.GlobalAveragePooling2D(name="pooling")(features)
    x = keras.layers.Dropout(shape.dropout, name="dropout")(x)
    return keras.layers.Dense(shape.classes, dtype="float32", name="logits")(x)


def _scorer(shape: Architecture, backbone: keras.Model) -> keras.Model:
    """Return the model from scaled pixels, and maybe a plane, to logits at `shape.stride`."""
    head = Head(
        shape.depth or BACKBONES[shape.backbone].depth,
        shape.separable,
        shape.cells,
        momentum=shape.momentum,
        synchronized=shape.synchronized,
    )
    low, x, *middle = backbone.output
    doubled = 2 if shape.output_stride == 8 else 1
    x = head.pyramid(x, [rate * doubled for rate in shape.rates], shape.dropout, shape.aspp_window)
    inputs = list(backbone.inputs)
    if shape.gradient:
        inputs.append(keras.Input((None, None, 1), name="plane"))
    if shape.decoder:
        spread = Spread(
            shape.output_stride,
            LOW,
            start=first(LARGEST, shape.cells),
            first=first(LOW, shape.cells),
            name="decoder_resize",
        )
        x = head.decoder(spread([x, low]), low, inputs[1] if shape.gradient else None)
    outputs = [keras.layers.Conv2D(shape.classes, 1, dtype="float32", name="logits")(x)]
    outputs += [head.auxiliary(x, shape.classes) for x in middle]
    return keras.Model(inputs, outputs if middle else outputs[0], name="scorer")


def single(network: keras.Model) -> keras.Model:
    """Return the model of the first logits, over the same layers, of one with an auxiliary head."""
    if len(network.outputs) == 1:
        return network
    inputs = network.inputs if len(network.inputs) > 1 else network.inputs[0]
    return keras.Model(inputs, network.outputs[0], name=network.name)


def _merged(
    shape: Architecture, scorer: keras.Model, planes: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the merged logits of all scales, and the image at the largest scale.

    Logits of smaller scales are resized to those of the largest.
    """
    merged: list[Tensor] = []
    images: list[Tensor] = []
    for number, factor in enumerate(sorted(shape.scales, reverse=True)):
        scaled = planes
        if factor != 1:
            scaled = [
                Scale(
                    factor,
                    shape.align_corners,
                    stride=shape.output_stride,
                    cells=shape.cells,
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
                shape.start,
                shape.start,
                dtype="float32",
                name=f"unscale_{number}",
            )
            logits = back([logits, merged[0], images[0], images[number]])
        merged.append(logits)
    if len(merged) == 1:
        return merged[0], images[0]
    return MERGES[shape.merge](dtype="float32", name="merge")(merged), images[0]


def named(model: keras.Model, *prefixes: str) -> Iterator[keras.layers.Layer]:
    """Yield layers whose names start with one of the prefixes, those of inner models included."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from named(layer, *prefixes)
        elif layer.name.startswith(prefixes):
            yield layer


def freeze(model: keras.Model, *prefixes: str) -> None:
    """Freeze the weights and batch statistics of layers, by the prefixes of their names."""
    for prefix in prefixes:
        layers = list(named(model, prefix))
        if not layers:
            have = sorted({layer.name.split("_")[0] for layer in named(model, "") if layer.weights})
            raise ModelError(
                f"{prefix}: there are no such layers; expected one of {', '.join(have)}"
            )
        for layer in layers:
            layer.trainable = False


def freeze_batch_norm(model: keras.Model, *prefixes: str) -> None:
    """Freeze statistics, scales and offsets of batch normalisations: all, or by prefixes."""
    for layer in named(model, *(prefixes or ("",))):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
