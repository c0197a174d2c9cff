"""SIGKILL of any process of any command, at any moment: run again, it ends with the same bytes."""

import pathlib
import random

import pytest

from tests.support.faults.kills import commands, kill


@pytest.mark.parametrize("count", [6, pytest.param(200, marks=pytest.mark.slow)])
def test_any_process_may_be_killed(tmp_path, count):
    rng, every = random.Random(count), list(commands(tmp_path))
    for i in range(count):
        kill(every[i % len(every)], rng)
    assert not list(pathlib.Path(tmp_path).rglob(".dsbuild-*"))
