"""Steps in parts have the gradients of the whole batch; an auxiliary head adds its loss."""

import keras
import numpy as np
import pytest

from dsbuild.errors import ModelError, TrainError
from dsbuild.train import model
from dsbuild.train.fit.compile import Loss, MeanIoU
from dsbuild.train.fit.trainer import Trainer
from dsbuild.train.settings import Settings

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="steps in parts need TensorFlow"
)
WEIGHTS = [1.0, 3.0, 0.5]


def batch():
    """Return four images, each with another share of pixels that count."""
    rng = np.random.default_rng(5)
    images = rng.uniform(0, 255, (4, 33, 33, 3)).astype(np.float32)
    labels = rng.integers(0, 3, (4, 33, 33, 1)).astype(np.uint8)
    for number, label in enumerate(labels):
        label[: number * 10 + 2] = 255
    return images, labels


def drawn(frozen=True, dropout=0.0):
    """Return a small model with normalisation and drawn weights."""
    inputs = x = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255)(x)
    x = keras.layers.Conv2D(8, 3, padding="same", name="first")(x)
    norm = keras.layers.BatchNormalization(name="bn", trainable=not frozen)
    x = keras.layers.ReLU()(norm(x))
    x = keras.layers.Dropout(dropout, seed=3)(x)
    x = keras.layers.Conv2D(3, 1, name="last")(x)
    rng = np.random.default_rng(2)
    network = keras.Model(inputs, x)
    for variable in network.trainable_variables:
        if "bn" not in variable.path:
            variable.assign(rng.normal(0, 0.5, variable.shape))
    return network


def stepped(parts, loss="cross_entropy", frozen=True, dropout=0.0, graph=False, **options):
    """Return the logs and the weights of a model after two steps in parts, of a graph or not."""
    network = Trainer.of(drawn(frozen, dropout), parts)
    network.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        Loss(loss, **options),
        metrics=[MeanIoU(3)],
        jit_compile=False,
        run_eagerly=not graph,
    )
    history = network.fit(*batch(), batch_size=4, epochs=2, shuffle=False, verbose=0).history
    return history, {one.path: np.array(one) for one in network.variables if "seed" not in one.path}


@pytest.mark.parametrize("graph", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("loss", "options"),
    [
        ("cross_entropy", {"class_weights": WEIGHTS, "smoothing": 0.1}),
        ("ce+0.5*dice", {"class_weights": WEIGHTS}),
        ("ce+lovasz", {"share": 0.3}),
    ],
)
def test_parts_of_a_step_move_the_weights_like_the_whole_batch(loss, options, graph):
    logs, whole = stepped(1, loss, graph=graph, **options)
    for parts in (2, 4):
        again, found = stepped(parts, loss, graph=graph, **options)
        assert again["loss"] == pytest.approx(logs["loss"], rel=1e-5)
        assert again["mean_iou"] == pytest.approx(logs["mean_iou"], rel=1e-6)
        for name, value in whole.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    # The images differ in the pixels that count: the mean of their losses is another number.
    images, labels = batch()
    network = drawn()
    one = Loss(loss, **options)
    each = [float(one(labels[i : i + 1], network(images[i : i + 1]))) for i in range(4)]
    assert abs(np.mean(each) / float(one(labels, network(images))) - 1) > 1e-4


def test_batch_normalisation_sees_parts():
    for loss in ("cross_entropy", "dice"):
        logs, whole = stepped(1, loss, frozen=False)
        again, found = stepped(2, loss, frozen=False)
        assert again["loss"][0] == pytest.approx(logs["loss"][0], rel=0.1)
        assert again["loss"][0] != pytest.approx(logs["loss"][0], rel=1e-4)
        name = "bn/moving_mean"
        assert np.abs(found[name] - whole[name]).max() > 1e-6
        assert all(np.isfinite(value).all() for value in found.values())


def test_both_ways_to_compute_parts_are_the_same_also_with_dropout():
    options = {"dropout": 0.5, "frozen": False, "class_weights": WEIGHTS}
    logs, once = stepped(2, **options)
    # A share that may change is no mean over all pixels, so the logits come first.
    again, twice = stepped(2, share=keras.Variable(1.0), graph=True, **options)
    assert again["loss"] == pytest.approx(logs["loss"], rel=1e-5)
    for name, value in once.items():
        np.testing.assert_allclose(twice[name], value, rtol=1e-4, atol=1e-6, err_msg=name)


def test_the_auxiliary_head_adds_its_loss_and_is_left_out_of_predictions():
    images, labels = batch()
    network = drawn()
    other = keras.layers.Conv2D(3, 1, name="auxiliary_logits")(network.layers[-2].output)
    both = Trainer.of(keras.Model(network.inputs[0], [network.output, other]), 2, 0.4)
    both.compile(keras.optimizers.SGD(0.0), Loss("dice"), metrics=[MeanIoU(3)])
    logs = both.fit(images, labels, batch_size=4, verbose=0).history
    main, extra = (float(Loss("dice")(labels, one)) for one in both(images))
    assert logs["loss"] == [pytest.approx(main + 0.4 * extra, rel=1e-5)]
    again = model.single(both)
    np.testing.assert_array_equal(again(images), both(images)[0])
    assert {one.path for one in again.variables} < {one.path for one in both.variables}


def test_some_backbones_have_no_auxiliary_head():
    with pytest.raises(ModelError, match=r"tiny: found no auxiliary head, .* for .*resnet50"):
        model.build(backbone="tiny", auxiliary=True)
    with pytest.raises(TrainError, match=r"auxiliary: found 0.4, expected 0 with several image"):
        Settings(auxiliary=0.4, pyramid=(0.5, 1.0))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"batch": 8, "accumulate": 3}, "accumulate: found 3, expected a divisor of the batch, 8"),
        ({"multi_grid": (1, 2)}, "multi_grid: found (1, 2), expected three numbers, or none"),
        (
            {"backbone_rate": 0.1, "freeze": ("backbone",)},
            "backbone_rate: found 0.1, expected 1 if it is frozen",
        ),
        ({"backbone_rate": 0.0}, "backbone_rate: found 0.0, expected a number, above 0"),
    ],
)
def test_wrong_settings_are_named(asked, told):
    with pytest.raises(TrainError) as error:
        Settings(**asked)
    assert str(error.value).startswith(told)
