"""COCO's shapes are drawn as pycocotools draws them, pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.errors import ImageError
from dsbuild.shapes import coco, runs

tool = pytest.importorskip("pycocotools.mask")

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))
NUMBERS = st.one_of(
    st.integers(-30, 70),
    st.floats(-30, 70, width=32),
    st.floats(0, 40).map(lambda number: round(number, 2)),
    st.integers(-300, 700).map(lambda number: number / 10),  # on the fine grid
    st.integers(0, 80).map(lambda number: number / 2),
)
POLYGONS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=3, max_size=12).map(
    lambda points: [float(value) for point in points for value in point]
)
MASKS = SIZES.flatmap(
    lambda size: st.binary(min_size=size[0] * size[1], max_size=size[0] * size[1]).map(
        lambda data: (np.frombuffer(data, np.uint8) % 3 == 0).reshape(size)
    )
)


def truth(polygons, size):
    height, width = size
    return tool.decode(tool.merge(tool.frPyObjects(polygons, height, width))).astype(bool)


@settings(max_examples=600, deadline=None)
@given(POLYGONS, SIZES)
def test_a_polygon(points, size):
    np.testing.assert_array_equal(coco.polygon(points, size), truth([points], size))


@settings(max_examples=200, deadline=None)
@given(st.lists(POLYGONS, min_size=1, max_size=4), SIZES)
def test_the_parts_of_an_object_are_united(polygons, size):
    np.testing.assert_array_equal(coco.mask(polygons, size), truth(polygons, size))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 40), min_size=2, max_size=2),
    st.lists(st.integers(1, 40), min_size=2, max_size=2),
    SIZES,
)
def test_a_box(corner, sides, size):
    (x, y), (wide, high) = corner, sides
    box = [x, y, x + wide, y, x + wide, y + high, x, y + high]
    np.testing.assert_array_equal(coco.polygon(box, size), truth([[float(v) for v in box]], size))


@settings(max_examples=300, deadline=None)
@given(MASKS)
def test_run_lengths(mask):
    encoded = tool.encode(np.asfortranarray(mask.astype(np.uint8)))
    text = {"size": list(mask.shape), "counts": encoded["counts"].decode()}
    np.testing.assert_array_equal(runs.coco(text, mask.shape).within(mask.shape), mask)
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat]).astype(np.int8))).tolist()
    counts = np.diff([0, *edges, flat.size]).tolist()
    listed = {"size": list(mask.shape), "counts": counts}
    np.testing.assert_array_equal(runs.coco(listed, mask.shape).within(mask.shape), mask)


@settings(max_examples=200, deadline=None)
@given(MASKS)
def test_run_lengths_along_rows_in_a_box(mask):
    flat = mask.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat]).astype(np.int8))).tolist()
    counts = np.diff([0, *edges, flat.size]).tolist()
    height, width = mask.shape
    size = (height + 5, width + 4)
    found = runs.cvat(counts, (3, 2, width, height), size).within(size)
    np.testing.assert_array_equal(found[2 : 2 + height, 3 : 3 + width], mask)
    assert found.sum() == mask.sum()


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        ([], "only a box"),
        ([1, 2, 3, 4, 5, 6], "expected a list of polygons"),
        ([[1, 2, 3, 4]], "a polygon of 2 points; expected 3 or more; if it is a box"),
        ([[1, 2]], "a polygon of 1 point;"),
        ([[]], "a polygon of no points;"),
        ([[1, 2, 3, 4, 5, 6, 7]], "7 numbers; expected pairs"),
        ([[1, 2, 3, float("nan"), 5, 6]], "not a list of numbers"),
        ([[1, 2, 3, 1e300, 5, 6]], "near the image"),
        ([[1, 2, 3, "4", 5, 6]], "not a list of numbers"),
        ([[1, 2, 3, True, 5, 6]], "not a list of numbers"),
        ([[-1e6, -1e6, 1e6, 1e6, 1e6, -1e6] * 9], "whose outline has"),
        ({"counts": [6]}, "expected polygons, or a run-length encoding"),
        (None, "expected polygons, or a run-length encoding"),
        ({"size": [4, 6], "counts": [24]}, "[width, height], and COCO has [height, width]"),
        ({"size": [5, 4], "counts": [20]}, "of size [5, 4]; expected [6, 4]"),
        ({"size": [6, 4], "counts": [23]}, "found counts of 23 pixels"),
        ({"size": [6, 4], "counts": [2, 3, 8, 4]}, "pairs of start and length, as on Kaggle"),
        ({"size": [6, 4], "counts": [-2, 26]}, "expected 24"),
        ({"size": [6, 4], "counts": [1.5, 22.5]}, "a list of whole numbers"),
        ({"size": [6, 4], "counts": [1 << 70]}, "beyond 64 bits"),
        ({"size": [6, 4], "counts": "5"}, "expected 24"),
        ({"size": [6, 4], "counts": "`"}, "damaged compressed counts"),
        ({"size": [6, 4], "counts": ""}, "damaged compressed counts"),
        ({"size": [6, 4], "counts": "o" * 30 + "0"}, "damaged compressed counts"),
        ({"size": [6, 4], "counts": "ä"}, "damaged compressed counts"),
    ],
)
def test_what_is_no_segmentation_is_named(segmentation, said):
    with pytest.raises(ImageError) as caught:
        coco.mask(segmentation, (6, 4))
    assert said in str(caught.value)


def test_counts_whose_sum_overflows_are_refused():
    counts = [2**62, 2**62, 2**62, 2**62 + 400]
    with pytest.raises(ImageError, match="found counts of 18,446"):
        runs.coco({"size": [20, 20], "counts": counts}, (20, 20))
