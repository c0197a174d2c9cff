"""Panoptic maps: bytes and back, classes, segments, instances, and what is no map."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from dsbuild.errors import ImageError
from dsbuild.format import features, panoptic, schema

PLANES = st.integers(2, 1000).flatmap(
    lambda divisor: st.tuples(
        st.just(divisor),
        st.lists(st.integers(0, 256 * divisor - 1), min_size=6, max_size=6),
    )
)


@hypothesis.given(PLANES)
def test_a_map_is_its_bytes_its_classes_and_its_segments(drawn):
    divisor, values = drawn
    plane = np.array(values, np.int32).reshape(2, 3)
    assert np.array_equal(panoptic.decode(panoptic.encode(plane), (2, 3)), plane)
    classes = panoptic.semantic(plane, divisor)
    assert classes.dtype == np.uint8
    assert classes.ravel().tolist() == [value // divisor for value in values]
    segments = panoptic.segments(plane, divisor)
    assert sum(one.area for one in segments) == 6
    assert [one.value for one in segments] == sorted({*values})
    assert all(one.label * divisor + one.instance == one.value for one in segments)
    found = panoptic.instances(plane, divisor, {0: "cat"}.get)
    for one in found:
        left, top, width, height = one.bbox
        inside = np.zeros((2, 3), bool)
        inside[top : top + height, left : left + width] = True
        assert one.mask.sum() == one.area
        assert not (one.mask & ~inside).any()
        assert one.mask[top].any()
        assert one.mask[top + height - 1].any()
        assert one.mask[:, left].any()
        assert one.mask[:, left + width - 1].any()
        assert one.name == ("cat" if one.label == 0 else None)
    assert len(found) == sum(value % divisor > 0 for value in {*values})


def test_void_is_no_segment():
    plane = np.array([[0, 257, 258, 255 * 256]], np.int32)
    assert panoptic.counted(plane, 256, 0) == {1: 2, 255: 1}
    assert panoptic.counted(plane, 256, 255) == {0: 1, 1: 2}


def test_other_sizes_and_values_are_named():
    with pytest.raises(ImageError, match=r"20 bytes, expected 24: 4 per pixel of 3 x 2"):
        panoptic.decode(bytes(20), (2, 3))
    for value in (-1, 256 * 256):
        with pytest.raises(ImageError, match=f"found the value {value} in a panoptic map"):
            panoptic.semantic(np.array([[0, value]], np.int32), 256)


def test_bytes_are_little_endian_whatever_the_machine():
    assert panoptic.encode(np.array([[1, 256]], ">i4")) == b"\1\0\0\0\0\1\0\0"


def test_a_raw_label_without_a_divisor_is_named():
    values = {
        "image/segmentation/class/encoded": [bytes(4)],
        "image/segmentation/class/format": [b"raw"],
    }
    with pytest.raises(ImageError, match="found a raw label without image/segmentation/class/div"):
        features.plane(values, "image/segmentation/class/encoded")


def test_the_schema_holds_records_to_the_divisor():
    found = schema.panoptic(1000)
    assert found["label.divisor"].bounds == (1000, 1000)
    assert found.is_panoptic
    assert not schema.load("segmentation").is_panoptic
