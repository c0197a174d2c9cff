"""A repaired folder holds the bytes of a fresh build, and what stood is kept."""

import errno
import os
import pathlib
import random
import shutil

import numpy as np
import pytest
from PIL import Image

from dsbuild.build import array
from dsbuild.build.audit import audit
from dsbuild.build.image_policy import Policy
from dsbuild.build.repair import repair
from dsbuild.build.side_files import describe
from dsbuild.engines import Local
from dsbuild.errors import DsbuildError, PlanError, SampleError, StorageError
from dsbuild.interop import Terms
from dsbuild.validate.run import validate
from tests.support.damage import blank, cut, cut_out, flip, insert
from tests.support.drawn import DRAWN
from tests.support.folders import everything
from tests.support.runs import content, make, requested


def damage(out, rng):
    """Damage a file of a folder, or remove one; return its path."""
    path = rng.choice(sorted([*out.glob("*.tfrecord"), *out.glob("index/*")]))
    if rng.randrange(4) == 0:
        path.unlink()
        return path
    data = bytearray(path.read_bytes())
    rng.choice([flip, cut, cut_out, insert, blank][: 3 if path.parent.name == "index" else 5])(
        data, rng
    )
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("count", [10, pytest.param(40, marks=pytest.mark.slow)])
def test_any_damage_is_repaired(voc, tmp_path, count):
    out = tmp_path / "out"
    make(voc, out, shards=3, extras=("edges", "weights:beta=0.9"))
    fresh = content(out)
    rng = random.Random(1)
    for _ in range(count):
        for _ in range(rng.randrange(1, 4)):
            damage(out, rng)
        assert validate(str(out)).problems
        summary = repair(str(out), voc)
        assert summary.written
        assert content(out) == fresh
        assert not validate(str(out)).problems


@pytest.mark.parametrize("given", DRAWN, ids=repr)
def test_every_layout_is_repaired(given, tmp_path):
    root = DRAWN[given][0](tmp_path)
    out = tmp_path / "out"
    make(root, out, layout=given, shards=2, policy=Policy(max_side=20))
    fresh = content(out)
    assert repair(str(out), root).written == 0
    (first, *_) = sorted(out.glob("*.tfrecord"))
    first.write_bytes(first.read_bytes()[:-1])
    assert repair(str(out), root).written == 1
    assert content(out) == fresh


def test_existing_shards_are_kept_whatever_happened_to_their_sources(voc, tmp_path):
    out = tmp_path / "out"
    make(voc, out, shards=3, splits=("train",))
    fresh = content(out)
    moved = tmp_path / "moved"
    shutil.copytree(voc, moved)
    for path in moved.rglob("*"):
        os.utime(path)
    os.remove(moved / "JPEGImages/2007_000000.jpg")  # of the first shard
    os.remove(out / "train-00001-of-00003.tfrecord")
    summary = repair(str(out), str(moved))
    assert (summary.written, summary.kept) == (1, 2)
    assert content(out) == fresh


def test_an_unfinished_build_is_finished(voc, tmp_path):
    out = tmp_path / "out"
    make(voc, out, shards=3, order="shuffled", seed=4, limit=7)
    fresh = content(out)
    os.remove(out / "manifest.json")
    os.remove(out / "val-00002-of-00003.tfrecord")
    repair(str(out), voc)
    assert content(out) == fresh


def test_rejects_stay_rejected(voc, tmp_path):
    path = pathlib.Path(voc, "SegmentationClass/2007_000004.png")
    Image.fromarray(np.full((9, 9), 3, np.uint8)).save(path)
    out = tmp_path / "out"
    make(voc, out, shards=3, on_error="skip")
    fresh = content(out)
    os.remove(out / "train-00000-of-00003.tfrecord")
    os.remove(out / "train-00001-of-00003.tfrecord")
    assert repair(str(out), voc).written == 2
    assert content(out) == fresh


def test_what_cannot_be_repaired(voc, tmp_path, run):
    with pytest.raises(PlanError, match="found no plan of dsbuild"):
        repair(str(tmp_path))
    out = tmp_path / "out"
    make(voc, out, splits=("train",))
    fresh = content(out)
    for text in ("{}", "{"):
        (out / ".dsbuild" / "recipe.json").write_text(text)
        repair(str(out), voc)
        assert content(out) == fresh
        (out / ".dsbuild" / "recipe.json").write_text(text)
        (out / "manifest.json").write_text("{")
        with pytest.raises(PlanError, match=r"neither manifest\.json nor the recipe can be read"):
            repair(str(out), voc)
        (out / "manifest.json").write_bytes(fresh["manifest.json"])
    result = run("repair", tmp_path)
    assert result.exit_code == 2
    assert "found no plan of dsbuild" in result.stderr


def test_command(voc, out, run):
    assert run("voc", voc, out, "--shards", 2, "--quiet").exit_code == 0
    fresh = content(out)
    result = run("repair", out, voc)
    assert result.exit_code == 0
    assert "is complete: 36 records in 6 shards" in result.stdout
    os.remove(f"{out}/val-00001-of-00002.tfrecord")
    result = run("repair", out, voc)
    assert "36 records in 6 shards" in result.stdout
    assert "5 shards kept" in result.stdout
    assert content(out) == fresh


