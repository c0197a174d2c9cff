"""The loss and the metric of `compile`: compared with the functions, in `fit`, saved and loaded."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from dsbuild.errors import TrainError
from dsbuild.train.fit.compile import Accuracy, Loss, MeanIoU
from dsbuild.train.fit.losses import LOSSES
from dsbuild.train.metrics.confusion import Confusion

MODES = {"tensorflow": ["eager", "graph", "jit"], "torch": ["eager"]}[keras.backend.backend()]


@pytest.fixture(scope="module")
def batches():
    rng = np.random.default_rng(4)
    images = rng.random((4, 6, 5, 3)).astype(np.float32)
    labels = rng.integers(0, 3, (4, 6, 5, 1)).astype(np.uint8)
    labels[rng.random(labels.shape) < 0.3] = 255
    return images, labels, rng.random(labels.shape).astype(np.float32)


def model(channels=3):
    return keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(channels, 1)])


def compiled(made, loss, mode, rate=0.0):
    made.compile(
        keras.optimizers.SGD(rate),
        loss=loss,
        metrics=[MeanIoU(3)],
        run_eagerly=mode == "eager",
        jit_compile=mode == "jit",
    )
    return made


def number(value):
    return float(ops.convert_to_numpy(value))


@pytest.mark.parametrize("mode", MODES)
def test_fit_reports_what_the_functions_compute(batches, mode):
    images, labels, weights = batches
    made = compiled(model(), Loss("cross_entropy", class_weights=[1, 2, 3], share=0.5), mode)
    history = made.fit(
        images, labels, sample_weight=weights, batch_size=2, verbose=0, shuffle=False
    )
    logits = ops.convert_to_numpy(made(images))
    expected = [
        number(
            LOSSES["cross_entropy"](
                labels[part],
                logits[part],
                class_weights=[1, 2, 3],
                share=0.5,
                pixel_weights=weights[part],
            )
        )
        for part in (np.s_[:2], np.s_[2:])
    ]
    assert history.history["loss"] == [pytest.approx(np.mean(expected), rel=1e-5)]
    known = Confusion.of(labels[..., 0], logits.argmax(-1), 3).mean_iou
    assert history.history["mean_iou"] == [pytest.approx(known, rel=1e-6)]


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[] if kind in ("cross_entropy", "lovasz") else pytest.mark.slow)
        for kind in LOSSES
    ],
)
def test_every_loss_decreases_in_fit(batches, kind):
    images, labels, _ = batches
    if kind.startswith("bce"):
        labels = np.where(labels == 2, 1, labels)
    made = model(1 if kind.startswith("bce") else 3)
    compiled(made, Loss(kind), MODES[-1] if MODES[-1] != "jit" else "graph", rate=0.3)
    history = made.fit(images, labels, epochs=8, verbose=0).history["loss"]
    assert history[-1] < history[0]


def test_a_sum_gives_each_term_its_weight_and_its_options(batches):
    _, labels, weights = batches
    logits = np.random.default_rng(1).standard_normal((*labels.shape[:3], 3))
    options = {"class_weights": [1.0, 2.0, 3.0], "share": 0.5, "gamma": 1.0}
    found = Loss("ce + 0.5*focal+2*lovasz", **options)
    assert found.kind == "cross_entropy+0.5*focal+2*lovasz"
    kept = {name: options[name] for name in ("class_weights", "share")}
    parts = [
        (1, "cross_entropy", kept),
        (0.5, "focal", options),
        (2, "lovasz", {"class_weights": options["class_weights"]}),
    ]
    expected = sum(
        weight * number(LOSSES[name](labels, logits, pixel_weights=weights, **used))
        for weight, name, used in parts
    )
    assert number(found(labels, logits, weights)) == pytest.approx(expected, rel=1e-6)
    again = Loss.from_config(found.get_config())
    assert number(again(labels, logits, weights)) == number(found(labels, logits, weights))


def test_a_single_logit_is_that_of_class_1_in_losses_of_several_classes(batches):
    _, labels, _ = batches
    labels = np.where(labels == 2, 1, labels)
    logit = np.random.default_rng(2).standard_normal((*labels.shape[:3], 1))
    both = np.concatenate([np.zeros_like(logit), logit], -1)
    found = number(Loss("bce+dice+focal", sigmoid=True)(labels, logit))
    expected = [
        number(LOSSES[name](labels, planes))
        for name, planes in (("bce", logit), ("dice", both), ("focal", both))
    ]
    assert found == pytest.approx(sum(expected), rel=1e-6)


def test_a_variable_schedules_the_share(batches):
    images, labels, _ = batches
    share = keras.Variable(1.0, trainable=False)
    made = compiled(model(), Loss("cross_entropy", share=share), MODES[-1])
    found = []
    for value in (1.0, 0.5, 0.1):
        share.assign(value)
        found.append(made.evaluate(images, labels, verbose=0)[0])
    expected = [
        number(LOSSES["cross_entropy"](labels, made(images), share=value))
        for value in (1.0, 0.5, 0.1)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found[0] < found[1] < found[2]


def test_a_16_bit_model_has_a_32_bit_loss(batches):
    images, labels, _ = batches
    layer = keras.layers.Conv2D(3, 1, dtype="mixed_bfloat16")
    made = compiled(keras.Sequential([keras.Input((6, 5, 3)), layer]), Loss("dice"), "eager")
    assert np.isfinite(made.evaluate(images, labels, verbose=0)[0])
    found = Loss("dice")(labels, made(images))
    assert keras.backend.standardize_dtype(found.dtype) == "float32"


def test_loss_and_metric_survive_saving_and_loading(batches, tmp_path):
    images, labels, _ = batches
    options = {"class_weights": np.array([1.0, 2.0, 0.5]), "share": keras.Variable(0.25)}
    made = compiled(model(), Loss("cross_entropy", ignore=255, **options), "eager")
    made.fit(images, labels, verbose=0)
    path = str(tmp_path / "model.keras")
    made.save(path)
    again = keras.saving.load_model(path)
    np.testing.assert_allclose(
        again.evaluate(images, labels, verbose=0), made.evaluate(images, labels, verbose=0)
    )


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 3, 5]), st.sampled_from([0.0, 0.4, 1.0]))
def test_the_metric_equals_the_mean_iou_of_the_confusion_matrix(seed, classes, ignored):
    rng = np.random.default_rng(seed)
    metric = MeanIoU(classes)
    total = Confusion.empty(classes)
    for _ in range(3):
        labels = rng.integers(0, classes - 1, (2, 3, 4)).astype(np.uint8)
        labels[rng.random(labels.shape) < ignored] = 255
        logits = rng.standard_normal((2, 3, 4, classes)).astype(np.float32)
        metric.update_state(labels, logits)
        total += Confusion.of(labels, logits.argmax(-1), classes)
    expected = np.nan_to_num(total.mean_iou)
    np.testing.assert_array_equal(ops.convert_to_numpy(metric.total_cm), total.counts)
    assert number(metric.result()) == pytest.approx(expected, abs=1e-6)


def test_a_single_logit_is_that_of_class_1():
    metric = MeanIoU(2)
    metric.update_state(np.array([[[0, 1, 1, 255]]]), np.array([[[[-1.0], [2.0], [-3.0], [9.0]]]]))
    np.testing.assert_array_equal(ops.convert_to_numpy(metric.total_cm), [[1, 0], [1, 1]])
    assert number(metric.result()) == pytest.approx(0.5)


def test_pixels_are_counted_beyond_32_bits():
    metric = MeanIoU(2)
    metric.total_cm.assign(np.array([[2**40, 0], [0, 0]]))
    metric.update_state(np.zeros((1, 1, 1), int), np.array([[[[1.0, 0.0]]]]))
    # NumPy would round the expected number to the type of the other.
    assert int(ops.convert_to_numpy(metric.total_cm)[0, 0]) == 2**40 + 1


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("hinge", {}, "loss: found 'hinge', expected one of cross_entropy, focal, dice, .*, or a"),
        ("ce+hinge", {}, "loss: found 'hinge'"),
        ("ce+dice", {"gamma": 1.0}, "loss cross_entropy.dice: found option gamma, expected class"),
        ("dice", {"share": 0.5}, "loss dice: found option share, expected class_weights, ignore"),
        ("dice", {"pixel_weights": 1}, "found option pixel_weights"),
    ],
)
def test_an_unknown_loss_or_option_is_named(kind, options, message):
    with pytest.raises(TrainError, match=message):
        Loss(kind, **options)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_single_logit_for_a_single_class_is_that_class(sign):
    labels, logits = np.zeros((2, 3, 3), np.uint8), np.full((2, 3, 3, 1), sign, np.float32)
    score = MeanIoU(1)
    score.update_state(labels, logits)
    assert number(score.result()) == pytest.approx(1)
    for classes, expected in ((1, 1.0), (2, float(sign < 0))):
        score = Accuracy(classes)
        score.update_state(labels[:, 0, 0], logits[:, 0, 0])
        assert number(score.result()) == expected
        assert Accuracy.from_config(score.get_config()).classes == classes


def test_the_metric_counts_as_keras_does():
    rng = np.random.default_rng(6)
    labels = rng.integers(0, 8, (3, 9, 7, 1)).astype(np.uint8)  # 5 and more are no class
    labels[rng.random(labels.shape) < 0.2] = 255
    logits = rng.integers(-1, 2, (3, 9, 7, 5)).astype(np.float32)  # with many ties
    ours, plain = MeanIoU(5), keras.metrics.MeanIoU(5, ignore_class=255, sparse_y_pred=False)
    for part in (slice(0, 2), slice(2, 3)):
        ours.update_state(labels[part], logits[part])
        plain.update_state(labels[part], logits[part])
    found, expected = (ops.convert_to_numpy(one.total_cm) for one in (ours, plain))
    np.testing.assert_array_equal(found, expected)
    assert found.sum() == np.count_nonzero(labels < 5)
