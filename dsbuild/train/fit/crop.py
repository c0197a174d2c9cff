"""The crop of a training, as the places of features need it."""

import dataclasses

from dsbuild.errors import TrainError
from dsbuild.train.choices import STRIDES
from dsbuild.train.dataset import Facts
from dsbuild.train.fit.progress import Talk
from dsbuild.train.settings import Settings

_LEAST = max(STRIDES)  # pixels of a cell; a smaller image has none


def fitted(settings: Settings, facts: Facts, say: Talk) -> Settings:
    """Return settings whose crop suits the places of features; print a change."""
    if settings.crop == settings.aligned:
        return settings
    if facts.task != "segmentation":
        if settings.cells and settings.crop < _LEAST:
            raise TrainError(
                f"crop: found {settings.crop}, expected at least {_LEAST} for "
                f"{settings.backbone}; give a larger --crop"
            )
        return settings
    suits, why = "plus 1", "features lie on the first and the last pixel"
    if settings.cells:
        suits, why = f"of at least {_LEAST}", "features cover all of it"
    say(
        f"crop: {settings.crop} is not a multiple of the output stride, {settings.output_stride}, "
        f"{suits}; using {settings.aligned}, so that {why}"
    )
    return dataclasses.replace(settings, crop=settings.aligned)
