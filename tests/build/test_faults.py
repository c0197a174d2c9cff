"""Calls into the system that fail, one at a time: each ends in a line, and loses nothing."""

import errno
import random
import shutil

import pytest

from tests.support import fakes
from tests.support.faults import calls
from tests.support.faults.calls import Fault
from tests.support.faults.claims import of
from tests.support.faults.commands import COMMANDS, fresh
from tests.support.faults.trial import points, prepared, try_fault


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    shim = calls.build_shim(tmp_path_factory.mktemp("shim"))
    if shim is None:
        pytest.skip("there is no C compiler")
    with calls.driver(shim) as run:
        yield run


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    return fakes.voc(tmp_path_factory.mktemp("sources"), train=4, val=2)


@pytest.mark.parametrize("prepare", COMMANDS, ids=lambda prepare: prepare.__name__)
def test_some_calls_fail(run, voc, tmp_path, prepare):
    arguments, out, before, expected = prepared(run, voc, tmp_path, prepare)
    rng = random.Random(prepare.__name__)
    # Each kind is counted by a run of its own; over all commands, every kind is drawn.
    every = list(points(run, arguments, out, before, rng.sample(tuple(calls.CALLS), 3)))
    for fault in rng.sample(every, min(3, len(every))):
        try_fault(run, arguments, out, before, expected, fault)


@pytest.mark.slow
@pytest.mark.parametrize("prepare", COMMANDS, ids=lambda prepare: prepare.__name__)
def test_every_call_fails(run, voc, tmp_path, prepare):
    arguments, out, before, expected = prepared(run, voc, tmp_path, prepare)
    every = list(points(run, arguments, out, before))
    print(f"{prepare.__name__}: {len(every)} faults")
    for fault in every:
        try_fault(run, arguments, out, before, expected, fault)


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ENOMEM], ids=errno.errorcode.get)
def test_no_source_that_a_disk_refuses_is_left_out(run, voc, tmp_path, number):
    out = str(tmp_path / "out")
    arguments = [*fresh(run, voc, out), "--on-error", "skip"]
    count = run(arguments, voc, Fault("r", 0, 0)).calls
    expected = of(out)
    for at in random.Random(number).sample(range(1, count + 1), 3):
        shutil.rmtree(out)
        done = run(arguments, voc, Fault("r", at, number))
        told = f"read {at} of {count}: {done.said}"
        assert done.code == 2, told
        assert len([line for line in done.said.splitlines() if line.startswith("error: ")]) == 1, (
            told
        )
        assert voc in done.said, told
        assert run(arguments).code == 0
        assert of(out) == expected, told
