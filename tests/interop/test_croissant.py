"""croissant.json, as MLCommons's own mlcroissant reads it."""

import hashlib
import json
import pathlib

import pytest

from dsbuild.layouts.classes import Classes
from tests.support import fakes
from tests.support.runs import make

# rdflib, by which mlcroissant parses, warns of its own classes.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
mlc = pytest.importorskip("mlcroissant")


def opened(out):
    """Return the data set as mlcroissant has it; what is no croissant raises."""
    return mlc.Dataset(f"{out}/croissant.json")


def test_mlcroissant_finds_no_error(voc, out):
    fakes.write_list(voc, "test_a", ["2007_000000"])
    make(voc, out, shards=2, extras=("laplacian:raw16",))
    found = opened(out).metadata
    assert not found.ctx.issues.errors
    # What only people know of a data set is recommended, and not made up.
    warned = found.ctx.issues.report()
    assert warned.count("is recommended, but does not exist") == 3
    for name in ("citeAs", "datePublished", "license"):
        assert name in warned
    sets = {one.name: one for one in found.record_sets}
    assert {"splits", "classes", "train-records", "val-records", "test_a-records"} <= sets.keys()
    schema = json.loads(pathlib.Path(out, "schema.json").read_text())
    fields = [field.name for field in sets["train-records"].fields]
    assert fields == [*(feature["name"] for feature in schema["feature"]), "split"]


def test_shards_are_listed_with_their_checksums(voc, out):
    make(voc, out, shards=2, splits=("train", "val"))
    found = {one.name: one for one in opened(out).metadata.distribution}
    shards = sorted(path.name for path in pathlib.Path(out).glob("*.tfrecord"))
    assert sorted(found) == sorted([*shards, "train-shards", "val-shards"])
    for name in shards:
        data = pathlib.Path(out, name).read_bytes()
        assert found[name].sha256 == hashlib.sha256(data).hexdigest()
        assert found[name].content_size == f"{len(data)} B"
    assert found["train-shards"].includes == ["train-*.tfrecord"]


def test_splits_and_classes_are_loaded_and_records_are_not(tmp_path, out):
    make(fakes.classes(tmp_path), out, layout=Classes())
    found = opened(out)
    assert [one["splits/name"] for one in found.records("splits")] == ["train"]
    assert list(found.records("classes")) == [
        {"classes/index": i, "classes/name": name} for i, name in enumerate(("cat", "dog", "horse"))
    ]
    with pytest.raises(mlc.GenerationError):  # mlcroissant reads no TFRecords
        next(iter(found.records("train-records")))


def test_equal_builds_have_equal_files(voc, out, two_processes):
    make(voc, out, splits=("train",))
    make(voc, out + "-again", splits=("train",), engine=two_processes)
    first, second = (
        pathlib.Path(one, "croissant.json").read_bytes() for one in (out, out + "-again")
    )
    assert first == second
    assert b"datePublished" not in first
