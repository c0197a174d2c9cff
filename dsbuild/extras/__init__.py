"""Compute extra features by name from the pixels of a sample, and store them."""

from dsbuild.extras.functions import laplacian
from dsbuild.extras.registry import (
    EXTRAS,
    FORMS,
    OFFSET,
    Chosen,
    features,
    parse,
    versions,
)

__all__ = [
    "EXTRAS",
    "FORMS",
    "OFFSET",
    "Chosen",
    "features",
    "laplacian",
    "parse",
    "versions",
]
