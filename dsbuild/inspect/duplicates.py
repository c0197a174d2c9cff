"""Find groups of equal or nearly equal values without comparing each with all others."""

from collections.abc import Hashable, Mapping

from dsbuild.images.near import NEAR, near
from dsbuild.inspect.counts import Place

__all__ = ["NEAR", "equal", "near"]


def equal(values: Mapping[Place, Hashable]) -> list[list[Place]]:
    """Return the groups of places with equal values, each sorted, in order."""
    groups: dict[Hashable, list[Place]] = {}
    for place in sorted(values):
        groups.setdefault(values[place], []).append(place)
    return sorted(group for group in groups.values() if len(group) > 1)
