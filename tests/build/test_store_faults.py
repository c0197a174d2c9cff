"""Stores that fail at random under every command: nothing is lost, and nothing hangs."""

import importlib.util

import pytest

from tests.support.store_faults import cases, points
from tests.support.store_faults.run import many, scenes


@pytest.fixture(scope="module")
def scene():
    if importlib.util.find_spec("torch") is None:  # which one of the commands needs, not we
        pytest.skip("torch is not installed")
    with scenes() as scene:
        yield scene


# Seeds; most of those that are named once found a fault. The fast selection has the first of each.
SEEDS = {
    "s3 skip": (34, 58),
    "gs skip": (18, 38),
    "s3 load": (4,),
    "gs load": (2,),
    "s3 freeze": (1069,),
    "gs freeze": (1, 1043),
    "s3": (0,),
    "gs": (0,),
}
# Each command on one of the stores, by turns; the slow selection has the other stores of SEEDS.
TURNS = [f"{('s3', 'gs')[n % 2]} {name}" for n, name in enumerate(cases.CASES)]
WAYS = ("s3 kill", "gs freeze", "gs kill", "s3 freeze")


def selected(fast, rest):
    """Return the points of words such as `s3 load`: store, name and seed; all but one each slow."""
    return [
        pytest.param(*words.split(), seed, marks=[pytest.mark.slow] * (words in rest or n > 0))
        for words in (*fast, *rest)
        for n, seed in enumerate(SEEDS.get(words, SEEDS[words[:2]]))
    ]


OTHERS = [one for one in SEEDS if one[3:] in cases.CASES and one not in TURNS]


@pytest.mark.parametrize(("store", "name", "seed"), selected(TURNS, OTHERS))
def test_faults(scene, store, name, seed):
    assert not many(scene, [points.drawn(seed, store, name, "fault")])


@pytest.mark.parametrize(("store", "way", "seed"), selected(WAYS[:2], WAYS[2:]))
def test_builds_are_killed_or_stopped(scene, store, way, seed):
    assert not many(scene, [points.drawn(seed, store, "build", way)])


@pytest.mark.slow
@pytest.mark.parametrize("store", ["s3", "gs"])
def test_many_faults(scene, store):
    assert not many(scene, [points.drawn(seed, store) for seed in range(250)])


@pytest.mark.slow
@pytest.mark.parametrize("store", ["s3", "gs"])
def test_many_kills(scene, store):
    assert not many(scene, [points.drawn(seed, store, None, "kill") for seed in range(30)])
