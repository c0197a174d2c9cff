"""Extra features by name: small pure functions of a sample's pixels, and how they are stored."""

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
