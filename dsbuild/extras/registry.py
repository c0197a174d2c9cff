"""Choose extra features by name, compute them from the pixels of a sample, and store them.

`--extra laplacian` uses the default form and parameters, `--extra laplacian:png16` another form,
`--extra edges:width=2` other parameters.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsbuild.errors import PlanError, nearest
from dsbuild.extras.forms import FORMS, OFFSET
from dsbuild.extras.functions import alpha, canny, distance, edges, laplacian, sobel, trimap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsbuild.extras.forms import Pixels, Stored

__all__ = ["EXTRAS", "FORMS", "OFFSET", "Chosen", "Extra", "features", "parse", "versions"]


@dataclass(frozen=True)
class Extra:
    """An extra feature.

    Attributes:
      of: what it is computed from: the `image`, RGB uint8 (h, w, 3); the `label`, class
        indices uint8 (h, w); or the `alpha` of a matte, uint8 (h, w).
      compute: (pixels, **parameters) -> array (h, w).
      forms: the forms that may store it, the default first; see `FORMS`.
      parameters: name -> (default, smallest, largest); whole numbers if the default is one.
      rising: parameters none of which may be less than the one before it.
    """

    of: str
    compute: Callable[..., "Pixels"]
    forms: tuple[str, ...]
    parameters: Mapping[str, tuple[float, float, float]]
    rising: tuple[str, ...] = ()


EXTRAS = {
    "laplacian": Extra("image", laplacian, ("int64", "png16", "raw16"), {}),
    "sobel": Extra("image", sobel, ("png16", "raw16"), {}),
    "canny": Extra(
        "image",
        canny,
        ("png",),
        {"low": (100, 0, 65535), "high": (200, 0, 65535)},
        rising=("low", "high"),
    ),
    "edges": Extra("label", edges, ("png",), {"width": (1, 1, 255)}),
    "distance": Extra("label", distance, ("png",), {"cap": (255, 1, 255)}),
    "alpha": Extra("alpha", alpha, ("png",), {}),
    "trimap": Extra("alpha", trimap, ("png",), {"width": (10, 0, 255)}),
}


@dataclass(frozen=True)
class Chosen:
    """A requested extra: its name, form and parameters, with the defaults filled in."""

    name: str
    form: str
    parameters: tuple[tuple[str, float], ...]

    @property
    def extra(self) -> Extra:
        """The extra of this name."""
        return EXTRAS[self.name]

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that records have by it."""
        return tuple(self.name + role for role in FORMS[self.form].roles)

    @property
    def bytes_per_pixel(self) -> float:
        """About what it takes in a record."""
        return FORMS[self.form].bytes_per_pixel

    def __str__(self) -> str:
        words = [self.name, self.form, *(f"{key}={value}" for key, value in self.parameters)]
        return ":".join(words)


def parse(text: str) -> Chosen:
    """Parse `name[:form][:parameter=number]...`; raise PlanError for anything else."""
    name, *words = text.split(":")
    if name not in EXTRAS:
        raise PlanError(
            f"--extra {text}: no such extra; there are {', '.join(EXTRAS)}{nearest(name, EXTRAS)}"
        )
    extra = EXTRAS[name]
    forms: list[str] = []
    given: dict[str, float] = {}
    for word in words:
        key, equals, value = word.partition("=")
        choices = extra.parameters if equals else extra.forms
        if key not in choices:
            kind = "parameter" if equals else "form"
            raise PlanError(
                f"--extra {text}: {name} has no {kind} {key!r}; there are "
                f"{', '.join(choices) or 'none'}{nearest(key, choices)}"
            )
        if key in given or (forms and not equals):
            raise PlanError(
                f"--extra {text}: found {word!r} beside another one, expected one form, and each "
                "parameter once"
            )
        if equals:
            given[key] = _number(value, extra.parameters[key], f"--extra {text}: {key}")
        else:
            forms.append(word)
    parameters = {key: given.get(key, default) for key, (default, _, _) in extra.parameters.items()}
    for lower, upper in itertools.pairwise(extra.rising):
        if parameters[lower] > parameters[upper]:
            raise PlanError(
                f"--extra {text}: found {lower}={parameters[lower]} above "
                f"{upper}={parameters[upper]}, expected {lower} to be at most {upper}"
            )
    return Chosen(name, (forms or extra.forms)[0], tuple(parameters.items()))


def _number(text: str, bounds: tuple[float, float, float], where: str) -> float:
    default, least, most = bounds
    try:
        value = type(default)(text)
    except ValueError:
        value = None
    if value is None or not least <= value <= most:
        kind = "a whole number" if isinstance(default, int) else "a number"
        raise PlanError(f"{where}: found {text!r}, expected {kind} from {least} to {most}")
    return value


def versions(chosen: Sequence[Chosen]) -> dict[str, str]:
    """Return the versions of the libraries that compute the chosen extras."""
    if not chosen:
        return {}
    import cv2

    return {"opencv": cv2.__version__}


def features(
    chosen: Sequence[Chosen], planes: Mapping[str, "NDArray[np.uint8] | None"]
) -> "Stored":
    """Return role -> value for the chosen extras, except those whose pixels are missing.

    `planes` holds pixels by the names that `Extra.of` has.
    """
    values: Stored = {}
    for one in chosen:
        pixels = planes.get(one.extra.of)
        if pixels is not None:
            computed = one.extra.compute(pixels, **dict(one.parameters))
            values |= FORMS[one.form].store(one.name, computed)
    return values
