import keras
import numpy as np
import pytest

from dsbuild.errors import TrainError
from dsbuild.train import model
from dsbuild.train.fit import optimisers
from dsbuild.train.settings import Settings

STEPS = 10


def numbers(tensor):
    return float(keras.ops.convert_to_numpy(tensor))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("poly", lambda step: 0.5 * (1 - step / STEPS) ** 0.9),
        ("cosine", lambda step: 0.5 * (1 + np.cos(np.pi * step / STEPS)) / 2),
        ("constant", lambda _: 0.5),
    ],
)
@pytest.mark.parametrize("warmup", [0, 4])
def test_rates_equal_the_formulas(kind, expected, warmup):
    schedule = optimisers.Schedule(kind, 0.5, STEPS, warmup, 0.9)
    for step in range(STEPS + 3):
        value = expected(min(step, STEPS)) * (min((step + 1) / warmup, 1) if warmup else 1)
        assert numbers(schedule(step)) == pytest.approx(value, abs=1e-6)
    again = optimisers.Schedule.from_config(schedule.get_config())
    assert vars(again) == vars(schedule)


def moved(**asked):
    """Return how a kernel, a bias and the last kernel, all 2, move by gradients of 1."""
    inputs = x = keras.Input((1,))
    for name in ("middle", "logits"):
        x = keras.layers.Dense(1, name=name)(x)
    network = keras.Model(inputs, x)
    for variable in network.variables:
        variable.assign(np.full(variable.shape, 2.0))
    variables = network.trainable_variables
    asked = Settings(schedule="constant", rate=0.1, **asked)
    optimiser = optimisers.build(asked, STEPS, variables)
    kernel, bias, last, _ = variables
    optimiser.build(variables)
    optimiser.apply([keras.ops.ones_like(one) for one in variables], variables)
    return [2 - numbers(keras.ops.squeeze(one)) for one in (kernel, bias, last)]


def test_kernels_decay_and_the_last_layer_has_its_own_rate():
    assert moved(decay=0.0) == pytest.approx([0.1, 0.1, 0.1], abs=1e-6)
    # The gradient of l2 |w|^2 / 2 is l2 w.
    assert moved(decay=0.5, last_rate=10.0) == pytest.approx([0.2, 0.1, 2.0], abs=1e-6)


def test_parts_of_a_model_have_rates_of_their_own():
    network = model.build(classes=2, backbone="tiny", gradient=True)
    asked = {"schedule": "constant", "rate": 0.1, "decay": 0.0, "sgd_momentum": 0.0}

    def factors(**more):
        variables = network.trainable_variables
        optimiser = optimisers.build(Settings(**asked, **more), STEPS, variables)
        optimiser.build(variables)
        before = [np.array(one) for one in variables]
        optimiser.apply([keras.ops.ones_like(one) for one in variables], variables)
        moves = {}
        for one, old in zip(variables, before, strict=True):
            name = one.path.split("/")[0].split("_")[0]
            moves.setdefault(name, set()).add(round(float((old - np.array(one)).max()) / 0.1, 3))
        return {name: max(found) for name, found in moves.items() if len(found) == 1}

    head = dict.fromkeys(("aspp", "decoder", "gradient", "logits"), 10)
    assert factors(last_rate=10, last_layers="head", backbone_rate=0.5) == {"backbone": 0.5} | head
    plain = dict.fromkeys(("aspp", "decoder", "gradient", "backbone"), 1)
    assert factors(last_rate=10) == plain | {"logits": 10}


def test_kernels_of_depthwise_convolutions_do_not_decay():
    network = model.build(classes=2, backbone="tiny")
    found = {one.path for one in network.trainable_variables if optimisers.decays(one.path)}
    assert {"logits/kernel", "aspp_1_pointwise/kernel", "backbone_block1_conv1/kernel"} <= found
    assert "backbone_block2_conv1/pointwise_kernel" in found
    assert not any("depthwise" in path or path.endswith(("bias", "gamma")) for path in found)


def test_adam_moves_by_the_rate_and_adamw_decays_separately():
    # Adam's first step depends only on the gradient's sign.
    assert moved(optimiser="adam", decay=0.5) == pytest.approx([0.1, 0.1, 0.1], abs=1e-5)
    # Loshchilov and Hutter: w shrinks by rate x decay, 2 x 0.1 x 0.5.
    decoupled = moved(optimiser="adamw", decay=0.5)
    assert decoupled == pytest.approx([0.2, 0.1, 0.2], abs=1e-5)


def test_gradients_are_clipped_by_their_joint_norm():
    # Four gradients of 1 have norm 2.
    assert moved(decay=0.0, clip=1.0) == pytest.approx([0.05] * 3, abs=1e-6)


def test_weights_are_averaged():
    variable = keras.Variable([1.0])
    optimiser = optimisers.build(
        Settings(schedule="constant", rate=1.0, decay=0.0, sgd_momentum=0.0, ema=0.75), STEPS
    )
    optimiser.build([variable])
    for _ in range(2):
        optimiser.apply([keras.ops.ones_like(variable)], [variable])
    optimiser.finalize_variable_values([variable])
    # 1 -> 0 -> -1; the average is 0 after the first step, then 0.75 x 0 - 0.25 x 1.
    assert numbers(keras.ops.squeeze(variable)) == pytest.approx(-0.25)


def test_last_layers_need_a_rate_of_their_own():
    optimisers.expect(Settings(last_layers="head", last_rate=10.0))
    optimisers.expect(Settings(last_rate=10.0))
    with pytest.raises(TrainError, match="last_layers: found head with last_rate 1, which changes"):
        optimisers.expect(Settings(last_layers="head"))
