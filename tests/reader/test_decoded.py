"""Samples from the cache of decoded pixels: always those that decoding gives."""

import multiprocessing
import os
import pathlib
import pickle
import shutil
import warnings

import numpy as np
import pytest

import dsbuild
from dsbuild.errors import PlanError, ShardError
from dsbuild.reader import decoded
from dsbuild.reader.pixel_file import PixelFile
from tests.support import fakes
from tests.support.runs import make

KEPT = {"cache": "decoded"}
ASKED = ("laplacian", "canny:low=50")


@pytest.fixture
def built(voc, out):
    make(voc, out, splits=("train", "val"), shards=3, extras=("laplacian",))
    return str(out)


@pytest.fixture(autouse=True)
def fresh():
    decoded._stopped.clear()
    decoded._checked.cache_clear()


def kept_file(out):
    folder = os.path.join(out, ".dsbuild", "decoded")
    (name,) = (one for one in os.listdir(folder) if one.endswith(".pixels"))
    return os.path.join(folder, name)


def same(one, other, names=("image", "label", "laplacian", "canny")):
    assert one.key == other.key
    for name in names:
        np.testing.assert_array_equal(one[name], other[name])
        assert one[name].dtype == other[name].dtype
    assert (one.height, one.width) == (other.height, other.width) == one.image.shape[:2]
    assert list(one) == list(other)
    assert one.encoded == other.encoded


def test_kept_samples_are_the_decoded_ones(built):
    plain = dsbuild.open(built, extras=ASKED)
    for _ in range(3):
        for one, other in zip(dsbuild.open(built, extras=ASKED, **KEPT), plain, strict=True):
            same(one, other)
    part = dsbuild.open(built, "train[3:7]+val[:2]", classes=["person"], extras=ASKED, **KEPT)
    for one in pickle.loads(pickle.dumps(part)):
        (other,) = (sample for sample in plain if sample.key == one.key)
        same(one, other)


def test_the_second_epoch_decodes_nothing_and_reads_no_record(built, monkeypatch):
    data = dsbuild.open(built, "train", extras=ASKED, **KEPT)
    expected = [sample.load() for sample in data.epoch(seed=1)]
    monkeypatch.setattr("dsbuild.images.decode", None)
    monkeypatch.setattr("dsbuild.format.tfrecord.one", None)
    for threads in (0, 2):
        for one, other in zip(data.epoch(seed=1, threads=threads), expected, strict=True):
            np.testing.assert_array_equal(one.load().image, other.image)
            assert one.key == other.key
            assert one.pair()[3].shape == one.label.shape


def test_changing_an_array_changes_nothing_that_is_kept(built):
    data = dsbuild.open(built, "train", **KEPT)
    expected = data[0].image.copy()
    for _ in range(3):
        image = data[0].image
        np.testing.assert_array_equal(image, expected)
        image[:] = 7


def test_samples_without_labels_and_of_classes(voc, out, tmp_path):
    fakes.write_list(voc, "test", ["a"])
    photos = pathlib.Path(voc, "JPEGImages")
    shutil.copy(photos / "2007_000000.jpg", photos / "a.jpg")
    make(voc, out, splits=("test",))
    for _ in range(2):
        (sample,) = dsbuild.open(out, **KEPT)
        assert sample.label is None
        assert "label" not in sample
    with pytest.raises(PlanError, match="no label"):
        sample.pair()


