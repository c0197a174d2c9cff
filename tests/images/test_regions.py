import collections

import cv2
import numpy as np
import pytest

from dsbuild.images import regions


def planes():
    rng = np.random.default_rng(0)
    for i in range(120):
        height, width = rng.integers(1, 40, 2)
        plane = rng.integers(0, rng.integers(2, 7), (height, width)).astype(np.uint8)
        yield np.repeat(np.repeat(plane, 3, 0), 2, 1) if i % 2 else plane


def test_regions_are_those_of_opencv():
    for plane in planes():
        expected = []
        for value in np.unique(plane).tolist():
            _, _, found, _ = cv2.connectedComponentsWithStats(
                (plane == value).astype(np.uint8), connectivity=8
            )
            expected += [(value, pixels) for pixels in found[1:, cv2.CC_STAT_AREA].tolist()]
        made = regions.regions(plane)
        pairs = zip(made.value.tolist(), made.pixels.tolist(), strict=True)
        assert sorted(pairs) == sorted(expected)


def test_cells_count_every_pixel():
    for plane in planes():
        height, width = plane.shape
        y, x = np.mgrid[:height, :width]
        cell = y * regions.CELLS // height * regions.CELLS + x * regions.CELLS // width
        pairs = zip(plane.ravel().tolist(), cell.ravel().tolist(), strict=True)
        assert regions.cells(plane) == collections.Counter(pairs)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1)])
def test_thin_planes(size):
    assert regions.regions(np.zeros(size, np.uint8)).pixels.tolist() == [size[0] * size[1]]
