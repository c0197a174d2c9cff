"""Tiles cover an image, have one size, and share it out without gap or overlap."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dsbuild.format import tiles
from dsbuild.format.tiles import Tile

SIDES = st.integers(1, 300)


@given(SIDES, SIDES, st.integers(1, 120), st.integers(0, 119))
def test_tiles_cover_an_image_and_each_pixel_has_one_owner(height, width, tile, overlap):
    assume(overlap < tile)
    found = tiles.grid((height, width), tile, overlap)
    assert len(set(found)) == len(found)
    assert {(one.height, one.width) for one in found} == {(min(tile, height), min(tile, width))}
    seen = np.zeros((height, width), int)
    for one in found:
        assert seen[one.place].shape == (one.height, one.width)
        seen[one.place] += 1
    assert seen.all()
    tops, lefts = (sorted({one[axis] for one in found}) for axis in (0, 1))
    owners = np.zeros((height, width), int)
    for top, (first, end) in zip(tops, tiles.owned(tops, found[0].height), strict=True):
        assert top <= first < end <= top + found[0].height
        for left, (begin, stop) in zip(lefts, tiles.owned(lefts, found[0].width), strict=True):
            assert left <= begin < stop <= left + found[0].width
            owners[first:end, begin:stop] += 1
    assert (owners == 1).all()


@pytest.mark.parametrize(
    ("size", "tile", "overlap"), [((1000, 700), 896, 384), ((2000, 4000), 896, 384)]
)
def test_tiles_are_those_of_mmsegmentation(size, tile, overlap):
    # Its rule: starts every tile - overlap pixels, those that reach past an edge moved inward.
    steps = [range(0, side, tile - overlap) for side in size]
    theirs = {
        (min(y, max(size[0] - tile, 0)), min(x, max(size[1] - tile, 0)))
        for y in steps[0]
        for x in steps[1]
    }
    assert {one[:2] for one in tiles.grid(size, tile, overlap)} == theirs


@given(st.text(min_size=1), SIDES, st.integers(1, 20_000))
def test_keys_lead_back_to_their_image(source, top, left):
    key = tiles.key(source, Tile(top, left, 9, 9), (top + 9, left + 9))
    assert tiles.source_of(key) == source


def test_keys_sort_as_tiles_follow_one_another():
    size = (12_000, 900)
    keys = [tiles.key("a/b", one, size) for one in tiles.grid(size, 512, 64)]
    assert keys == sorted(keys)
    assert keys[:3] == ["a/b_y00000_x00000", "a/b_y00000_x00388", "a/b_y00448_x00000"]
    assert tiles.key("b", Tile(0, 448, 512, 512), (1024, 2048)) == "b_y0000_x0448"
    assert tiles.source_of("b_y000_x448") == "b_y000_x448"
