"""Extra features by name: small pure functions of the image, and the forms they are stored in.

`--extra laplacian` stores the default form, `--extra laplacian:raw16` another one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dsbuild import images
from dsbuild.errors import PlanError

OFFSET = 32768  # of 16-bit PNGs, which hold no negative values


def laplacian(image: np.ndarray) -> np.ndarray:
    """Return the Laplacian of an RGB image (h, w, 3) uint8: int16 (h, w), -1020..1020.

    `cv2.Laplacian` with its default aperture (0 1 0; 1 -4 1; 0 1 0) of the grey
    image, borders reflected without repeating the edge.
    """
    import cv2  # here, since a build without extras needs neither its time nor its memory

    return cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_16S)


def _values(name: str, pixels: np.ndarray) -> dict:
    return {name: pixels.ravel()}


def _png16(name: str, pixels: np.ndarray) -> dict:
    shifted = (pixels.astype(np.int32) + OFFSET).astype(np.uint16)
    return {
        f"{name}.encoded": images.write_png(shifted, level=1),
        f"{name}.format": b"png16",
    }


def _raw16(name: str, pixels: np.ndarray) -> dict:
    return {
        f"{name}.encoded": pixels.astype("<i2").tobytes(),
        f"{name}.format": b"raw16",
    }


@dataclass(frozen=True)
class Form:
    """How pixels are stored.

    Attributes:
      store: (name, pixels) -> role -> value.
      roles: what follows the extra's name in these roles.
      bytes_per_pixel: about what they take.
    """

    store: Callable[[str, np.ndarray], dict]
    roles: tuple[str, ...]
    bytes_per_pixel: float


FORMS = {
    "int64": Form(_values, ("",), 4.9),
    "png16": Form(_png16, (".encoded", ".format"), 1.1),
    "raw16": Form(_raw16, (".encoded", ".format"), 2.0),
}


@dataclass(frozen=True)
class Extra:
    """An extra feature: its function of the image, and its forms, the default one first."""

    compute: Callable[[np.ndarray], np.ndarray]
    forms: tuple[str, ...]


EXTRAS = {
    "laplacian": Extra(laplacian, ("int64", "png16", "raw16")),
}


def versions(chosen: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of the libraries that compute the chosen extras."""
    if not chosen:
        return {}
    import cv2

    return {"opencv": cv2.__version__}


def parse(text: str) -> tuple[str, str]:
    """Return (name, form) of `name` or `name:form`; raise PlanError where there is none such."""
    name, _, form = text.partition(":")
    if name not in EXTRAS:
        raise PlanError(f"--extra {text}: found no such extra; there are {', '.join(EXTRAS)}")
    forms = EXTRAS[name].forms
    if form and form not in forms:
        raise PlanError(
            f"--extra {text}: {name} has no form {form!r}; there are {', '.join(forms)}"
        )
    return name, form or forms[0]


def features(chosen: tuple[str, ...], image: np.ndarray) -> dict:
    """Return role -> value of the chosen extras of an RGB image (h, w, 3) uint8."""
    values = {}
    for name, form in map(parse, chosen):
        values |= FORMS[form].store(name, EXTRAS[name].compute(image))
    return values


def roles(chosen: tuple[str, ...]) -> tuple[str, ...]:
    """Return the roles that records have by the chosen extras."""
    return tuple(name + role for name, form in map(parse, chosen) for role in FORMS[form].roles)
