"""Errors of mattes compared with the benchmark's formulas, in two dimensions with SciPy."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from dsbuild.errors import TrainError
from dsbuild.train.metrics.matting import Matting, connected, gradient, unknown


def gauss_gradient(plane, sigma=1.4, epsilon=1e-2):
    """Return the gradient's magnitude by one two-dimensional filter, built pixel by pixel."""
    half = math.ceil(sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * epsilon)))
    filter = np.zeros((2 * half + 1, 2 * half + 1))

    def gauss(x):
        return math.exp(-(x**2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))

    for i in range(2 * half + 1):
        for j in range(2 * half + 1):
            filter[i, j] = gauss(i - half) * -(j - half) * gauss(j - half) / sigma**2
    filter /= math.sqrt((np.abs(filter) ** 2).sum())
    across = ndimage.convolve(plane, filter, mode="nearest")
    down = ndimage.convolve(plane, filter.T, mode="nearest")
    return np.sqrt(across**2 + down**2)


def level_map(alpha, prediction):
    """Return the benchmark's l_map, threshold by threshold."""
    levels = np.full(alpha.shape, -1.0)
    thresholds = [step / 10 for step in range(11)]
    for before, threshold in itertools.pairwise(thresholds):
        both = (prediction >= threshold) & (alpha >= threshold)
        parts, count = ndimage.label(both)  # numbered in reading order, by four neighbours
        omega = np.zeros(alpha.shape, bool)
        if count:
            sizes = [np.count_nonzero(parts == i) for i in range(1, count + 1)]
            omega = parts == 1 + sizes.index(max(sizes))
        levels[(levels == -1) & ~omega] = before
    levels[levels == -1] = 1
    return levels


def brute(alpha, prediction, mask):
    """Return the four errors by their formulas."""
    levels = level_map(alpha, prediction)
    degrees = []
    for plane in (prediction, alpha):
        away = plane - levels
        degrees.append(1 - away * (away >= 0.15))
    return {
        "sad": np.abs(alpha - prediction)[mask].sum() / 1000,
        "mse": ((alpha - prediction) ** 2)[mask].sum() / np.count_nonzero(mask),
        "gradient": ((gauss_gradient(prediction) - gauss_gradient(alpha)) ** 2)[mask].sum() / 1000,
        "connectivity": np.abs(degrees[0] - degrees[1])[mask].sum() / 1000,
    }


def drawn(seed, size=(40, 57)):
    """Return two similar, smooth 8-bit mattes as floats, and a mask."""
    rng = np.random.default_rng(seed)
    planes = []
    base = ndimage.gaussian_filter(rng.random(size), 3)
    for noise in (0, 0.15):
        plane = (base - base.min()) / (base.max() - base.min())
        plane = np.clip(1.6 * plane - 0.3 + noise * rng.standard_normal(size), 0, 1)
        planes.append(np.round(plane * 255) / 255)
    return (*planes, rng.random(size) < 0.6)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("masked", [False, True])
def test_errors_equal_the_formulas(seed, masked):
    alpha, prediction, mask = drawn(seed)
    mask = mask if masked else np.ones(alpha.shape, bool)
    found = Matting.of(alpha, prediction, mask if masked else None)
    for name, expected in brute(alpha, prediction, mask).items():
        assert expected > 0
        assert getattr(found, name) == pytest.approx(expected, rel=1e-9), name


SMALL = arrays.array_shapes(min_dims=2, max_dims=2, max_side=7).flatmap(
    lambda shape: st.tuples(
        *[arrays.arrays(np.uint8, shape, elements=st.integers(0, 255)) for _ in range(2)]
    )
)


@settings(deadline=None)
@given(SMALL)
def test_levels_and_gradients_are_right_for_all_planes(planes):
    alpha, prediction = (plane / 255 for plane in planes)
    np.testing.assert_array_equal(connected(alpha, prediction), level_map(alpha, prediction))
    np.testing.assert_allclose(gradient(alpha), gauss_gradient(alpha), atol=1e-12)


def test_a_matte_equal_to_a_threshold_reaches_it():
    plane = np.full((3, 3), 153 / 255)  # 0.6, just below 6 * 0.1
    np.testing.assert_array_equal(connected(plane, plane), 0.6)
    np.testing.assert_array_equal(connected(plane, plane.astype(np.float32)), 0.6)


def test_float32_mattes_have_the_same_errors():
    alpha, prediction, mask = drawn(5)
    one = Matting.of(alpha, prediction, mask)
    other = Matting.of(alpha.astype(np.float32), prediction.astype(np.float32), mask)
    for name, value in one.means.items():
        assert other.means[name] == pytest.approx(value, rel=1e-5)


def test_a_matte_has_no_error_against_itself():
    alpha, _, _ = drawn(1)
    assert Matting.of(alpha, alpha).means == dict.fromkeys(
        ("sad", "mse", "gradient", "connectivity"), 0
    )


def test_images_add_up_to_means():
    one, other = (Matting.of(*drawn(seed)) for seed in (1, 2))
    nothing = Matting.of(*drawn(3)[:2], np.zeros((40, 57), bool))
    total = one + nothing + other
    assert total.images == 2
    assert total.means["sad"] == pytest.approx((one.sad + other.sad) / 2)
    assert all(math.isnan(value) for value in nothing.means.values())


def test_the_unknown_region_of_a_trimap_is_its_middle():
    np.testing.assert_array_equal(unknown(np.array([[0, 128, 255]], np.uint8)), [[0, 1, 0]])


GOOD = np.zeros((4, 4))


@pytest.mark.parametrize(
    ("planes", "message"),
    [
        (
            (GOOD, np.full((4, 4), 255, np.uint8)),
            "prediction: found uint8 .* divide an 8-bit matte",
        ),
        ((GOOD, GOOD + 2), "prediction: found 2 to 2, expected 0 to 1"),
        ((GOOD * np.nan, GOOD), "alpha: found nan to nan"),
        ((GOOD, GOOD[:2]), r"prediction: found \(2, 4\), expected the alpha's \(4, 4\)"),
        ((GOOD, GOOD, np.zeros((2, 2), bool)), r"mask: found \(2, 2\)"),
        ((GOOD, GOOD, GOOD), "mask: found float64, expected bool"),
        ((GOOD[None], GOOD[None]), "one image at a time"),
    ],
)
def test_planes_that_are_not_mattes_are_named(planes, message):
    with pytest.raises(TrainError, match=message):
        Matting.of(*planes)
