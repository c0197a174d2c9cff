"""A sharp edge stays where it is, at any size, in a network whose features are pixels."""

import keras
import numpy as np
import pytest
from keras import layers

from dsbuild.train import model, runs
from dsbuild.train.dataset import Facts
from dsbuild.train.model import backbones
from dsbuild.train.predict import logits
from dsbuild.train.settings import Settings

QUICK = (65, 66, 80, 96, 97, 100, 127, 128, 129, 300)
ALL = range(65, 301)


CELLS = "convnext_tiny"


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


def cells():
    """Return a backbone whose features are means of cells without overlap."""
    image = x = keras.Input((None, None, 3))
    for stride, window in ((4, 4), (8, 2), (16, 2), (32, 2)):
        x = layers.Conv2D(3, window, window, use_bias=False, name=f"take{stride}")(x)
    return keras.Model(image, x, name="cells")


def pixels():
    """Return a backbone whose features are every stride-th pixel."""
    image = x = keras.Input((None, None, 3))
    for stride in (2, 4, 8, 16, 32):
        x = layers.Conv2D(3, 1, 2, use_bias=False, name=f"take{stride}")(x)
    return keras.Model(image, x, name="pixels")


def seeing(monkeypatch, name="tiny", **settings):
    """Return the model of a run that classifies single pixels, or cells, as dark or light: 0, 1."""
    build = cells if name == CELLS else pixels
    known = backbones.Backbone(build, "take4", "take32", depth=3, published=False)
    monkeypatch.setitem(backbones.BACKBONES, name, known)
    asked = Settings(backbone=name, crop=97, separable=False, rates=(), **settings)
    facts = Facts("segmentation", ("dark", "light"), 255, {}, "")
    network = model.build(**runs.architecture(asked, facts))
    for variable in network.variables:
        if variable.path.endswith("kernel"):
            variable.assign(np.zeros(variable.shape))
    kernels = {one.path.split("/")[0]: one for one in network.variables if "kernel" in one.path}

    def through(name, source, sign=1.0):
        """Make a layer's first two channels the positive and the negative part of an input."""
        kernel = np.zeros(kernels[name].shape, np.float32)
        middle = kernel.shape[0] // 2
        for channel, factor in source.items():
            kernel[middle, middle, channel[0], channel[1]] = sign * factor
        kernels[name].assign(kernel)

    for name in kernels:
        if name.startswith("backbone_"):
            through(name, {(0, 0): 1.0})
            kernels[name].assign(_mean(kernels[name]))
    through("aspp_0", {(0, 0): 1.0, (0, 1): -1.0})
    # After the pooled features; ReLU needs two channels for the two signs.
    through("aspp_projection", {(3, 0): 1.0, (4, 1): 1.0})
    for name in ("decoder_0", "decoder_1"):
        if name in kernels:
            through(name, {(0, 0): 1.0, (1, 1): 1.0})
    through("logits", {(0, 1): 1.0, (1, 0): 1.0})
    return runs.Trained(network, asked, facts, 1)


def _mean(kernel):
    """Return a kernel whose only value is spread over its window."""
    whole = np.array(kernel)
    return np.broadcast_to(whole.mean((0, 1)), whole.shape)


def spans(trained):
    """Return a model from images to logits that is not compiled for each size."""
    entry = keras.Input((None, None, 3))
    return keras.Model(entry, logits.logits(trained, [entry]))


def error(network, size, axis, places):
    """Return how far edges are predicted from their positions, for images of one size."""
    image = np.full((len(places), 1, size, 3), 60.0, np.float32)
    for number, place in enumerate(places):
        image[number, :, place:] = 195.0  # as far above the mean as the dark side is below
    if axis == 0:
        image = image.transpose(0, 2, 1, 3)
    found = np.asarray(network(image, training=False))
    assert found.shape[:3] == image.shape[:3]
    differences = (found[..., 1] - found[..., 0]).reshape(len(places), size)
    errors = []
    for place, difference in zip(places, differences, strict=True):
        (turns,) = np.nonzero(np.diff(difference > 0))
        assert len(turns) == 1, f"{size}: found {len(turns)} edges"
        at = turns[0]
        # The difference is 0 between the centres of two pixels.
        crossing = at + difference[at] / (difference[at] - difference[at + 1])
        errors.append(abs(crossing - (place - 0.5)))
    return max(errors)


