import os

import pytest

from dsbuild.build import parts
from dsbuild.build import tasks as spread
from dsbuild.build.audit import audit
from dsbuild.errors import ShardError
from dsbuild.format import manifest
from tests.support.runs import content, make, nothing, plans


def engine(job):
    """Do tasks one after another, the last ones first, and each twice."""
    tasks = list(job.tasks)
    done = {}
    for _ in range(2):
        for i in reversed(range(len(tasks))):
            done[i] = job.work(tasks[i], nothing)
    return [done[i] for i in range(len(tasks))]


@pytest.mark.parametrize("workers", [1, 5])
@pytest.mark.parametrize("shards", [1, 3])
def test_order_and_repetition_make_no_difference(voc, out, tmp_path, monkeypatch, shards, workers):
    monkeypatch.setattr(parts, "FEWEST", 1)
    _, request = plans(voc, out, shards=shards)
    summary = spread.spread(request, audit(request), engine, workers)
    other = tmp_path / "other"
    make(voc, other, layout=request.recipe.layout, splits=("train",), shards=shards)
    assert content(out) == content(other)
    assert summary.manifest == manifest.load(str(other))
    assert not os.path.exists(manifest.parts_path(out))
    again = spread.spread(request, audit(request), engine, workers)
    assert (again.written, again.kept) == (0, shards)


@pytest.mark.parametrize(
    "lose", [lambda found: found[1:], lambda found: found[:1] * 3, lambda _: []]
)
def test_an_engine_that_loses_shards_completes_nothing(voc, out, lose):
    _, request = plans(voc, out, shards=3)
    with pytest.raises(ShardError, match="receipts of split train came back"):
        spread.spread(request, audit(request), lambda job: lose(engine(job)), 1)
    assert not os.path.exists(os.path.join(out, manifest.NAME))
    assert spread.spread(request, audit(request), engine, 1).manifest["splits"]["train"]


def test_a_part_that_was_taken_away_is_no_loss(voc, out, tmp_path, monkeypatch):
    """Another worker may have joined a shard already."""
    monkeypatch.setattr(parts, "FEWEST", 1)
    _, request = plans(voc, out, shards=1)

    def careless(job):
        found = engine(job)
        if job.title.startswith("building"):
            for name in os.listdir(manifest.parts_path(out)):
                os.rename(os.path.join(manifest.parts_path(out), name), tmp_path / "gone")
        return found

    spread.spread(request, audit(request), careless, 4)
    make(voc, tmp_path / "other", layout=request.recipe.layout, splits=("train",), shards=1)
    assert content(out) == content(tmp_path / "other")
