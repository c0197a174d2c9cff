"""The samples of some classes are those whose labels have them, whatever tells it."""

import json
import os
import pathlib
import re
import shutil
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import dsbuild
from dsbuild import images, storage
from dsbuild.build import parts
from dsbuild.build.audit import audit
from dsbuild.build.image_policy import Policy
from dsbuild.build.repair import repair
from dsbuild.errors import PlanError, SampleError, ShardError
from dsbuild.format import example as wire
from dsbuild.format import label_values, manifest, tfrecord
from dsbuild.format.index import index_text
from dsbuild.layouts.classes import Classes
from dsbuild.layouts.pairs import Pairs
from dsbuild.reader import classes, records
from dsbuild.validate.run import validate
from tests.support import fakes
from tests.support.drawn import DRAWN
from tests.support.engines import fine
from tests.support.runs import content, make, requested


@pytest.fixture(autouse=True)
def fresh():
    """Nothing that an earlier test decoded is known."""
    records._index.cache_clear()
    classes._decoded.cache_clear()


def values_of(sample):
    """Return the values of a sample's label, decoded."""
    label = sample.label
    return set() if label is None else set(np.unique(label).tolist())


def keys_with(path, split, wanted):
    """Return the keys of the samples of a split that have a class, by their decoded labels."""
    return [one.key for one in dsbuild.open(path, split) if values_of(one) & set(wanted)]


def keys(samples):
    return [sample.key for sample in samples]


def lists(out):
    return sorted(pathlib.Path(out, "index").glob("*.values"))


# what a build keeps


@pytest.mark.parametrize("given", DRAWN, ids=repr)
def test_lists_are_the_values_of_the_labels(given, tmp_path):
    make(DRAWN[given][0](tmp_path), tmp_path / "out", layout=given, shards=2)
    data = dsbuild.open(str(tmp_path / "out"))
    names = [os.path.basename(path) for path in data.records.paths]
    assert [path.name for path in lists(tmp_path / "out")] == sorted(f"{n}.values" for n in names)
    text = "".join((tmp_path / "out/index" / f"{name}.values").read_text() for name in names)
    assert text == "".join(" ".join(map(str, sorted(values_of(sample)))) + "\n" for sample in data)


def test_values_are_those_of_the_label_that_is_stored(voc, out):
    make(voc, out, splits=("train",), policy=Policy(max_side=9))
    assert lists(out)[0].read_text().splitlines() == [
        " ".join(map(str, np.unique(sample.label))) for sample in dsbuild.open(out)
    ]


@pytest.fixture
def built(voc, out):
    """VOC in three splits, of which one has no labels."""
    for name in ("a", "b"):
        shutil.copy(f"{voc}/JPEGImages/2007_000000.jpg", f"{voc}/JPEGImages/{name}.jpg")
    fakes.write_list(voc, "test", ["a", "b"])
    make(voc, out, splits=("train", "val", "test"), shards=3)
    return out


def test_records_without_label_have_empty_lines(built):
    assert [path.read_bytes() for path in lists(built)[:3]] == [b"\n", b"\n", b""]
    assert not validate(built).problems
    assert len(dsbuild.open(built, "test", classes=range(21))) == 0
    expected = keys_with(built, "test+val", [3])
    assert keys(dsbuild.open(built, "test+val", classes=[3])) == expected


def test_rejects_have_no_line(voc, out):
    Image.fromarray(np.full((9, 9), 3, np.uint8)).save(f"{voc}/SegmentationClass/2007_000004.png")
    make(voc, out, splits=("train",), on_error="skip")
    assert len(lists(out)[0].read_text().splitlines()) == 11
    assert not validate(out).problems
    assert keys(dsbuild.open(out, classes=range(21))) == keys_with(out, None, range(21))


@pytest.mark.parametrize("layout", ["voc", "classes"])
def test_labels_that_are_not_decoded_have_no_list(layout, voc, out, tmp_path):
    if layout == "classes":  # whose labels need no decoding
        made = make(fakes.classes(tmp_path), out, layout=Classes(), verify="header")
    else:
        made = make(voc, out, splits=("train",), verify="header")
    assert len(lists(out)) == (layout == "classes")
    (shard,) = made.manifest["splits"]["train"]["shards"]
    assert ("values" in shard) == (layout == "classes")
    assert not validate(out).problems