def files(out):
    """Return file -> bytes of all that lies in a folder, but for the lock."""
    return {
        str(path): path.read_bytes()
        for path in pathlib.Path(out).rglob("*")
        if path.is_file() and path.name != "lock"
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_a_repair_that_fails_changes_nothing(voc, tmp_path, workers):
    out = tmp_path / "out"
    make(voc, out, shards=3, splits=("train",))
    for number in (0, 2):
        path = out / f"train-0000{number}-of-00003.tfrecord"
        path.write_bytes(path.read_bytes()[:-9])
    before = files(out)
    os.remove(os.path.join(voc, "JPEGImages/2007_000010.jpg"))
    with pytest.raises(SampleError, match="2007_000010"):
        repair(str(out), voc, Local(workers))
    assert files(out) == before


def test_a_changed_source_is_used_only_if_allowed(voc, tmp_path, run):
    out = tmp_path / "out"
    make(voc, out, shards=2, splits=("train",))
    image = pathlib.Path(voc, "JPEGImages/2007_000001.jpg")
    image.write_bytes(pathlib.Path(voc, "JPEGImages/2007_000003.jpg").read_bytes())
    (first, second) = sorted(out.glob("*.tfrecord"))
    first.write_bytes(first.read_bytes() + b"x")
    before = files(out)
    result = run("repair", out, voc)
    assert result.exit_code == 2
    assert "sample 2007_000001:" in result.stderr
    assert "--accept-changed-sources" in result.stderr
    assert files(out) == before
    stamp = second.stat().st_mtime_ns
    result = run("repair", out, voc, "--accept-changed-sources")
    assert result.exit_code == 0
    assert "JPEGImages/2007_000001.jpg changed since it was written" in result.stderr
    assert second.stat().st_mtime_ns == stamp
    make(voc, tmp_path / "fresh", shards=2, splits=("train",))
    assert content(out) == content(tmp_path / "fresh")


def test_no_shard_ends_with_fewer_records(voc, tmp_path):
    os.remove(os.path.join(voc, "JPEGImages/2007_000004.jpg"))
    out = tmp_path / "out"
    make(voc, out, shards=2, splits=("train",), on_error="skip")
    path = out / "train-00000-of-00002.tfrecord"
    path.write_bytes(path.read_bytes()[:-9])
    before = files(out)
    os.remove(os.path.join(voc, "JPEGImages/2007_000001.jpg"))
    for accept in (False, True):
        with pytest.raises(PlanError, match=r"2007_000001.*had 5 records and would now have 4"):
            repair(str(out), voc, accept_changed_sources=accept)
        assert files(out) == before


def test_plans_are_found_again_by_keys_and_listing(voc, tmp_path):
    os.remove(os.path.join(voc, "JPEGImages/2007_000004.jpg"))
    for order in ("listed", "shuffled"):
        out = tmp_path / order
        asked = {"shards": 3, "splits": ("train", "val"), "on_error": "skip", "order": order}
        make(voc, out, **asked)
        fresh = files(out)
        plan = out / ".dsbuild/plan-train.jsonl"
        for damaged in (b"", b"".join(plan.read_bytes().splitlines(True)[1:]), b"{"):
            plan.write_bytes(damaged)
            assert repair(str(out), voc).written == 0
            assert files(out) == fresh


def test_an_impossible_repair_changes_nothing(voc, tmp_path):
    """Not even what it could give back: what people told of the data."""
    out = tmp_path / "out"
    make(voc, out, shards=2)
    describe(str(out), Terms("CC0-1.0"))
    for name in (
        ".dsbuild/terms.json",
        "train-00000-of-00002.tfrecord",
        ".dsbuild/plan-train.jsonl",
    ):
        (out / name).unlink()
    shutil.rmtree(voc)
    os.makedirs(os.path.join(voc, "ImageSets", "Segmentation"))
    before = everything(out)
    with pytest.raises(DsbuildError):
        repair(str(out), voc)
    assert everything(out) == before


def test_a_repaired_array_job_is_finished(voc, tmp_path):
    make(voc, tmp_path / "fresh", shards=4)
    request = requested(voc, tmp_path / "out", shards=4)
    array.plan(request, audit(request))
    array.share(request, array.Task(1, 3))
    assert repair(str(tmp_path / "out"), voc).written
    assert content(tmp_path / "out") == content(tmp_path / "fresh")
    assert not list((tmp_path / "out" / ".dsbuild").glob("array.json"))
    assert not list((tmp_path / "out" / ".dsbuild").glob("shares.json"))
    assert array.share(request, array.Task(2, 3)) == []


def test_a_new_shard_that_cannot_be_synced_changes_nothing(voc, out, monkeypatch):
    make(voc, out, splits=("train",))
    shard = next(pathlib.Path(out).glob("*.tfrecord"))
    shard.write_bytes(shard.read_bytes()[:-9])
    before = everything(out)
    plain = os.fsync

    def failing(handle):
        place = os.readlink(f"/proc/self/fd/{handle}")
        if place.endswith(".dsbuild/repair"):
            raise OSError(errno.EIO, "Input/output error")
        plain(handle)

    with monkeypatch.context() as patch, pytest.raises(StorageError) as raised:
        patch.setattr(os, "fsync", failing)
        repair(str(out), voc)
    assert f"{shard.name}: could not be synced: Input/output error" in str(raised.value)
    assert str(raised.value).endswith("; nothing was changed")
    assert everything(out) == before
