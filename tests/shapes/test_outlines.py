"""Polygons, run lengths and components of masks: each draws exactly the mask that it is of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from dsbuild import images
from dsbuild.shapes import coco, components, contours, encoded, opencv, outlines, runs
from tests.support.masks import planes

tool = pytest.importorskip("pycocotools.mask")
MASKS = planes(values=(0, 1))


def objects(plane):
    """Yield the objects of a plane, each with its mask in the whole image."""
    for region in components.regions(plane, [1]):
        whole = np.zeros(plane.shape, bool)
        left, top, width, height = region.box
        whole[top : top + height, left : left + width] = region.mask
        yield region, whole


@settings(max_examples=120)
@given(MASKS)
def test_components_are_the_mask_and_disjoint(plane):
    found = [whole for _, whole in objects(plane)]
    assert sum(map(np.asarray, found), np.zeros(plane.shape, int)).tolist() == plane.tolist()
    assert len(found) == components.count(plane, 1)
    assert components.count(plane, 1, "class") == min(1, len(found))
    firsts = [int(np.flatnonzero(whole)[0]) for whole in found]
    tops = [region.top for region, _ in objects(plane)]
    assert firsts == sorted(firsts)
    assert tops == sorted(tops)


@settings(max_examples=120)
@given(MASKS)
def test_pycocotools_draws_an_outline_as_the_mask(plane):
    height, width = plane.shape
    for region, whole in objects(plane):
        points, holes = outlines.polygon(region.mask, (region.left, region.top))
        flat = points.ravel().tolist()
        np.testing.assert_array_equal(coco.polygon(flat, (height, width)), whole)
        (found,) = tool.frPyObjects([list(map(float, flat))], height, width)
        np.testing.assert_array_equal(tool.decode(found), whole)
        assert holes == len(outlines.rings(region.mask)) - 1
        assert (holes > 0) == (components.filled(whole) != whole).any()


@settings(max_examples=120)
@given(MASKS)
def test_opencv_and_pillow_draw_a_contour_as_the_mask(plane):
    height, width = plane.shape
    for region, whole in objects(plane):
        (contour,) = contours.polygons(region.mask, (region.left, region.top))
        assert contour.box == region.box
        assert len(contour.points) >= 3
        found = opencv.mask(contour.points.astype(float), (height, width))
        np.testing.assert_array_equal(found, whole)
        image = Image.new("1", (width, height))
        ImageDraw.Draw(image).polygon(list(map(tuple, contour.points.tolist())), 1, 1)
        np.testing.assert_array_equal(np.asarray(image), whole)
        assert contour.repeated == (len(np.unique(contour.points, axis=0)) < 3)


@settings(max_examples=120)
@given(MASKS)
def test_run_lengths_are_those_of_pycocotools(plane):
    size = plane.shape
    for region, whole in objects(plane):
        counts = runs.coco_counts(region.mask, (region.left, region.top), size)
        truth = tool.encode(np.asfortranarray(whole.astype(np.uint8)))
        assert runs.compressed([counts]) == [truth["counts"].decode()]
        found = runs.coco({"size": [*size], "counts": counts.tolist()}, size).within(size)
        np.testing.assert_array_equal(found, whole)
        again = runs.cvat(runs.cvat_counts(region.mask).tolist(), region.box, size).within(size)
        np.testing.assert_array_equal(again, whole)


@settings(max_examples=120)
@given(MASKS)
def test_all_components_are_encoded_as_each_by_itself(plane):
    for whole in components.regions(plane, [1], "class"):
        found = encoded.parts(whole, plane.shape)
        each = [encoded.whole(one, plane.shape) for one in components.parts(whole)]
        assert [one[:2] for one in found] == [one[:2] for one in each]
        assert [one.counts.tolist() for one in found] == [one.counts.tolist() for one in each]
        assert sum(one.area for one in found) == np.count_nonzero(plane)


def test_long_run_lengths_are_compressed():
    given = [[1 << 40, 3, 1 << 30, 1, 0, 1 << 20], [0, 5], [7, 1, 1 << 33], [2, 3, 4, 5]]
    texts = runs.compressed([np.array(counts, np.int64) for counts in given])
    assert [runs.uncompressed(text).tolist() for text in texts] == given


def test_a_class_is_one_object():
    plane = np.array([[1, 0, 1], [0, 0, 0], [2, 2, 1]], np.uint8)
    found = list(components.regions(plane, [2, 1], "class"))
    assert [one.box for one in found] == [(0, 2, 2, 1), (0, 0, 3, 3)]
    assert [one.value for one in found] == [2, 1]
    assert list(components.regions(plane, [3])) == []


def test_bridges_between_parts_are_drawn():
    one, other = np.array([[0, 0], [1, 0], [1, 1]]), np.array([[6, 0], [6, 1], [7, 1]])
    found = opencv.mask(contours.joined([one, other]).astype(float), (2, 8))
    assert found.tolist() == [[True] * 7 + [False], [False, True, *[False] * 4, True, True]]


@settings(max_examples=50)
@given(planes())
def test_values_that_occur_are_counted(plane):
    values, counts = np.unique(plane, return_counts=True)
    wanted = dict(zip(values.tolist(), counts.tolist(), strict=True))
    assert images.histogram(plane) == wanted
    assert images.histogram(plane.astype(np.uint16) + 256) == {
        value + 256: count for value, count in wanted.items()
    }


@settings(max_examples=200, deadline=None)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.lists(st.tuples(st.integers(-3, 42), st.integers(-3, 42)), min_size=3, max_size=9),
)
def test_a_polygon_in_its_box_is_drawn_as_in_the_image(size, points):
    corners = np.array(points, float)
    np.testing.assert_array_equal(
        opencv.patch(corners, size).within(size), opencv.mask(corners, size)
    )
