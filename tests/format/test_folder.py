"""A folder, or a file, is opened once, whatever is then done with it."""

import functools
import json
import os
import pathlib
import pickle
import shutil

import pytest

import dsbuild
from dsbuild.build.side_files import describe
from dsbuild.errors import ShardError
from dsbuild.format import manifest
from dsbuild.format.folder import Folder, split_of
from dsbuild.format.manifest import IGNORE
from dsbuild.inspect import diff, documents, kept, statistics
from dsbuild.interop import Terms
from dsbuild.interop.export.run import export
from dsbuild.layouts.classes import Classes
from dsbuild.train import dataset
from dsbuild.validate.rules import LEVELS
from dsbuild.validate.run import validate
from tests.support import fakes, reads
from tests.support.runs import make


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train-00000-of-00004.tfrecord", "train"),
        ("train_aug-00000-of-00004", "train_aug"),
        ("mine-00000-of-00004.tfrecord", "mine"),
        ("animals-train.tfrecord-00000-of-00001", "train"),
        ("my-animals-validation.tfrecord-00000-of-00001", "validation"),
        ("animals-mine.tfrecord-00000-of-00001", "animals-mine.tfrecord"),
        ("train.tfrecord", "train"),
        ("train.tfrecord.gz", "train"),
        ("train-00000-of-00001.tfrecord.gz", "train"),
        ("animals-train.tfrecord-00000-of-00001.zlib", "train"),
        ("animals-train.tfrecord.gz-00000-of-00001", "train"),
        ("val.record", "val"),
        ("pascal_trainval.tfrecords", "trainval"),
        ("coco_train_aug.tfrec", "train_aug"),
        ("animals.tfrecord", "-"),
        ("tfrecord", "-"),
    ],
)
def test_the_split_that_a_name_tells(name, split):
    assert split_of(f"folder.train/{name}") == split


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A folder of two splits in two shards each."""
    root = tmp_path_factory.mktemp("folder")
    make(fakes.voc(root), root / "out", shards=2, extras=("weights",))
    return str(root / "out")


def test_a_manifest_says_what_its_document_says(shared):
    known, document = Folder(shared).manifest, manifest.load(shared)
    assert known.document == document is not known.document
    assert (known.version, known.title) == (document["dsbuild"], document["title"])
    assert list(known.classes) == document["classes"]
    assert (known.ignore, known.recipe, known.files) == (
        document["ignore"],
        document["recipe"],
        document["files"],
    )
    assert {str(value): list(rgb) for value, rgb in known.palette.items()} == document["palette"]
    assert list(known.splits) == list(document["splits"])
    for name, entry in document["splits"].items():
        split = known.splits[name]
        for key in ("plan", "records", "bytes", "rejects", "labels", "formats"):
            assert getattr(split, key) == entry[key]
        for key in ("heights", "widths"):
            assert list(getattr(split, key)) == entry[key]
        assert [vars(shard) for shard in split.shards] == entry["shards"]
        assert [row.pop("name") for row in entry["classes"]] == document["classes"]
        assert [vars(counted) for counted in split.classes] == entry["classes"]
        assert vars(split.ignore) == entry["ignore"]
        lists = {name: list(weights) for name, weights in split.weights.items()}
        assert {"beta": split.beta, **lists} == entry["weights"]
    assert list(known.shards) == [shard for one in known.splits.values() for shard in one.shards]


def test_what_was_not_counted_is_none(tmp_path):
    make(fakes.voc(tmp_path), tmp_path / "out", verify="header")
    split = Folder(str(tmp_path / "out")).manifest.splits["train"]
    assert (split.classes, split.ignore, split.weights, split.beta) == (None, None, {}, None)
    assert {shard.values for shard in split.shards} == {None}


def test_images_of_classes_have_no_pixels(tmp_path):
    make(fakes.classes(tmp_path), tmp_path / "out", layout=Classes())
    known = Folder(str(tmp_path / "out")).manifest
    assert {one.pixels for split in known.splits.values() for one in split.classes} == {None}
    assert known.class_name(0) == known.classes[0]


def test_a_label_value_has_one_name(shared):
    known = Folder(shared).manifest
    names = [known.class_name(value) for value in (0, 20, 255, 21, -1)]
    assert names == ["background", "tvmonitor", IGNORE, None, None]
    assert Folder(os.path.dirname(shared)).class_name(0) is None


def test_compressed_files_are_listed_once(tmp_path):
    names = [f"train-0000{i}-of-00003.tfrecord{packed}" for i, packed in enumerate(("", ".gz", ""))]
    for name in (*names, "val.tfrec.zlib", "x.gz", "notes.txt.gz"):
        (tmp_path / name).touch()
    found = [os.path.basename(path) for path in Folder(str(tmp_path)).files]
    assert found == [*names, "val.tfrec.zlib"]
    problems = validate(str(tmp_path), "frames").problems
    assert not problems
    (tmp_path / names[2]).unlink()
    (problem,) = validate(str(tmp_path), "frames").problems
    assert os.path.basename(problem.file).startswith("train-00002-of-00003.tfrecord")
    (tmp_path / f"{names[0]}.gz").touch()
    with pytest.raises(ShardError, match=f"{names[0]}.gz: found {names[0]} beside it"):
        Folder(str(tmp_path)).files  # noqa: B018


def test_a_file_knows_the_folder_that_it_lies_in(shared):
    one = Folder(f"{shared}/val-00001-of-00002.tfrecord")
    assert one.is_file
    assert (one.manifest, one.classes, one.palette) == (None, (), {})
    assert one.files == (one.path,)
    assert one.surrounding.classes == Folder(shared).classes
    assert one.schema.json == Folder(shared).schema.json
    assert Folder(shared).surrounding == Folder(shared)


def test_a_folder_is_taken_for_a_path(shared):
    folder = Folder.of(pathlib.Path(shared))
    assert folder == Folder(shared)
    assert Folder.of(folder) is folder
    keys = [sample.key for sample in dsbuild.open(shared)]
    assert [sample.key for sample in dsbuild.open(folder)] == keys
    assert [sample.key for sample in dsbuild.open(pathlib.Path(shared))] == keys
    assert documents.inspect(folder) == documents.inspect(shared)


def test_a_pickled_folder_is_its_path(shared):
    folder = Folder(shared)
    assert folder.manifest
    assert len(pickle.dumps(folder)) < 200
    again = pickle.loads(pickle.dumps(folder))
    assert again.manifest == folder.manifest


def test_a_folder_that_changed_is_opened_as_it_is_now(tmp_path):
    root, out = fakes.voc(tmp_path), str(tmp_path / "out")
    make(root, out, splits=("val",), shards=1)
    before = Folder(out)
    assert len(dsbuild.open(before)) == 6
    make(root, out, splits=("train",), shards=1, overwrite=True)
    assert [list(one.manifest.splits) for one in (before, Folder(out))] == [["val"], ["train"]]
    assert len(dsbuild.open(out)) == 12


def test_a_damaged_manifest_is_named_each_time(tmp_path):
    make(fakes.voc(tmp_path), tmp_path / "out", splits=("val",))
    folder = Folder(str(tmp_path / "out"))
    (tmp_path / "out/manifest.json").write_text("{")
    for _ in range(2):
        with pytest.raises(ShardError, match=r"manifest.json: found damaged JSON"):
            _ = folder.manifest


# how often files are read

READERS = {
    "open": dsbuild.open,
    "open with classes": lambda out: dsbuild.open(out, "train", classes=[15]),
    "kfold": lambda out: dsbuild.kfold(out, 3),
    "presence": lambda out: dsbuild.open(out).presence(),
    "samples": lambda out: [(one.key, one.image, one.label) for one in dsbuild.open(out)],
    "inspect": documents.inspect,
    "record": lambda out: documents.record(out, "2007_000003"),
    "statistics": statistics.statistics,
    "kept statistics": kept.load,
    "diff": diff.read,
    "facts": dataset.of,
    **{f"validate {one}": functools.partial(validate, level=one) for one in LEVELS[:-1]},
}


@pytest.mark.parametrize("what", READERS)
def test_control_files_are_read_once(shared, what):
    with reads.once() as opened:
        READERS[what](shared)
    assert opened["manifest.json"] + opened["schema.json"]


@pytest.mark.parametrize("what", [what for what in READERS if what != "facts"])
def test_so_are_those_beside_a_file(shared, what):
    with reads.once():
        READERS[what](f"{shared}/train-00000-of-00002.tfrecord")


@pytest.mark.parametrize("target", ["webdataset", "array_record"])
def test_an_export_reads_them_once(shared, target, tmp_path):
    with reads.once() as opened:
        export(shared, str(tmp_path / "to"), target)
    assert opened["manifest.json"] == 1


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--json",),
        ("--record", 3, "--draw"),
        ("--record", 3, "--save", "pictures"),
        ("--html", "page.html"),
        ("--html", "page.html", "--most", "background"),
        ("--html", "page.html", "--problems"),
    ],
    ids=lambda options: " ".join(map(str, options)) or "plain",
)
def test_an_inspection_reads_them_once(shared, tmp_path, options, run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with reads.once() as opened:
        assert run("inspect", shared, *options, "--workers", 1).exit_code == 0
    assert opened["manifest.json"] == 1


def test_a_validation_does_not_believe_what_was_read_before(tmp_path):
    out = str(tmp_path / "out")
    make(fakes.voc(tmp_path), out, splits=("val",))
    assert not validate(out).problems
    for name in ("manifest.json", "schema.json"):
        path = tmp_path / "out" / name
        data = path.read_bytes()
        path.write_bytes(data + b" ")
        assert {problem.file for problem in validate(out, "frames").problems} == {str(path)}
        path.write_bytes(data)
    assert not validate(out).problems


def test_a_folder_without_control_files_is_read_as_before(shared, tmp_path):
    out = str(tmp_path / "bare")
    shutil.copytree(shared, out, ignore=shutil.ignore_patterns("*.json", ".dsbuild"))
    with reads.counted() as opened:
        assert len(dsbuild.open(out)) == 36
    assert not {"manifest.json", "schema.json"} & set(opened)
    assert len(dsbuild.open(f"{out}/val-00000-of-00002.tfrecord")) == 3


def test_side_files_are_written_again(tmp_path):
    out = str(tmp_path / "out")
    make(fakes.voc(tmp_path), out, splits=("val",))
    describe(out, Terms(license="MIT"))
    assert "MIT" in json.loads(pathlib.Path(out, "croissant.json").read_text())["license"]
    assert not validate(out).problems
