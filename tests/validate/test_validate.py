"""Every damage is found and located; nothing is found where nothing is wrong."""

import collections
import json
import os
import pathlib
import random
import shutil
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dsbuild import images
from dsbuild.build.image_policy import Policy
from dsbuild.build.repair import repair
from dsbuild.engines import Local
from dsbuild.errors import DsbuildError, PlanError, ShardError
from dsbuild.format import example, manifest, tfrecord
from dsbuild.validate.run import validate
from tests.support import fakes
from tests.support.damage import blank, cut, cut_out, flip, insert
from tests.support.drawn import DRAWN
from tests.support.pictures import save
from tests.support.runs import make

PIXEL = images.encode(np.ones((1, 1), np.uint8))
EXTRAS = ("laplacian:raw16", "edges", "distance", "weights")


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """Return a folder of five shards, and their records: name -> [(offset, size)]."""
    folder = tmp_path_factory.mktemp("clean")
    root = fakes.voc(folder, train=14, val=5, width=30, height=22)
    out = folder / "out"
    make(root, out, shards=2, splits=("train", "val"), extras=EXTRAS)
    return out


def frames(path):
    return [(r.offset, len(r.data) + 16) for r in tfrecord.read(str(path))]


def kinds(found):
    return collections.Counter(problem.kind for problem in found.problems)