def shifts(trained, sizes, row, how):
    """Yield each size, and by how many pixels a ramp of this width is seen beside its place."""
    entry = keras.Input((None, None, 3))
    network = keras.Model(entry, logits.logits(trained, [entry], **how))
    for size in sizes:
        ramp = np.linspace(0, 255, size, dtype=np.float32)
        image = np.broadcast_to(ramp[:, None], (1, 131, size, 3))
        found = np.asarray(network(image, training=False))[0, row]
        light = (found[:, 1] - found[:, 0] + 1) * 127.5
        yield size, (light - ramp) * (size - 1) / 255


def stay(monkeypatch, sizes, **settings):
    """Assert that edges near both ends and in the middle are predicted where they are."""
    trained = seeing(monkeypatch, **settings)
    network, stride = spans(trained), trained.settings.output_stride
    for size in sizes:
        # Half-way between two features, as no finer position can be known.
        cells = (0, size // stride // 2, (size - 1) // stride - 1)
        places = [cell * stride + stride // 2 + 1 for cell in cells]
        for axis in (0, 1):
            assert error(network, size, axis, places) <= 0.501, (size, axis)


@pytest.mark.parametrize(
    ("align_corners", "decoder"),
    [(True, True), (False, False), slow(True, False), slow(False, True)],
)
def test_a_sharp_edge_stays_where_it_is(monkeypatch, align_corners, decoder):
    stay(monkeypatch, (65, 66, 96, 100, 128, 299), align_corners=align_corners, decoder=decoder)


@pytest.mark.slow
@pytest.mark.parametrize("decoder", [True, False])
@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_a_sharp_edge_stays_where_it_is_at_any_size(
    monkeypatch, output_stride, align_corners, decoder
):
    stay(
        monkeypatch,
        range(65, 301),
        output_stride=output_stride,
        align_corners=align_corners,
        decoder=decoder,
    )


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(
    ("settings", "how"),
    [
        ({}, {"scale": 0.5}),
        slow({}, {"scale": 1.3}),
        slow({}, {"mirrored": True}),
        ({"pyramid": (0.5, 1.5), "merge": "mean"}, {"scale": 0.75, "mirrored": True}),
        ({"resize": (97, 193, 4)}, {"scale": 0.75}),
    ],
    ids=str,
)
def test_no_scale_shifts_anything(monkeypatch, align_corners, settings, how):
    trained = seeing(monkeypatch, align_corners=align_corners, decoder=False, **settings)
    for size, shift in shifts(trained, (161, 170), 64, how):
        assert np.abs(shift[48:-48]).max() < 0.5, size


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(
    ("settings", "how"),
    [
        slow({}, {}),
        ({"output_stride": 8}, {"mirrored": True}),
        slow({"decoder": False}, {}),
        ({"decoder": False, "output_stride": 8}, {"scale": 1.3}),
        slow({"decoder": False, "output_stride": 32}, {}),
        ({"pyramid": (1, 1.5), "merge": "mean"}, {"scale": 0.75, "mirrored": True}),
        ({"resize": (199, 401, 4)}, {"scale": 0.75}),
    ],
    ids=str,
)
def test_means_of_cells_lie_in_their_middles(monkeypatch, align_corners, settings, how):
    """The mean of a ramp over a cell is its value in the middle, so a ramp stays as it is."""
    trained = seeing(monkeypatch, CELLS, align_corners=align_corners, **settings)
    for size, shift in shifts(trained, (256, 275), 50, how):
        # Near the edges there are no features, and on the right there is padding.
        assert np.abs(shift[64:-96]).max() < 0.02, size


@pytest.mark.parametrize("size", [1, 20, 33])
def test_an_image_smaller_than_a_cell_is_padded(monkeypatch, size):
    trained = seeing(monkeypatch, CELLS, output_stride=8)
    entry = keras.Input((None, None, 3))
    for scale in (1.0, 0.25):
        network = keras.Model(entry, logits.logits(trained, [entry], scale))
        assert network(np.zeros((1, size, 5, 3), np.float32)).shape == (1, size, 5, 2)


@pytest.mark.parametrize(
    ("crop", "stride", "expected"),
    [(96, 16, 97), (97, 16, 97), (512, 8, 513), (1, 16, 1), (2, 8, 9)],
)
def test_crops_have_features_on_their_first_and_last_pixel(crop, stride, expected):
    assert Settings(crop=crop, output_stride=stride).aligned == expected
