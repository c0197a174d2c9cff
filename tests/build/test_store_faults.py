"""Stores that fail, at random, under every command: nothing is lost, and nothing hangs.

    python -m tests.build.test_store_faults POINTS SEED [STORE|- [COMMAND|- [WAY]]]

tries as many points, of seeds from SEED on, with what is named in place of what would be drawn:
a store, s3 or gs; a command, of `tests/store_faults/cases.py`; a way to fail, which is fault,
kill or freeze. A point that fails is printed with the arguments that try it alone.
"""

import contextlib
import os
import sys
import tempfile
import time

import pytest

from tests.store_faults import cases, points
from tests.store_faults.driver import driver
from tests.store_faults.rooms import room
from tests.store_faults.scene import Scene


@contextlib.contextmanager
def scenes():
    """Give a function that gives the scene of a kind of store, made when it is asked for."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        forks, made = stack.enter_context(driver()), {}

        def scene(kind):
            if kind not in made:
                there = stack.enter_context(room(kind))
                made[kind] = Scene(there, forks, os.path.join(folder, kind))
            return made[kind]

        yield scene


@pytest.fixture(scope="module")
def scene():
    pytest.importorskip("torch")
    with scenes() as scene:
        yield scene


def tried(scene, point):
    """Try a point, say what came of it, and return what was wrong."""
    begin = time.monotonic()
    told, wrong = points.attempt(scene(point.store), point)
    said = "".join(f"\n    WRONG: {one}" for one in wrong)
    print(f"{point} | {time.monotonic() - begin:.1f} s | {told}{said}", flush=True)
    return said


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


def many(scene, every):
    """Try points; return the failing ones."""
    return [str(one) for one in every if tried(scene, one)]


def main(words):
    count, seed = int(words[0]), int(words[1])
    named = [None if word == "-" else word for word in words[2:]]
    with scenes() as scene:
        every = [points.drawn(one, *named) for one in range(seed, seed + count)]
        failed = many(scene, every)
    for one in failed:
        print(f"FAIL: python -m tests.build.test_store_faults 1 {one}")
    print(f"{count - len(failed)} passed, {len(failed)} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main(sys.argv[1:])
