import functools
import json
import multiprocessing
import os
import pathlib
import pickle
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from PIL import Image

import dsbuild
from dsbuild import images, storage
from dsbuild.build.image_policy import Policy
from dsbuild.errors import DsbuildError, PlanError, ShardError
from dsbuild.format import manifest
from dsbuild.layouts.classes import Classes
from dsbuild.reader import records
from tests.support.runs import make


@pytest.fixture
def built(voc, out):
    make(voc, out, splits=("train", "val"), shards=3, extras=("laplacian",))
    return out


def listed(voc, split):
    with open(os.path.join(voc, "ImageSets", "Segmentation", f"{split}.txt")) as file:
        return file.read().split()


def keys(samples):
    return [sample.key for sample in samples]


def test_samples_are_those_of_the_sources(voc, built):
    data = dsbuild.open(built, "train")
    assert keys(data) == listed(voc, "train")
    assert (data.classes[15], data.ignore) == ("person", 255)
    assert data.palette[15] == (192, 128, 128)
    for sample in data:
        photo = Image.open(os.path.join(voc, "JPEGImages", f"{sample.key}.jpg"))
        mask = Image.open(os.path.join(voc, "SegmentationClass", f"{sample.key}.png"))
        np.testing.assert_array_equal(sample.image, np.asarray(photo.convert("RGB")))
        np.testing.assert_array_equal(sample.label, np.asarray(mask))
        assert (sample.image.dtype, sample.label.dtype) == (np.uint8, np.uint8)
        assert (sample.width, sample.height) == photo.size
        with open(photo.filename, "rb") as file:
            assert sample.encoded == file.read()


@pytest.mark.parametrize("form", ["int64", "png16", "raw16"])
def test_extras_are_the_same_in_every_form(voc, tmp_path, built, form):
    out = str(tmp_path / form)
    make(voc, out, splits=("train",), extras=(f"laplacian:{form}", "edges"))
    for one, other in zip(dsbuild.open(out), dsbuild.open(built, "train"), strict=True):
        assert one.laplacian.dtype == np.int16
        assert one.laplacian.shape == one.label.shape
        np.testing.assert_array_equal(one.laplacian, other.laplacian)
        assert set(np.unique(one.edges)) <= {0, 1, 255}
    with pytest.raises(AttributeError, match="no 'sobel'; it has key, image, label"):
        _ = one.sobel


def test_numbers_slices_and_splits(voc, built):
    train, val = listed(voc, "train"), listed(voc, "val")
    data = dsbuild.open(built)
    assert keys(data) == train + val
    assert data[-1].key == val[-1]
    assert keys(data[3:9:2]) == (train + val)[3:9:2]
    assert keys(data[2:][1:3]) == (train + val)[3:5]
    assert keys(dsbuild.open(built, "val+train[:25%]")) == val + train[:3]
    assert keys(dsbuild.open(built, "train[9:]+train[:2]")) == train[9:] + train[:2]
    assert len(dsbuild.open(built, "train[4:4]")) == 0
    with pytest.raises(IndexError):
        data[18]
    for trained, held in dsbuild.kfold(built, 4):
        mine = keys(dsbuild.open(built, held))
        assert sorted(keys(dsbuild.open(built, trained)) + mine) == sorted(train)


def test_wrong_names_are_errors(built, tmp_path):
    with pytest.raises(PlanError, match="no split 'test', there are train, val"):
        dsbuild.open(built, "test")
    with pytest.raises(ShardError, match="no such file or folder"):
        dsbuild.open(str(tmp_path / "nothing"))
    with pytest.raises(PlanError, match="check 'all'"):
        dsbuild.open(built, check="all")
    with pytest.raises(AttributeError, match="no attribute 'opened'"):
        _ = dsbuild.opened


def test_an_unfinished_folder_is_refused(built):
    os.remove(os.path.join(built, manifest.NAME))
    with pytest.raises(ShardError, match="unfinished"):
        dsbuild.open(built)


def test_classes_of_images(tmp_path):
    for name, count in (("cat", 2), ("dog", 3)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (8 + i, 9)).save(tmp_path / "data" / name / f"{i}.png")
    make(str(tmp_path / "data"), str(tmp_path / "out"), layout=Classes())
    data = dsbuild.open(str(tmp_path / "out"))
    assert [sample.label for sample in data] == [0, 0, 1, 1, 1]
    assert data.classes == ("cat", "dog")
    assert data[4].image.shape == (9, 10, 3)


def without_manifest(built, tmp_path, *, index):
    """Return a folder as others write it."""
    other = tmp_path / "other"
    other.mkdir()
    for path in pathlib.Path(built).glob("*.tfrecord"):
        shutil.copy(path, other)
    if index:
        shutil.copytree(os.path.join(built, "index"), other / "index")
    records._index.cache_clear()
    return str(other)


