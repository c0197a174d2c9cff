import random

import keras
import numpy as np

from dsbuild.train import runs
from dsbuild.train.model.seeds import layer_seeds


def kernel(seed=None):
    with layer_seeds(seed):
        layer = keras.layers.Dense(2)
        layer.build((None, 3))
    return layer.kernel.numpy()


def test_first_weights_depend_on_the_seed_alone():
    np.testing.assert_array_equal(kernel(3), kernel(3))
    assert not np.array_equal(kernel(3), kernel(4))
    keras.utils.set_random_seed(3)
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    np.testing.assert_array_equal(kernel(3), layer.kernel.numpy())


def test_building_layers_leaves_the_generator_of_the_process_alone(voc_run):
    random.seed(5)
    expected = random.random()
    random.seed(5)
    kernel(3)
    runs.load(voc_run[1])
    assert random.random() == expected
