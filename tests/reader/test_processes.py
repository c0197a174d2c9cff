"""Every reader in processes that are forked, spawned or served, over local files and stores."""

import itertools
import os
import pathlib
import sys

import pytest

from tests.support import fakes, stores
from tests.support.processes import ended, started
from tests.support.readers import ROOMS
from tests.support.runs import make

METHODS, PLACES = ("fork", "spawn", "forkserver"), ("local", "s3", "gs")
SECONDS = 200  # far more than any takes, TensorFlow's import on a machine at work included
FIRST = (
    ("numpy", "fork", "s3"),
    ("pool", "fork", "gs"),
    ("nested", "fork", "s3"),
    ("threads", "fork", "local"),
    ("opening", "forkserver", "gs"),
    ("futures", "spawn", "s3"),
    ("torch", "fork", "s3"),
    ("stream", "fork", "gs"),
)
# Grain and Keras choose the method themselves, or take the default of the process.
ALL = [*itertools.product(ROOMS, METHODS, PLACES)]
WAYS = ((), ("read",))  # their parent has opened the data, or has read them
ONE_WAY = {"torch": WAYS[1:], "stream": WAYS[:1]}  # as importing torch takes seconds
NEEDS = {"torch": "torch", "stream": "torch", "keras": "keras", "grain": "grain"}
NEEDS |= {"tensorflow": "tensorflow"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """23 samples in four shards, and what is to be read of them."""
    folder = tmp_path_factory.mktemp("readers")
    out = str(folder / "out")
    make(fakes.voc(folder, train=23, val=2, width=24, height=16), out, splits=("train",), shards=4)
    return out, read("numpy", "fork", out)


def read(*arguments):
    """Return what the program reads; fail where it does not end, or not well."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONWARNINGS": "ignore"}
    environment["PYTHONPATH"] = str(pathlib.Path(__file__).parents[2])
    with started(
        [sys.executable, "-m", "tests.support.readers", *arguments], env=environment
    ) as process:
        said = ended(process, SECONDS)
    assert process.returncode == 0, said
    return said.splitlines()[-1]


def check(request, built, room, method, place, ways=WAYS):
    """Read in other processes, where their parent has opened the data, and where it has read."""
    pytest.importorskip(NEEDS.get(room, "numpy"))
    path, expected = built
    if place != "local":
        url = request.getfixturevalue(place)
        stores.upload(pathlib.Path(path), f"{url}/out")
        path = f"{url}/out"
    assert expected.startswith("23 ")
    for way in ways:
        assert read(room, method, path, *way) == expected


@pytest.mark.parametrize(("room", "method", "place"), FIRST)
def test_readers_in_other_processes(request, built, room, method, place):
    check(request, built, room, method, place, ONE_WAY.get(room, WAYS))


@pytest.mark.slow
@pytest.mark.parametrize(("room", "method", "place"), ALL)
def test_all_readers_in_other_processes(request, built, room, method, place):
    check(request, built, room, method, place)