def test_shards_written_by_others(voc, built, tmp_path):
    other = without_manifest(built, tmp_path, index=False)
    with pytest.warns(UserWarning, match="frames were walked"):
        data = dsbuild.open(other, "val")
    assert keys(data) == listed(voc, "val")
    assert data.classes == ()
    np.testing.assert_array_equal(data[0].image, dsbuild.open(built, "val")[0].image)
    alone = os.path.join(other, "val-00001-of-00003.tfrecord")
    assert keys(dsbuild.open(alone)) == listed(voc, "val")[2:4]
    assert len(dsbuild.open(without_manifest(built, tmp_path / "b", index=True))) == 18


@pytest.fixture(autouse=True)
def fresh_indexes(tmp_path):
    (tmp_path / "b").mkdir(exist_ok=True)
    records._index.cache_clear()


@pytest.mark.parametrize("text", ["", "0 10\n", "junk", "0 5\n3 2\n1 1\n"])
def test_a_stale_index_is_rebuilt(voc, built, text):
    path = os.path.join(built, "index", "val-00000-of-00003.tfrecord.idx")
    with open(path, "w") as file:
        file.write(text)
    with pytest.warns(UserWarning, match="frames were walked"):
        assert keys(dsbuild.open(built, "val")) == listed(voc, "val")


def damage(built, at):
    path = os.path.join(built, "val-00001-of-00003.tfrecord")
    offset, stamp = int(records.index(path)[1, 0]), storage.stamp(path)
    with open(path, "r+b") as file:
        file.seek(offset + at)
        byte = file.read(1)
        file.seek(offset + at)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(stamp.mtime_ns, stamp.mtime_ns))  # as a bad disk leaves it
    return path, offset


@pytest.mark.parametrize("at", [0, 9, 12, 500, -3])
def test_a_flipped_bit_is_named_with_file_and_record(voc, built, at):
    size = records.index(os.path.join(built, "val-00001-of-00003.tfrecord"))[1, 1]
    path, offset = damage(built, at % int(size))
    data = dsbuild.open(built, "val")
    with pytest.raises(ShardError, match=rf"{path}: record 1 at byte {offset}: "):
        _ = data[3].key
    assert keys([data[2], data[4]]) == [listed(voc, "val")[2], listed(voc, "val")[4]]
    trusting = dsbuild.open(built, "val", check="none")
    assert len(trusting[3]._stored.record.data) == size - 16


@pytest.mark.parametrize("check", ["crc", "none"])
def test_a_rebuilt_folder_is_read_by_its_new_index(voc, out, check):
    def build(**asked):
        make(voc, out, shards=1, splits=("train",), overwrite=True, **asked)
        data = dsbuild.open(out, "train", check)
        return data, [max(sample.image.shape) for sample in data]

    before, sides = build(limit=5)
    assert sides == [60] * 5
    _, sides = build(limit=5, policy=Policy(max_side=30))
    assert sides == [30] * 5
    _, sides = build(limit=9)
    assert sides == [60] * 9
    copy = pickle.loads(pickle.dumps(before))
    records._index.cache_clear()
    for left in (before, copy):  # and one that was left open tells, and never ends early
        with pytest.raises(ShardError, match="found 9 records, expected 5; open it again"):
            list(left)


def test_a_shard_that_was_cut_is_named(built):
    path = os.path.join(built, "val-00001-of-00003.tfrecord")
    data = dsbuild.open(built, "val")
    _ = data[3].key
    os.truncate(path, os.path.getsize(path) - 20)
    with pytest.raises(ShardError, match=f"{path}: record 1 at byte"):
        _ = data[3].key
    os.remove(path)
    with pytest.raises(DsbuildError, match=f"{path}: there is no such file"):
        _ = data[3].key


def test_undecodable_pixels_are_named(voc, out):
    make(voc, out, splits=("val",))
    data = dsbuild.open(out)
    sample = data[1]
    sample._stored.features["image/encoded"] = [sample.encoded[:300]]
    with pytest.raises(ShardError, match=r"record 1 at byte \d+: image of '2007_\d+'.*truncated"):
        _ = sample.image


def one(job):
    data, number = job
    return data[number].key


