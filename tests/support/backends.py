"""Drawn weights for models, and processes for Keras on another backend."""

import os
import subprocess
import sys

import numpy as np
import pytest


def draw(name, shape, random):
    """Return weights for a variable by its name, Keras' or slim's, that keep the size of signals.

    They need no batch statistics: dividing by those makes rounding errors grow from layer to layer
    in a random network.
    """
    values = random.standard_normal(shape, np.float32)
    kind = name.split("/")[-1]
    if kind.endswith(("kernel", "weights")):
        inputs = np.prod(shape[:2]) if "depthwise" in name else np.prod(shape[:-1])
        return values * np.float32(np.sqrt(2 / inputs))
    if kind in ("gamma", "moving_variance"):
        return 1 + 0.2 * np.tanh(values)
    return 0.1 * values


def drawn(model, seed=0):
    """Assign such weights to a model."""
    random = np.random.default_rng(seed)
    for variable in model.variables:
        if "seed_generator" not in variable.path:
            variable.assign(draw(variable.path, tuple(variable.shape), random))


def fresh(code, *arguments, **environment):
    """Run code in a fresh process; return its output."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def on_torch(code, *arguments):
    """Run code in a fresh process with Keras on torch; skip if that is missing."""
    pytest.importorskip("torch", reason="torch is not installed")
    return fresh(code, *arguments, KERAS_BACKEND="torch")
