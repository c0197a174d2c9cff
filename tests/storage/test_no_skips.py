"""No failure of a store or on the way to it may be skipped."""

import dataclasses
import os
import pathlib
import time

import pytest

from dsbuild import storage
from dsbuild.build import preflight, repair
from dsbuild.build import run as build
from dsbuild.build.audit import audit
from dsbuild.errors import DataError, StorageError
from dsbuild.format import manifest, receipts
from dsbuild.storage import clients
from tests.support import fakes
from tests.support.odd_files import fifo
from tests.support.runs import content, make, requested
from tests.support.stores import built, files, s3_bucket, upload

KEYS = ["2007_000001", "2007_000002"]


@pytest.fixture
def tree(tmp_path):
    """A VOC tree with one split."""
    return fakes.voc(tmp_path, train=6, val=1)


@pytest.fixture
def behind(faulty, moto, tree, monkeypatch):
    """The tree in a bucket behind the proxy, with short budgets for failures."""
    name = f"trouble-{time.time_ns()}"
    s3_bucket(moto, name)
    upload(pathlib.Path(tree), f"s3://{name}/VOC2012")
    monkeypatch.setenv(clients.SECONDS, "1")
    clients.open_store.cache_clear()
    return f"s3://{name}"


def words(bucket, *more):
    options = ("--split", "train", "--shards", "2", "--workers", "1", "--on-error", "skip")
    return ("voc", f"{bucket}/VOC2012", f"{bucket}/out", *options, *more)


def failing(faulty, fault, name, first=1):
    """Make requests for objects of a name fail, from the `first` request for each on."""
    seen = {}

    def befall(_, method, path):
        if method != "GET" or name not in path:
            return None
        seen[path] = seen.get(path, 0) + 1
        return fault if seen[path] >= first else None

    faulty.fault = befall


def records(url):
    return manifest.load(url)["splits"]["train"]["records"]


@pytest.mark.parametrize(
    ("name", "fault", "first"),
    [  # the first request comes from the audit of a few samples, the second from the build
        ("JPEGImages/2007_000004", 500, 1),
        ("SegmentationClass/2007_000004", 403, 2),
        ("JPEGImages/2007_000004", 404, 2),
        ("SegmentationClass/2007_000004", "lost", 2),
        ("JPEGImages/2007_000004", "short", 2),
        ("JPEGImages/2007_000004", "shrunk", 2),
        ("SegmentationClass/2007_000004", "shrunk", 1),
    ],
)
def test_no_failure_leaves_a_sample_out(behind, faulty, tree, out, run, name, fault, first):
    failing(faulty, fault, name, first)
    result = run(*words(behind))
    assert result.exit_code == 2
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("error: "))
    assert line.startswith(f"error: sample 2007_000004: {behind}/VOC2012/{name}")
    assert "--on-error" not in line
    assert storage.stamp(f"{behind}/out/manifest.json") is None
    faulty.fault = lambda *_: None
    assert run(*words(behind)).exit_code == 0
    make(tree, out, splits=("train",), shards=2)
    assert built(f"{behind}/out") == content(out)


@pytest.mark.parametrize("fault", ["short", "shrunk"])
def test_the_header_alone_shows_that_an_image_was_cut(behind, faulty, run, fault):
    failing(faulty, fault, "JPEGImages/2007_000004", 2)
    result = run(*words(behind, "--verify", "header"))
    assert result.exit_code == 2
    assert "sample 2007_000004: " in result.stderr
    assert "arrived shorter than the store says" in result.stderr


@pytest.mark.parametrize("fault", ["short", "shrunk", "plain short"])
def test_a_list_that_was_cut_is_an_error(behind, faulty, run, fault):
    failing(faulty, fault, "train.txt")
    result = run(*words(behind))
    assert result.exit_code == 2
    assert "train.txt: arrived shorter than the store says" in result.stderr


def test_an_audit_stops_if_the_store_is_away(behind, faulty, run):
    request = requested(f"{behind}/VOC2012", f"{behind}/out", splits=("train",))
    found = audit(request)
    failing(faulty, 403, "JPEGImages/2007_000004")
    with pytest.raises(StorageError, match=r"2007_000004\.jpg: cannot be read: not allowed"):
        preflight.duplicates(request, found)
    for option in ("--dry-run", "--strict"):
        result = run(*words(behind, option))
        assert result.exit_code == 2
        assert "error: sample 2007_000004: " in result.stderr
        assert "finding" not in result.output


def test_a_missing_object_is_a_bad_sample(behind, run):
    storage.remove(f"{behind}/VOC2012/JPEGImages/2007_000004.jpg")
    assert run(*words(behind)).exit_code == 0
    assert records(f"{behind}/out") == 5
    assert "is complete" in run(*words(behind)).output


