"""ConvNeXt, whose windows have an even size: nothing is shifted, whatever the output stride."""

import dataclasses
from importlib import import_module

import keras
import numpy as np
import pytest

from dsbuild.errors import ModelError, TrainError
from dsbuild.train import model, runs
from dsbuild.train.dataset import Facts
from dsbuild.train.export import run as export
from dsbuild.train.fit import crop, warm_start
from dsbuild.train.fit import run as fit
from dsbuild.train.model import atrous, backbones, convnext
from dsbuild.train.predict.predictor import Predictor
from dsbuild.train.settings import Settings
from tests.support import narrow, trained

FACTS = Facts("segmentation", ("a", "b", "c"), 255, {}, "")


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    narrow.register(monkeypatch)


def slow(value):
    return pytest.param(value, marks=pytest.mark.slow)


def pixels(*size, seed=0):
    return np.random.default_rng(seed).normal(size=(1, *size, 3)).astype(np.float32)


def published(**options):
    """Return the model of Keras, without its top."""
    options |= {"include_top": False, "weights": None, "input_shape": (None, None, 3)}
    return narrow.build(narrow.BLOCKS, narrow.DIMS, **options)


@pytest.mark.parametrize("inside", [slow(False), True])
def test_plain_layers_compute_the_same(inside):
    whole = narrow.draw(published(include_preprocessing=inside))
    plain = convnext.plain(whole)
    assert not any(isinstance(layer, keras.Model) for layer in plain.layers)
    assert plain.count_params() == sum(v.numpy().size for v in whole.trainable_variables)
    image = pixels(75, 98)
    given = image * [58.395, 57.12, 57.375] + [123.675, 116.28, 103.53] if inside else image
    found, expected = np.array(plain(image)), np.array(whole(given.astype(np.float32)))
    assert found.shape == (1, 2, 3, narrow.DIMS[-1])
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("output_stride", [8, slow(16)])
def test_every_second_value_stays_the_same(output_stride):
    whole = narrow.draw(backbones.build(narrow.NAME, 32, auxiliary=True))
    finer = atrous.convert(whole, output_stride)
    step = 32 // output_stride
    for height, width in ((96, 64), (75, 102)):
        image = pixels(height, width)
        low, high, middle = (np.array(one) for one in whole(image))
        finer_low, finer_high, finer_middle = (np.array(one) for one in finer(image))
        np.testing.assert_array_equal(finer_low, low)
        # One feature for each whole window of 32 pixels.
        expected = ((size // output_stride) - (step - 1) for size in (height, width))
        assert finer_high.shape[1:3] == tuple(expected)
        assert high.std() > 0.1
        np.testing.assert_allclose(finer_high[:, ::step, ::step], high, atol=3e-5 * high.max())
        thinned = finer_middle[:, :: max(step // 2, 1), :: max(step // 2, 1)]
        np.testing.assert_allclose(thinned, middle, atol=3e-5 * middle.max())


def mirrored(network):
    """Mirror each window of a model, left to right."""
    for variable in network.variables:
        if variable.path.endswith("kernel") and len(variable.shape) == 4:
            variable.assign(np.array(variable)[:, ::-1])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"auxiliary": True, "output_stride": 8},
        {"gradient": True},
        slow({"output_stride": 32, "decoder": False}),
        slow({"decoder": False, "rates": ()}),
        slow({"scales": (0.5, 1.5), "align_corners": False}),
    ],
    ids=str,
)
def test_mirrored_windows_see_a_mirrored_image_mirrored(settings):
    """A shift by a part of a feature would be one to the other side after mirroring."""
    options = {"rates": (1, 2), "depth": 8, "dropout": 0.0, "classes": 3} | settings
    network = narrow.draw(model.build(backbone=narrow.NAME, **options))
    image = np.random.default_rng(1).uniform(0, 255, (1, 64, 96, 3)).astype(np.float32)
    planes = [image, image[..., :1]] if network.inputs[1:] else [image]

    def logits(planes):
        given = planes if len(planes) > 1 else planes[0]
        return [np.array(one) for one in keras.tree.flatten(network(given))]

    before = logits(planes)
    mirrored(network)
    after = logits([plane[:, :, ::-1] for plane in planes])
    assert len(before) == (2 if "auxiliary" in settings else 1)
    for there, back in zip(before, after, strict=True):
        assert np.abs(there - there[:, :, ::-1]).max() > 0.1
        np.testing.assert_allclose(back[:, :, ::-1], there, atol=2e-5 * np.abs(there).max())


@pytest.mark.parametrize(
    ("form", "inside"),
    [pytest.param("found.weights.h5", False, marks=pytest.mark.slow), ("found.h5", True)],
)
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_weights_of_keras_are_loaded(tmp_path, form, inside):
    """A file that Keras wrote with its own scaling of pixels inside, as published, or without."""
    whole, path = narrow.draw(published(include_preprocessing=inside)), str(tmp_path / form)
    (whole.save_weights if ".weights" in form else whole.save)(path)
    found = backbones.build(narrow.NAME, 16, weights=path)
    for ours, theirs in zip(found.variables, convnext.plain(whole).variables, strict=True):
        assert ours.path == f"backbone_{theirs.path}"
        np.testing.assert_array_equal(ours, theirs)


def test_weights_of_another_size_are_refused(tmp_path):
    other = narrow.build((1, 1, 1, 1), narrow.DIMS, include_top=False)
    path = str(tmp_path / "found.weights.h5")
    other.save_weights(path)
    with pytest.raises(ModelError, match="expected the weights of convnext_tiny without its top"):
        backbones.build(narrow.NAME, 16, weights=path)


@pytest.fixture
def torchvisions(tmp_path):
    """Return a module of PyTorch with torchvision's names, and the path of its weights."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from tests.support import torch_convnext

    module = torch_convnext.drawn(torch_convnext.ConvNeXt((1, 1, 9, 1), narrow.DIMS))
    path = str(tmp_path / "found.pth")
    torch.save(module.state_dict(), path)
    return module, path


def test_blocks_equal_those_of_torchvision(torchvisions, monkeypatch):
    import torch

    module, path = torchvisions
    narrow.register(monkeypatch, (1, 1, 9, 1))
    settings = {"output_stride": 32, "depth": 8, "rates": (1, 2)}
    asked = warm_start.fitted(Settings(backbone=narrow.NAME, weights=path, **settings))
    assert asked.pixels is None  # its own are those of torchvision
    network, lines = model.build(**runs.architecture(asked, FACTS)), []
    warm_start.load(network, asked, FACTS, lines.append)
    told = "torchvision's ConvNeXt: loaded 126 variables; aspp, decoder, logits start from random"
    assert lines[0].startswith(f"{path}: {told}")
    image = np.random.default_rng(1).integers(0, 256, (1, 67, 96, 3)).astype(np.float32)
    scaled = network.get_layer("pixels")(image)
    with torch.no_grad():
        expected = module(torch.from_numpy(np.array(scaled)).permute(0, 3, 1, 2))
    scorer = network.get_layer("scorer")
    layers = [scorer.get_layer(f"backbone_{name}").output for name in expected]
    found = keras.Model(scorer.inputs, layers)(scaled)
    for (name, there), ours in zip(expected.items(), found, strict=True):
        there = there.permute(0, 2, 3, 1).numpy()
        assert there.std() > 0.1
        atol = 1e-5 * np.abs(there).max()
        np.testing.assert_allclose(ours, there, rtol=0, atol=atol, err_msg=name)
    with pytest.raises(TrainError, match=r"pixels: found tf, but .* was trained with torch"):
        warm_start.fitted(dataclasses.replace(asked, pixels="tf"))


def test_weights_of_torchvision_for_another_backbone_are_refused(torchvisions):
    _, path = torchvisions
    network = model.build(backbone="tiny", classes=3)
    settings = Settings(backbone="tiny", weights=path)
    with pytest.raises(
        ModelError, match=r"found weights of convnext_tiny.* --backbone convnext_ti"
    ):
        warm_start.load(network, dataclasses.replace(settings, pixels="torch"), FACTS, print)


def test_freezing_no_batch_normalisation_is_said():
    settings = Settings(backbone=narrow.NAME, freeze_batch_norm=True)
    network, lines = model.build(**runs.architecture(settings, FACTS)), []
    warm_start.load(network, settings, FACTS, lines.append)
    told = "freeze_batch_norm: convnext_tiny has no batch normalisation; only that of the head, if"
    assert lines[0].startswith(told)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # tf2onnx uses names of NumPy 1
def test_gelu_is_exported_to_onnx(tmp_path):
    ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    entry = keras.Input((3,))
    small = keras.Model(entry, keras.layers.Activation("gelu")(keras.layers.Dense(3)(entry)))
    x = np.random.default_rng(0).normal(0, 3, (50, 3)).astype(np.float32)
    expected = small.predict_on_batch(x)
    import_module("dsbuild.train.export.onnx_ops")
    small.export(str(tmp_path / "small.onnx"), format="onnx", verbose=False)
    session = ort.InferenceSession(str(tmp_path / "small.onnx"))
    (found,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["saved_model", "keras", "onnx", "tflite", "tflite_int8"])
def test_an_exported_model_gives_the_classes_of_the_run(form, voc_data, tmp_path):
    run = trained.run(tmp_path, voc_data, backbone=narrow.NAME, crop=64, depth=16, rates=(1, 2))
    options = {"check": False, "calibrate": 8, "data": voc_data} if form.endswith("8") else {}
    found = export.export(run, str(tmp_path / "out"), form, **options)
    if found.scores is None:  # an int8 model of drawn weights is only compared
        assert found.agreement >= export.AGREEMENT
    else:
        assert found.scores.agreement >= 0.8


@pytest.mark.slow
def test_a_training_ends_and_its_small_images_are_predicted(class_data, tmp_path):
    run = str(tmp_path / "run")
    settings = {"crop": 32, "batch": 4, "steps": 2, "every": 2, "optimiser": "adamw", "val": ""}
    asked = Settings(backbone=narrow.NAME, freeze=("backbone_stem",), mixed=True, **settings)
    fit.train(class_data, run, asked, quiet=True)
    predictor = Predictor(runs.load(run))
    image = np.random.default_rng(0).integers(0, 256, (7, 40, 3), np.uint8)
    whole = np.full((32, 40, 3), [123.675, 116.28, 103.53], np.float32)
    whole[:7] = image
    expected = np.array(predictor.trained.model(whole[None]))[0]
    expected = np.exp(expected - expected.max())
    np.testing.assert_allclose(predictor.probabilities(image), expected / expected.sum(), atol=1e-4)


def test_dilating_first_is_refused():
    with pytest.raises(ModelError, match=r"dilate_first: found True, expected False for ConvNeXt"):
        model.build(backbone=narrow.NAME, dilate_first=True)


@pytest.mark.parametrize(
    ("asked", "stride", "expected"),
    [(513, 16, 528), (512, 16, 512), (512, 8, 512), (1, 8, 32), (33, 16, 48)],
)
def test_crops_are_divided_into_cells(asked, stride, expected):
    lines = []
    settings = Settings(backbone=narrow.NAME, crop=asked, output_stride=stride)
    assert crop.fitted(settings, FACTS, lines.append).crop == expected
    told = (
        f"crop: {asked} is not a multiple of the output stride, {stride}, of at least 32; using "
        f"{expected}, so that features cover all of it"
    )
    assert lines == ([] if asked == expected else [told])


def test_a_classifier_needs_a_cell():
    images = Facts("classification", ("a", "b", "c"), None, {}, "")
    settings = Settings(backbone=narrow.NAME, crop=31)
    with pytest.raises(TrainError, match="crop: found 31, expected at least 32 for convnext_tiny"):
        crop.fitted(settings, images, print)
    other = Settings(backbone="tiny", crop=31)
    assert crop.fitted(other, images, print) == other