def test_every_damage_is_decoded_again(built):
    plain, data = dsbuild.open(built), dsbuild.open(built, **KEPT)
    [sample.load() for sample in data]
    path = kept_file(built)
    with open(path, "rb") as file:
        whole = file.read()
    rng = np.random.default_rng(0)
    for number in range(12):
        at = int(rng.integers(64, len(whole))) if number else 64 + 3 * 16 + 8
        with open(path, "r+b") as file:
            file.seek(at)
            file.write(bytes([whole[at] ^ 0x55]))
        for one, other in zip(data, plain, strict=True):
            same(one, other, ("image", "label"))
    for size in (0, 40, 70, len(whole) // 2, len(whole) - 1):
        with open(path, "wb") as file:
            file.write(whole[:size])
        for one, other in zip(dsbuild.open(built, **KEPT), plain, strict=True):
            same(one, other, ("image", "label"))
    for one, other in zip(data, plain, strict=True):
        os.path.exists(path) and os.remove(path)
        same(one, other, ("image", "label"))


def test_entries_of_other_samples_are_refused(tmp_path):
    file = PixelFile(str(tmp_path / "a" / "x.pixels"), bytes(32), 1, 4)
    file.ensure()
    file.write(2, {"image": np.arange(6, dtype=np.int16).reshape(2, 3), "key": "b\udc80"}, 1 << 20)
    found = file.read(2)
    assert found["key"] == "b\udc80"
    assert found["image"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["image"].ctypes.data % 64 == 0
    with open(file.path, "r+b") as raw:
        places = 64 + 16
        raw.seek(places + 2 * 24)
        place = raw.read(24)
        raw.seek(places + 24)
        raw.write(place)
    assert file.read(1) is None
    assert file.read(0) is None
    assert file.read(2) is not None


def test_a_rebuilt_folder_has_a_new_file(voc, out):
    make(voc, out, splits=("val",))
    [sample.load() for sample in dsbuild.open(out, **KEPT)]
    before = kept_file(out)
    make(voc, out, splits=("val",), shards=2, overwrite=True)
    data = dsbuild.open(out, **KEPT)
    for one, other in zip(data, dsbuild.open(out), strict=True):
        same(one, other, ("image", "label"))
    assert kept_file(out) != before


@pytest.mark.parametrize("first", [False, True])
def test_a_shard_that_is_not_the_manifests_is_refused(built, first):
    """A shard of another build of the same size: only its sha256 tells."""
    data = dsbuild.open(built, "train", **KEPT)
    if not first:
        [sample.load() for sample in data]
    path = data.records.paths[0]
    with open(path, "r+b") as file:
        file.seek(40)
        byte = file.read(1)
        file.seek(40)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(1, 1))
    for _ in range(2):
        with pytest.raises(ShardError, match="not the one in the manifest"):
            dsbuild.open(built, "train", **KEPT)[0]
    with open(path, "ab") as file:
        file.write(b"x")
    with pytest.raises(ShardError, match="as in the manifest"):
        dsbuild.open(built, "train", **KEPT)


def test_a_full_cache_reads_on_with_one_warning(built):
    plain = dsbuild.open(built)
    dsbuild.open(built, **KEPT)
    most = os.path.getsize(kept_file(built)) + 60_000
    data = dsbuild.open(built, **KEPT, cache_size=most)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for one, other in zip([*data, *data], [*plain, *plain], strict=True):
            same(one, other, ("image", "label"))
    assert [str(one.message).partition(": ")[2] for one in said] == [
        "the cache is full; samples that are not in it are decoded each time"
    ]
    assert most - 20_000 < os.path.getsize(kept_file(built)) <= most


def test_no_room_on_the_disk_is_a_full_cache(built, monkeypatch):
    def short(handle, data, start):
        if len(data) < 1000:
            return pwrite(handle, data, start)
        pwrite(handle, data[:100], start)
        raise OSError(28, "No space left on device")

    pwrite = os.pwrite

    data = dsbuild.open(built, **KEPT)
    size = os.path.getsize(kept_file(built))
    monkeypatch.setattr(os, "pwrite", short)
    with pytest.warns(UserWarning, match="No space left on device"):
        assert data[0].image.shape
    assert os.path.getsize(kept_file(built)) == size
    decoded._stopped.clear()
    monkeypatch.setattr(decoded, "_LEFT", 1 << 60)
    with pytest.warns(UserWarning, match="is full"):
        assert data[0].image.shape


def fill(out, seed):
    for sample in dsbuild.open(out, **KEPT).epoch(seed):
        sample.load()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_fill_one_file(built, method):
    context = multiprocessing.get_context(method)
    workers = [context.Process(target=fill, args=(built, seed)) for seed in range(3)]
    [one.start() for one in workers]
    [one.join(120) for one in workers]
    assert [one.exitcode for one in workers] == [0, 0, 0]
    data = dsbuild.open(built, **KEPT)
    places = [data.records.place(pick) for pick in data.picks]
    assert all(data.decoded.get(*place) for place in places)
    for one, other in zip(data, dsbuild.open(built), strict=True):
        same(one, other, ("image", "label"))


def test_a_named_folder_and_wrong_options(built, tmp_path):
    where = tmp_path / "kept"
    data = dsbuild.open(built, **KEPT, cache_folder=where)
    assert data[0].image.shape
    assert not os.path.exists(os.path.join(built, ".dsbuild", "decoded"))
    assert len(list(where.rglob("*.pixels"))) == 1
    copy = tmp_path / "copy"
    shutil.copytree(built, copy)
    dsbuild.open(copy, **KEPT, cache_folder=where)
    assert len(list(where.rglob("*.pixels"))) == 2
    for asked, expected in [
        ({"cache": "files"}, "expected 'decoded'"),
        ({"cache_size": 5}, "cache_size: expected only with cache='decoded'"),
        ({"cache_folder": where}, "cache_folder: expected only with"),
        ({**KEPT, "cache_size": 0}, "1 byte or more"),
        ({**KEPT, "cache_folder": "s3://bucket/x"}, "expected a local folder"),
        ({**KEPT, "cache_folder": "/dev/null/x"}, "cannot be written.*name a folder"),
    ]:
        with pytest.raises(PlanError, match=expected):
            dsbuild.open(built, **asked)
    shutil.rmtree(copy / ".dsbuild")
    os.remove(copy / "manifest.json")
    with pytest.raises(PlanError, match="found no manifest"):
        dsbuild.open(copy, **KEPT)


def test_the_other_commands_do_not_mind(voc, built):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = dsbuild.validate(built)
        [sample.load() for sample in dsbuild.open(built, **KEPT)]
        assert dsbuild.validate(built) == before
        make(voc, built, splits=("train", "val"), shards=3, extras=("laplacian",))
    assert os.path.exists(kept_file(built))


@pytest.mark.heavy
def test_every_room_reads_one_file(built):
    asked = {"extras": ["laplacian"], "as_supervised": True}
    plain = dsbuild.open(built, **asked)
    for _ in range(2):
        rooms = (
            dsbuild.tf_dataset(built, **asked, **KEPT),
            dsbuild.torch_dataset(built, **asked, **KEPT),
            dsbuild.open(built, **asked, **KEPT),
            plain,
        )
        for one, two, three, other in zip(*rooms, strict=True):
            for i, plane in enumerate(other):
                np.testing.assert_array_equal(one[i].numpy().reshape(plane.shape), plane)
                axes = (1, 2, 0) if two[i].ndim == 3 else (0, 1)
                there = two[i].permute(*axes).numpy()
                np.testing.assert_array_equal(there.reshape(plane.shape), plane)
                np.testing.assert_array_equal(three[i], plane)
    assert kept_file(built)


@pytest.mark.heavy
def test_tensorflow_gets_the_samples_that_it_decodes(built):
    import tensorflow as tf

    asked = {"extras": ["canny:low=50"], "seed": 3, "repeat": 3, "start": 5, "index": 1, "count": 2}
    found = dsbuild.tf_dataset(built, **asked, **KEPT)
    expected = dsbuild.tf_dataset(built, **asked)
    assert found.element_spec == expected.element_spec
    for one, other in zip(found, expected, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)
    path = dsbuild.open(built).records.paths[0]
    os.utime(path, ns=(1, 1))
    with open(path, "r+b") as file:
        file.seek(40)
        file.write(b"????")
    with pytest.raises(tf.errors.InvalidArgumentError, match="not the one in the manifest"):
        list(found)