def test_readers_can_be_pickled_and_shared(voc, built):
    data = dsbuild.open(built, "train")
    assert len(pickle.dumps(data)) < 10_000
    with ProcessPoolExecutor(2) as pool:
        assert list(pool.map(one, [(data, i) for i in range(12)])) == listed(voc, "train")
    found = {}

    def read(share):
        found[share] = [data[i].image.sum() for i in range(12)]

    threads = [threading.Thread(target=read, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len({tuple(sums) for sums in found.values()}) == 1


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("split", ["train", "train[2:9]+val", "val+train"])
def test_an_epoch_in_shares_has_each_sample_once(built, split, count):
    data = dsbuild.open(built, split)
    shares = [data.epoch(5, 1, index=i, count=count, window=4) for i in range(count)]
    assert sum(map(len, shares)) == len(data)
    assert sorted(key for share in shares for key in keys(share)) == sorted(keys(data))


def test_an_epoch_is_shuffled_by_its_seed(built):
    data = dsbuild.open(built, "train")
    assert keys(data.epoch()) == keys(data)
    assert keys(data.epoch(1)) == keys(data.epoch(1)) != keys(data.epoch(2))
    assert keys(data.epoch(1)) != keys(data.epoch(1, 1))


@pytest.mark.parametrize("left", [0, 1, 5, 11, 12])
def test_an_epoch_resumes_where_it_stopped(built, left):
    data = dsbuild.open(built, "train")
    whole = keys(data.epoch(7, 3))
    begun = data.epoch(7, 3)
    first = [next(begun).key for _ in range(left)]
    state = json.loads(json.dumps(begun.state_dict()))
    again = dsbuild.open(built, "train").epoch()
    again.load_state_dict(state)
    assert first + keys(again) == whole
    with pytest.raises(ShardError, match="12 samples, expected one over 6"):
        dsbuild.open(built, "val").epoch().load_state_dict(state)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("left", [0, 3, 12])
def test_threads_change_nothing(built, threads, left):
    data = dsbuild.open(built, "train", extras=["laplacian"])
    ahead = data.epoch(7, threads=threads)
    first = keys(next(ahead) for _ in range(left))
    state = ahead.state_dict()
    assert state["next"] == left
    rest = data.epoch(0, threads=threads)
    rest.load_state_dict(state)
    expected = list(data.epoch(7))
    assert first == keys(expected[:left])
    for one, other in zip(rest, expected[left:], strict=True):
        assert one.key == other.key
        for name in ("image", "label", "laplacian"):
            np.testing.assert_array_equal(one._made[name], getattr(other, name))


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("forked", [False, True])
def test_an_epoch_resumes_in_another_process(built, threads, forked):
    data = dsbuild.open(built, "train")
    epoch = data.epoch(7, threads=threads)
    begun = [next(epoch).key for _ in range(4)]
    ours, theirs = multiprocessing.get_context("fork").Pipe()
    there = epoch if forked else pickle.loads(pickle.dumps(epoch))
    send = functools.partial(_send_keys, theirs, there)
    child = multiprocessing.get_context("fork").Process(target=send)
    child.start()
    assert ours.poll(30), "the child waits for threads of its parent"
    assert begun + ours.recv() == keys(data.epoch(7))
    assert begun + keys(epoch) == keys(data.epoch(7))
    child.join(30)
    assert child.exitcode == 0


def _send_keys(pipe, samples):
    pipe.send(keys(samples))


def test_threads_decode_side_by_side(built, monkeypatch):
    barrier, plain = threading.Barrier(2), images.decode

    def together(data, head):
        barrier.wait(30)
        return plain(data, head)

    monkeypatch.setattr(images, "decode", together)
    assert len(list(dsbuild.open(built, "train").epoch(threads=2))) == 12


def test_an_epoch_continues_after_a_damaged_record(voc, built):
    damage(built, 500)
    for threads in (0, 2):
        epoch, found = dsbuild.open(built, "val").epoch(threads=threads), []
        for number in range(6):
            if number == 3:
                with pytest.raises(ShardError, match="record 1 at byte"):
                    _ = next(epoch).key
            else:
                found.append(next(epoch).key)
        assert found == [key for i, key in enumerate(listed(voc, "val")) if i != 3]
        assert len(list(epoch)) == 0


def test_missing_extras_are_computed(voc, built, tmp_path):
    make(voc, str(tmp_path / "plain"), splits=("val",))
    make(voc, str(tmp_path / "more"), splits=("val",), extras=("edges:width=2", "canny"))
    asked = ["laplacian", "edges:width=2", "canny"]
    plain = dsbuild.open(str(tmp_path / "plain"), extras=asked)
    stored = dsbuild.open(str(tmp_path / "more"))
    for one, two, three in zip(plain, stored, dsbuild.open(built, "val"), strict=True):
        np.testing.assert_array_equal(one.laplacian, three.laplacian)
        np.testing.assert_array_equal(one.edges, two.edges)
        np.testing.assert_array_equal(one.canny, two.canny)
    with pytest.raises(AttributeError, match="trimap is computed from the alpha, which is missing"):
        _ = dsbuild.open(built, extras=["trimap"])[0].trimap
    with pytest.raises(PlanError, match="no such extra"):
        dsbuild.open(built, extras=["laplace"])


def test_grain_takes_a_reader(built):
    grain = pytest.importorskip("grain.python")
    data = dsbuild.open(built, "train")
    sampler = grain.IndexSampler(len(data), grain.NoSharding(), shuffle=True, num_epochs=1, seed=1)
    loader = grain.DataLoader(data_source=data, sampler=sampler)
    assert sorted(keys(loader)) == sorted(keys(data))


IMPORTS = """
import sys, threading
import dsbuild

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "cv2":
            threads.add(threading.current_thread().name)

threads = set()
sys.meta_path.insert(0, Watch())
next(dsbuild.open(sys.argv[1]).epoch(threads=2))
print(*threads)
"""


def test_no_thread_of_an_epoch_imports_opencv(built):
    command = [sys.executable, "-c", IMPORTS, built]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    # A fork in the middle of the import would leave the new process waiting for it.
    assert done.stdout.split() == ["MainThread"]
