"""Losses compared with NumPy in float64 and finite differences, on any KERAS_BACKEND."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from dsbuild.errors import TrainError
from dsbuild.train.fit.losses import (
    LOSSES,
    binary_cross_entropy,
    cross_entropy,
    dice,
    focal,
    tversky,
)
from dsbuild.train.loss_terms import BINARY, SMOOTHED


def run(loss, *arguments, **options):
    """Return the value of a loss as a float."""
    return float(ops.convert_to_numpy(loss(*arguments, **options)))


def gradients(loss, labels, logits, **options):
    """Return the gradients of a loss with respect to its logits."""
    if keras.backend.backend() == "torch":
        import torch

        logits = torch.tensor(logits, requires_grad=True)
        loss(labels, logits, **options).backward()
        return logits.grad.numpy()
    import tensorflow as tf

    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        found = loss(labels, logits, **options)
    return tape.gradient(found, logits).numpy()


def slopes(loss, labels, logits, step=1e-5, **options):
    """Return the same gradients by finite differences."""
    found = np.zeros_like(logits)
    for place in np.ndindex(logits.shape):
        values = []
        for sign in (1, -1):
            moved = logits.copy()
            moved[place] += sign * step
            values.append(run(loss, labels, moved, **options))
        found[place] = (values[0] - values[1]) / (2 * step)
    return found


def softmax(logits):
    high = np.exp(logits - logits.max(-1, keepdims=True))
    return high / high.sum(-1, keepdims=True)


def log_softmax(logits):
    moved = logits - logits.max(-1, keepdims=True)
    return moved - np.log(np.exp(moved).sum(-1, keepdims=True))


def sigmoid(logits):
    return np.exp(-np.logaddexp(0, -logits))


def largest(losses, pixels, share):
    """Return the mean of the largest losses, a share of all pixels."""
    kept = sorted(losses, reverse=True)[: max(int(share * pixels), 1)]
    return np.mean(kept) if kept else 0.0


def plain_cross_entropy(labels, logits, ignore, classes, pixels, smoothing, share):
    """Return cross entropy, pixel by pixel."""
    losses = []
    for place, label in np.ndenumerate(labels):
        weight = (classes[label] if label != ignore else 0) * pixels[place]
        if weight > 0:
            target = np.full(logits.shape[-1], smoothing / logits.shape[-1])
            target[label] += 1 - smoothing
            losses.append(weight * -(target * log_softmax(logits[place])).sum())
    return largest(losses, labels.size, share)


def plain_dice(labels, logits, ignore, classes, pixels):
    """Return 1 - dice, class by class."""
    there = pixels * (labels != ignore)
    guess = softmax(logits)
    values, weights = [], []
    for value in range(logits.shape[-1]):
        target = there * (labels == value)
        if target.sum() > 0:
            both = (guess[..., value] * target).sum()
            values.append(1 - 2 * both / ((guess[..., value] * there).sum() + target.sum()))
            weights.append(classes[value])
    return np.average(values, weights=weights) if sum(weights) else 0.0


def plain_focal(labels, logits, ignore, classes, pixels, smoothing, share, gamma=2.0):
    """Return the focal loss, pixel by pixel."""
    losses = []
    for place, label in np.ndenumerate(labels):
        weight = (classes[label] if label != ignore else 0) * pixels[place]
        if weight > 0:
            target = np.full(logits.shape[-1], smoothing / logits.shape[-1])
            target[label] += 1 - smoothing
            log = log_softmax(logits[place])
            losses.append(weight * -(target * (1 - np.exp(log)) ** gamma * log).sum())
    return largest(losses, labels.size, share)


def by_class(labels, logits, ignore, classes, pixels, measure):
    """Return the average over classes in the labels of `measure(target, guess, weights)`."""
    there = pixels * (labels != ignore)
    guess = softmax(logits)
    values, weights = [], []
    for value in range(logits.shape[-1]):
        target = labels == value
        if (target * there).sum() > 0:
            values.append(measure(target, guess[..., value], there))
            weights.append(classes[value])
    return np.average(values, weights=weights) if sum(weights) else 0.0


def plain_tversky(labels, logits, ignore, classes, pixels, alpha=0.3, beta=0.7):
    def measure(target, guess, there):
        hit = (there * guess * target).sum()
        extra, lost = (there * guess * ~target).sum(), (there * (1 - guess) * target).sum()
        return 1 - hit / (hit + alpha * extra + beta * lost)

    return by_class(labels, logits, ignore, classes, pixels, measure)


def plain_jaccard(labels, logits, ignore, classes, pixels):
    return plain_tversky(labels, logits, ignore, classes, pixels, alpha=1, beta=1)


def plain_lovasz(labels, logits, ignore, classes, pixels):
    """Return the integral over thresholds of the IoU loss of the pixels whose error is above.

    This is the Choquet integral that defines the extension, not the algorithm of the paper.
    """

    def measure(target, guess, there):
        errors = np.abs(target - guess)
        value, below = 0.0, 0.0
        for error in np.unique(errors):  # between two errors the set of wrong pixels stays
            wrong = errors >= error
            union = (there * (target | wrong)).sum()
            lost = 1 - (there * (target & ~wrong)).sum() / union if union else 0
            value += (error - below) * lost
            below = error
        return value

    return by_class(labels, logits, ignore, classes, pixels, measure)


def plain_bce(labels, logits, ignore, classes, pixels, smoothing, share):
    """Return binary cross entropy, pixel by pixel."""
    losses = []
    for place, label in np.ndenumerate(labels):
        weight = (classes[label] if label != ignore else 0) * pixels[place]
        if weight > 0:
            logit = logits[(*place, 0)]
            soft = label * (1 - smoothing) + smoothing / 2
            loss = soft * np.logaddexp(0, -logit) + (1 - soft) * np.logaddexp(0, logit)
            losses.append(weight * loss)
    return largest(losses, labels.size, share)


def plain_bce_log_dice(labels, logits, ignore, classes, pixels, smoothing, share):
    there, target, guess = pixels * (labels != ignore), labels == 1, sigmoid(logits[..., 0])
    dice = (2 * (there * guess * target).sum() + 1) / ((there * (guess + target)).sum() + 1)
    return plain_bce(labels, logits, ignore, classes, pixels, smoothing, share) - np.log(dice)


PLAIN = {
    "cross_entropy": plain_cross_entropy,
    "focal": plain_focal,
    "dice": plain_dice,
    "jaccard": plain_jaccard,
    "tversky": plain_tversky,
    "lovasz": plain_lovasz,
    "bce": plain_bce,
    "bce_log_dice": plain_bce_log_dice,
}


def drawn(name, seed=0, shape=(2, 4, 5), classes=4, scale=3.0):
    """Return labels with ignored pixels, logits, and all options of a loss."""
    rng = np.random.default_rng(seed)
    channels = 1 if name in BINARY else classes
    values = 2 if name in BINARY else classes
    labels = rng.integers(0, values, shape)
    labels[rng.random(shape) < 0.3] = 255
    weights = rng.random(values) + 0.5
    pixels = rng.random(shape) * (rng.random(shape) < 0.8)
    options = {"class_weights": weights, "pixel_weights": pixels}
    if name in SMOOTHED:
        options |= {"smoothing": 0.1, "share": 0.33}
    return labels, scale * rng.standard_normal((*shape, channels)), options


def plain(name, labels, logits, ignore=255, **options):
    """Return the value of a loss, computed by NumPy in float64."""
    full = {
        "classes": options.get("class_weights", np.ones(max(logits.shape[-1], 2))),
        "pixels": options.get("pixel_weights", np.ones(labels.shape)),
    }
    if name in SMOOTHED:
        full |= {"smoothing": options.get("smoothing", 0), "share": options.get("share", 1)}
    return PLAIN[name](labels, logits, ignore, **full)


@pytest.mark.parametrize("name", LOSSES)
@settings(deadline=None, max_examples=12)
@given(data=st.data())
def test_values_equal_those_of_numpy(name, data):
    assert_equal_to_numpy(name, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_many_values_equal_those_of_numpy(name, data):
    assert_equal_to_numpy(name, data)


def assert_equal_to_numpy(name, data):
    # One shape, so that not every example is traced again.
    labels, logits, options = drawn(name, data.draw(st.integers(0, 2**32 - 1)))
    used = {key: options[key] for key in options if data.draw(st.booleans())}
    assert run(LOSSES[name], labels, logits, **used) == pytest.approx(
        plain(name, labels, logits, **used), rel=1e-9
    )
    single = run(LOSSES[name], labels, logits.astype(np.float32), **used)
    assert single == pytest.approx(plain(name, labels, logits, **used), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("full", [pytest.param(False, marks=pytest.mark.slow), True])
def test_gradients_equal_finite_differences(name, full):
    labels, logits, options = drawn(name, seed=3, shape=(1, 3, 3), classes=3)
    options = options if full else {}
    found = gradients(LOSSES[name], labels, logits, **options)
    np.testing.assert_allclose(
        found, slopes(LOSSES[name], labels, logits, **options), rtol=1e-5, atol=1e-8
    )
    assert np.abs(found).max() > 1e-3
    assert not found[labels == 255].any()


@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradients_are_0_if_all_pixels_are_ignored(name):
    labels, logits, options = drawn(name)
    labels[:] = 255
    for used in ({}, options):
        assert run(LOSSES[name], labels, logits, **used) == 0
        assert not gradients(LOSSES[name], labels, logits, **used).any()


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_0_if_all_weights_are(name):
    labels, logits, _ = drawn(name)
    options = {"pixel_weights": np.zeros(labels.shape)}
    assert run(LOSSES[name], labels, logits, **options) == 0
    assert not gradients(LOSSES[name], labels, logits, **options).any()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_large_logits_are_stable(name, dtype):
    labels, logits, options = drawn(name)
    logits = (1e4 * np.sign(logits)).astype(dtype)
    for used in ({}, options):
        found = run(LOSSES[name], labels, logits, **used)
        assert found == pytest.approx(plain(name, labels, logits.astype(float), **used), rel=1e-4)
        assert np.isfinite(gradients(LOSSES[name], labels, logits, **used)).all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_losses_of_16_bit_logits_are_computed_in_32_bits(name, dtype):
    labels, logits, options = drawn(name)
    half = ops.cast(logits, dtype)
    found = LOSSES[name](labels, half, **options)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    exact = ops.convert_to_numpy(ops.cast(half, "float32"))
    assert float(ops.convert_to_numpy(found)) == run(LOSSES[name], labels, exact, **options)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("value", [0, 1, 255])
def test_the_loss_of_one_pixel(name, value):
    labels = np.full((1, 1, 1), value)
    logits = np.array([[[[0.3, -1.2]]]])[..., : 1 if name in BINARY else 2]
    for options in ({}, {"share": 0.01} if name in SMOOTHED else {}):
        found = run(LOSSES[name], labels, logits, **options)
        assert found == pytest.approx(plain(name, labels, logits, **options), rel=1e-9)


@pytest.mark.parametrize("name", sorted(set(LOSSES) - BINARY))
def test_one_class_alone_is_always_right(name):
    labels, logits = np.zeros((1, 2, 2), int), np.ones((1, 2, 2, 1))
    assert run(LOSSES[name], labels, logits) == 0
    assert not gradients(LOSSES[name], labels, logits).any()


@pytest.mark.parametrize("name", LOSSES)
def test_labels_and_weights_may_have_a_last_axis_and_any_type(name):
    labels, logits, options = drawn(name)
    expected = run(LOSSES[name], labels, logits, **options)
    options["pixel_weights"] = options["pixel_weights"][..., None]
    for dtype in (np.uint8, np.int64, np.float32):
        found = run(LOSSES[name], labels[..., None].astype(dtype), logits, **options)
        assert found == pytest.approx(expected, rel=1e-9)


def test_weights_of_images_count_for_their_pixels():
    labels, logits, _ = drawn("cross_entropy")
    each = np.array([0.5, 2.0])
    found = run(cross_entropy, labels, logits, pixel_weights=each)
    spread = np.broadcast_to(each[:, None, None], labels.shape)
    assert found == run(cross_entropy, labels, logits, pixel_weights=spread)


@pytest.mark.parametrize("name", sorted(SMOOTHED))
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99, 1.0])
def test_a_share_may_be_a_tensor(name, share):
    labels, logits, _ = drawn(name)
    found = run(LOSSES[name], labels, logits, share=ops.convert_to_tensor(share))
    # A tensor without a type has 32 bits, enough for 40 pixels times these shares.
    assert found == pytest.approx(plain(name, labels, logits, share=share), rel=1e-9)


def test_the_right_number_of_equal_losses_is_kept():
    labels = np.array([[[0, 0, 0, 1]]])
    logits = np.zeros((1, 1, 4, 2))
    found = gradients(cross_entropy, labels, logits, share=0.5)
    assert np.count_nonzero(np.abs(found).sum(-1)) == 2


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("value", [-1, 4, 254])
def test_a_label_that_is_not_a_class_makes_the_loss_nan(name, value):
    labels, logits, _ = drawn(name)
    labels[0, 0, 0] = value
    assert np.isnan(run(LOSSES[name], labels, logits))
    assert np.isfinite(run(LOSSES[name], labels, logits, ignore=value)) == (255 not in labels)
    labels[labels == 255] = 0
    assert np.isfinite(run(LOSSES[name], labels, logits, ignore=value))


@pytest.mark.parametrize("name", LOSSES)
def test_without_an_ignore_value_all_pixels_count(name):
    labels, logits, _ = drawn(name)
    labels[labels == 255] = 0
    assert run(LOSSES[name], labels, logits, ignore=None) == run(LOSSES[name], labels, logits)


@pytest.mark.parametrize("name", LOSSES)
def test_logits_of_ignored_pixels_have_no_influence(name):
    labels, logits, options = drawn(name)
    options.pop("share", None)  # of all pixels
    other = logits.copy()
    other[labels == 255] = -other[labels == 255] * 7 + 3
    for used in ({}, options):
        expected = run(LOSSES[name], labels, logits, **used)
        assert run(LOSSES[name], labels, other, **used) == pytest.approx(expected, rel=1e-12)
        moved = gradients(LOSSES[name], labels, other, **used)
        kept = gradients(LOSSES[name], labels, logits, **used)
        np.testing.assert_allclose(moved, kept, rtol=1e-9, atol=1e-14)


def test_losses_have_their_exponents_and_weights():
    labels, logits, _ = drawn("focal")
    for gamma in (0.0, 0.5, 3.0):
        expected = plain_focal(labels, logits, 255, np.ones(4), np.ones(labels.shape), 0, 1, gamma)
        assert run(focal, labels, logits, gamma=gamma) == pytest.approx(expected, rel=1e-9)
        hard = 1e4 * np.sign(logits).astype(np.float32)
        assert np.isfinite(gradients(focal, labels, hard, gamma=gamma)).all()
    assert run(focal, labels, logits, gamma=0.0) == pytest.approx(
        run(cross_entropy, labels, logits), rel=1e-9
    )
    expected = plain_tversky(
        labels, logits, 255, np.ones(4), np.ones(labels.shape), alpha=0.9, beta=0.2
    )
    assert run(tversky, labels, logits, alpha=0.9, beta=0.2) == pytest.approx(expected, rel=1e-9)


def test_mattes_are_targets_of_one_logit():
    alpha = np.array([[[0.25, 0.5, 255]]])
    logits = np.array([[[[-1.0], [2.0], [9.0]]]])
    right = sigmoid(logits[..., 0])
    target = alpha[..., :2]
    each = -(target * np.log(right[..., :2]) + (1 - target) * np.log(1 - right[..., :2]))
    assert run(binary_cross_entropy, alpha, logits) == pytest.approx(each.mean(), rel=1e-9)


def test_dice_is_0_for_a_right_prediction_and_1_for_a_wrong_one():
    labels = np.array([[[0, 0, 1, 255]]])
    logits = 1e4 * np.eye(3)[[[[0, 0, 1, 2]]]]
    assert run(dice, labels, logits) == 0
    assert run(dice, labels, np.roll(logits, 1, -1)) == 1


@pytest.mark.parametrize(
    ("name", "labels", "logits", "options", "message"),
    [
        ("dice", (1, 2, 3), (1, 2, 4, 2), {}, r"labels of shape \(1, 2, 3\) and logits"),
        ("dice", (1, 2, 3, 2), (1, 2, 3, 2), {}, r"labels of shape \(1, 2, 3, 2\)"),
        ("bce", (1, 2, 3), (1, 2, 3, 2), {}, "logits of 2 classes, expected 1 for a sigmoid"),
        (
            "cross_entropy",
            (1, 2, 3),
            (1, 2, 3, 2),
            {"class_weights": np.ones(3)},
            r"class weights of shape \(3,\), expected \(2,\)",
        ),
        ("bce", (1, 2, 3), (1, 2, 3, 1), {"pixel_weights": np.ones((2, 3))}, "pixel weights of"),
    ],
)
def test_wrong_shapes_are_named(name, labels, logits, options, message):
    with pytest.raises(TrainError, match=message):
        LOSSES[name](np.zeros(labels, int), np.zeros(logits), **options)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow's graphs")
@pytest.mark.parametrize(
    ("name", "jit"),
    [
        *((name, False) for name in LOSSES),
        ("cross_entropy", True),
        *(pytest.param(name, True, marks=pytest.mark.slow) for name in [*LOSSES][1:]),
    ],
)
def test_graphs_of_unknown_sizes_compute_the_same(name, jit):
    import tensorflow as tf

    labels, logits, options = drawn(name)
    share = {"share": tf.constant(0.33)} if name in SMOOTHED else {}
    graph = tf.function(
        lambda y, x, w: LOSSES[name](y, x, **{**options, "pixel_weights": w, **share}),
        input_signature=[
            tf.TensorSpec([None, None, None], tf.uint8),
            tf.TensorSpec([None, None, None, logits.shape[-1]], tf.float64),
            tf.TensorSpec([None, None, None], tf.float64),
        ],
        jit_compile=jit,
    )
    found = float(graph(labels.astype(np.uint8), logits, options["pixel_weights"]))
    assert found == pytest.approx(run(LOSSES[name], labels, logits, **options), rel=1e-9)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_all_of_this_holds_on_torch():
    if keras.backend.backend() == "torch":
        pytest.skip("this is torch")
    files = [__file__, __file__.replace("losses", "compile")]
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *files],
        env={**os.environ, "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout[-3000:]
