"""Panoptic maps as readers give them: NumPy, TensorFlow and PyTorch agree, and crops fit."""

import shutil

import numpy as np
import pytest

import dsbuild
from dsbuild.errors import PlanError
from dsbuild.format.folder import Folder
from dsbuild.layouts.coco import Coco
from tests.support import fakes, panoptic
from tests.support.runs import make


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("panoptic")
    root = panoptic.tree(folder / "d")
    make(root, folder / "out", layout=Coco(target="panoptic"))
    return str(folder / "out")


def test_a_sample_has_classes_and_instances(built):
    found = panoptic.maps(built)
    data = dsbuild.open(built, "train")
    for sample in data:
        plane = found[sample.key]
        assert sample.panoptic.dtype == np.int32
        assert np.array_equal(sample.panoptic, plane)
        assert np.array_equal(sample.label, plane // 256)
        assert sample.label.dtype == np.uint8
        assert sample.label_divisor == 256
        instances = sample.instances()
        values = sorted({*plane.ravel().tolist()})
        assert [(one.label, one.number) for one in instances] == [
            divmod(value, 256) for value in values if value % 256
        ]
        for one in instances:
            assert np.array_equal(one.mask, plane == one.label * 256 + one.number)
            assert one.name == ("void", "cat", "dog", "sky")[one.label]
    assert "panoptic" in list(data[0])
    assert len(data.having(["sky"])) == 3
    assert data._repr_html_()


@pytest.mark.filterwarnings("ignore:.*found no index of a file")
def test_a_single_file_says_what_it_holds(built, tmp_path):
    path = Folder.of(built).files[0]
    alone = shutil.copy(path, tmp_path / "x.tfrecord")
    for file in (path, str(alone)):
        sample = dsbuild.open(file)[0]
        assert np.array_equal(sample.panoptic, panoptic.maps(built)[sample.key])
        assert sample.instances()[0].number == 1


def test_kept_samples_have_the_map(built, tmp_path):
    for _ in range(2):
        data = dsbuild.open(built, "train", cache="decoded", cache_folder=tmp_path)
        for sample in data:
            assert np.array_equal(sample.panoptic, panoptic.maps(built)[sample.key])
            assert len(sample.instances())


def test_other_labels_have_no_instances(tmp_path, out):
    make(fakes.voc(tmp_path), out)
    sample = dsbuild.open(out, "train")[0]
    assert "panoptic" not in sample
    with pytest.raises(PlanError, match="found no panoptic label, expected one"):
        sample.instances()


def test_tensorflow_gives_the_same(built, tmp_path):
    pytest.importorskip("tensorflow")
    found = panoptic.maps(built)
    for how in ({}, {"cache": "decoded", "cache_folder": tmp_path}, {"cache": True}):
        for sample in dsbuild.tf_dataset(built, "train", **how).as_numpy_iterator():
            plane = found[sample["key"].decode()]
            assert sample["panoptic"].dtype == np.int32
            assert np.array_equal(sample["panoptic"][..., 0], plane)
            assert np.array_equal(sample["label"][..., 0], plane // 256)
            assert sample["label_divisor"] == 256
    pair = next(iter(dsbuild.tf_dataset(built, "train", as_supervised=True)))
    assert len(pair) == 2


@pytest.mark.parametrize(
    "crop", [(5, 7), *(pytest.param(one, marks=pytest.mark.slow) for one in ((40, 50), None))]
)
def test_a_map_is_augmented_with_its_image(built, crop):
    pytest.importorskip("tensorflow")
    # Over the numbers of records, and over decoded samples: both decode for themselves.
    settings = dsbuild.Augmentation(crop=crop, ignore=0, scales=(0.5, 2.0))
    data = dsbuild.tf_dataset(built, "train")
    ways = [dsbuild.augmented(one, settings, seed=3) for one in (data, data.take(3))]
    for one, other in zip(*(way.as_numpy_iterator() for way in ways), strict=True):
        assert np.array_equal(one["panoptic"], other["panoptic"])
        assert np.array_equal(one["panoptic"] // 256, one["label"])
        if crop:
            assert one["panoptic"].shape == (*crop, 1)


def test_padding_is_void(built):
    pytest.importorskip("tensorflow")
    settings = dsbuild.Augmentation(crop=(60, 60), ignore=255, scales=(1.0, 1.0), flip=0)
    data = dsbuild.augmented(dsbuild.tf_dataset(built, "train"), settings, seed=1)
    for sample in data.as_numpy_iterator():
        assert sample["panoptic"][-1, -1, 0] == 255 * 256
        assert sample["label"][-1, -1, 0] == 255
    bare = dsbuild.tf_dataset(built, "train").map(
        lambda sample: {name: sample[name] for name in ("image", "panoptic")}
    )
    with pytest.raises(PlanError, match="found panoptic without label_divisor"):
        dsbuild.augmented(bare, settings, seed=1)


def test_pytorch_gives_the_same(built):
    torch = pytest.importorskip("torch")
    from dsbuild.reader.torch.dataset import pad

    found = panoptic.maps(built)
    data = dsbuild.torch_dataset(built, "train")
    for one in data:
        assert one["panoptic"].dtype == torch.int32
        assert np.array_equal(one["panoptic"].numpy(), found[one["key"]])
    batch = pad([data[0], data[2]], ignore=255)
    assert batch["panoptic"][1, -1, -1] == 255 * 256 or batch["panoptic"][0, -1, -1] == 255 * 256
    with pytest.raises(PlanError, match="panoptic maps without label_divisor"):
        pad([{"panoptic": one["panoptic"]} for one in (data[0], data[2])])
    flipped = dsbuild.torch_dataset(
        built, "train", transforms=lambda *parts: tuple(part.flip(-1) for part in parts)
    )[0]
    assert np.array_equal(flipped["panoptic"].numpy(), found[flipped["key"]][:, ::-1])
    assert len(dsbuild.torch_dataset(built, "train", as_supervised=True)[0]) == 2