@pytest.mark.parametrize("level", ["frames", "records", "pixels"])
@pytest.mark.parametrize("given", DRAWN, ids=repr)
def test_a_fresh_build_has_no_problems(given, level, tmp_path):
    root = DRAWN[given][0](tmp_path)
    make(root, tmp_path / "out", layout=given, shards=2)
    found = validate(str(tmp_path / "out"), level)
    assert not found.problems
    assert found.records == sum(
        split["records"] for split in manifest.load(str(tmp_path / "out"))["splits"].values()
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_extras_and_policies_have_no_problems(clean, voc, out, workers):
    assert not validate(str(clean), engine=Local(workers)).problems
    make(voc, out, policy=Policy(max_side=30), extras=EXTRAS)
    assert not validate(out).problems
    assert not validate(out, "source", voc).problems


@pytest.mark.parametrize("known", [True, False], ids=["manifest", "no manifest"])
@pytest.mark.parametrize("damage", [flip, cut, cut_out, insert, blank])
def test_damaged_bytes_are_located(clean, tmp_path, damage, known):
    """1,500 seeded damages: each is found in its file, at its record."""
    rng = random.Random(damage.__name__)
    out = tmp_path / "out"
    shutil.copytree(clean, out)
    if not known:
        os.remove(out / "manifest.json")
    shards = sorted(out.glob("*.tfrecord"))
    for _ in range(300):
        path = rng.choice(shards)
        whole = path.read_bytes()
        places = frames(path)
        data = bytearray(whole)
        at = damage(data, rng)
        path.write_bytes(data)
        found = validate(str(out), "frames")
        path.write_bytes(whole)
        mine = [p for p in found.problems if p.file == str(path)]
        number = next(i for i, (offset, size) in enumerate(places) if at < offset + size)
        records = {problem.record for problem in mine}
        if damage in (cut, cut_out) and at == places[number][0]:
            # Whole records are gone, which only the manifest can tell.
            assert not known or mine
        else:
            assert number in records
        others = [p for p in found.problems if p.file != str(path) and p.kind != "unfinished"]
        assert not others


def rewritten(path, order):
    """Write a shard's records anew in another order, with right checksums."""
    records = [record.data for record in tfrecord.read(str(path))]
    with open(path, "wb") as file:
        writer = tfrecord.Writer(file)
        for data in order(records):
            writer.write(data)


def test_moved_records_are_located(clean, tmp_path):
    """500 seeded swaps, deletions and duplications of whole records, all checksums right."""
    rng = random.Random(7)
    out = tmp_path / "out"
    shutil.copytree(clean, out)
    shards = sorted(out.glob("train-*.tfrecord"))
    for turn in range(500):
        path = rng.choice(shards)
        whole = path.read_bytes()
        count = len(frames(path))
        i, j = sorted(rng.sample(range(count), 2))

        def order(records, turn=turn, i=i, j=j):
            match turn % 3:
                case 0:
                    records[i], records[j] = records[j], records[i]
                case 1:
                    del records[i]
                case 2:
                    records.insert(j, records[i])
            return records

        rewritten(path, order)
        found = validate(str(out), "records")
        path.write_bytes(whole)
        mine = [p for p in found.problems if p.file == str(path)]
        assert {"changed"} <= {p.kind for p in mine}
        places = {p.record for p in mine if p.kind == "order"}
        expected = {0: {i, j}, 1: {i}, 2: {j}}[turn % 3]
        if turn % 3 != 1 or i < count - 1:
            assert expected <= places
        assert ("count" in {p.kind for p in mine}) == (turn % 3 != 0)
        if turn % 3 == 2:
            assert [p.record for p in mine if p.kind == "duplicate-key"] == [j]
        assert not [p for p in found.problems if p.file != str(path) and p.kind != "index"]


def damaged(clean, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(clean, out)
    return out, sorted(out.glob("train-*.tfrecord"))


def test_changed_files_are_found(clean, tmp_path):
    out, (first, second) = damaged(clean, tmp_path)
    first.rename(out / "a")
    second.rename(first)
    (out / "a").rename(second)
    found = validate(str(out))
    assert kinds(found)["changed"] == 2
    second.unlink()
    assert kinds(validate(str(out)))["missing"] == 1
    first.rename(out / "train-00007-of-00009.tfrecord")
    found = [p for p in validate(str(out)).problems if p.kind in ("missing", "extra")]
    assert [p.kind for p in found] == ["missing", "missing", "extra"]
    assert "train-00007-of-00009.tfrecord has its bytes: rename it" in found[1].text
    assert "its bytes are those of train-00001-of-00002.tfrecord" in found[2].text


def test_a_shard_twice(clean, tmp_path):
    out, (first, _) = damaged(clean, tmp_path)
    shutil.copy(first, out / "train-00002-of-00003.tfrecord")
    found = validate(str(out))
    assert kinds(found) == {"extra": 1, "duplicate-key": 7, "index": 1}


def test_indexes_are_held_against_shards(clean, tmp_path):
    out, (first, _) = damaged(clean, tmp_path)
    path = out / "index" / f"{first.name}.idx"
    for text in ("", "0 5\n", "x", path.read_text() + "9 9\n"):
        path.write_text(text)
        (problem,) = validate(str(out), "frames").problems
        assert (problem.kind, problem.file) == ("index", str(path))


def test_an_unfinished_build(clean, tmp_path):
    out, _ = damaged(clean, tmp_path)
    os.remove(out / "manifest.json")
    assert kinds(validate(str(out))) == {"unfinished": 1}
    (out / "manifest.json").write_text("{")
    (problem,) = [p for p in validate(str(out)).problems if p.kind == "changed"]
    assert problem.file == str(out / "manifest.json")


@pytest.mark.parametrize(
    "name", ["schema.json", "dataset_info.json", "features.json", "croissant.json"]
)
def test_files_beside_the_shards(clean, tmp_path, name):
    out, _ = damaged(clean, tmp_path)
    whole = (out / name).read_bytes()
    (out / name).write_bytes(whole.replace(b"a", b"b", 1))
    assert str(out / name) in {p.file for p in validate(str(out), "frames").problems}
    os.remove(out / name)
    (problem,) = validate(str(out), "frames").problems
    assert (problem.kind, problem.file) == ("changed", str(out / name))
    repair(str(out), str(clean.parent))
    assert (out / name).read_bytes() == whole
    assert not validate(str(out)).problems


def test_a_damaged_schema(clean, tmp_path):
    out, _ = damaged(clean, tmp_path)
    for text in ("{", "{}", "[]"):
        (out / "schema.json").write_text(text)
        found = validate(str(out))
        assert any(p.file == str(out / "schema.json") for p in found.problems), text


# one record


def alone(tmp_path, clean, **changes):
    """Return the problems of a file of one record, some of its features changed."""
    (record, *_) = tfrecord.read(str(clean / "train-00000-of-00002.tfrecord"))
    values = example.parse(record.data)
    values = {k: v if isinstance(v, np.ndarray) else list(v) for k, v in values.items()}
    for name, value in changes.items():
        key = {
            "image": "image/encoded",
            "label": "image/segmentation/class/encoded",
            "format": "image/format",
            "height": "image/height",
            "edges": "image/segmentation/edges/encoded",
            "laplacian": "image/gradient/encoded",
            "other": "image/other",
        }[name]
        values.pop(key, None)
        if value is not None:
            values[key] = value
    out = tmp_path / "one"
    shutil.copytree(clean, out, dirs_exist_ok=True)
    with open(out / "train-00000-of-00002.tfrecord", "wb") as file:
        tfrecord.Writer(file).write(example.serialize(values))
    found = validate(str(out))
    return {p.kind: p.text for p in found.problems if p.record == 0}


PHOTO = fakes.photo(np.random.default_rng(0), 30, 22)
PLANE = np.zeros((22, 30), np.uint8)


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"image": None}, "feature", "feature 'image/encoded' is missing"),
        ({"image": 5}, "feature", "found int64, expected bytes"),
        ({"image": [b"a", b"b"]}, "feature", "found 2 values, expected one"),
        ({"other": 5}, "feature", "which the schema does not have"),
        ({"format": b"gif"}, "feature", "expected one of jpeg, png"),
        ({"height": -3}, "feature", "found values from -3 to -3, expected 1 or more"),
        ({"format": b"png"}, "header", "found format 'png', but the image is a JPEG"),
        ({"height": 23}, "header", "found height 23, but the image has 22"),
        ({"image": b"nothing"}, "image", "expected a JPEG or PNG"),
        ({"image": save(PHOTO)[:-20]}, "image", "truncated PNG"),
        ({"image": save(PHOTO.convert("CMYK"), "JPEG")}, "image", "found a CMYK JPEG"),
        ({"label": b"nothing"}, "label", "expected a JPEG or PNG"),
        ({"label": save(PHOTO)}, "label", "RGB label"),
        ({"label": images.encode(PLANE[:20])}, "label", "found a label of 30 x 20 pixels"),
        ({"label": images.encode(PLANE + 21)}, "values", "found label values 21 (660 pixels)"),
        (
            {"label": save(fakes.with_palette(Image.fromarray(PLANE)))},
            "label",
            "TensorFlow would not decode it to its class indices",
        ),
        ({"edges": images.encode(PLANE + 1)}, "extra-feature", "'edges.encoded' differs"),
        ({"laplacian": bytes(1320)}, "extra-feature", "'laplacian.encoded' differs"),
    ],
)
def test_one_record(clean, tmp_path, changes, kind, text):
    found = alone(tmp_path, clean, **changes)
    assert text in found[kind]


