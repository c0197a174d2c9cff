"""The settings of a training: a frozen value, stored with the run, and the command's options."""

import dataclasses
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dsbuild.errors import TrainError

STRIDES = (8, 16, 32)
BACKBONES = ("mobilenet_v2", "resnet50", "resnet101", "tiny", "xception", "xception_65")
LOSSES = ("cross_entropy", "dice", "bce", "bce_log_dice")
OPTIMISERS = ("sgd", "adam", "adamw")
SCHEDULES = ("poly", "cosine", "constant", "plateau")


def _field(default: Any, text: str, **bounds: Any) -> Any:
    """Return a field with its help, and with `choices`, or `least` and `most`, or `above`.

    `option` is its name on the command line; its own name stays an alias.
    """
    return dataclasses.field(default=default, metadata={"help": text} | bounds)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything a training depends on besides its data; the help of a field describes it.

    Raises TrainError for a value outside of a field's bounds.
    """

    split: str = _field("train", "Training split, such as train, train+val or train[:90%].")
    val: str = _field("val", "Validation split for the scores; empty for none.")

    backbone: str = _field("mobilenet_v2", "Backbone of the model.", choices=BACKBONES)
    output_stride: int = _field(
        16, "Output stride of the backbone; 8 is finer and slower.", choices=STRIDES
    )
    width: float = _field(1.0, "Channel multiplier of mobilenet_v2.", above=0)
    width_multiple: int = _field(
        8,
        "Round channels to multiples of this: 8 as in Keras, or 1 as in DeepLab, for widths other "
        "than 1. A DeepLab checkpoint sets it.",
        choices=(1, 8),
    )
    rates: tuple[int, ...] = _field((6, 12, 18), "Atrous rates of the head at stride 16.", least=1)
    depth: int | None = _field(
        None, "Channels of the head. Default: depends on the backbone.", least=1
    )
    separable: bool = _field(True, "Use separable convolutions in the head.")
    decoder: bool = _field(True, "Refine the output with features of stride 4.")
    gradient: bool = _field(False, "Give the decoder the Laplacian of the image, too.")
    pyramid: tuple[float, ...] = _field((1.0,), "Image scales whose logits are merged.", above=0)
    merge: str = _field("max", "How to merge the logits of --pyramid.", choices=("max", "mean"))
    align_corners: bool = _field(True, "Align corners when resizing, as DeepLab does.")
    dropout: float = _field(0.1, "Share of features that dropout removes.", least=0, most=0.99)
    momentum: float = _field(
        0.99,
        "Momentum of batch normalisation's moving averages, reached gradually.",
        least=0,
        most=0.9999,
        option="batch_norm_momentum",
    )
    sigmoid: bool = _field(
        False, "Use one logit for two classes; needs --loss bce or bce_log_dice."
    )
    weights: str = _field(
        "", "First weights: imagenet, a Keras file, a slim checkpoint, or another run."
    )
    initialize: str = _field(
        "all", "What to load from the checkpoint or run in --weights.", choices=("all", "backbone")
    )
    freeze: tuple[str, ...] = _field(
        (), "Layers to freeze, by prefix: backbone,aspp,decoder,logits."
    )
    freeze_batch_norm: bool = _field(False, "Freeze all batch normalisations.")

    crop: int = _field(
        513, "Height and width of the training crop: a multiple of the stride, plus 1.", least=1
    )
    scales: tuple[float, float] = _field((0.5, 2.0), "Smallest and largest random scale.", above=0)
    scale_step: float = _field(0.25, "Step between random scales; 0 for any scale.", least=0)
    flip: float = _field(0.5, "Probability of mirroring an image.", least=0, most=1)
    resize: tuple[int, ...] = _field(
        (), "Resize first: smaller side, largest side, n (sizes of n k + 1).", least=1
    )
    brightness: float = _field(
        0.0, "Largest change of brightness, as a share of 255.", least=0, most=1
    )
    contrast: float = _field(0.0, "Largest change of contrast.", least=0, most=1)
    saturation: float = _field(0.0, "Largest change of saturation.", least=0, most=1)
    hue: float = _field(0.0, "Largest rotation of the hue.", least=0, most=0.5)

    batch: int = _field(8, "Samples per step, over all devices.", least=1)
    epochs: float = _field(
        50.0, "Passes over the data, unless --steps is given.", above=0, most=1e6
    )
    steps: int | None = _field(
        None,
        "Total steps, rounded up to a multiple of --every; 0 keeps the first weights.",
        least=0,
    )
    every: int | None = _field(
        None, "Steps between checkpoints. Default: one pass over the data.", least=1
    )

    loss: str = _field("cross_entropy", "Loss to minimise.", choices=LOSSES)
    class_weights: str = _field(
        "none", "Class weights: none, median, effective, or a file (.json, .csv)."
    )
    smoothing: float = _field(
        0.0, "Label smoothing: share of a label spread over all classes.", least=0, most=0.99
    )
    hard_share: float = _field(
        1.0, "Train only on this share of pixels, those of largest loss.", above=0, most=1
    )
    hard_steps: int = _field(0, "Steps over which --hard-share falls from 1 to its value.", least=0)

    optimiser: str = _field("sgd", "Optimiser.", choices=OPTIMISERS)
    rate: float = _field(0.007, "Highest learning rate.", above=0)
    last_rate: float = _field(1.0, "Learning-rate factor of the last layers (logits).", above=0)
    schedule: str = _field(
        "poly",
        "Learning-rate schedule; plateau lowers the rate when scores stall.",
        choices=SCHEDULES,
    )
    power: float = _field(0.9, "Power of the poly schedule.", above=0)
    warmup: int = _field(0, "Steps over which the rate rises from 0.", least=0)
    sgd_momentum: float = _field(0.9, "Momentum for SGD.", least=0, most=0.9999)
    decay: float = _field(4e-5, "Weight decay: L2 for sgd and adam, decoupled for adamw.", least=0)
    clip: float = _field(0.0, "Clip gradients to this joint norm; 0 for no clipping.", least=0)
    ema: float = _field(
        0.0, "Momentum of averaged weights, such as 0.999; 0 for no averages.", least=0, most=1
    )
    plateau: int = _field(
        5, "Scores without improvement before --schedule plateau divides the rate by 10.", least=1
    )
    patience: int = _field(
        0, "Stop after this many scores without improvement; 0 for never.", least=0
    )
    mixed: bool = _field(False, "Compute in 16 bits: float16 on GPUs, bfloat16 elsewhere.")
    synchronized: bool = _field(True, "Share batch statistics among devices.")
    seed: int = _field(
        0, "Seed for the order, the augmentation and the first weights.", least=0, most=2**32 - 1
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            self._check(field)
        self._hold("scales", len(self.scales) == 2, "two numbers, such as 0.5,2")
        self._hold("resize", len(self.resize) in (0, 3), "three numbers, or none")
        self._hold("pyramid", bool(self.pyramid), "one scale or more, such as 0.5,1")
        self._hold("ema", self.ema < 1, "less than 1")
        self._hold("ema", self.steps != 0 or not self.ema, "0 with --steps 0, which averages none")
        binary = self.loss in ("bce", "bce_log_dice")
        self._hold(
            "loss", binary == self.sigmoid, "bce or bce_log_dice with, and only with, sigmoid"
        )
        self._hold("warmup", not self.warmup or self.schedule != "plateau", "0 with plateau")
        whole = self.steps is None or self.warmup <= self.steps
        self._hold("warmup", whole, "at most the steps")
        crosses = self.loss != "dice"
        self._hold("hard_share", crosses or self.hard_share == 1, "1 with dice")
        self._hold("smoothing", crosses or not self.smoothing, "0 with dice")
        self._hold("hard_share", self.loss != "bce_log_dice" or self.hard_share == 1, "1 with dice")
        self._hold("hard_steps", self.hard_share < 1 or not self.hard_steps, "0 without hard_share")
        waits = self.schedule == "plateau" and self.patience
        self._hold("patience", not waits or self.patience > self.plateau, "more than --plateau")

    def _check(self, field: dataclasses.Field[Any]) -> None:
        value, bounds = getattr(self, field.name), field.metadata
        if value is None:
            return
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, float):
                self._hold(field.name, math.isfinite(one), "a finite number")
            if "choices" in bounds:
                expected = "one of " + ", ".join(map(str, bounds["choices"]))
                self._hold(field.name, one in bounds["choices"], expected)
            if "least" in bounds:
                self._hold(field.name, one >= bounds["least"], f"{bounds['least']:g} and up")
            if "above" in bounds:
                self._hold(field.name, one > bounds["above"], f"more than {bounds['above']:g}")
            if "most" in bounds:
                self._hold(field.name, one <= bounds["most"], f"at most {bounds['most']:g}")

    def _hold(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            field = type(self).__dataclass_fields__[name]
            shown = field.metadata.get("option", name)
            raise TrainError(f"{shown}: found {getattr(self, name)!r}, expected {expected}")

    @property
    def aligned(self) -> int:
        """The crop for segmentation: the smallest k output_stride + 1 that is at least `crop`.

        It has a feature on its first pixel and on its last.
        """
        return math.ceil((self.crop - 1) / self.output_stride) * self.output_stride + 1

    def document(self) -> dict[str, Any]:
        """Return the settings as a JSON document."""
        return dataclasses.asdict(self)


TYPES = typing.get_type_hints(Settings)


def read(document: Any, where: str) -> Settings:
    """Return the settings in a JSON document; raise TrainError if it holds none."""
    if not isinstance(document, Mapping) or (strange := set(document) - set(TYPES)):
        found = (
            f"found {', '.join(sorted(strange))}" if isinstance(document, Mapping) else "found none"
        )
        raise TrainError(f"{where}: {found}, expected the settings of a run of this version")
    given: dict[str, Any] = {}
    for name, value in document.items():
        value = tuple(value) if isinstance(value, list) else value
        if not _fits(TYPES[name], value):
            raise TrainError(f"{where}: {name}: found {value!r}, a value of the wrong type")
        given[name] = value
    return Settings(**given)


def _fits(kind: Any, value: Any) -> bool:
    """Tell whether a value has a field's type; whole numbers count as floats, too."""
    items = typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_fits(items[0], one) for one in value)
    if items:
        return any(_fits(one, value) for one in items)
    if kind is float:
        return type(value) in (int, float)
    return type(value) is kind
