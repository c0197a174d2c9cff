"""The option for class weights: `--extra weights[:beta=N]`.

Class weights are a table in the manifest, not a feature of records, so a request keeps them apart
from its recipe.
"""

from collections.abc import Iterable

from dsbuild.errors import PlanError, nearest
from dsbuild.extras import EXTRAS

NAME = "weights"
BETA = 0.999
MOST = 0.999999  # above this (1 - b) / (1 - b^n) loses its digits


def divided(extras: Iterable[str]) -> tuple[tuple[str, ...], float | None]:
    """Return the extras that are features, and the beta of class weights; None without them.

    Raises PlanError for an extra that does not exist, and for wrong parameters of the weights.
    """
    features, betas = [], []
    for text in extras:
        name, *words = text.split(":")
        if name not in (*EXTRAS, NAME):
            known = ", ".join((*EXTRAS, NAME))
            raise PlanError(
                f"--extra {text}: no such extra; there are {known}{nearest(name, (*EXTRAS, NAME))}"
            )
        if name == NAME:
            betas.append(_beta(text, words))
        else:
            features.append(text)
    if len(betas) > 1:
        raise PlanError(f"--extra {NAME}: found twice, expected once")
    return tuple(features), betas[0] if betas else None


def _beta(text: str, words: list[str]) -> float:
    """Return the beta of `beta=N`, the only parameter."""
    if not words:
        return BETA
    key, equals, number = words[0].partition("=")
    if not equals:
        raise PlanError(f"--extra {text}: {NAME} has no form {key!r}; there are none")
    if key != "beta":
        raise PlanError(f"--extra {text}: {NAME} has no parameter {key!r}; there are beta")
    if len(words) > 1:
        raise PlanError(f"--extra {text}: found {words[1]!r} too, expected beta alone")
    try:
        beta = float(number)
    except ValueError:
        beta = -1.0
    if not 0 <= beta <= MOST:
        raise PlanError(
            f"--extra {text}: beta: found {number!r}, expected a number from 0.0 to {MOST}"
        )
    return beta
