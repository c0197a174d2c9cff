"""Boundary F1, compared with all pairs of contour pixels, and the effect of ignored pixels."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dsbuild.errors import TrainError
from dsbuild.train.metrics.boundary import TOLERANCE, BoundaryF1, nearest


def contour(plane, value):
    """Return the positions (y, x) of a class's contour, pixel by pixel."""
    found = []
    height, width = plane.shape
    for y, x in np.argwhere(plane == value):
        beside = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        if any(0 <= i < height and 0 <= j < width and plane[i, j] != value for i, j in beside):
            found.append((y, x))
    return found


def by_pairs(label, prediction, classes, tolerance):
    """Return F1 of each class by the distances of all pairs; NaN without a contour."""
    near = tolerance * math.hypot(*label.shape)
    scores = []
    for value in range(classes):
        one, other = contour(label, value), contour(prediction, value)
        if not one and not other:
            scores.append(math.nan)
            continue
        right = [
            sum(any(math.dist(a, b) < near for b in far) for a in here) / max(len(here), 1)
            for here, far in ((one, other), (other, one))
        ]
        scores.append(2 * right[0] * right[1] / sum(right) if sum(right) else 0.0)
    return scores


PLANES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=12).flatmap(
    lambda shape: st.tuples(
        *[arrays.arrays(np.uint8, shape, elements=st.integers(0, 2)) for _ in range(2)]
    )
)


@given(PLANES, st.sampled_from([0.05, 0.1, 0.23, 0.4]))
def test_scores_equal_those_over_all_pairs(planes, tolerance):
    found = BoundaryF1.of(*planes, 3, tolerance=tolerance)
    expected = by_pairs(*planes, 3, tolerance)
    np.testing.assert_allclose(found.scores, expected, rtol=0, atol=1e-9)


def disc(size, radius, centre=None):
    y, x = np.indices(size) - np.reshape(centre or [side // 2 for side in size], (2, 1, 1))
    return (np.hypot(y, x) <= radius).astype(np.uint8)


@pytest.mark.parametrize(("shift", "score"), [(0, 1.0), (2, 1.0), (20, 0.3)])
def test_a_shift_within_the_tolerance_costs_nothing(shift, score):
    size = (300, 400)  # with a tolerance of 3.75 pixels
    found = BoundaryF1.of(disc(size, 60), disc(size, 60, (150, 200 + shift)), 2)
    assert found.mean == 1.0 if score == 1 else found.mean < score


def test_means_are_over_the_images_that_have_a_class():
    size = (64, 64)
    first = BoundaryF1.of(disc(size, 20), disc(size, 20), 3)
    second = BoundaryF1.of(disc(size, 20), 2 * disc(size, 20), 3)
    total = first + second + BoundaryF1.empty(3)
    np.testing.assert_array_equal(total.images, [2, 2, 1])
    np.testing.assert_allclose(total.scores, [1, 0.5, 0])
    assert total.mean == 0.5
    assert math.isnan(BoundaryF1.of(np.zeros(size, int), np.zeros(size, int), 3).mean)


@given(st.integers(0, 2**32 - 1))
def test_predictions_for_ignored_pixels_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, (9, 11))
    label[rng.random(label.shape) < 0.4] = 255
    one, other = rng.integers(0, 3, (2, *label.shape))
    other = np.where(label == 255, other, one)
    found = [BoundaryF1.of(label, plane, 3, tolerance=0.2) for plane in (one, other)]
    np.testing.assert_array_equal(found[0].total, found[1].total)
    np.testing.assert_array_equal(found[0].images, found[1].images)


def ringed(size, radius, width):
    """Return a disc with an ignored contour, as in Pascal VOC."""
    label = disc(size, radius)
    label[(disc(size, radius + width) - disc(size, radius - width)) > 0] = 255
    return label


def test_ignored_contours_are_looked_for_in_their_band():
    size = (375, 500)
    label = ringed(size, 80, 2)
    assert BoundaryF1.of(label, disc(size, 80), 2).mean == 1.0
    missed = BoundaryF1.of(label, np.zeros(size, np.uint8), 2)
    np.testing.assert_array_equal(missed.scores, [0, 0])
    assert BoundaryF1.of(label, disc(size, 60), 2).mean < 0.1


def test_widely_ignored_regions_have_no_contours():
    label = np.full((100, 300), 255)
    label[:50, :100], label[50:, :100] = 0, 1
    prediction = np.zeros(label.shape, int)
    prediction[50:, 90:] = 1
    # The contour at row 50 is right in 10 of 100 columns, and in all 200 ignored ones.
    found = BoundaryF1.of(label, prediction, 2)
    assert 0 < found.mean < 0.3
    np.testing.assert_array_equal(found.images, [1, 1])
    assert BoundaryF1.of(label, np.where(label == 1, 1, 0), 2).mean == 1.0
    assert math.isnan(BoundaryF1.of(np.full((4, 4), 255), np.zeros((4, 4), int), 2).mean)


@given(arrays.arrays(bool, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_the_nearest_pixel_is_nearest_up_to_chamfer_distances(counts):
    counts.flat[0] = True
    places, away = nearest(counts)
    there = np.argwhere(counts)
    for (y, x), place in np.ndenumerate(places):
        exact = np.hypot(*(there - (y, x)).T).min()
        assert away[y, x] == pytest.approx(exact, abs=1e-4)
        assert counts.flat[place]
        assert math.dist((y, x), divmod(place, counts.shape[1])) <= 1.05 * exact


@pytest.mark.parametrize(
    ("shape", "tolerance", "message"),
    [((2, 4, 4), TOLERANCE, "one image at a time"), ((4, 4), 0, "tolerance of 0")],
)
def test_input_that_cannot_be_scored_is_named(shape, tolerance, message):
    with pytest.raises(TrainError, match=message):
        BoundaryF1.of(np.zeros(shape, int), np.zeros(shape, int), 2, tolerance=tolerance)


def test_wrong_values_and_numbers_of_classes_are_named():
    with pytest.raises(TrainError, match="prediction: found 5"):
        BoundaryF1.of(np.zeros((4, 4), int), np.full((4, 4), 5), 2)
    with pytest.raises(TrainError, match="of 3 and 2 classes"):
        BoundaryF1.empty(3) + BoundaryF1.empty(2)
