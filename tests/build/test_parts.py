import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.build import parts
from dsbuild.build.audit import audit
from dsbuild.build.run import build
from dsbuild.build.shard import write_shard
from dsbuild.engines import Local, batch
from dsbuild.errors import SampleError, ShardError
from dsbuild.format import manifest, receipts, tfrecord
from dsbuild.layouts.voc import Voc
from tests.support.engines import fine
from tests.support.runs import content, make, nothing, plans


@given(st.integers(0, 9), st.integers(0, 10_000), st.integers(1, 64))
def test_parts_keep_workers_busy_and_are_not_too_small(shards, samples, workers):
    engine = Local(workers)
    found = parts.count_parts(shards, samples, engine)
    assert found >= 1
    if shards >= workers:
        assert found == 1
    if found > 1:
        assert samples // shards // found >= batch(engine, parts.SECONDS) == 64
        assert shards * (found - 1) < workers


@pytest.mark.parametrize("count", [1, 2, 5, 12, 20])
def test_joined_parts_are_the_shard(voc, out, tmp_path, count):
    (shard,), _ = plans(voc, out, shards=1)
    whole = str(tmp_path / "whole")
    receipt = write_shard(shard, nothing, out=whole)
    for part in parts.divide(shard, count):
        parts.write_part(part, nothing, out=out, on_error="stop", compare="stamp")
    assert parts.join(shard, nothing, out=out, parts=count) == receipt
    assert content(out) == content(whole)
    assert receipts.load(out, shard.name) == receipts.load(whole, shard.name)
    assert os.listdir(manifest.parts_path(out)) == []
    # The index leads to every record.
    offsets = manifest.offsets(out, shard.name)
    found = tfrecord.at(os.path.join(out, shard.name), enumerate(offsets))
    assert len([record.data for record in found]) == receipt.records == 12


def test_an_existing_part_is_kept_and_a_missing_one_is_named(voc, out):
    (shard,), _ = plans(voc, out, shards=1)
    first, second = parts.divide(shard, 2)
    parts.write_part(first, nothing, out=out, on_error="stop", compare="stamp")
    path = os.path.join(parts.place(out, shard.name), first.plan.name)
    before = os.stat(path).st_ino
    parts.write_part(first, nothing, out=out, on_error="stop", compare="stamp")
    assert os.stat(path).st_ino == before
    with pytest.raises(ShardError, match=f"the part {second.plan.name} is gone"):
        parts.join(shard, nothing, out=out, parts=2)
    assert not os.path.exists(os.path.join(out, shard.name))


@pytest.mark.parametrize(
    ("shards", "workers"),
    [(1, 2), (2, 3), *(pytest.param(*one, marks=pytest.mark.slow) for one in ((1, 3), (2, 2)))],
)
def test_more_workers_than_shards_write_the_same_bytes(voc, out, tmp_path, shards, workers):
    other = tmp_path / "other"
    make(voc, other, splits=("train",), shards=shards)
    make(voc, out, engine=fine(workers), splits=("train",), shards=shards)
    assert content(out) == content(other)
    assert not os.path.exists(manifest.parts_path(out))


def test_rejects_of_parts_are_those_of_the_shard(voc, out, tmp_path):
    for key in ("2007_000001", "2007_000007"):
        with open(os.path.join(voc, "JPEGImages", f"{key}.jpg"), "wb") as file:
            file.write(b"no image")
    other = tmp_path / "other"
    asked = {"splits": ("train",), "shards": 1, "on_error": "skip"}
    rejects = make(voc, other, **asked).rejects
    assert make(voc, out, engine=fine(2), **asked).rejects == rejects != ()
    assert content(out) == content(other)


def test_a_bad_sample_stops_parts_and_the_next_build_finishes_them(voc, out, tmp_path):
    path = os.path.join(voc, "JPEGImages", "2007_000011.jpg")
    with open(path, "rb") as file:
        good = file.read()
    with open(path, "wb") as file:
        file.write(b"no image")
    _, request = plans(voc, out, shards=1)
    with pytest.raises(SampleError, match="2007_000011"):
        build(request, audit(request), fine(2))
    assert not os.path.exists(os.path.join(out, manifest.NAME))
    with open(path, "wb") as file:
        file.write(good)
    build(request, audit(request), fine(2))
    make(voc, tmp_path / "other", layout=Voc(labels="class"), splits=("train",), shards=1)
    assert content(out) == content(tmp_path / "other")


def test_overwrite_removes_parts(voc, out):
    (shard,), _ = plans(voc, out, shards=1)
    first, _ = parts.divide(shard, 2)
    parts.write_part(first, nothing, out=out, on_error="stop", compare="stamp")
    make(voc, out, splits=("train",), shards=1, overwrite=True)
    assert not os.path.exists(manifest.parts_path(out))