def test_no_list_of_an_earlier_build_remains(voc, out, tmp_path):
    asked = {"splits": ("train",), "shards": 2}
    make(voc, out, **asked)
    make(voc, out, verify="header", overwrite=True, **asked)
    make(voc, tmp_path / "fresh", verify="header", **asked)
    assert lists(out) == []
    assert content(out) == content(tmp_path / "fresh")
    make(voc, out, overwrite=True, **asked)
    make(voc, tmp_path / "full", **asked)
    assert content(out) == content(tmp_path / "full")


@pytest.mark.parametrize("verify", ["full", "header"])
def test_parts_leave_the_lists_of_whole_shards(voc, tmp_path, verify):
    asked = {"splits": ("train", "val"), "shards": 1, "verify": verify}
    make(voc, tmp_path / "one", **asked)
    make(voc, tmp_path / "two", engine=fine(2), **asked)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    assert len(lists(tmp_path / "one")) == (2 if verify == "full" else 0)


def test_a_list_of_a_part_that_changed_is_noticed(voc, out):
    request = requested(voc, out, splits=("train",), shards=1)
    (shard,) = audit(request).splits[0].plans()
    for part in parts.divide(shard, 2):
        parts.write_part(part, lambda *_: None, out=out, on_error="stop", compare="stamp")
    home = parts.place(out, shard.name)
    lists(home)[1].write_text("1\n")
    with pytest.raises(ShardError, match="parts changed while they were joined"):
        parts.join(shard, lambda *_: None, out=out, parts=2)


def test_an_interrupted_build_is_finished(voc, out, tmp_path):
    path = pathlib.Path(voc, "JPEGImages/2007_000009.jpg")
    whole = path.read_bytes()
    path.write_bytes(whole[:500])
    with pytest.raises(SampleError):
        make(voc, out, splits=("train",), shards=4)
    assert len(lists(out)) == 3
    path.write_bytes(whole)
    assert make(voc, out, splits=("train",), shards=4).kept == 3
    make(voc, tmp_path / "fresh", splits=("train",), shards=4)
    assert content(out) == content(tmp_path / "fresh")


def make_old(out):
    """Make a folder what it was before lists were kept."""
    for path in lists(out):
        path.unlink()
    for path in pathlib.Path(out, ".dsbuild/receipts").iterdir():
        receipt = json.loads(path.read_text())
        for key in ("values", "digest", "seal"):
            del receipt[key]
        path.write_text(manifest.dump(receipt))
    document = manifest.load(str(out))
    del document["files"], document["digest"]
    for entry in document["splits"].values():
        for one in entry["shards"]:
            for key in ("values", "index", "plan", "receipt"):
                del one[key]
    pathlib.Path(out, manifest.NAME).write_text(manifest.dump(document, 2) + "\n")


def test_a_folder_without_lists_is_valid(voc, built):
    fresh = content(built)
    make_old(built)
    before = content(built)
    assert not validate(built).problems
    summary = make(voc, built, splits=("train", "val", "test"), shards=3)
    assert (summary.written, summary.kept) == (0, 9)
    assert repair(built, voc).written == 0
    after = content(built)  # whose manifest now names digests
    assert {name for name in before if after[name] != before[name]} == {manifest.NAME}
    assert not validate(built).problems
    expected = keys_with(built, None, [0, 5])
    with pytest.warns(UserWarning, match=r"and 7 more: found no list .*--overwrite"):
        assert keys(dsbuild.open(built, classes=[0, 5])) == expected
    os.remove(f"{built}/train-00001-of-00003.tfrecord")
    assert repair(built, voc).written == 1
    assert [path.name for path in lists(built)] == ["train-00001-of-00003.tfrecord.values"]
    assert not validate(built).problems
    with pytest.warns(UserWarning, match=r"and 6 more: found no list"):
        assert keys(dsbuild.open(built, classes=[0, 5])) == expected
    make(voc, built, splits=("train", "val", "test"), shards=3, overwrite=True)
    assert content(built) == fresh


