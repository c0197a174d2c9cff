import keras
import numpy as np
import pytest

from dsbuild.errors import TrainError
from dsbuild.train.fit import optimisers
from dsbuild.train.fit.callbacks import Averaged, FiniteLoss, HardShare, MovingAverages
from dsbuild.train.settings import Settings


def moved(**asked):
    """Return a model after two steps, and its values after each step."""
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    network.compile(optimisers.build(Settings(schedule="constant", rate=0.3, **asked), 9))
    variables = network.trainable_variables
    network.optimizer.build(variables)
    values, rng = [], np.random.default_rng(0)
    for _ in range(2):
        gradients = [
            keras.ops.convert_to_tensor(rng.normal(size=v.shape), "float32") for v in variables
        ]
        network.optimizer.apply(gradients, variables)
        values.append([keras.ops.convert_to_numpy(one).copy() for one in variables])
    return network, values


def test_averaged_weights_are_used_for_a_while_and_the_own_ones_come_back_bit_for_bit():
    network, (first, second) = moved(ema=0.75)
    with Averaged(network).weights() as there:
        assert there
        for variable, one, two in zip(network.trainable_variables, first, second, strict=True):
            np.testing.assert_allclose(variable.numpy(), 0.75 * one + 0.25 * two, rtol=1e-6)
    for variable, value in zip(network.trainable_variables, second, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_weights_stay_if_there_are_no_averages():
    network, (_, last) = moved()
    with Averaged(network).weights() as there:
        assert not there
        for variable, value in zip(network.trainable_variables, last, strict=True):
            np.testing.assert_array_equal(variable.numpy(), value)


def test_the_share_of_hard_pixels_falls_over_the_steps_of_all_legs():
    share = keras.Variable(1.0)
    falling = HardShare(share, 0.2, 8, every=4)
    found = []
    for epoch in range(3):
        falling.on_epoch_begin(epoch)
        for batch in range(4):
            falling.on_train_batch_begin(batch)
            found.append(float(share.numpy()))
    expected = [1 - 0.8 * min(step / 8, 1) for step in range(12)]
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("most", "every"), [(0.99, 4), (0.3, 4), (0.99, 100)])
def test_moving_averages_forget_their_initial_values_however_short_a_run_is(most, every):
    network = keras.Sequential([keras.Input((1,)), keras.layers.BatchNormalization()])
    (layer,) = network.layers
    layer.moving_mean.assign([1e3])  # from other weights
    moving, expected = MovingAverages(network, most, every), 1e3
    for step in range(1, 13):
        epoch, batch = divmod(step - 1, every)
        if batch == 0:
            moving.on_epoch_begin(epoch)
        moving.on_train_batch_begin(batch)
        network(np.full((2, 1), step, np.float32), training=True)
        momentum = min(most, step / (9 + step))
        expected = momentum * expected + (1 - momentum) * step
        np.testing.assert_allclose(layer.moving_mean.numpy(), [expected], rtol=1e-5)
    assert 6 < expected < 13
    assert len(network.variables) == 4  # those of a checkpoint


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_named_with_its_step(loss):
    watching = FiniteLoss(every=10)
    watching.on_epoch_begin(3)
    watching.on_train_batch_end(4, {"loss": 1.0})
    with pytest.raises(TrainError, match=f"^step 35: the loss is {loss}, expected a finite number"):
        watching.on_train_batch_end(4, {"loss": loss})