def test_a_record_that_is_not_an_example(clean, tmp_path):
    out, (first, _) = damaged(clean, tmp_path)
    with open(first, "wb") as file:
        tfrecord.Writer(file).write(b"\xff\xff\xff")
    (problem,) = [p for p in validate(str(out)).problems if p.kind == "example"]
    assert (problem.file, problem.record, problem.offset) == (str(first), 0, 0)


def test_equal_keys_and_images_of_two_splits_are_notes(voc, out):
    shutil.copy(f"{voc}/JPEGImages/2007_000001.jpg", f"{voc}/JPEGImages/2007_000013.jpg")
    shutil.copy(
        f"{voc}/SegmentationClass/2007_000001.png", f"{voc}/SegmentationClass/2007_000013.png"
    )
    make(voc, out)
    found = validate(out)
    assert not found.problems
    assert "splits train and trainval share 12 keys" in found.notes
    assert "splits train and val share 1 image" in found.notes


def test_classes_missing_from_a_split_are_notes(voc, out):
    for i in range(12, 18):  # of val
        path = pathlib.Path(voc, f"SegmentationClass/2007_{i:06d}.png")
        path.write_bytes(images.encode(np.zeros_like(Image.open(path))))
    make(voc, out, splits=("train", "val"), accept=("all-background",))
    found = validate(out)
    assert not found.problems
    entry = manifest.load(out)["splits"]["train"]["classes"]
    missing = ", ".join(row["name"] for row in entry[1:] if row["pixels"])
    assert f"split val has no pixel of {missing}" in found.notes


def test_sources(voc, out):
    make(voc, out, splits=("train",), shards=2)
    assert not validate(out, "source", voc).problems
    path = pathlib.Path(voc, "SegmentationClass/2007_000009.png")
    plane = np.asarray(Image.open(path)).copy()
    plane[0, 0] = 3
    path.write_bytes(images.encode(plane))
    (problem,) = validate(out, "source", voc).problems
    assert (problem.kind, problem.key, problem.record) == ("source", "2007_000009", 3)
    assert "'image/segmentation/class/encoded' differs" in problem.text
    path.unlink()
    (problem,) = validate(out, "source", voc).problems
    assert "there is no such file" in problem.text