# what is damaged


def unlink(path):
    path.unlink()


def empty(path):
    path.write_bytes(b"")


def stale(path):
    lines = path.read_text().splitlines()
    path.write_text(
        "".join(f"{line} 7\n" if i == 2 else f"{line}\n" for i, line in enumerate(lines))
    )


def blank(path):
    path.write_bytes(path.read_bytes().replace(b" ", b"  ", 1))


def garbage(path):
    path.write_bytes(b"\xff\x00\n" * 9)


DAMAGES = {
    unlink: "this list of label values, but it is missing",
    empty: r"line 1: found nothing, but record 0 of .*train-00001-of-00003.tfrecord has '0 ",
    stale: r"line 3: found '[\d ]* 7', but record 2 of ",
    blank: "line 1: found '",
    garbage: "line 1: found '",
}


@pytest.mark.parametrize("level", ["frames", "records", "pixels"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_list_is_named_ignored_and_repaired(voc, built, damage, level):
    fresh = content(built)
    path = pathlib.Path(built, "index/train-00001-of-00003.tfrecord.values")
    damage(path)
    (problem,) = validate(built, level).problems
    assert (problem.kind, problem.file) == ("presence", str(path))
    said = DAMAGES[damage] if level == "pixels" or damage is unlink else "differs from what was"
    assert re.search(said, problem.text)
    expected = keys_with(built, "train", [7, 9])
    with pytest.warns(UserWarning, match=r"train-00001-of-00003.tfrecord: found no list"):
        assert keys(dsbuild.open(built, "train", classes=[7, 9])) == expected
    summary = repair(built, voc)
    assert (summary.written, summary.kept) == (1, 8)
    assert content(built) == fresh
    assert not validate(built).problems
    assert keys(dsbuild.open(built, "train", classes=[7, 9])) == expected


def test_a_list_that_was_wrong_from_the_start_is_named(voc, out, monkeypatch):
    monkeypatch.setattr(label_values, "line", lambda values: f"{len(values)}\n")
    make(voc, out, splits=("val",))
    monkeypatch.undo()
    assert not validate(out, "records").problems
    (problem,) = validate(out).problems
    assert problem.kind == "presence"
    assert "line 1: found '" in problem.text


def test_a_damaged_label_is_one_problem(voc, built):
    path = pathlib.Path(built, "train-00000-of-00003.tfrecord")
    frames = [record.data for record in tfrecord.read(str(path))]
    values = wire.parse(frames[1])
    label = values["image/segmentation/class/encoded"][0]
    with open(path, "wb") as file:
        writer = tfrecord.Writer(file)
        for data in frames:
            writer.write(data.replace(label, label[:40] + bytes(len(label) - 40)))
    kinds = {problem.kind for problem in validate(built).problems}
    assert kinds == {"label", "changed"}


# what is read


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sets(st.integers(0, 1000), max_size=9), max_size=30), st.data())
def test_a_list_says_what_was_written(rows, data):
    text = "".join(map(label_values.line, rows)).encode()
    found = label_values.parse(text)
    assert len(found) == len(rows)
    assert [
        found.values[a:b].tolist() for a, b in zip(found.starts, found.starts[1:], strict=False)
    ] == [sorted(row) for row in rows]
    wanted = data.draw(st.sets(st.integers(0, 1000), max_size=5))
    wanted |= set(data.draw(st.sets(st.sampled_from(sorted(set().union(*rows)) or [1]))))
    assert found.having(sorted(wanted)).tolist() == [bool(row & wanted) for row in rows]
    assert found.matrix(300).tolist() == [[i in row for i in range(300)] for row in rows]


SPLITS = [None, "train", "val+train[:25%]", "train[:50%]+val", "train[-3:]+train[:2]", "train[2:2]"]


