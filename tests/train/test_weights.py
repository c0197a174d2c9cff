"""Weights of other origins, compared with their own modules, block by block."""

import dataclasses
import functools
import json
import os

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from dsbuild.errors import ModelError, TrainError  # noqa: E402
from dsbuild.train import runs  # noqa: E402
from dsbuild.train.dataset import Facts  # noqa: E402
from dsbuild.train.fit import warm_start  # noqa: E402
from dsbuild.train.model import backbones, build, resnet_v1_5  # noqa: E402
from dsbuild.train.settings import Settings  # noqa: E402
from dsbuild.train.weights import files, origins  # noqa: E402
from tests.support import torch_deeplab as theirs  # noqa: E402

BLOCKS = {
    **{f"layer{stage}": f"backbone_layer{stage}_2_relu3" for stage in (1, 4)},
    "layer2": "backbone_layer2_3_relu3",
    "layer3": "backbone_layer3_5_relu3",
    "pyramid": "aspp_projection_relu",
    "low": "decoder_low_relu",
    "auxiliary": "auxiliary_0_relu",
}
NAME = "resnet50_v1_5"
DENSE = {"backbone": NAME, "separable": False, "depth": theirs.HEAD}
FACTS = Facts("segmentation", ("a", "b", "c"), 255, {}, "")


