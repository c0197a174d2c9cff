import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.build import plan, plan_files, run, tasks
from dsbuild.build.audit import audit
from dsbuild.build.recipe import Recipe
from dsbuild.build.run import prepare
from dsbuild.errors import PlanError, ShardError
from dsbuild.layouts import Sample
from dsbuild.layouts.voc import Voc
from dsbuild.storage import spool
from tests.support.runs import requested

RECIPE = Recipe(layout=Voc())


def samples(*names):
    return [Sample(name, f"{name}.jpg", f"{name}.png") for name in names]


def names(found):
    return [sample.key for sample in found]


@given(st.integers(0, 5000), st.integers(1, 300))
def test_even_split_is_balanced_and_covers_all(total, parts):
    found = plan.even_split(total, parts)
    assert len(found) == parts
    assert [i for part in found for i in part] == list(range(total))
    sizes = {len(part) for part in found}
    assert max(sizes) - min(sizes) <= 1
    assert total < parts or 0 not in sizes


def test_shards_are_dealt_in_order():
    shards = list(plan.shards("train", "root", samples(*"abcde"), 5, 4, RECIPE))
    assert [names(shard.samples) for shard in shards] == [["a", "b"], ["c"], ["d"], ["e"]]
    assert shards[0].name == "train-00000-of-00004.tfrecord"
    assert shards[3].name == "train-00003-of-00004.tfrecord"


@given(st.lists(st.text(min_size=1), unique=True, min_size=1), st.integers(0, 9), st.randoms())
def test_a_shuffle_does_not_depend_on_the_listing(keys, seed, rng):
    listing = samples(*keys)
    before = list(plan.order(listing, "shuffled", seed))
    rng.shuffle(listing)
    assert list(plan.order(listing, "shuffled", seed)) == before
    assert sorted(names(before)) == sorted(keys)
    # Samples keep their order when others are added.
    more = plan.order([*listing, Sample("new" * 50, "", "")], "shuffled", seed)
    assert [s for s in more if s.key != "new" * 50] == before
    assert list(plan.order(listing, "shuffled", seed, limit=2)) == before[:2]


def test_a_shuffle_depends_on_the_seed():
    listing = samples(*map(str, range(50)))
    assert [*plan.order(listing, "shuffled", 0)] != [*plan.order(listing, "shuffled", 1)]
    assert list(plan.order(listing, "listed")) == listing
    assert list(plan.order(listing, "listed", limit=3)) == listing[:3]


def test_digest_covers_what_decides_bytes_and_nothing_else():
    def digest(split="train", root="root", keys="ab", count=1, recipe=RECIPE):
        shards = plan.shards(split, root, samples(*keys), len(keys), count, recipe)
        return plan.digest(shard.digest for shard in shards)

    same = digest()
    assert digest(root="elsewhere") == same
    others = [
        digest(split="val"),
        digest(keys="ba"),
        digest(keys="abc"),
        digest(count=2),
        digest(recipe=Recipe(layout=Voc(labels="aug"))),
        digest(recipe=Recipe(layout=Voc(), extras=("laplacian",))),
        digest(recipe=Recipe(layout=Voc(), extras=("laplacian:raw16",))),
        digest(recipe=Recipe(layout=Voc(), verify="header")),
    ]
    assert len({same, *others}) == len(others) + 1


def test_an_extra_and_its_default_form_are_one_recipe():
    one, other = (Recipe(layout=Voc(), extras=(e,)) for e in ("laplacian", "laplacian:int64"))
    assert one.document() == other.document()


def test_digest_is_stable():
    """The digest of a plan may change only together with recipe.FORMAT."""
    shard = next(plan.shards("train", "root", samples("a"), 1, 1, RECIPE))
    assert shard.digest == "590346c214930ad780f8614792595e2156d164aa080842f9bf820af25b004676"


@pytest.mark.parametrize(
    ("size", "samples", "count"),
    [(0, 5, 1), (10, 5, 1), (1000, 5, 5), (1000, 50, 10), (149, 9, 1), (151, 9, 2)],
)
def test_shard_count(size, samples, count):
    assert plan.shard_count(size, 100, samples) == count


def test_wrong_requests_are_named():
    with pytest.raises(PlanError, match="at least 1"):
        plan.even_split(3, 0)
    with pytest.raises(PlanError, match="--shard-size 0"):
        plan.shard_count(1, 0, 1)
    with pytest.raises(PlanError, match="'random'"):
        plan.order([], "random")


# plans in a folder


def test_plans_are_read_from_their_places(tmp_path):
    out = str(tmp_path)
    listed = [*samples("a", "b/ä", "c"), Sample("d", "d.jpg", None), Sample("e", "e.jpg", 3)]
    plans = list(plan.shards("train", "root", listed, 5, 7, RECIPE))
    plan_files.save(out, "train", iter(plans))
    places = list(plan_files.places(plan_files.path(out, "train")))
    assert [plan_files.load(place, "root", RECIPE) for place in reversed(places)] == plans[::-1]
    assert {line.name: line.samples for line in plan_files.lines(out)} == {
        shard.name: shard.samples for shard in plans
    }
    assert plan_files.splits(out) == {"train"}


def test_the_places_of_shards_are_known_without_reading_the_plan(voc, out):
    request = requested(voc, out, shards=3)
    planned = audit(request).splits
    prepare(request, planned, {}, lambda _: None)
    found = list(run._shards(out, planned).each())
    assert found == list(tasks.places(out, [one.split for one in planned]))
    names = [plan_files.read(place).name for place in found]
    some = {names[1], names[4]}
    left = run._shards(out, planned, some)
    assert [plan_files.read(place).name for place in left.each()] == sorted(some, key=names.index)
    assert (left.count, len(found)) == (2, 3 * len(planned))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b'{"name":"train","digest":"","samples":[]}',
        b'{"name":"train-00000-of-00001","digest":"","samples":[["a",1,2]]}',
    ],
)
def test_a_damaged_plan_line_is_named(line):
    with pytest.raises(ShardError, match=r"^out/plan: found .* dsbuild repair restores"):
        plan.read_line(line, "out/plan")


# many samples


@dataclass(frozen=True, kw_only=True)
class Many(Voc):
    """As many samples as are asked for, of two files."""

    total: int = 0

    def splits(self, root: str) -> tuple[str, ...]:
        return ("train",)

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        for i in range(self.total):
            yield Sample(f"{i * 7919 % self.total:08d}", "image.jpg", "label.png")


@pytest.mark.parametrize(
    "order",
    [pytest.param(one, marks=[] if one == "shuffled" else pytest.mark.slow) for one in plan.ORDERS],
)
def test_memory_does_not_grow_with_the_samples(order, tmp_path, monkeypatch):
    monkeypatch.setattr(spool.Spool.__init__, "__defaults__", (1 << 14, 1 << 6))
    monkeypatch.setattr(spool.ordered, "__defaults__", (1 << 10, 1 << 6))
    for name in ("image.jpg", "label.png"):
        (tmp_path / name).touch()

    def peak(total):
        asked = {"layout": Many(total=total), "order": order, "shards": total // 100}
        request = requested(tmp_path, tmp_path.with_name("out"), **asked)
        tracemalloc.start()
        prepare(request, audit(request).splits, {}, lambda _: None)
        for place in plan_files.places(plan_files.path(request.out, "train")):
            assert place.size > 100
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(100)  # what is imported and cached stays out of it
    few, many = peak(2_000), peak(8_000)
    assert many - few < 6_000 * 40  # a Sample has 300 bytes
