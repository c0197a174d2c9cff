"""Objects given as run lengths are drawn at once, to the plane that drawing each of them gives."""

import numpy as np
import pytest

from dsbuild.errors import ImageError
from dsbuild.shapes import disjoint, overlap, runs


def texts_of(masks, size):
    return runs.compressed([runs.coco_counts(mask, (0, 0), size) for mask in masks])


def test_a_plane_drawn_at_once_is_that_of_its_objects_one_by_one():
    random = np.random.default_rng(0)
    drawn = 0
    for _ in range(300):
        size = tuple(random.integers(1, 13, 2).tolist())
        numbers = np.sort(random.integers(0, 5, size), int(random.integers(2)))
        masks = [numbers == i for i in range(1, 5) if (numbers == i).any()]
        values = random.integers(0, 256, len(masks)).tolist()
        if not masks:
            continue
        shapes = [overlap.Shape(*pair, "") for pair in zip(masks, values, strict=True)]
        expected = overlap.plane(shapes, size, "area", 7, 255)
        found = disjoint.plane(texts_of(masks, size), values, size, 7)
        assert found is not None
        assert (found == expected).all()
        drawn += 1
    assert drawn > 200


def test_objects_that_overlap_are_not_drawn_at_once():
    one = np.ones((3, 4), bool)
    two = np.zeros((3, 4), bool)
    two[1, 2] = True
    assert disjoint.plane(texts_of([one, two], (3, 4)), [1, 2], (3, 4), 0) is None


def test_counts_of_another_size_are_not_drawn():
    texts = texts_of([np.ones((3, 4), bool)], (3, 4))
    assert disjoint.plane(texts, [1], (4, 4), 0) is None
    assert disjoint.plane(texts, [1], (3, 3), 0) is None
    assert disjoint.plane(runs.compressed([np.array([1 << 50] * 4)]), [1], (3, 4), 0) is None


def test_counts_read_at_once_are_those_read_one_by_one():
    random = np.random.default_rng(0)
    for _ in range(100):
        counts = [random.integers(0, 9999, n) for n in random.integers(1, 9, 5)]
        texts = runs.compressed(counts)
        pairs, sizes = runs.pairs_of(texts)
        assert sizes.tolist() == [one.size for one in counts]
        padded = [np.append(one, [0] * (one.size % 2)) for one in counts]
        assert pairs.ravel().tolist() == np.concatenate(padded).tolist()
        assert [runs.uncompressed(text).tolist() for text in texts] == [c.tolist() for c in counts]


@pytest.mark.parametrize(
    "text", ["", "P", "\N{POUND SIGN}0", "0\N{LATIN SMALL LETTER E WITH ACUTE}", "P" * 11 + "0"]
)
def test_one_damaged_text_is_an_error(text):
    with pytest.raises(ImageError, match="damaged compressed counts"):
        runs.pairs_of(["1", text])
