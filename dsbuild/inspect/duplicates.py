"""Groups of what is equal, or nearly so, found without comparing all with all."""

from collections.abc import Hashable, Iterable, Mapping

import numpy as np

from dsbuild.inspect.counts import Place

NEAR = 3  # bits of 64 by which hashes of one picture may differ
_BITS = np.array([value.bit_count() for value in range(256)], np.uint8)


def equal(values: Mapping[Place, Hashable]) -> list[list[Place]]:
    """Return the groups of places with equal values, each sorted, in order."""
    groups: dict[Hashable, list[Place]] = {}
    for place in sorted(values):
        groups.setdefault(values[place], []).append(place)
    return sorted(group for group in groups.values() if len(group) > 1)


def near(hashes: Iterable[int], most: int = NEAR) -> dict[int, int]:
    """Return hash -> the smallest hash of its group: hashes that few bits tell apart are linked.

    Where two hashes of 64 bits differ in at most `most` bits, one of `most` + 1 bands of
    them is equal (the pigeonhole principle): only hashes that share a band are compared. A
    band takes every so manieth bit, so that images alike at one side share none.

    Source: Manku et al., Detecting Near-Duplicates for Web Crawling, WWW 2007.
    """
    known = np.unique(np.fromiter(hashes, np.uint64))
    roots = {value: value for value in known.tolist()}

    def root(value: int) -> int:
        while roots[value] != value:
            roots[value] = value = roots[roots[value]]
        return value

    for band in range(most + 1):
        mask = np.uint64(sum(1 << bit for bit in range(band, 64, most + 1)))
        ranked = known[np.argsort(known & mask, kind="stable")]
        parts = ranked & mask
        at, step = np.arange(len(ranked)), 1
        while len(at := at[: np.searchsorted(at, len(ranked) - step)]):
            at = at[parts[at] == parts[at + step]]
            apart = (ranked[at] ^ ranked[at + step]).view(np.uint8).reshape(-1, 8)
            linked = at[_BITS[apart].sum(1) <= most]
            for one, other in zip(
                ranked[linked].tolist(), ranked[linked + step].tolist(), strict=True
            ):
                low, high = sorted((root(one), root(other)))
                roots[high] = low
            step += 1
    return {value: root(value) for value in roots}
