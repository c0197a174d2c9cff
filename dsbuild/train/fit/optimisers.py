"""Optimisers by name, with the learning rate over the steps and rules by variable.

As in DeepLab, only convolution kernels decay, depthwise ones excepted; the last layers, and the
backbone, have learning-rate factors.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras import ops

from dsbuild.errors import TrainError
from dsbuild.train.model.places import Tensor
from dsbuild.train.settings import Settings

# Of the variables of the last layers; DeepLab's `last_layers_contain_logits_only` or not.
LAST = {
    "logits": ("logits/", "auxiliary_logits/"),
    "head": ("logits/", "aspp_", "decoder_", "gradient_", "auxiliary_"),
}
_BACKBONE = "backbone_"


def decays(path: str) -> bool:
    """Tell whether the variable with this path decays."""
    return path.endswith("kernel") and "depthwise" not in path


@keras.saving.register_keras_serializable("dsbuild")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate of a step: rises to `rate` within `warmup` steps, then follows its kind.

    `poly` is rate (1 - step / steps)^power, as in DeepLab; `cosine` is half a wave down to 0
    (Loshchilov and Hutter, SGDR, 2017); `constant` stays.
    """

    def __init__(
        self, kind: str, rate: float, steps: int, warmup: int = 0, power: float = 0.9
    ) -> None:
        self.kind, self.rate, self.steps = kind, rate, steps
        self.warmup, self.power = warmup, power

    def __call__(self, step: Tensor) -> Tensor:
        """Return the rate, a scalar float32."""
        step = ops.cast(step, "float32")
        left = ops.clip(1 - step / self.steps, 0.0, 1.0)
        factors: dict[str, Callable[[], Tensor]] = {
            "poly": lambda: left**self.power,
            "cosine": lambda: (1 - ops.cos(math.pi * left)) / 2,
            "constant": lambda: ops.ones_like(left),
        }
        factor = factors[self.kind]()
        if self.warmup:
            factor = factor * ops.minimum((step + 1) / self.warmup, 1.0)
        return self.rate * factor

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the schedule."""
        return dict(vars(self))


class _ByVariable(keras.optimizers.Optimizer):
    """Gives an optimiser of Keras an L2 decay and a rate that differ by variable."""

    def __init__(self, *, l2: float, factors: Mapping[str, float], **options: Any) -> None:
        super().__init__(**options)
        self.l2, self.factors = l2, dict(factors)

    def update_step(self, gradient: Tensor, variable: Tensor, learning_rate: Tensor) -> None:
        """Move a variable by its gradient."""
        # `variable` is the backend's own, on one device, and has no path.
        path = self._trainable_variables[self._get_variable_index(variable)].path
        if self.l2 and decays(path):
            gradient = gradient + self.l2 * ops.cast(variable, gradient.dtype)
        for prefix, factor in self.factors.items():
            if path.startswith(prefix):
                learning_rate = learning_rate * factor
        super().update_step(gradient, variable, learning_rate)


class SGD(_ByVariable, keras.optimizers.SGD):
    """Stochastic gradient descent with momentum, and L2 decay."""


class Adam(_ByVariable, keras.optimizers.Adam):
    """Adam with L2 decay."""


class AdamW(_ByVariable, keras.optimizers.AdamW):
    """Adam with decoupled decay."""


def expect(settings: Settings) -> None:
    """Raise TrainError if last layers are chosen whose rate is that of all others."""
    if settings.last_layers != Settings.last_layers and settings.last_rate == 1:
        raise TrainError(
            f"last_layers: found {settings.last_layers} with last_rate 1, which changes nothing; "
            "give --last-rate, such as 10, or leave --last-layers out"
        )


def build(
    settings: Settings, steps: int, variables: Sequence[keras.Variable] = ()
) -> keras.optimizers.Optimizer:
    """Return the optimiser of a training of `steps` steps over these variables."""
    rate: float | Schedule = settings.rate
    if settings.schedule != "plateau":  # which a callback lowers
        rate = Schedule(settings.schedule, settings.rate, steps, settings.warmup, settings.power)
    factors = dict.fromkeys(LAST[settings.last_layers], settings.last_rate)
    factors[_BACKBONE] = settings.backbone_rate
    factors = {prefix: factor for prefix, factor in factors.items() if factor != 1}
    options: dict[str, Any] = {"learning_rate": rate, "factors": factors}
    options |= {"global_clipnorm": settings.clip or None, "name": settings.optimiser}
    if settings.ema:
        options |= {"use_ema": True, "ema_momentum": settings.ema}
    if settings.optimiser == "sgd":
        return SGD(l2=settings.decay, momentum=settings.sgd_momentum, **options)
    if settings.optimiser == "adam":
        return Adam(l2=settings.decay, **options)
    optimiser = AdamW(l2=0.0, weight_decay=settings.decay, **options)
    fixed = [variable for variable in variables if not decays(variable.path)]
    optimiser.exclude_from_weight_decay(fixed)
    return optimiser