def slowly(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


def narrow(**settings):
    """Return a model with an eighth of the channels, like the modules."""
    whole = backbones.BACKBONES[NAME]
    small = functools.partial(resnet_v1_5.resnet, (3, 4, 6, 3), theirs.DEPTHS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(backbones.BACKBONES, NAME, dataclasses.replace(whole, build=small))
        return build(**({"classes": 3} | DENSE | settings))


@pytest.fixture(scope="module")
def plain():
    return narrow()


@pytest.fixture(scope="module")
def dilated():
    return narrow(dilate_first=True)


def save(state, path):
    """Write a state dict in the format of a path."""
    if path.endswith(".safetensors"):
        header, data, start = {"__metadata__": {"format": "pt"}}, [], 0
        for name, values in state.items():
            data.append(values.numpy().tobytes())
            end = start + len(data[-1])
            dtype = {"torch.float32": "F32", "torch.int64": "I64"}[str(values.dtype)]
            header[name] = {
                "dtype": dtype,
                "shape": list(values.shape),
                "data_offsets": [start, end],
            }
            start = end
        text = json.dumps(header).encode()
        with open(path, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text + b"".join(data))
        return
    old = path.endswith(".old.pth")
    whole = {"epoch": 3, "model_state": state, "optimizer": {"state": {}}, "best": np.float64(0.5)}
    torch.save(whole if old else state, path, _use_new_zipfile_serialization=not old)


def pixels(image):
    """Return RGB of 0..255 (1, h, w, 3) as torchvision scales it."""
    mean, deviation = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    scaled = torch.from_numpy(image).permute(0, 3, 1, 2) / 255
    return (scaled - torch.tensor(mean)[:, None, None]) / torch.tensor(deviation)[:, None, None]


def assert_blocks_equal(model, module, compared):
    scorer = model.get_layer("scorer")
    names = [BLOCKS[block] for block in compared]
    ends = keras.Model(scorer.inputs, [scorer.get_layer(name).output for name in names])
    for size in ((65, 97), (64, 90)):
        image = np.random.default_rng(1).integers(0, 256, (1, *size, 3)).astype(np.float32)
        with torch.no_grad():
            expected = module(pixels(image))
        found = ends([model.get_layer("pixels")(image)])
        for block, ours in zip(compared, found, strict=True):
            there = expected[block].permute(0, 2, 3, 1).numpy()
            assert there.std() > 1e-3
            np.testing.assert_allclose(ours, there, rtol=0, atol=1e-4 * np.abs(there).max())


STAGES = ("layer1", "layer2", "layer3", "layer4")


@pytest.mark.parametrize(
    ("kind", "ending", "blocks", "told"),
    [
        (
            theirs.Torchvision,
            ".pth",
            (*STAGES, "pyramid"),
            "torchvision's DeepLabV3: loaded 295 variables; decoder, logits start from random "
            "weights; not loaded: its 3 x 3 convolution after the pyramid",
        ),
        slowly(
            theirs.VainFPlus,
            ".old.pth",
            (*STAGES, "pyramid", "low"),
            "VainF's DeepLabV3Plus: loaded 300 variables; decoder, logits start from random "
            "weights; not loaded: its decoder, which has one 3 x 3 convolution",
        ),
        (theirs.VainF, ".safetensors", (*STAGES, "pyramid"), "VainF's DeepLabV3: loaded 295"),
        slowly(
            theirs.Classifier,
            ".pt",
            STAGES,
            "torchvision's ResNet: loaded 265 variables; aspp, decoder, logits start from random",
        ),
        slowly(
            theirs.Smp, ".pth", (*STAGES, "pyramid"), "segmentation_models_pytorch's DeepLabV3: "
        ),
        slowly(
            theirs.SmpPlus,
            ".pth",
            STAGES,
            "segmentation_models_pytorch's DeepLabV3Plus: loaded 265",
        ),
    ],
)
def test_blocks_equal_those_of_their_origin(kind, ending, blocks, told, request, tmp_path):
    first = kind in (theirs.Smp, theirs.SmpPlus)
    model = request.getfixturevalue("dilated" if first else "plain")
    module = theirs.drawn(kind(), seed=len(told))
    path = str(tmp_path / f"found{ending}")
    save(module.state_dict(), path)
    lines = []
    settings = Settings(weights=path, dilate_first=first, **DENSE)
    assert warm_start.backbone(settings) == {}
    warm_start.load(model, settings, FACTS, lines.append)
    assert lines[0].startswith(f"{path}: {told}")
    assert_blocks_equal(model, module, blocks)


@pytest.mark.parametrize("dropout", [True, slowly(False)])
def test_logits_equal_those_of_a_whole_counterpart(tmp_path, dropout):
    module = theirs.drawn(theirs.Jfzhang95(dropout), seed=2)
    path = str(tmp_path / "found.pth.tar")
    torch.save({"epoch": 1, "state_dict": module.state_dict(), "best_pred": 0.5}, path)
    settings = Settings(weights=path, dilate_first=True, multi_grid=(1, 2, 4), **DENSE)
    model = narrow(dilate_first=True, multi_grid=(1, 2, 4))
    found = files.load(model, path, settings)
    assert (found.random, found.left) == ((), ())
    assert_blocks_equal(model, module, (*STAGES, "pyramid", "low"))
    image = np.random.default_rng(3).integers(0, 256, (1, 65, 97, 3)).astype(np.float32)
    with torch.no_grad():
        expected = module(pixels(image))["logits"].permute(0, 2, 3, 1).numpy()
    atol = 1e-4 * np.abs(expected).max()
    np.testing.assert_allclose(model(image), expected, rtol=0, atol=atol)
    with pytest.raises(ModelError, match=r"found \(\); give --multi-grid 1,2,4"):
        files.load(model, path, dataclasses.replace(settings, multi_grid=()))
    if not dropout:  # the slow one of the two
        other = narrow(dilate_first=True, multi_grid=(1, 2, 4), classes=5)
        assert files.load(other, path, settings).random == ("logits",)


@pytest.mark.slow
def test_a_whole_deeplabv3_has_its_logits(tmp_path):
    module = theirs.drawn(theirs.Torchvision(), seed=5)
    path = str(tmp_path / "found.pth")
    torch.save(module.state_dict(), path)
    head = {"decoder": False, "aspp_window": True}
    model = narrow(**head)
    found = files.load(model, path, Settings(**head, **DENSE))
    assert (found.random, found.left) == ((), ())
    assert_blocks_equal(model, module, (*STAGES, "pyramid"))
    image = np.random.default_rng(3).integers(0, 256, (1, 65, 97, 3)).astype(np.float32)
    with torch.no_grad():
        there = module.classifier[1:](module(pixels(image))["pyramid"]).permute(0, 2, 3, 1).numpy()
    scaled = model.get_layer("pixels")(image)
    atol = 1e-4 * np.abs(there).max()
    np.testing.assert_allclose(model.get_layer("scorer")(scaled), there, rtol=0, atol=atol)
    with pytest.raises(TrainError, match="aspp_window: found True, expected False with a decoder"):
        Settings(aspp_window=True)


MOBILE = {
    "v3": (
        theirs.MobileNetV3,
        {
            "backbone": "mobilenet_v3_large_960",
            "dilate_first": True,
            "rates": (12, 24, 36),
            "separable": False,
            "depth": theirs.HEAD,
            "decoder": False,
            "aspp_window": True,
        },
        "torchvision's DeepLabV3 with MobileNetV3: loaded 299 variables; pixels are scaled as ",
    ),
    "v2": (
        theirs.MobileNetV2,
        {"backbone": "mobilenet_v2", "dilate_first": True, "depth": 16},
        "segmentation_models_pytorch's DeepLab with MobileNetV2: loaded 255 variables; aspp, ",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(MOBILE))
def test_mobilenets_of_torchvision_equal_their_origin(kind, tmp_path):
    cls, settings, told = MOBILE[kind]
    module = theirs.drawn(cls(), seed=6)
    path, lines = str(tmp_path / "found.pth"), []
    torch.save(module.state_dict(), path)
    asked = warm_start.fitted(Settings(weights=path, **settings))
    assert asked.pixels == "torch"
    model = build(**runs.architecture(asked, FACTS))
    warm_start.load(model, asked, FACTS, lines.append)
    assert lines[0].startswith(f"{path}: {told}")
    image = np.random.default_rng(1).integers(0, 256, (1, 65, 97, 3)).astype(np.float32)
    with torch.no_grad():
        expected = module(pixels(image))
    scorer = model.get_layer("scorer")
    ends = keras.Model(scorer.inputs, [scorer.get_layer(name).output for name in expected])
    found = ends(model.get_layer("pixels")(image))
    for (name, there), ours in zip(expected.items(), found, strict=True):
        there = there.permute(0, 2, 3, 1).numpy()
        assert there.std() > 1e-3
        atol = 2e-5 * np.abs(there).max()
        np.testing.assert_allclose(ours, there, rtol=0, atol=atol, err_msg=name)
    for wrong in ("tf", "raw"):
        with pytest.raises(TrainError, match=f"pixels: found {wrong}, but .* trained with torch"):
            warm_start.fitted(dataclasses.replace(asked, pixels=wrong))
    with pytest.raises(TrainError, match=r"pixels: found tf, but .* trained with torch"):
        warm_start.load(model, dataclasses.replace(asked, pixels=None), FACTS, lines.append)


def hub(folder, module, **changed):
    """Write a ResNet and its pyramid as keras-hub does; the pyramid's epsilon is 1e-3 there."""
    h5py = pytest.importorskip("h5py")
    encoder = {
        "block_type": "bottleneck_block",
        "use_pre_activation": False,
        "input_conv_filters": [64],
        "input_conv_kernel_sizes": [7],
        "stackwise_num_filters": [64, 128, 256, 512],
        "stackwise_num_strides": [1, 2, 2, 2],
    } | changed
    encoder = {"class_name": "ResNetBackbone", "config": encoder}
    whole = {"class_name": "DeepLabV3Backbone", "config": {"image_encoder": encoder}}
    (folder / "config.json").write_text(json.dumps(whole))
    pyramid = {"project.0": "conv_projection", "project.1": "bn_projection"}
    pyramid |= {"convs.4.1": "conv_pooling", "convs.4.2": "bn_pooling"}
    pyramid |= {f"convs.{i}.0": f"aspp_conv_{i + 1}" for i in range(4)}
    pyramid |= {f"convs.{i}.1": f"aspp_bn_{i + 1}" for i in range(4)}
    layers = {}
    for name, values in module.state_dict().items():
        module_name, _, last = name.rpartition(".")
        owner, _, rest = module_name.partition(".")
        if owner == "backbone" and rest.startswith("layer"):
            stage, block, part, *shortcut = rest.split(".")
            number = "0" if shortcut else part[-1]
            end = "bn" if part.startswith("bn") or shortcut == ["1"] else "conv"
            layer = f"stack{int(stage[-1]) - 1}_block{block}_{number}_{end}"
        elif owner == "backbone":
            layer = {"conv1": "conv1_conv", "bn1": "conv1_bn"}[rest]
        elif rest.startswith("0."):
            layer = pyramid[rest[2:]]
        else:
            continue
        if last != "num_batches_tracked":
            axes = (2, 3, 1, 0) if values.ndim == 4 else range(values.ndim)
            layers.setdefault(layer, []).append(np.transpose(values.numpy(), axes))
    with h5py.File(folder / "model.weights.h5", "w") as file:
        for number, (layer, arrays) in enumerate(layers.items()):
            group = file.create_group(f"layers/layer_{number}/vars")
            group.attrs["name"] = layer
            for place, array in enumerate(arrays):
                group.create_dataset(str(place), data=array)
    return str(folder)


def test_presets_of_keras_hub_equal_their_origin(tmp_path, plain):
    module = theirs.drawn(theirs.Torchvision(), seed=4)
    for layer in module.classifier[0].modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.eps = 1e-3
            layer.running_var *= 0.01
    path = hub(tmp_path, module)
    model = narrow(decoder=False)
    found = files.load(model, path, Settings(decoder=False, **DENSE))
    assert (len(found.values), found.random) == (295, ("logits",))
    assert_blocks_equal(model, module, (*STAGES, "pyramid"))
    assert files.load(plain, path, Settings(**DENSE)).random == ("decoder", "logits")


def refused(model, state, message, tmp_path, **settings):
    """Assert that a state dict is refused, and that the model stays as it was."""
    path = str(tmp_path / "found.pth")
    torch.save(state, path)
    before = [np.array(variable) for variable in model.variables[:4]]
    with pytest.raises(ModelError, match=message) as caught:
        files.load(model, path, Settings(**{**DENSE, **settings}))
    assert "\n" not in str(caught.value)
    for ours, kept in zip(model.variables[:4], before, strict=True):
        np.testing.assert_array_equal(ours, kept)


def test_what_does_not_fit_is_refused_by_name(tmp_path, plain):
    state = theirs.drawn(theirs.Torchvision()).state_dict()
    few = {name: state[name] for name in list(state)[-3:]}
    refused(plain, few, r"found names such as aux_classifier.*expected those of torchv", tmp_path)
    empty = tmp_path / "empty.safetensors"
    empty.write_bytes((2).to_bytes(8, "little") + b"{}")
    with pytest.raises(ModelError, match=r"empty.safetensors: found no tensor, expected those of"):
        files.load(plain, str(empty), Settings(**DENSE))
    message = "found weights of resnet50_v1_5, expected those of resnet101_v1_5; give --backbone"
    refused(plain, state, message, tmp_path, backbone="resnet101_v1_5")
    more = state | {"backbone.layer1.0.se.weight": torch.zeros(1)}
    refused(plain, more, "found backbone.layer1.0.se.weight, which torchvision's", tmp_path)
    fewer = {name: state[name] for name in state if name != "backbone.layer2.0.bn2.bias"}
    refused(plain, fewer, "found nothing for backbone_layer2_0_bn2/beta", tmp_path)
    bad = state | {"backbone.bn1.bias": torch.full((8,), float("nan"))}
    refused(plain, bad, "backbone.bn1.bias: found NaN or infinite values", tmp_path)
    torch.save(state, tmp_path / "whole.pth")
    whole = bytearray((tmp_path / "whole.pth").read_bytes())
    start = whole.find(state["backbone.layer4.2.conv3.weight"].numpy().tobytes())
    whole[start] ^= 1
    (tmp_path / "whole.pth").write_bytes(whole)
    with pytest.raises(ModelError, match=r"layer4.2.conv3.weight: found damaged values .*CRC"):
        files.load(plain, str(tmp_path / "whole.pth"), Settings(**DENSE))
    small = state | {"classifier.0.project.1.bias": torch.zeros(16)}
    refused(plain, small, r"project.1.bias: found shape \(16,\), expected \(32,\)", tmp_path)
    separable = narrow(separable=True)
    refused(separable, state, "nothing for aspp_1_depthwise.*--no-separable", tmp_path)
    path = str(tmp_path / "found.pth")
    found = files.load(separable, path, Settings(backbone=NAME), "backbone_")
    assert all(name.startswith("backbone_") for name in found.values)
    smp = {f"encoder.{name}": values for name, values in theirs.ResNet().state_dict().items()}
    smp |= {"decoder.aspp.0.convs.0.0.weight": torch.zeros(1)}
    refused(plain, smp, "dilate_first True, found False; give --dilate-first", tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["backbone.low_level_features.0.0.weight", "classifier.a.weight"], "VainF's .* pads"),
        (["backbone.features.0.0.weight", "aspp.aspp1.atrous_conv.weight"], "jfzhang95's"),
        (["features.1.conv.0.0.weight"], "found weights of mobilenet_v2, expected those of resnet"),
        (["layer4.0.conv3.weight", "conv1.weight", "layer3.35.conv1.weight"], "with 36 blocks"),
    ],
)
def test_origins_that_do_not_fit_are_named(names, message, tmp_path, plain):
    state = {f"module.{name}": torch.zeros(1) for name in names}
    refused(plain, state, message, tmp_path)


def test_presets_of_other_models_are_refused(tmp_path, plain):
    path = hub(tmp_path, torch.nn.Module(), use_pre_activation=True)
    with pytest.raises(ModelError, match=r"config.json: found use_pre_activation True, expected"):
        files.load(plain, path, Settings(**DENSE))
    scaled = {"class_name": "C", "config": {"scale": 1 / 127.5, "offset": -1}}
    whole = {"class_name": "P", "config": {"image_converter": scaled}}
    hub(tmp_path, torch.nn.Module())
    (tmp_path / "preprocessor.json").write_text(json.dumps(whole))
    with pytest.raises(ModelError, match=r"preprocessor.json: found pixels with scale 0.0078"):
        files.load(plain, path, Settings(**DENSE))
    (tmp_path / "preprocessor.json").unlink()
    (tmp_path / "model.weights.h5").write_bytes(b"none")
    with pytest.raises(ModelError, match=r"model.weights.h5: found no readable weights of Keras"):
        files.load(plain, path, Settings(**DENSE))
    os.remove(tmp_path / "model.weights.h5")
    with pytest.raises(TrainError, match="found no file, no keras-hub preset, no DeepLab"):
        warm_start.backbone(Settings(weights=path, **DENSE))


def test_rules_lead_to_one_layer_each():
    for origin in origins.ORIGINS:
        assert origin.refused or origin.rules
        assert not (origin.refused and origin.rules)


@pytest.mark.slow
def test_a_model_of_torchvisions_size_equals_it(monkeypatch, tmp_path):
    monkeypatch.setattr(theirs, "DEPTHS", (64, 128, 256, 512))
    monkeypatch.setattr(theirs, "HEAD", 256)
    module = theirs.drawn(theirs.Torchvision())
    path = str(tmp_path / "found.pth")
    torch.save(module.state_dict(), path)
    model = build(classes=3, backbone=NAME, separable=False, auxiliary=True)
    found = files.load(model, path, Settings(backbone=NAME, separable=False))
    assert found.random == ("decoder", "logits")
    assert_blocks_equal(model, module, (*STAGES, "pyramid", "auxiliary"))
