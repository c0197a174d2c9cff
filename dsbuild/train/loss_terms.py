"""Losses by name, and sums of them such as `ce+0.5*dice`.

Needs no Keras.
"""

import math
import re
from dataclasses import dataclass

from dsbuild.errors import TrainError, nearest

LOSSES = (
    "cross_entropy",
    "focal",
    "dice",
    "jaccard",
    "tversky",
    "lovasz",
    "bce",
    "bce_log_dice",
)
SHORT = {"ce": "cross_entropy", "iou": "jaccard", "lovasz_softmax": "lovasz"}
BINARY = frozenset({"bce", "bce_log_dice"})  # which take a single logit
PIXELWISE = frozenset({"cross_entropy", "focal", "bce"})  # means over pixels
SMOOTHED = PIXELWISE | {"bce_log_dice"}

_TERM = re.compile(r"\s*(?:([\d.]+(?:[eE]-?\d+)?)\s*\*)?\s*([A-Za-z_]+)\s*")


@dataclass(frozen=True)
class Term:
    """A loss of a sum.

    Attributes:
      name: one of LOSSES.
      weight: its factor.
    """

    name: str
    weight: float = 1.0

    def __str__(self) -> str:
        # A plus sign, as in 1e+20, would begin another term.
        weight = f"{self.weight:.15g}".replace("+", "")
        return self.name if self.weight == 1 else f"{weight}*{self.name}"


def terms(text: str) -> tuple[Term, ...]:
    """Return the terms of a loss; raise TrainError if it is none.

    >>> [str(term) for term in terms("ce + 0.5*dice")]
    ['cross_entropy', '0.5*dice']
    """
    found: list[Term] = []
    # Not a plus sign within a number: those have a sign only if it is negative.
    for part in text.split("+"):
        match = _TERM.fullmatch(part)
        name = SHORT.get(match[2], match[2]) if match else part.strip()
        if name not in LOSSES:
            raise TrainError(
                f"loss: found {name!r}, expected one of {', '.join(LOSSES)}, or a sum such as "
                f"ce+0.5*dice{nearest(name, LOSSES)}"
            )
        weight = _number(match[1]) if match and match[1] else 1.0
        if not (0 < weight < math.inf):
            raise TrainError(f"loss: found {part.strip()!r}, expected a factor above 0")
        if name in {term.name for term in found}:
            raise TrainError(f"loss: found {name} twice in {text!r}, expected each loss once")
        found.append(Term(name, weight))
    return tuple(found)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:  # such as 1.2.3
        return math.nan


def named(text: str) -> str:
    """Return a loss with the full names of its terms, in their order."""
    return "+".join(map(str, terms(text)))