# hostile bytes


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["frames", "records", "pixels"]), st.booleans())
def test_no_bytes_raise(tmp_path_factory, data, level, framed):
    path = tmp_path_factory.getbasetemp() / "hostile.tfrecord"
    with open(path, "wb") as file:
        if framed:
            tfrecord.Writer(file).write(data)
        else:
            file.write(data)
    validate(str(path), level)


def length_of(number):
    head = struct.pack("<Q", number)
    return head + struct.pack("<I", tfrecord.masked_crc(head))


@pytest.mark.parametrize("number", [1 << 31, 1 << 40, (1 << 64) - 1, (1 << 64) - 16])
def test_hostile_lengths_take_no_memory(tmp_path, number):
    path = tmp_path / "x.tfrecord"
    path.write_bytes(length_of(number) + bytes(50))
    (problem,) = validate(str(path)).problems
    assert (problem.kind, problem.record, problem.offset) == ("frame", 0, 0)
    assert "only 46 are left" in problem.text


def test_a_record_of_two_gigabytes_is_skipped(tmp_path):
    path = tmp_path / "x.tfrecord"
    size = (1 << 31) + 5
    with open(path, "wb") as file:
        file.write(length_of(size))
        file.truncate(size + 16)
    (problem,) = validate(str(path), "frames").problems
    assert "which protobuf does not read" in problem.text


def test_what_is_nothing(tmp_path):
    with pytest.raises(ShardError, match="nowhere: no such file or folder"):
        validate(str(tmp_path / "nowhere"))
    with pytest.raises(ShardError, match="found no TFRecord"):
        validate(str(tmp_path))
    with pytest.raises(PlanError, match="--level x"):
        validate(str(tmp_path), "x")
    (tmp_path / "a.tfrecord").touch()
    assert not validate(str(tmp_path)).problems
    (tmp_path / "a.tfrecord").unlink()
    (tmp_path / "a.tfrecord").symlink_to("a.tfrecord")
    (problem,) = validate(str(tmp_path)).problems
    assert problem.kind == "missing"


# the command


def test_command(clean, tmp_path, run):
    result = run("validate", clean)
    assert result.exit_code == 0
    assert "19 records in 4 files" in result.stdout
    assert "no problem found" in result.stdout
    out, (first, _) = damaged(clean, tmp_path)
    data = bytearray(first.read_bytes())
    data[200] ^= 1
    first.write_bytes(data)
    result = run("validate", out, "--level", "frames")
    assert result.exit_code == 1
    assert "damaged or truncated frames" in result.stdout
    assert f"    {first.name}: record 0 at byte 0: the checksum" in result.stdout
    document = json.loads(run("validate", out, "--json").stdout)
    assert {p["kind"] for p in document["problems"]} == {"frame", "changed", "count"}
    assert document["level"] == "pixels"


@pytest.mark.shared
def test_published_shards(shared):
    found = validate(str(shared / "tfrecords/takayu99_voc/tfrecord"))
    assert not found.problems
    assert (found.files, found.records) == (12, 10)
    assert "splits trainval and val share 4 keys" in found.notes
    assert "4 files have no records, such as train-00001-of-00004.tfrecord" in found.notes


def test_missing_shard_numbers_without_a_manifest(clean, tmp_path):
    out, (first, _) = damaged(clean, tmp_path)
    shutil.rmtree(out / ".dsbuild")
    os.remove(out / "manifest.json")
    assert not validate(str(out)).problems
    first.unlink()
    (problem,) = validate(str(out)).problems
    assert (problem.kind, problem.file) == ("missing", str(first))


@pytest.mark.shared
def test_shards_of_deeplab_itself(shared):
    found = validate(str(shared / "oracle/voc_deeplab/tfrecord"))
    assert not found.problems
    assert found.records == 48


# what stands beside the shards


def nodes(document, path=()):
    """Yield the paths of all values in a JSON document."""
    yield path
    items = document.items() if isinstance(document, dict) else ()
    items = enumerate(document) if isinstance(document, list) else items
    for key, value in items:
        yield from nodes(value, (*path, key))


def with_value(document, path, value):
    if not path:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = with_value(document[path[0]], path[1:], value)
    return copy


STRANGE = [None, 5, -1, "", "x", [], {}, [5], {"a": 5}, True, 1e300, "../x", "\0"]


