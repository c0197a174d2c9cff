"""Predictions of tiles are put together to whole images."""

import os

import numpy as np
import pytest
from PIL import Image

import dsbuild
from dsbuild.build.image_policy import Policy
from dsbuild.errors import TrainError
from dsbuild.format import tiles
from dsbuild.train import runs
from dsbuild.train.predict import run as predict
from dsbuild.train.predict import stitched
from dsbuild.train.predict.predictor import Predictor
from dsbuild.train.predict.run import Wanted
from tests.support import fakes
from tests.support.runs import make


@pytest.fixture(scope="module")
def predictor(voc_run, eager):
    return Predictor(runs.load(voc_run[1]))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Drawn photos as tiles, and their folder."""
    folder = tmp_path_factory.mktemp("tiles")
    root = fakes.voc(folder, train=2, val=2)
    make(root, folder / "data", policy=Policy(tile=33, tile_overlap=8))
    return str(folder / "data"), root


def test_each_pixel_is_that_of_the_tile_with_the_nearer_centre(predictor, data, out):
    folder, _ = data
    wanted = Wanted(out=out, overlay=True, probabilities=True, batch=3)
    found = predict.predict_split(predictor, folder, "val", wanted)
    keys = [os.path.basename(one["classes"]).removesuffix(".png") for one in found["made"]]
    assert (keys, found["failed"]) == (["2007_000002", "2007_000003"], [])
    for key in keys:
        mine = [one for one in dsbuild.open(folder, "val") if one.source_key == key]
        size = mine[0].source_height, mine[0].source_width
        best, nearest = np.zeros(size, np.uint8), np.full(size, np.inf)
        rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
        doubt = np.zeros(size, bool)
        for one in mine:
            classes = np.zeros(size, np.uint8)
            place = tiles.Tile(one.tile_y, one.tile_x, one.height, one.width).place
            classes[place] = predictor.classes(one.image)
            # By rows and by columns apart, as tiles lie in a grid.
            away = np.maximum(abs(rows - one.tile_y - 16.5), abs(columns - one.tile_x - 16.5))
            inside = np.zeros(size, bool)
            inside[place] = True
            doubt |= inside & (away == nearest)
            nearer = inside & (away < nearest)
            best[nearer], nearest[nearer] = classes[nearer], away[nearer]
        with Image.open(os.path.join(out, f"{key}.png")) as image:
            plane = np.asarray(image)
        assert plane.shape == size
        assert (plane == best)[~doubt].mean() > 0.97
        with np.load(os.path.join(out, f"{key}.npz")) as kept:
            np.testing.assert_array_equal(predictor.decided(kept["probabilities"]), plane)


def test_images_are_those_of_the_source(predictor, data):
    folder, root = data
    samples = dsbuild.open(folder, "val")
    for source in stitched.find(samples, folder, "val"):
        image, plane, shares = stitched.predicted(predictor, source, Wanted(out="x", batch=2))
        key = source.path.rpartition(" ")[2]
        with Image.open(os.path.join(root, "JPEGImages", f"{key}.jpg")) as photo:
            np.testing.assert_array_equal(image, np.asarray(photo))
        assert (plane.shape, shares) == (image.shape[:2], None)
        small = Wanted(out="x", resize=17)
        assert stitched.predicted(predictor, source, small)[1].shape == image.shape[:2]


def test_more_than_256_classes_keep_their_numbers(data, monkeypatch):
    folder, _ = data
    samples = dsbuild.open(folder, "val")
    source, *_ = stitched.find(samples, folder, "val")

    def looked(predictor, stack, probabilities):
        return np.full(stack.shape[:3], 299, np.uint16), [None] * len(stack)

    monkeypatch.setattr(stitched, "looked", looked)
    _, plane, _ = stitched.predicted(None, source, Wanted(out="x"))
    assert (plane.dtype, set(plane.flat)) == (np.uint16, {299})


def test_a_part_without_whole_images_is_refused(predictor, data, out):
    with pytest.raises(TrainError, match=r"found 3 of the tiles of '2007_000002' in 'val\[:3\]'"):
        predict.predict_split(predictor, data[0], "val[:3]", Wanted(out=out))
    wanted = Wanted(out=out, probabilities=True, resize=20)
    with pytest.raises(TrainError, match="leave out --resize or --probabilities"):
        predict.predict_split(predictor, data[0], "val", wanted)
    assert not os.path.exists(out)


def test_models_of_whole_images_see_each_tile(data):
    assert len(dsbuild.open(data[0], "val")) == 12
    from dsbuild.train.predict import records

    assert len(records.find(data[0], "val")) == 12
    assert len(records.find(data[0], "val", whole=True)) == 2