@pytest.mark.parametrize("given", DRAWN, ids=repr)
def test_read_values_are_those_of_the_labels(given, tmp_path):
    out = str(tmp_path / "out")
    make(DRAWN[given][0](tmp_path), out, layout=given, shards=2)
    every = dsbuild.open(out)
    held = set().union(*map(values_of, every))
    names = [name for number, name in enumerate(every.classes) if number in held]
    assert len(names) > 1
    for split in [None, *(f"{name}[:50%]+{other}" for name, other in [sorted(splits(out))[:2]])]:
        for wanted in (names[:1], names[1:2], [names[-1], names[0]]):
            numbers = [every.classes.index(name) for name in wanted]
            expected = keys_with(out, split, numbers)
            assert keys(dsbuild.open(out, split, classes=wanted)) == expected
            assert keys(dsbuild.open(out, split, classes=np.array(numbers))) == expected


def splits(out):
    return manifest.load(out)["splits"]


@pytest.mark.parametrize("split", SPLITS)
def test_splits_come_first(built, split):
    for wanted in ([0], [3], [5, 9, 14], range(1, 21)):
        data = dsbuild.open(built, split, classes=wanted)
        assert keys(data) == keys_with(built, split, wanted)
        assert keys(data[1::2]) == keys(data)[1::2]
        assert sorted(keys(data.epoch(3, window=4))) == sorted(keys(data))


def test_presence_of_every_class(built):
    data = dsbuild.open(built, "val+train[:25%]+test")
    found = data.presence()
    assert (found.shape, found.dtype) == ((11, 21), bool)
    assert found.tolist() == [[i in values_of(one) for i in range(21)] for one in data]
    assert data[2:5].presence().tolist() == found[2:5].tolist()
    assert data[:0].presence().shape == (0, 21)


def test_no_label_is_decoded(built, monkeypatch):
    expected = keys_with(built, None, [4])
    monkeypatch.setattr(images, "plane", None)
    monkeypatch.setattr(tfrecord, "at", None)
    data = dsbuild.open(built, classes=[4])
    monkeypatch.undo()
    assert keys(data) == expected


def test_classes_that_are_none(built):
    for wanted, said in (
        (
            ["persn"],
            r"class 'persn': no such class; did you mean 'person'\?; known are background, ",
        ),
        (["zzz"], "class 'zzz': no such class; known are background"),
        ([255], "class 255: this is the ignore value"),
        ([21], "class 21: no such class, expected 0 to 20"),
        ([-1], "class -1: no such class"),
        ([1.5], "class 1.5: expected a name or an index"),
        ([], "classes: found none"),
    ):
        with pytest.raises(PlanError, match=said):
            dsbuild.open(built, classes=wanted)
    assert keys(dsbuild.open(built, classes="person")) == keys_with(built, None, [15])


