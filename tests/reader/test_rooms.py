"""The NumPy reader, PyTorch, tf.data and Grain have the same keys, and the same pairs."""

import numpy as np
import pytest

import dsbuild
from tests.support.runs import make


@pytest.fixture
def built(voc, out):
    make(voc, out, splits=("train",), shards=2)
    return out


def _numpy(path, pairs):
    return list(dsbuild.open(path, "train", as_supervised=pairs))


def _grain(path, pairs):
    grain = pytest.importorskip("grain.python")
    data = dsbuild.open(path, "train", as_supervised=pairs)
    sampler = grain.IndexSampler(len(data), grain.NoSharding(), shuffle=False, num_epochs=1)
    return list(grain.DataLoader(data_source=data, sampler=sampler))


def _torch(path, pairs):
    pytest.importorskip("torch")
    return list(dsbuild.torch_dataset(path, "train", as_supervised=pairs))


def _stream(path, pairs):
    pytest.importorskip("torch")
    return list(dsbuild.torch_dataset(path, "train", iterable=True, as_supervised=pairs))


def _tf(path, pairs):
    pytest.importorskip("tensorflow")
    return list(dsbuild.tf_dataset(path, "train", as_supervised=pairs).as_numpy_iterator())


ROOMS = {
    "numpy": (_numpy, lambda image: image),
    "grain": (_grain, lambda image: image),
    "torch": (_torch, lambda image: image.permute(1, 2, 0).numpy()),
    "stream": (_stream, lambda image: image.permute(1, 2, 0).numpy()),
    "tf": (_tf, lambda image: image),
}
HEAVY = {"torch", "stream", "tf", "grain"}
EACH = [pytest.param(room, marks=[pytest.mark.heavy] if room in HEAVY else []) for room in ROOMS]


@pytest.mark.parametrize("room", EACH)
def test_a_sample_has_its_key_and_a_pair_is_image_and_label(room, built):
    read, channels_last = ROOMS[room]
    expected = _numpy(built, pairs=False)
    samples, pairs = read(built, False), read(built, True)
    assert len(samples) == len(pairs) == len(expected) > 0
    for sample, pair, known in zip(samples, pairs, expected, strict=True):
        key = sample["key"]
        assert (key.decode() if isinstance(key, bytes) else key) == known.key
        image, label = pair
        if room != "tf":  # TensorFlow decodes JPEGs in its own way
            np.testing.assert_array_equal(channels_last(image), known.image)
        assert channels_last(image).shape == known.image.shape
        np.testing.assert_array_equal(np.asarray(label).reshape(known.label.shape), known.label)
