import os

import pytest

from dsbuild.build.audit import audit
from dsbuild.build.run import build
from dsbuild.errors import ShardError
from dsbuild.format import manifest
from tests.support.engines import Mapped
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
def test_order_and_repetition_make_no_difference(voc, out, tmp_path, shards, workers):
    _, request = plans(voc, out, shards=shards)
    mapped = Mapped(engine, workers, task_seconds=0.0)
    summary = build(request, audit(request), mapped)
    other = tmp_path / "other"
    make(voc, other, layout=request.recipe.layout, splits=("train",), shards=shards)
    assert content(out) == content(other)
    assert summary.manifest == manifest.load(str(other))
    assert not os.path.exists(manifest.parts_path(out))
    again = build(request, audit(request), mapped)
    assert (again.written, again.kept) == (0, shards)


@pytest.mark.parametrize(
    "lose", [lambda found: found[1:], lambda found: found[:1] * 3, lambda _: []]
)
def test_an_engine_that_loses_shards_completes_nothing(voc, out, lose):
    _, request = plans(voc, out, shards=3)
    with pytest.raises(ShardError, match="receipts of split train came back"):
        build(request, audit(request), Mapped(lambda job: lose(engine(job))))
    assert not os.path.exists(os.path.join(out, manifest.NAME))
    with pytest.raises(ShardError, match="checks of shards came back"):
        build(request, audit(request), Mapped(lambda job: engine(job)[1:]))
    assert build(request, audit(request), Mapped(engine)).manifest["splits"]["train"]


def test_a_part_that_was_taken_away_is_no_loss(voc, out, tmp_path):
    """Another worker may have joined a shard already."""
    _, request = plans(voc, out, shards=1)

    def careless(job):
        found = engine(job)
        if job.title.startswith("building"):
            for name in os.listdir(manifest.parts_path(out)):
                os.rename(os.path.join(manifest.parts_path(out), name), tmp_path / "gone")
        return found

    build(request, audit(request), Mapped(careless, 4, task_seconds=0.0))
    make(voc, tmp_path / "other", layout=request.recipe.layout, splits=("train",), shards=1)
    assert content(out) == content(tmp_path / "other")
