"""Optimisers by name, with the learning rate over the steps, and what differs by variable.

Weights of convolutions decay, and nothing else, as in DeepLab, where those of depthwise ones do not
either; the last layers' rate has a factor.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from dsbuild.train.settings import Settings

_LAST = "logits/"


def decays(path: str) -> bool:
    """Tell whether a variable, by its path, decays."""
    return path.endswith("kernel") and "depthwise" not in path


@keras.saving.register_keras_serializable("dsbuild")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate of a step: rising to `rate` within `warmup` steps, then by its kind.

    `poly` is rate (1 - step / steps)^power, as in DeepLab; `cosine` half a wave down to 0
    (Loshchilov and Hutter, SGDR, 2017); `constant` stays.
    """

    def __init__(self, kind: str, rate: float, steps: int, warmup: int = 0, power: float = 0.9):
        self.kind, self.rate, self.steps = kind, rate, steps
        self.warmup, self.power = warmup, power

    def __call__(self, step: Any) -> Any:
        """Return the rate, a scalar float32."""
        step = ops.cast(step, "float32")
        left = ops.clip(1 - step / self.steps, 0.0, 1.0)
        factor = {
            "poly": lambda: left**self.power,
            "cosine": lambda: (1 - ops.cos(math.pi * left)) / 2,
            "constant": lambda: ops.ones_like(left),
        }[self.kind]()
        if self.warmup:
            factor = factor * ops.minimum((step + 1) / self.warmup, 1.0)
        return self.rate * factor

    def get_config(self) -> dict[str, Any]:
        """Return what the schedule is made of."""
        return dict(vars(self))


class _ByVariable:
    """Gives an optimiser of Keras an L2 decay and a rate that differ by variable."""

    def __init__(self, *, l2: float, last_rate: float, **options: Any):
        super().__init__(**options)
        self.l2, self.last_rate = l2, last_rate

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move a variable by its gradient."""
        # What comes is a variable of the backend, on one device, which has no path.
        path = self._trainable_variables[self._get_variable_index(variable)].path
        if self.l2 and decays(path):
            gradient = gradient + self.l2 * ops.cast(variable, gradient.dtype)
        if path.startswith(_LAST):
            learning_rate = learning_rate * self.last_rate
        super().update_step(gradient, variable, learning_rate)


class SGD(_ByVariable, keras.optimizers.SGD):
    """Stochastic gradient descent with momentum."""


class Adam(_ByVariable, keras.optimizers.Adam):
    """Adam; with an L2 decay, where there is one."""


class AdamW(_ByVariable, keras.optimizers.AdamW):
    """Adam with decoupled decay."""


def build(
    asked: Settings, steps: int, variables: Sequence[keras.Variable] = ()
) -> keras.optimizers.Optimizer:
    """Return the optimiser of settings, for so many steps in all, and for these variables."""
    rate: Any = asked.rate
    if asked.schedule != "plateau":  # which a callback lowers
        rate = Schedule(asked.schedule, asked.rate, steps, asked.warmup, asked.power)
    options: dict[str, Any] = {"learning_rate": rate, "last_rate": asked.last_rate}
    options |= {"global_clipnorm": asked.clip or None, "name": asked.optimiser}
    if asked.ema:
        options |= {"use_ema": True, "ema_momentum": asked.ema}
    if asked.optimiser == "sgd":
        return SGD(l2=asked.decay, momentum=asked.sgd_momentum, **options)
    if asked.optimiser == "adam":
        return Adam(l2=asked.decay, **options)
    found = AdamW(l2=0.0, weight_decay=asked.decay, **options)
    found.exclude_from_weight_decay([one for one in variables if not decays(one.path)])
    return found
