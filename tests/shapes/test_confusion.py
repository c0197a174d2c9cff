"""Pixels by their values in two planes: the counts are those of all pixels, one by one."""

import collections

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.shapes import confusion
from tests.support.masks import planes


@settings(max_examples=120)
@given(planes(), st.integers(0, 1 << 16), st.sampled_from([np.uint8, np.uint16, np.int32]))
def test_pairs_are_counted(plane, seed, kind):
    rng = np.random.default_rng(seed)
    other = plane.astype(kind)
    changed = rng.random(plane.shape) < 0.1
    other[changed] = rng.choice([0, 7, np.iinfo(kind).max], changed.sum())
    pairs = zip(plane.ravel().tolist(), other.ravel().tolist(), strict=True)
    assert confusion.counts(plane, other) == collections.Counter(pairs)


def test_values_without_an_entry_are_counted_together():
    counts = {(1, 5): 2, (1, 6): 3, (2, 7): 4, (1, 8): 5}
    found = confusion.through(counts, {5: 1, 6: 1}, -1)
    assert found == {(1, 1): 5, (2, -1): 4, (1, -1): 5}
