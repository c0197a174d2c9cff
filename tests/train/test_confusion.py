"""Confusion matrices compared with scikit-learn's, and scores with loops over classes."""

import functools
import math
import operator

import numpy as np
import pytest
import sklearn.metrics as sklearn
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dsbuild.errors import TrainError
from dsbuild.train.metrics.confusion import Confusion, mean


@st.composite
def pairs(draw):
    """Draw a number of classes, a label with ignored pixels, and a prediction."""
    classes = draw(st.integers(1, 7))
    shape = draw(arrays.array_shapes(min_dims=1, max_dims=3, max_side=6))
    values = st.sampled_from([*range(classes), 255])
    label = draw(arrays.arrays(np.uint8, shape, elements=values))
    prediction = draw(arrays.arrays(np.int64, shape, elements=st.integers(0, classes - 1)))
    return classes, label, prediction


def by_loops(label, prediction, classes):
    """Return the scores by their definitions."""
    pixels = [(a, b) for a, b in zip(label.flat, prediction.flat, strict=True) if a != 255]
    iou, accuracy, weighted = [], [], 0.0
    for value in range(classes):
        both = sum(a == b == value for a, b in pixels)
        either = sum(value in (a, b) for a, b in pixels)
        there = sum(a == value for a, _ in pixels)
        iou.append(both / either if either else math.nan)
        accuracy.append(both / there if there else math.nan)
        weighted += there / len(pixels) * both / either if there else 0
    return {
        "iou": iou,
        "accuracy": accuracy,
        "pixel_accuracy": sum(a == b for a, b in pixels) / len(pixels) if pixels else math.nan,
        "mean_iou": np.mean([v for v in iou if v == v] or [math.nan]),
        "mean_accuracy": np.mean([v for v in accuracy if v == v] or [math.nan]),
        "frequency_weighted_iou": weighted if pixels else math.nan,
    }


@given(pairs())
def test_scores_equal_their_definitions(drawn):
    classes, label, prediction = drawn
    found = Confusion.of(label, prediction, classes)
    for name, expected in by_loops(label, prediction, classes).items():
        np.testing.assert_allclose(getattr(found, name), expected, rtol=0, atol=1e-9, err_msg=name)


@given(pairs())
@pytest.mark.filterwarnings("ignore:A single label was found:UserWarning:sklearn")
def test_the_matrix_equals_that_of_scikit_learn(drawn):
    classes, label, prediction = drawn
    found = Confusion.of(label, prediction, classes)
    assert found.counts.dtype == np.int64
    there = label != 255
    if not there.any():
        assert found.counts.sum() == 0
        return
    pixels = (label[there], prediction[there])
    np.testing.assert_array_equal(
        found.counts, sklearn.confusion_matrix(*pixels, labels=range(classes))
    )
    # The scores of a class without pixels are a matter of taste.
    for name, score in (
        ("iou", sklearn.jaccard_score),
        ("accuracy", sklearn.recall_score),
        ("precision", sklearn.precision_score),
    ):
        own = getattr(found, name)
        other = score(*pixels, labels=range(classes), average=None, zero_division=0)
        np.testing.assert_allclose(np.nan_to_num(own), other, rtol=0, atol=1e-9, err_msg=name)


@given(pairs(), st.integers(0, 2**32 - 1))
def test_parts_add_up_to_the_whole(drawn, seed):
    classes, label, prediction = drawn
    cut = np.random.default_rng(seed).integers(0, 3, label.shape)
    parts = [Confusion.of(label[cut == i], prediction[cut == i], classes) for i in range(3)]
    total = functools.reduce(operator.add, parts, Confusion.empty(classes))
    np.testing.assert_array_equal(total.counts, Confusion.of(label, prediction, classes).counts)


def test_a_class_that_is_only_predicted_counts_as_0_and_an_absent_class_not_at_all():
    found = Confusion.of(np.array([[0, 0, 1, 255]]), np.array([[0, 2, 1, 3]]), 4)
    np.testing.assert_array_equal(found.iou, [0.5, 1, 0, np.nan])
    assert found.mean_iou == 0.5
    assert found.mean_accuracy == 0.75  # over classes 0 and 1, which the labels have


def test_counts_exceed_the_exact_range_of_floats():
    many = Confusion(np.array([[2**53, 0], [0, 1]]))
    found = many + Confusion.of(np.array([0]), np.array([0]), 2)
    assert found.counts[0, 0] == 2**53 + 1


def test_without_an_ignore_value_all_pixels_count():
    assert Confusion.of(np.array([1, 1]), np.array([1, 0]), 2, ignore=None).counts.sum() == 2


def test_the_ignore_value_may_be_a_class_index():
    found = Confusion.of(np.array([0, 1, 1]), np.array([1, 1, 0]), 2, ignore=0)
    np.testing.assert_array_equal(found.counts, [[0, 0], [1, 1]])


def test_predictions_for_ignored_labels_do_not_matter():
    assert Confusion.of(np.array([255, 1]), np.array([255, 1]), 2).pixel_accuracy == 1


@pytest.mark.parametrize(
    ("label", "prediction", "message"),
    [
        ([0, 1], [0, 3], "prediction: found 3 in 1 pixels, expected 0 to 2; "),
        ([0, 1], [-1, 255], "prediction: found -1, 255 in 2 pixels, expected 0 to 2; "),
        ([0, 7], [0, 1], "label: found 7 in 1 pixels, expected 0 to 2 or 255, which is ignored"),
        ([0, 1], [0], r"prediction: found shape \(1,\), expected the label's \(2,\)"),
        ([0, 1], [0.0, 1.0], "prediction: found float64, expected integers"),
    ],
)
def test_wrong_input_is_named(label, prediction, message):
    with pytest.raises(TrainError, match=message):
        Confusion.of(np.array(label), np.array(prediction), 3)


def test_matrices_of_different_sizes_do_not_add_up():
    with pytest.raises(TrainError, match="of 3 and 2 classes"):
        Confusion.empty(3) + Confusion.empty(2)


def test_the_mean_of_nothing_is_nan():
    assert math.isnan(mean([]))
    assert math.isnan(Confusion.empty(3).mean_iou)
    assert math.isnan(Confusion.empty(3).frequency_weighted_iou)