@pytest.mark.parametrize("count", [150, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["manifest.json", "schema.json", "plan", "receipt"])
def test_no_damaged_side_file_raises(clean, tmp_path, name, count):
    """Documents with one value replaced: a named error, or a problem."""
    out, _ = damaged(clean, tmp_path)
    path = {
        "plan": out / ".dsbuild/plan-train.jsonl",
        "receipt": out / ".dsbuild/receipts/train-00000-of-00002.tfrecord.json",
    }.get(name, out / name)
    whole = path.read_text()
    lines = whole.splitlines() if name == "plan" else [whole]
    rng = random.Random(name + "s7")
    places = list(nodes(json.loads(lines[0])))
    for _ in range(count):
        changed = with_value(json.loads(lines[0]), rng.choice(places), rng.choice(STRANGE))
        path.write_text("\n".join([json.dumps(changed), *lines[1:]]))
        for check in (lambda: validate(str(out), "records"), lambda: repair(str(out), "nowhere")):
            try:
                check()
            except DsbuildError as error:
                assert str(error)
    path.write_text(whole)


@pytest.mark.parametrize("change", [b"{", b'{"name": 5}\n', None])
def test_a_damaged_plan_is_a_problem_of_its_own(clean, tmp_path, change):
    out, _ = damaged(clean, tmp_path)
    path = out / ".dsbuild/plan-train.jsonl"
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(second + first if change is None else first + change)
    found = validate(str(out), "records").problems
    assert {(problem.kind, problem.file) for problem in found} == {("changed", str(path))}
    assert len(found) == 1


KEYS = {"image/encoded": PIXEL, "image/filename": b"", "image/format": b"png"}
TRAIN, VAL = "train-00000-of-00001", "val-00000-of-00001"
LABEL, FORMAT = "image/segmentation/class/encoded", "image/segmentation/class/format"


def theirs(folder, **files):
    """Write files as others do, without manifest; a record is features, or bytes as they are."""
    for name, made in files.items():
        with open(os.path.join(folder, f"{name}.tfrecord"), "wb") as file:
            writer = tfrecord.Writer(file)
            for one in made:
                writer.write(one if isinstance(one, bytes) else example.serialize(one))
    return str(folder)


def their(number, **more):
    sizes = {f"image/{name}": 1 for name in ("height", "width", "channels")}
    named = {"label": {LABEL: PIXEL}, "format": {FORMAT: b"png"}, "box": {"box": 1.0}}
    rest = {k: v for name, given in more.items() if given for k, v in named[name].items()}
    return {**KEYS, **sizes, **rest, "image/filename": b"%d" % number}


@pytest.mark.parametrize("level", ["records", "pixels"])
def test_features_that_only_some_records_have_are_a_problem(tmp_path, level):
    train = [their(i, label=i not in (3, 4), format=i != 2, box=i != 1) for i in range(10)]
    val = [their(i) for i in range(4)]  # a split without labels
    found = validate(theirs(tmp_path, **{TRAIN: train, VAL: val}), level, engine=Local(2))
    assert kinds(found) == {"partial": 3}
    texts = {problem.text.split("'")[1]: problem for problem in found.problems}
    assert {name: (p.record, p.key) for name, p in texts.items()} == {
        LABEL: (3, "3"),
        FORMAT: (2, "2"),
        "box": (1, "1"),
    }
    assert "8 of the 10 records of split train have it and 2 do not" in texts[LABEL].text


def test_rare_features_are_optional_except_labels(tmp_path):
    train = [their(i, label=i == 5, box=i == 6) for i in range(10)]
    (problem,) = validate(theirs(tmp_path, **{TRAIN: train})).problems
    assert (problem.kind, problem.record) == ("partial", 0)
    assert f"{LABEL!r} is missing: 1 of the 10" in problem.text


def test_a_file_without_a_feature_is_named_by_its_first_record(tmp_path):
    both = {"train-00000-of-00002": (1, 2), "train-00001-of-00002": (3, 4)}
    made = {name: [their(i, label=i < 3) for i in numbers] for name, numbers in both.items()}
    (problem,) = validate(theirs(tmp_path, **made)).problems
    assert os.path.basename(problem.file) == "train-00001-of-00002.tfrecord"
    assert problem.record == 0


def test_a_record_that_is_not_an_example_is_not_a_duplicate_key(tmp_path):
    train = [b"\xff", b"\xfe", their(0), b"\xfd", their(0), {"other": 1}, {"other": 2}]
    found = validate(theirs(tmp_path, **{TRAIN: train}), "pixels")
    counted = kinds(found)
    assert counted["example"] == 3
    assert [p.record for p in found.problems if p.kind == "duplicate-key"] == [4]
    assert not any("images" in line for line in found.notes)
