"""ConvNeXt-Tiny with few channels and blocks, in place of the one that is registered."""

import dataclasses
import functools

import numpy as np
from keras.src.applications.convnext import ConvNeXt

from dsbuild.train.model import backbones

NAME = "convnext_tiny"
DIMS = (8, 16, 24, 32)
BLOCKS = (1, 1, 2, 1)
build = functools.partial(ConvNeXt, name="narrow")


def register(patch, blocks=BLOCKS):
    """Make the backbone NAME narrow, until a pytest.MonkeyPatch is undone."""
    changed = dataclasses.replace(
        backbones.BACKBONES[NAME],
        build=functools.partial(build, blocks, DIMS),
        low=f"stage_0_block_{blocks[0] - 1}_add",
        auxiliary=f"stage_2_block_{blocks[2] - 1}_add",
    )
    patch.setitem(backbones.BACKBONES, NAME, changed)


def draw(model, seed=0):
    """Draw weights that keep the size of signals, and let each block matter; return the model."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        name, shape = variable.path.rpartition("/")[2], tuple(variable.shape)
        values = rng.normal(0, 0.2, shape)
        if name == "kernel":
            summed = np.prod(shape[:2] if "depthwise" in variable.path else shape[:-1])
            values = rng.normal(0, summed**-0.5, shape)
        elif name in ("gamma", "moving_variance"):
            values = rng.uniform(0.5, 1.5, shape)
        variable.assign(values.astype(np.float32))
    return model
