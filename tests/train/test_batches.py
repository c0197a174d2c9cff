"""Batches of a training: seeded, from any step, with all that augmentation can do."""

import numpy as np
import pytest

from dsbuild.errors import TrainError
from dsbuild.train import dataset
from dsbuild.train.fit import batches
from dsbuild.train.settings import Settings

ASKED = {"backbone": "tiny", "crop": 33, "batch": 4, "val": "", "seed": 3}
MORE = {"rotation": 20.0, "blur": 1.5, "cat_max_ratio": 0.75, "copy_paste": 1.0}


def taken(path, asked, start, count):
    data = batches.batches(path, asked, dataset.of(path), start).take(count)
    return [(image, label) for image, label in data.as_numpy_iterator()]


@pytest.fixture(scope="module")
def whole(shapes):
    """Four batches from the first step on, with all that there is."""
    return taken(shapes, Settings(**ASKED, **MORE), 0, 4)


def test_batches_are_the_same_from_any_step(shapes, whole):
    again = taken(shapes, Settings(**ASKED, **MORE), 2, 2)
    for (image, label), (same, too) in zip(whole[2:], again, strict=True):
        np.testing.assert_array_equal(image, same)
        np.testing.assert_array_equal(label, too)
    assert {image.shape for image, _ in whole} == {(4, 33, 33, 3)}
    assert {label.dtype.name for _, label in whole} == {"uint8"}


@pytest.mark.parametrize(
    ("name", "off"),
    [
        ("copy_paste", 0.0),
        pytest.param("rotation", 0.0, marks=pytest.mark.slow),
        pytest.param("blur", 0.0, marks=pytest.mark.slow),
        pytest.param("cat_max_ratio", 1.0, marks=pytest.mark.slow),
    ],
)
def test_every_setting_changes_batches(shapes, whole, name, off):
    other = taken(shapes, Settings(**ASKED, **MORE | {name: off}), 0, 2)
    assert any((a[0] != b[0]).any() for a, b in zip(whole, other, strict=False))


def test_options_that_need_labels_of_pixels_are_refused_for_classes(class_data):
    for name in ("cat_max_ratio", "copy_paste"):
        with pytest.raises(TrainError, match=f"{name}: found 0.5, expected"):
            batches.augmentation(Settings(**ASKED, **{name: 0.5}), dataset.of(class_data))
    with pytest.raises(TrainError, match=r"copy_paste: found 0\.5, expected 0 in batches of 1"):
        Settings(batch=1, copy_paste=0.5)
