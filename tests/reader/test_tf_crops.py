"""Samples of which only the crop is decoded: the same pixels as from whole images."""

import io
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import dsbuild
from dsbuild.reader.tf import crops
from dsbuild.reader.tf.augmentation import Augmentation
from tests.support import fakes
from tests.support.runs import make

SMALL = Augmentation(crop=(33, 25))
WIDE = Augmentation(crop=(9, 21), scales=(1, 4), scale_step=0)


def photo(height, width, **saved):
    rng = np.random.default_rng(height * width)
    small = rng.integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    image.save(out, **saved)
    return out.getvalue()


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A folder of JPEGs in all codings and PNGs, of several sizes, with labels."""
    root = tmp_path_factory.mktemp("mixed")
    forms = [
        *({"format": "JPEG", "subsampling": i, "progressive": p} for i in range(3) for p in (0, 1)),
        {"format": "JPEG", "subsampling": 2, "restart_marker_blocks": 3},
        {"format": "PNG"},
    ]
    rng = np.random.default_rng(0)
    for folder in ("images", "labels"):
        (root / folder / "train").mkdir(parents=True)
    for i, form in enumerate(forms):
        height, width = 61 + 10 * i, 97 - 7 * i
        name = f"{i}.{'jpg' if form['format'] == 'JPEG' else 'png'}"
        (root / "images" / "train" / name).write_bytes(photo(height, width, **form))
        label = Image.fromarray(rng.integers(0, 3, (height, width), np.uint8))
        label.save(root / "labels" / "train" / f"{i}.png")
    (root / "classes.txt").write_text("a\nb\nc\n")
    out = str(tmp_path_factory.mktemp("out") / "records")
    dsbuild.build("pairs", str(root), out, classes=str(root / "classes.txt"), extra="laplacian")
    return out


def whole(data):
    """Return the same dataset, of which nobody knows where it is from."""
    return data.map(lambda *sample: sample[0] if len(sample) == 1 else sample)


def same(data, settings, start=0):
    assert crops.origin(data) is not None
    assert crops.origin(whole(data)) is None
    found = dsbuild.augmented(data, settings, 5, start=start)
    expected = dsbuild.augmented(whole(data), settings, 5, start=start)
    assert found.element_spec == expected.element_spec
    assert found.cardinality() == expected.cardinality()
    for one, other in zip(found.take(60), expected.take(60), strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("settings", [SMALL, pytest.param(WIDE, marks=pytest.mark.slow)])
def test_crops_are_those_of_whole_images(mixed, settings):
    same(dsbuild.tf_dataset(mixed, seed=3, repeat=8), settings, start=7)


def test_pairs_and_other_labels(voc, out, mixed):
    same(dsbuild.tf_dataset(mixed, as_supervised=True), SMALL)
    fakes.write_list(voc, "test", ["a"])
    photos = pathlib.Path(voc, "JPEGImages")
    shutil.copy(photos / "2007_000000.jpg", photos / "a.jpg")
    make(voc, out, splits=("test",))
    same(dsbuild.tf_dataset(out), SMALL)


def test_what_needs_whole_images_has_them(mixed, tmp_path):
    for asked in ({"extras": ["canny"]}, {"cache": True}, {"cache": tmp_path / "cache"}):
        assert crops.origin(dsbuild.tf_dataset(mixed, **asked)) is None
    data = dsbuild.tf_dataset(mixed)
    assert crops.origin(data.shuffle(3)) is None
    scaled = Augmentation(crop=None, scales=(0.5, 0.5), flip=0)
    for one in dsbuild.augmented(data, scaled, 1).take(1):
        assert one["image"].shape[0] == 30


def test_checks_see_the_labels_and_keep_the_origin(mixed):
    def check(sample):
        with tf.control_dependencies([tf.debugging.Assert(sample["key"] != "4", ["four"])]):
            return {**sample, "label": tf.identity(sample["label"])}

    data = crops.checked(dsbuild.tf_dataset(mixed), check)
    assert crops.origin(data) is not None
    with pytest.raises(tf.errors.InvalidArgumentError, match="four"):
        list(dsbuild.augmented(data, SMALL, 1))
