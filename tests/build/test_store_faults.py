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
FAST = [(("s3", "gs")[n % 2], name) for n, name in enumerate(cases.CASES)]
FAST += [
    pytest.param(*words.split(), marks=pytest.mark.slow)
    for words in SEEDS
    if words.partition(" ")[2] in cases.CASES and tuple(words.split()) not in FAST
]


COUNTS = pytest.mark.parametrize(
    "part", [slice(0, 1), pytest.param(slice(1, None), marks=pytest.mark.slow)], ids=["one", "rest"]
)


@COUNTS
@pytest.mark.parametrize(("store", "name"), FAST)
def test_faults(scene, store, name, part):
    seeds = SEEDS.get(f"{store} {name}", SEEDS[store])[part]
    assert not many(scene, [points.drawn(one, store, name, "fault") for one in seeds])


@COUNTS
@pytest.mark.parametrize(
    ("store", "way"),
    [
        ("s3", "kill"),
        ("gs", "freeze"),
        pytest.param("gs", "kill", marks=pytest.mark.slow),
        pytest.param("s3", "freeze", marks=pytest.mark.slow),
    ],
)
def test_builds_are_killed_or_stopped(scene, store, way, part):
    seeds = SEEDS.get(f"{store} {way}", SEEDS[store])[part]
    assert not many(scene, [points.drawn(one, store, "build", way) for one in seeds])


@pytest.mark.slow
@pytest.mark.parametrize("store", ["s3", "gs"])
def test_many_faults(scene, store):
    assert not many(scene, [points.drawn(seed, store) for seed in range(250)])


@pytest.mark.slow
@pytest.mark.parametrize("store", ["s3", "gs"])
def test_many_kills(scene, store):
    assert not many(scene, [points.drawn(seed, store, None, "kill") for seed in range(30)])
