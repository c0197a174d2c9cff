"""Group hashes of pictures that are nearly equal, without comparing each with all others."""

from collections.abc import Iterable

import numpy as np

NEAR = 3  # bits of 64 in which hashes of one picture may differ
_BITS = np.array([value.bit_count() for value in range(256)], np.uint8)


def near(hashes: Iterable[int], most: int = NEAR) -> dict[int, int]:
    """Return hash -> the smallest hash of its group; hashes that differ in few bits are linked.

    If two 64-bit hashes differ in at most `most` bits, at least one of `most` + 1 bands of bits
    is equal (the pigeonhole principle), so only hashes that share a band are compared. The bits of
    a band are spread over the hash, so that images that are alike on one side only share none.

    Source: Manku et al., Detecting Near-Duplicates for Web Crawling, WWW 2007.
    """
    distinct = np.unique(np.fromiter(hashes, np.uint64))
    roots = {value: value for value in distinct.tolist()}

    def root(value: int) -> int:
        while roots[value] != value:
            roots[value] = value = roots[roots[value]]
        return value

    for band in range(most + 1):
        mask = np.uint64(sum(1 << bit for bit in range(band, 64, most + 1)))
        ranked = distinct[np.argsort(distinct & mask, kind="stable")]
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
