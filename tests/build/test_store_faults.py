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


# Seeds of the fast selection; most of those that are named once found a fault.
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
# Each command on one of the stores, by turns, and on both where a seed found a fault.
FAST = [
    (store, name)
    for n, name in enumerate(cases.CASES)
    for i, store in enumerate(("s3", "gs"))
    if n % 2 == i or f"{store} {name}" in SEEDS
]


@pytest.mark.parametrize(("store", "name"), FAST)
def test_faults(scene, store, name):
    seeds = SEEDS.get(f"{store} {name}", SEEDS[store])
    assert not many(scene, [points.drawn(one, store, name, "fault") for one in seeds])


@pytest.mark.parametrize("way", ["kill", "freeze"])
@pytest.mark.parametrize("store", ["s3", "gs"])
def test_builds_are_killed_or_stopped(scene, store, way):
    seeds = SEEDS.get(f"{store} {way}", SEEDS[store])
    assert not many(scene, [points.drawn(one, store, "build", way) for one in seeds])


@pytest.mark.slow
@pytest.mark.parametrize("store", ["s3", "gs"])
def test_many_faults(scene, store):
    assert not many(scene, [points.drawn(seed, store) for seed in range(250)])


@pytest.mark.slow
@pytest.mark.parametrize("store", ["s3", "gs"])
def test_many_kills(scene, store):
    assert not many(scene, [points.drawn(seed, store, None, "kill") for seed in range(30)])
