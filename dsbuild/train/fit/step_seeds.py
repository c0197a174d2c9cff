"""Random numbers of a step that depend on seed and step alone, on PyTorch too.

On TensorFlow every random number of a training is stateless: its seed is a variable of the model.
Keras' dropout on PyTorch draws from PyTorch's global generator instead, which no checkpoint holds.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from dsbuild.train.fit.callbacks import StepCounter


@contextlib.contextmanager
def generators_restored() -> Iterator[None]:
    """Leave the generators of PyTorch as they were before the block, if Keras runs on it."""
    if keras.backend.backend() != "torch":
        yield
        return
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield


class StepSeeds(StepCounter):
    """Seeds PyTorch before each step, so that a resumed run draws what an unbroken one draws."""

    def __init__(self, seed: int, every: int) -> None:
        super().__init__(every)
        self._seed = seed

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Seed PyTorch's generators, if Keras runs on it."""
        if keras.backend.backend() == "torch":
            import torch

            mixed = np.random.SeedSequence([self._seed, self._before + batch])
            torch.manual_seed(int(mixed.generate_state(1)[0]))
