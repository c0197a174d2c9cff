"""Defaults of an audit, kept apart so that `--help` does not import Keras."""

from collections.abc import Mapping
from typing import Any

FOLDS = 4
SIDE = 513  # longest side, in pixels, at which images are judged
MOST = 1000  # suspects in the list

# The settings of the trainings that are worth another value.
TRAININGS = ("backbone", "weights", "crop", "rates", "batch", "epochs", "rate", "image_range")

# A training that is small, and enough to tell what labels mean: settings by name.
SETTINGS: Mapping[str, Any] = {
    "backbone": "mobilenet_v2",
    "crop": 257,
    "rates": (3, 6, 9),
    "optimiser": "adam",
    "rate": 1e-3,
    "momentum": 0.9,
    "epochs": 20.0,
}