def foreign(folder, planes):
    """Write shards as others do, with TensorFlow, without an index; return the folder."""
    import tensorflow as tf

    def bytes_(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    for shard in range(2):
        with tf.io.TFRecordWriter(str(folder / f"train-{shard:05d}-of-00002.tfrecord")) as writer:
            for i, plane in enumerate(planes[shard::2]):
                image = tf.io.encode_jpeg(np.full((6, 8, 3), i, np.uint8)).numpy()
                feature = {
                    "image/encoded": bytes_(image),
                    "image/filename": bytes_(f"{shard}-{i}".encode()),
                }
                if plane is not None:
                    label = tf.io.encode_png(plane[..., None]).numpy()
                    feature["image/segmentation/class/encoded"] = bytes_(label)
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                writer.write(example.SerializeToString())
    return str(folder)


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore:.*frames were walked")
def test_shards_written_by_others(tmp_path):
    rng = np.random.default_rng(1)
    planes = [
        rng.choice([0, 1, 2, 9, 255], (6, 8), p=[0.9, 0.03, 0.03, 0.02, 0.02]) for _ in range(299)
    ]
    planes = [None if i % 7 == 3 else plane.astype(np.uint8) for i, plane in enumerate(planes)]
    out = foreign(tmp_path, planes)
    for split in (None, "train[30:]", "train[:20]"):
        for wanted in ([1], [2, 9], [200]):
            expected = keys_with(out, split, wanted)
            with pytest.warns(UserWarning, match=r"\.tfrecord(?: and 1 more)?: found no list"):
                data = dsbuild.open(out, split, classes=wanted)
            assert keys(data) == expected
    assert classes._decoded.cache_info().misses == 2  # each file once
    with pytest.warns(UserWarning, match="found no list"):
        assert dsbuild.open(out).presence().shape == (299, 256)
    with pytest.raises(PlanError, match="class 'person': there is no manifest with names"):
        dsbuild.open(out, classes=["person"])
    alone = f"{out}/train-00001-of-00002.tfrecord"
    with pytest.warns(UserWarning, match="found no list"):
        assert keys(dsbuild.open(alone, classes=[2])) == keys_with(alone, None, [2])


def test_a_shard_alone_is_known_by_the_manifest_of_its_folder(built):
    alone = f"{built}/train-00001-of-00003.tfrecord"
    assert keys(dsbuild.open(alone, classes=[3, 8])) == keys_with(alone, None, [3, 8])


@pytest.mark.parametrize(
    "path", ["out", "out/", "./out//", "../out", "out/train-00000-of-00003.tfrecord"]
)
def test_a_folder_by_any_path(built, path, monkeypatch):
    (pathlib.Path(built).parent / "x").mkdir()
    monkeypatch.chdir(os.path.dirname(built) + ("/x" if path.startswith("..") else ""))
    assert keys(dsbuild.open(path, classes=range(21))) == keys_with(path, None, range(21))
    monkeypatch.chdir(built)
    name = "val-00000-of-00003.tfrecord"
    assert keys(dsbuild.open(name, classes=[0])) == keys_with(name, None, [0])


def test_lists_are_ignored_without_a_manifest(built):
    os.remove(f"{built}/manifest.json")
    shutil.rmtree(f"{built}/.dsbuild")
    for path in lists(built):
        path.write_text("3\n" * len(path.read_text().splitlines()))
    with pytest.warns(UserWarning, match="found no list"):
        assert keys(dsbuild.open(built, classes=[3])) == keys_with(built, None, [3])


@pytest.mark.parametrize("layout", [None, Classes()])
def test_labels_that_were_not_decoded_are_decoded_once(layout, voc, out, tmp_path):
    root = fakes.classes(tmp_path) if layout else voc
    make(root, out, layout=layout, shards=2, verify="header")
    for path in lists(out):  # of one class each: as if an old version had built them
        path.unlink()
    with pytest.warns(UserWarning, match="without --verify header"):
        data = dsbuild.open(out, classes=[1, 2])
    assert keys(data) == keys_with(out, None, [1, 2])


def test_a_file_that_changed_is_decoded_again(built, monkeypatch):
    make_old(built)
    path = f"{built}/val-00000-of-00003.tfrecord"
    with pytest.warns(UserWarning, match="found no list"):
        before = dsbuild.open(path).having([0])
    assert len(before) == 2
    frames = [record.data for record in tfrecord.read(path)]
    with open(path, "wb") as file:
        writer = tfrecord.Writer(file)
        for data in frames:
            values = wire.parse(data)
            values.pop("image/segmentation/class/encoded")
            values.pop("image/segmentation/class/format")
            writer.write(wire.serialize(values))
    pathlib.Path(manifest.index_path(built, os.path.basename(path))).write_text(
        index_text(writer.index)
    )
    with pytest.warns(UserWarning, match="found no list"):
        assert len(dsbuild.open(path).having([0])) == 0


def test_a_label_that_cannot_be_decoded_is_named(built):
    make_old(built)
    path = f"{built}/val-00001-of-00003.tfrecord"
    frames = [record.data for record in tfrecord.read(path)]
    with open(path, "wb") as file:
        writer = tfrecord.Writer(file)
        for data in frames:
            values = wire.parse(data)
            values["image/segmentation/class/encoded"] = [b"no image"]
            writer.write(wire.serialize(values))
    pathlib.Path(manifest.index_path(built, os.path.basename(path))).write_text(
        index_text(writer.index)
    )
    with (
        pytest.warns(UserWarning, match="found no list"),
        pytest.raises(ShardError, match=rf"{path}: record 0 at byte 0: label: .*found"),
    ):
        dsbuild.open(built, "val", classes=[3])


def test_a_file_of_other_records_than_the_manifest_says(built):
    make_old(built)
    name = "val-00002-of-00003.tfrecord"
    shutil.copy(f"{built}/train-00000-of-00003.tfrecord", f"{built}/{name}")
    with (
        pytest.warns(UserWarning, match="found no list"),
        pytest.raises(ShardError, match=f"{name}: found 4 records, expected 2"),
    ):
        dsbuild.open(built, "val", classes=[3])
    os.remove(f"{built}/{name}")
    with (
        pytest.warns(UserWarning, match="found no list"),
        pytest.raises(ShardError, match=f"{name}: there is no such file"),
    ):
        dsbuild.open(built, "val", classes=[3])


# on a store


def test_on_a_store(voc, tmp_path):
    url = f"memory://presence-{time.time_ns()}/out"
    make(voc, url, shards=3)
    make(voc, tmp_path / "out", shards=3)
    expected = keys_with(str(tmp_path / "out"), "train[:50%]+val", [3, 5])
    assert keys(dsbuild.open(url, "train[:50%]+val", classes=[3, 5])) == expected
    storage.write(f"{url}/index/val-00000-of-00003.tfrecord.values", b"7\n7\n")
    (problem,) = validate(url).problems
    assert problem.kind == "presence"
    assert repair(url, voc).written == 1
    assert not validate(url).problems


def test_what_lies_beside_a_shard_is_written_side_by_side(voc, monkeypatch):
    met = threading.Barrier(2, timeout=20)
    plain = storage.write

    def write(path, data):
        if "/index/" in path:
            met.wait()  # would break where one were written after the other
        plain(path, data)

    monkeypatch.setattr(storage, "write", write)
    make(voc, f"memory://beside-{time.time_ns()}/out", splits=("val",))


# real data


@pytest.mark.shared
def test_real_persons(shared, out):
    root = shared / "voc/VOCdevkit/VOC2012"
    make(root, out, splits=("train", "val"), shards=4)
    for split in ("train", "val"):
        listed = (root / f"ImageSets/Segmentation/{split}.txt").read_text().split()
        planes = {
            key: np.asarray(Image.open(root / f"SegmentationClass/{key}.png")) for key in listed
        }
        persons = [key for key, plane in planes.items() if (plane == 15).any()]
        assert keys(dsbuild.open(out, split, classes=["person"])) == persons != []
        either = [key for key, plane in planes.items() if np.isin(plane, [8, 12]).any()]
        assert keys(dsbuild.open(out, split, classes=["cat", "dog"])) == either != []


@pytest.mark.shared
@pytest.mark.filterwarnings("ignore:.*frames were walked")
def test_real_shards_that_others_wrote(shared):
    path = str(shared / "tfrecords/takayu99_voc/tfrecord")
    for wanted, count in ((1, 10), (15, 0)):  # all their labels have the classes 0 and 1
        with pytest.warns(UserWarning, match="found no list"):
            found = keys(dsbuild.open(path, classes=[wanted]))
        assert found == keys_with(path, None, [wanted])
        assert len(found) == count


def test_a_binary_label(tmp_path):
    root = fakes.pairs(tmp_path)
    make(root, tmp_path / "out", layout=Pairs(binary=2), shards=2)
    out = str(tmp_path / "out")
    assert keys(dsbuild.open(out, classes=[1])) == keys_with(out, None, [1])


def test_classes_below_zero_and_large_ones_are_no_others():
    found = label_values.parse(b"-1 2\n\n4611686018427387904\n255\n")
    assert found.having([255]).tolist() == [False, False, False, True]
    assert found.having([-1]).tolist() == [True, False, False, False]
    assert found.matrix(300)[0].nonzero()[0].tolist() == [2]
    assert found.matrix(300).sum() == 2


@pytest.mark.parametrize("text", [b"1 2", b"a\n", b"1.5\n", b"\xff\n", b"1\x002\n", b"1,2\n"])
def test_an_invalid_list_is_named(text):
    with pytest.raises(ShardError, match="found no list of label values"):
        label_values.parse(text)
