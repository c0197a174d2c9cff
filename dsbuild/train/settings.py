"""The settings of a training run: one frozen value, kept with the run; options are made of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dsbuild import fields
from dsbuild.errors import TrainError
from dsbuild.fields import field
from dsbuild.train import loss_terms
from dsbuild.train.choices import BACKBONES, CELLS, OPTIMISERS, PIXELS, SCHEDULES, STRIDES


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a training run depends on besides its data; each field says what it is by its help.

    Raises TrainError for a value that is not within a field's bounds.
    """

    split: str = field("train", "Split to train on, such as train, train+val, train[:90%].")
    val: str = field("val", "Split to measure scores on; empty for none.")

    backbone: str = field("mobilenet_v2", "Backbone of the model.", choices=BACKBONES)
    output_stride: int = field(
        16, "Output stride of the backbone; 8 is finer and slower.", choices=STRIDES
    )
    dilate_first: bool = field(
        False,
        "Dilate the convolutions that lose their stride, too, as segmentation_models_pytorch does.",
    )
    pixels: str | None = field(
        None,
        "How pixels are scaled for the model: tf is -1..1, torch ImageNet's mean and deviation, "
        "caffe BGR less its mean, 128 pixels / 128 - 1, unit 0..1, raw 0..255. Default: as the "
        "weights, or the backbone, need.",
        choices=PIXELS,
        omitted=True,
    )
    width: float = field(1.0, "Factor for the channels of mobilenet_v2.", above=0)
    width_multiple: int = field(
        8,
        "Round channels to multiples of this: 8 as Keras does, 1 as DeepLab does if the width is "
        "not 1. A DeepLab checkpoint overrides it.",
        choices=(1, 8),
    )
    rates: tuple[int, ...] = field((6, 12, 18), "Atrous rates at stride 16.", least=1)
    depth: int | None = field(
        None, "Channels of the head. Default: depends on the backbone.", least=1
    )
    separable: bool = field(True, "Use separable convolutions in the head.")
    decoder: bool = field(True, "Refine the logits with features of stride 4.")
    aspp_window: bool = field(
        False,
        "Add a 3 x 3 convolution after the pyramid, as DeepLabV3 of torchvision and others has; "
        "with --no-decoder.",
        omitted=True,
    )
    gradient: bool = field(False, "Feed the Laplacian to the decoder.")
    pyramid: tuple[float, ...] = field((1.0,), "Image scales whose logits are merged.", above=0)
    merge: str = field("max", "How logits of several scales are merged.", choices=("max", "mean"))
    align_corners: bool = field(True, "Align corners when resizing, as DeepLab does.")
    auxiliary: float = field(
        0.0,
        "Weight of the loss of an auxiliary head in training, such as 0.4, on the features of the "
        "last but one stage of a ResNet; 0 for none.",
        least=0,
        most=10,
    )
    multi_grid: tuple[int, ...] = field(
        (),
        "Factors for the atrous rates of the last three layers with windows, such as 1,2,4.",
        least=1,
    )
    dropout: float = field(0.1, "Share of features that are dropped.", least=0, most=0.99)
    momentum: float = field(
        0.99,
        "Momentum for the moving averages of batch normalisation, reached step by step.",
        least=0,
        most=0.9999,
        option="batch_norm_momentum",
        alias="momentum",
    )
    sigmoid: bool = field(False, "One logit for two classes; with --loss bce or bce_log_dice.")
    weights: str = field(
        "",
        "Initial weights: imagenet, a published name, a file of Keras, PyTorch or safetensors, a "
        "keras-hub preset, a slim checkpoint, or another run.",
    )
    initialize: str = field(
        "all", "What to take from --weights of a checkpoint or run.", choices=("all", "backbone")
    )
    freeze: tuple[str, ...] = field(
        (), "Layers to freeze, by prefix: backbone,aspp,decoder,logits."
    )
    freeze_batch_norm: bool = field(False, "Freeze batch normalisation.")

    crop: int = field(
        513,
        "Height and width of training crops: a multiple of the stride, plus 1 except for ConvNeXt.",
        least=1,
    )
    scales: tuple[float, float] = field((0.5, 2.0), "Smallest and largest random scale.", above=0)
    scale_step: float = field(0.25, "Step between random scales; 0 for any scale.", least=0)
    flip: float = field(0.5, "Probability that an image is mirrored.", least=0, most=1)
    resize: tuple[int, ...] = field(
        (), "Resize first: smaller side, largest side, n (sizes of n k + 1).", least=1
    )
    image_range: str = field(
        "",
        "Range of the values of 16-bit images that the model sees as 0 to 255, such as 0:4095. "
        "Default: 0:65535 for images of 16 bits.",
        what="LOW:HIGH",
        omitted=True,
    )
    brightness: float = field(0.0, "Largest shift, as a share of 255.", least=0, most=1)
    contrast: float = field(0.0, "Largest change of contrast.", least=0, most=1)
    saturation: float = field(0.0, "Largest change of saturation.", least=0, most=1)
    hue: float = field(0.0, "Largest shift of the hue.", least=0, most=0.5)
    rotation: float = field(
        0.0, "Largest rotation of the crop, in degrees, either way.", least=0, most=180
    )
    blur: float = field(
        0.0, "Largest standard deviation of a Gaussian blur, in pixels.", least=0, most=50
    )
    cat_max_ratio: float = field(
        1.0,
        "Largest share of one class in a crop; otherwise up to ten other places are tried.",
        above=0,
        most=1,
    )
    copy_paste: float = field(
        0.0,
        "Probability that objects of the image before it in the batch are pasted into an image.",
        least=0,
        most=1,
    )

    batch: int = field(8, "Samples per step, over all devices.", least=1)
    accumulate: int = field(
        1,
        "Compute each step in this many parts, one after another, which saves memory; --batch "
        "stays the size of the whole step.",
        least=1,
    )
    epochs: float = field(50.0, "Passes over the data, if --steps is not given.", above=0, most=1e6)
    steps: int | None = field(
        None,
        "Total steps, rounded up to a multiple of --every; 0 keeps the initial weights.",
        least=0,
    )
    every: int | None = field(
        None, "Steps between checkpoints. Default: one pass over the data.", least=1
    )

    loss: str = field(
        "cross_entropy",
        f"Loss to minimise: {', '.join(loss_terms.LOSSES)}, or a sum such as ce+0.5*dice.",
    )
    class_weights: str = field("none", "none, median, effective, or a file (.json, .csv).")
    smoothing: float = field(
        0.0,
        "Label smoothing: share of a label that is spread over all classes.",
        least=0,
        most=0.99,
    )
    focal_gamma: float = field(2.0, "Exponent of the focal loss.", least=0, most=10)
    tversky: tuple[float, float] = field(
        (0.3, 0.7), "Weights of false positives and false negatives in the Tversky loss.", above=0
    )
    hard_share: float = field(
        1.0, "Share of pixels with the largest loss that are trained on.", above=0, most=1
    )
    hard_steps: int = field(0, "Steps over which --hard-share falls from 1 to its value.", least=0)

    optimiser: str = field("sgd", "Optimiser.", choices=OPTIMISERS)
    rate: float = field(0.007, "Peak learning rate.", above=0)
    last_rate: float = field(1.0, "Learning-rate factor for the last layers.", above=0)
    last_layers: str = field(
        "logits",
        "The last layers: the logits alone, or the head, with ASPP and decoder, as DeepLab does.",
        choices=("logits", "head"),
    )
    backbone_rate: float = field(
        1.0, "Learning-rate factor for the backbone; see --freeze to keep it as it is.", above=0
    )
    schedule: str = field(
        "poly",
        "Learning-rate schedule; plateau lowers it when scores stop improving.",
        choices=SCHEDULES,
    )
    power: float = field(0.9, "Power of the poly schedule.", above=0)
    warmup: int = field(0, "Steps over which the rate rises from 0.", least=0)
    sgd_momentum: float = field(0.9, "Momentum for SGD.", least=0, most=0.9999)
    decay: float = field(4e-5, "Weight decay: L2 for sgd and adam, decoupled for adamw.", least=0)
    clip: float = field(0.0, "Clip gradients to this global norm; 0: no clipping.", least=0)
    ema: float = field(
        0.0, "Momentum for averaged weights, such as 0.999; 0: no averaging.", least=0, below=1
    )
    plateau: int = field(
        5, "Scores without improvement before --schedule plateau divides the rate by 10.", least=1
    )
    patience: int = field(0, "Stop after this many scores without improvement; 0: never.", least=0)
    mixed: bool = field(False, "Mixed precision: float16 on GPUs, bfloat16 elsewhere.")
    synchronized: bool = field(True, "Share batch statistics across devices.")
    seed: int = field(
        0, "Seed for the order, the augmentation and the initial weights.", least=0, most=2**32 - 1
    )

    def __post_init__(self) -> None:
        fields.check(self, TrainError)
        self._hold("resize", len(self.resize) in (0, 3), "three numbers, or none")
        self._hold("multi_grid", len(self.multi_grid) in (0, 3), "three numbers, or none")
        self._hold(
            "aspp_window",
            not (self.aspp_window and self.decoder),
            "False with a decoder; give --no-decoder",
        )
        one = self.pyramid == (1.0,) or not self.auxiliary
        self._hold("auxiliary", one, "0 with several image scales (--pyramid)")
        self._hold("pyramid", bool(self.pyramid), "one scale or more, such as 0.5,1")
        self._hold(
            "ema", self.steps != 0 or not self.ema, "0 with --steps 0, which has nothing to average"
        )
        self._hold("warmup", not self.warmup or self.schedule != "plateau", "0 with plateau")
        whole = self.steps is None or self.warmup <= self.steps
        self._hold("warmup", whole, "at most the steps")
        divides = self.batch % self.accumulate == 0
        self._hold("accumulate", divides, f"a divisor of the batch, {self.batch}")
        frozen = any("backbone_".startswith(prefix) for prefix in self.freeze)
        self._hold("backbone_rate", self.backbone_rate == 1 or not frozen, "1 if it is frozen")
        self._hold("copy_paste", self.batch > 1 or not self.copy_paste, "0 in batches of 1")
        held = not self.image_range or fields.span(self.image_range) is not None
        self._hold("image_range", held, "LOW:HIGH within 0 to 65535, such as 0:4095")
        self._hold_loss()
        self._hold("hard_steps", self.hard_share < 1 or not self.hard_steps, "0 without hard_share")
        waits = self.schedule == "plateau" and self.patience > 0
        self._hold("patience", not waits or self.patience > self.plateau, "more than --plateau")

    def _hold_loss(self) -> None:
        """Refuse a loss that is none, or options that it does not have."""
        given = loss_terms.named(self.loss)
        names = {term.name for term in loss_terms.terms(given)}
        binary = bool(names & loss_terms.BINARY)
        text = "bce or bce_log_dice with, and only with, sigmoid"
        object.__setattr__(self, "loss", given)
        self._hold("loss", self.sigmoid or not binary, text)
        self._hold("loss", not self.sigmoid or "cross_entropy" not in names, text)
        for name, plain, having in (
            ("hard_share", 1, loss_terms.PIXELWISE),
            ("smoothing", 0, loss_terms.SMOOTHED),
            ("focal_gamma", Settings.focal_gamma, {"focal"}),
            ("tversky", Settings.tversky, {"tversky"}),
        ):
            default = plain if not isinstance(plain, tuple) else ",".join(map(str, plain))
            holds = bool(names & having) or getattr(self, name) == plain
            self._hold(name, holds, f"{default} with {given}")

    def _hold(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            fields.refuse(self, name, expected, TrainError)

    @property
    def cells(self) -> bool:
        """Whether features are cells of an image; otherwise they lie on every stride-th pixel."""
        return self.backbone in CELLS

    @property
    def aligned(self) -> int:
        """The crop for segmentation: the least k output_stride + 1 not below `crop`.

        Features lie on its first and last pixel. If they are cells, it is k output_stride, and at
        least a cell of stride 32.
        """
        least, rest = (max(self.crop, max(STRIDES)), 0) if self.cells else (self.crop, 1)
        return math.ceil((least - rest) / self.output_stride) * self.output_stride + rest

    def document(self) -> dict[str, Any]:
        """Return the settings as a JSON document."""
        return fields.document(self)


def read(document: Any, where: str) -> Settings:
    """Return the settings of a JSON document; raise TrainError if it is none."""
    strange = ["none"]
    if isinstance(document, Mapping):
        strange = sorted(document.keys() - fields.kinds(Settings).keys())
    if strange:
        raise TrainError(
            f"{where}: found {', '.join(strange)}; expected the settings of a run of this version"
        )
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in document.items()
    }
    try:
        return Settings(**given)
    except TrainError as error:
        raise TrainError(f"{where}: {error}") from error
