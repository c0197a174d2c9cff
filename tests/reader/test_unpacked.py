"""Compressed files are read from anywhere, in any process, and leave nothing behind."""

import gzip
import multiprocessing
import os
import pathlib
import pickle
import zlib

import pytest

import dsbuild
from dsbuild import storage
from dsbuild.errors import ShardError, StorageError
from dsbuild.reader import records, unpacked
from tests.support.runs import make

pytestmark = pytest.mark.filterwarnings("ignore:.*found (compressed|no) ")


@pytest.fixture
def folders(voc, out, tmp_path):
    """A folder of plain shards, and one with gzip, zlib and a plain one, both without manifest."""
    make(voc, out, splits=("train",), shards=3)
    plain, mixed = tmp_path / "plain", tmp_path / "mixed"
    pack = iter((gzip.compress, bytes, zlib.compress))
    for folder in (plain, mixed):
        folder.mkdir()
    for shard in sorted(pathlib.Path(out).glob("train-*")):
        data = shard.read_bytes()
        (plain / shard.name).write_bytes(data)
        packed = next(pack)(data)
        (mixed / f"{shard.name}{'' if packed == data else '.gz'}").write_bytes(packed)
    return str(plain), str(mixed)


def seen(samples):
    return [(sample.key, sample.image.tobytes(), sample.label.tobytes()) for sample in samples]


def seen_there(data):
    """Tell a parent process what is read here."""
    return seen(data), len(unpacked._copies)


def test_every_order_and_process_reads_the_same(folders, tmp_path, monkeypatch):
    plain, mixed = (dsbuild.open(folder, "train") for folder in folders)
    assert seen(mixed) == seen(plain)
    assert seen(mixed.epoch(seed=1, threads=2)) == seen(plain.epoch(seed=1, threads=2))
    assert seen(mixed.having([15])) == seen(plain.having([15]))
    assert seen(pickle.loads(pickle.dumps(mixed))) == seen(plain)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(seen_there, (mixed,))[0] == seen(plain)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(seen_there, (mixed,)) == (seen(plain), 2)


def test_a_forked_process_decompresses_into_a_file_of_its_own(folders):
    first = dsbuild.open(folders[1], "train[:1]")
    before = seen(first)
    place = pathlib.Path(folders[1], "more.tfrecord")
    shard = pathlib.Path(folders[0], os.listdir(folders[0])[0])
    place.write_bytes(gzip.compress(shard.read_bytes()))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map(_opened, [str(place)] * 2)
    assert found == [_opened(str(place))] * 2
    assert seen(first) == before


def _opened(path):
    return seen(dsbuild.open(path))


def test_on_a_store(folders):
    url = "memory://unpacked/out"
    for name in os.listdir(folders[1]):
        storage.write(f"{url}/{name}", pathlib.Path(folders[1], name).read_bytes())
    far, plain = dsbuild.open(url), dsbuild.open(folders[0])
    assert seen(far.epoch(seed=1)) == seen(plain.epoch(seed=1))


def test_it_is_said_and_nothing_is_left(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(unpacked, "_file", None)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    records._index.cache_clear()
    with pytest.warns(match="mixed: found compressed files; .* temporary file"):
        dsbuild.open(folders[1], "train")
    assert os.listdir(tmp_path / "temporary") == []


def test_a_full_disk_is_named(folders, monkeypatch):
    monkeypatch.setattr(unpacked, "_LEFT", 1 << 60)
    with pytest.raises(StorageError, match=r"the file is compressed, and .* no room"):
        dsbuild.open(folders[1], "train")


def test_damage_is_named_and_a_new_file_is_read(folders):
    name = next(name for name in os.listdir(folders[1]) if name.endswith(".gz"))
    place = pathlib.Path(folders[1], name)
    whole = place.read_bytes()
    place.write_bytes(whole[:-4])
    with pytest.raises(ShardError, match=f"{name}: record .* data is cut"):
        dsbuild.open(folders[1])
    place.write_bytes(whole)
    os.utime(place, ns=(1, 1))
    assert sorted(seen(dsbuild.open(folders[1]))) == sorted(seen(dsbuild.open(folders[0])))