@pytest.mark.parametrize(
    ("fault", "command"),
    [
        (403, ["validate"]),
        (403, ["validate", "{1}", "--level", "source"]),
        (403, ["statistics"]),
        (403, ["diff", "{0}"]),
        (403, ["export", "{0}-export", "--to", "webdataset"]),
        (403, ["inspect", "--html", "{0}.html"]),
        ("short", ["validate"]),
        ("short", ["inspect", "--html", "{0}.html"]),
    ],
    ids=lambda value: "-".join(value[:2]) if isinstance(value, list) else str(value),
)
def test_no_failure_looks_like_a_damaged_record(behind, faulty, run, fault, command):
    assert run(*words(behind)).exit_code == 0
    there, source = f"{behind}/out", f"{behind}/VOC2012"
    before = files(there)
    broken = "JPEGImages/2007_000002" if "--level" in command else "out/train-00001"
    failing(faulty, fault, broken)
    rest = [word.format(there, source) for word in command[1:]]
    result = run(command[0], there, *rest, "--workers", "1")
    assert result.exit_code == 2
    (line,) = (line for line in result.stderr.splitlines() if "error: " in line)
    assert broken in line
    assert "problem" not in result.stderr
    faulty.fault = lambda *_: None
    assert files(there) == before


@pytest.mark.parametrize("name", ["train-00001", "receipts/train-00001", "recipe.json"])
def test_no_failure_is_repaired(behind, faulty, run, name):
    assert run(*words(behind)).exit_code == 0
    before = built(f"{behind}/out", receipts=True)
    failing(faulty, 403, name)
    with pytest.raises(StorageError) as caught:
        repair.repair(f"{behind}/out", f"{behind}/VOC2012")
    assert not isinstance(caught.value, DataError)
    faulty.fault = lambda *_: None
    assert built(f"{behind}/out", receipts=True) == before


def kept(tree, out, notes=None):
    """Build the tree again; return how many shards were kept."""
    request = requested(tree, out, splits=("train",), shards=2, on_error="skip")
    found = build.build(request, audit(request), note=(notes or []).append)
    return found.kept


def test_missing_samples_stay_missing(tree, out):
    os.remove(os.path.join(tree, "JPEGImages/2007_000001.jpg"))
    os.remove(os.path.join(tree, "SegmentationClass/2007_000002.png"))
    os.remove(os.path.join(tree, "SegmentationClass/2007_000003.png"))
    fifo(os.path.join(tree, "SegmentationClass/2007_000003.png"))
    os.remove(os.path.join(tree, "JPEGImages/2007_000004.jpg"))
    os.mkdir(os.path.join(tree, "JPEGImages/2007_000004.jpg"))
    assert kept(tree, out) == 0
    assert records(out) == 2
    before = {path: os.stat(path).st_mtime_ns for path in map(str, pathlib.Path(out).glob("*.tf*"))}
    assert kept(tree, out) == 2
    assert {path: os.stat(path).st_mtime_ns for path in before} == before


@pytest.mark.parametrize("sources", ["stamp", "ignore"])
@pytest.mark.parametrize(
    "name", ["JPEGImages/2007_000001.jpg", "SegmentationClass/2007_000001.png"]
)
def test_skipped_samples_that_can_be_read_again_are_taken(tree, out, tmp_path, name, sources):
    # Like folders of earlier versions, which mistook failures of a store for missing files.
    path = pathlib.Path(tree, name)
    path.rename(tmp_path / "aside")
    asked = {"splits": ("train",), "shards": 2, "on_error": "skip"}
    make(tree, out, **asked)
    (tmp_path / "aside").rename(path)
    receipt = receipts.load(out, "train-00000-of-00002.tfrecord")
    (reject,) = receipt.rejects
    assert reject.kind in ("image-missing", "label-missing")
    at = 0 if name.startswith("J") else 3
    row = list(receipt.sources[1])
    row[at : at + 2] = storage.stamp(str(path))
    rows = (receipt.sources[0], tuple(row), *receipt.sources[2:])
    dataclasses.replace(receipt, sources=rows).save(out)
    notes = []
    request = requested(tree, out, sources=sources, **asked)
    summary = build.build(request, audit(request), note=notes.append)
    assert (summary.written, summary.kept, summary.rejects) == (1, 1, ())
    assert f"its source {name} was left out but can be read now" in notes[0]
    make(tree, tmp_path / "fresh", **asked)
    assert content(out) == content(tmp_path / "fresh")
