"""DeepLab's published weights, compared with their results in other runtimes."""

import keras
import numpy as np
import pytest
from PIL import Image

from dsbuild.train import model, runs
from dsbuild.train.dataset import Facts
from dsbuild.train.model import slim_checkpoint
from dsbuild.train.predict import logits as sized
from dsbuild.train.settings import Settings

pytestmark = [pytest.mark.shared, pytest.mark.slow]


def published(path, **settings):
    asked = Settings(output_stride=8, decoder=False, rates=(), **settings)
    known = Facts("segmentation", tuple(map(str, range(21))), 255, {}, "")
    network = model.build(**runs.architecture(asked, known))
    loaded = slim_checkpoint.load(network, str(path))
    assert loaded.missing == loaded.resized == loaded.unused == ()
    return runs.Trained(network, asked, known, 0)


def logits(trained, image, least):
    entry = keras.Input((None, None, 3))
    network = keras.Model(entry, sized.logits(trained, [entry], least=least))
    return np.asarray(network(image[None].astype(np.float32), training=False))[0]


def test_logits_equal_those_of_onnx_runtime(shared):
    weights = shared / "weights"
    trained = published(weights / "mnv2_pascal")
    assert sized.least(trained.settings) == 513
    with np.load(weights / "expected" / "logits_every_16th.npz") as expected:
        for name in expected.files:
            path = shared / "voc" / "VOCdevkit" / "VOC2012" / "JPEGImages" / f"{name}.jpg"
            image = np.asarray(Image.open(path).convert("RGB"))
            found = logits(trained, image, 513)
            there = expected[name].reshape(-1, 33, 21)
            height, width = (-(-side // 16) for side in image.shape[:2])
            np.testing.assert_allclose(found[::16, ::16], there[:height, :width], atol=2e-4)
            classes = np.asarray(Image.open(weights / "expected" / f"{name}.png"))
            assert np.mean(found.argmax(-1) == classes) > 0.9999


@pytest.mark.parametrize("size", [(257, 257), (193, 257), (96, 128), (1, 200)])
def test_narrow_logits_equal_those_of_litert(shared, size):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    weights = shared / "weights"
    trained = published(weights / "mnv2_dm05_pascal", width=0.5, width_multiple=1)
    lite = interpreter.Interpreter(str(weights / "mnv2_dm05_pascal_257.tflite"))
    lite.allocate_tensors()
    (taken,), (given,) = lite.get_input_details(), lite.get_output_details()
    path = next((shared / "voc" / "VOCdevkit" / "VOC2012" / "JPEGImages").glob("*.jpg"))
    image = np.asarray(Image.open(path).convert("RGB").resize(size[::-1]))
    seen = np.zeros((1, 257, 257, 3), np.float32)
    seen[0, : size[0], : size[1]] = image / np.float32(127.5) - 1
    lite.set_tensor(taken["index"], seen)
    lite.invoke()
    expected = lite.get_tensor(given["index"])[0, : size[0], : size[1]]
    np.testing.assert_allclose(logits(trained, image, 257), expected, atol=2e-4)
