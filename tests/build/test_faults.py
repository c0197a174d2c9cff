"""Calls into the system that fail, one at a time: each ends in a line, and loses nothing."""

import errno
import os
import pathlib
import random
import re
import shutil
import signal

import pytest

from tests import faults
from tests.conftest import content
from tests.faults import Fault
from tests.support import fakes

WORDS = ["--workers", "1", "--quiet"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    shim = faults.build_shim(tmp_path_factory.mktemp("shim"))
    if shim is None:
        pytest.skip("there is no C compiler")
    with faults.driver(shim) as run:
        yield run


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    return fakes.voc(tmp_path_factory.mktemp("sources"), train=4, val=2)


def fresh(run, voc, out):
    """A build into no folder."""
    return ["voc", voc, out, "--split", "train", "--shards", "2", *WORDS]


def resumed(run, voc, out):
    """A build of which shards and side files lack."""
    assert run(fresh(run, voc, out)).code == 0
    for name in ("train-00001-of-00002.tfrecord", "manifest.json", "schema.json"):
        os.remove(os.path.join(out, name))
    return fresh(run, voc, out)


def overwritten(run, voc, out):
    """A build over one of another split."""
    assert run(["voc", voc, out, "--split", "val", *WORDS]).code == 0
    return [*fresh(run, voc, out), "--overwrite"]


def repaired(run, voc, out):
    """A repair of a cut shard, a lost index and a changed list."""
    assert run(fresh(run, voc, out)).code == 0
    os.truncate(os.path.join(out, "train-00000-of-00002.tfrecord"), 99)
    os.remove(os.path.join(out, "index", "train-00001-of-00002.tfrecord.idx"))
    pathlib.Path(out, "index", "train-00001-of-00002.tfrecord.values").write_text("1\n")
    return ["repair", out, voc, *WORDS]


def exported(to):
    def prepare(run, voc, out):
        assert run(fresh(run, voc, f"{out}-of")).code == 0
        return ["export", f"{out}-of", out, "--to", to, "--workers", "1"]

    prepare.__name__ = f"exported_{to}"
    return prepare


def counted(run, voc, out):
    """Statistics that are kept in the folder."""
    assert run(fresh(run, voc, out)).code == 0
    return ["statistics", out, "--workers", "1"]


def described(run, voc, out):
    """Side files that are written anew."""
    assert run(fresh(run, voc, out)).code == 0
    return ["interop", out, "--license", "CC0-1.0", "--description", "Drawn."]


def shown(run, voc, out):
    """A page that takes the place of an older one."""
    of = os.path.join(os.path.dirname(out), "shown")
    assert run(fresh(run, voc, of)).code == 0
    page = ["inspect", of, "--html", f"{out}/page.html", "--workers", "1", "--samples"]
    assert run([*page, "1"]).code == 0
    return [*page, "2"]


def pictured(run, voc, out):
    """Pictures of a record."""
    of = os.path.join(os.path.dirname(out), "shown")
    assert run(fresh(run, voc, of)).code == 0
    return ["inspect", of, "--record", "1", "--save", out]


COMMANDS = [
    fresh,
    resumed,
    overwritten,
    repaired,
    exported("webdataset"),
    exported("parquet"),
    exported("array_record"),
    counted,
    described,
    shown,
    pictured,
]


def of(out):
    """Return file -> bytes; of a folder that is not there none."""
    return content(out) if os.path.isdir(out) else {}


def _equal(one, other):
    """Tell whether two folders are the same, but for what work lays aside."""
    return _settled(one) == _settled(other)


def _settled(found):
    """Return the files that are no old manifest, nor half-written, nor wait to replace others."""
    passing = ("previous", "/repair/", ".dsbuild-")
    return {k: v for k, v in found.items() if not any(word in k for word in passing)}


def _shards(found):
    return {k: v for k, v in _settled(found).items() if "-of-" in k}


def restore(before, out):
    shutil.rmtree(out, ignore_errors=True)
    if os.path.isdir(before):
        shutil.copytree(before, out)


def _absent(path, was, expected):
    return not os.path.lexists(path)


def _earlier(path, was, expected):
    """Tell whether a file is of before; some are written twice, and others are what they were."""
    return os.path.isfile(path) and (was is not None or pathlib.Path(path).read_bytes() != expected)


def _new(path, was, expected):
    if not os.path.isfile(path):
        return False
    found = pathlib.Path(path).read_bytes()
    return was is None or found != was or expected in (None, found)  # of receipts none is known


def _present(path, was, expected):
    return os.path.lexists(path)


# What a message may claim of a path -> what then must be so.
CLAIMS = {
    r"(\S+): cannot be written: [^;]*; nothing was left under this name": _absent,
    r"(\S+): cannot be written: [^;]*; an earlier file still has this name": _earlier,
    r"(\S+): was written, but may not survive a power cut": _new,
    r"(\S+): cannot be removed": _present,
}


def hold(said, out, before, expected):
    """Hold each claim of what was said to the disk; return how many there were."""
    was, count = everything(before), 0
    for claim, holds in CLAIMS.items():
        for path in re.findall(claim, said):
            name = os.path.relpath(path, out)
            assert holds(path, was.get(name), expected.get(name)), f"{claim}\n{said}"
            count += 1
    made = "cannot be written" in said or "may not survive" in said
    # No file is known of that would be written into a folder that cannot be made.
    assert count or not made or "/lock: cannot be written" in said, said
    if "nothing was changed" in said or "nothing was written" in said:
        assert everything(out) == was, said
        count += 1
    return count


def everything(folder):
    """Return path below a folder -> bytes of all files, the state's and temporary ones too."""
    paths = pathlib.Path(folder).rglob("*")
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.is_file()}


def try_fault(run, arguments, out, before, expected, fault):
    """Run a command of which a call fails, and then without: nothing may be lost on the way."""
    restore(before, out)
    done = run(arguments, out, fault)
    told = f"{' '.join(arguments)}\n{fault}\nexit {done.code}\n{done.said}"
    assert "Traceback" not in done.said, told
    if fault.how == faults.KILLED:
        assert done.code == -signal.SIGKILL, told
    else:
        assert done.code in (0, 1), told
        lines = done.said.splitlines()
        errors = [line for line in lines if line.startswith(("error: ", "problem: "))]
        assert len(errors) == done.code, told
        hold(done.said, out, before, expected)
    found = of(out)
    if done.code == 0:
        # What is only kept for later may be left out, of which a note tells.
        left_out = f"note: {out}" in done.said and _equal(found, of(before))
        assert found == expected or left_out, told
    elif "manifest.json" in found and not _equal(found, of(before)):
        was = of(before)
        for name, data in _settled(found).items():
            assert data in (was.get(name), expected.get(name)), f"{name}: {told}"
        mends = was.get("manifest.json") == expected["manifest.json"]
        if not mends and _shards(was) != _shards(expected):  # no manifest over shards of two builds
            assert found["manifest.json"] == expected["manifest.json"], told
            assert found.items() >= _shards(expected).items(), told
    again = run(arguments)
    assert again.code == 0, f"{told}\nagain: {again.said}"
    assert of(out) == expected, told
    left = [name for name in everything(out) if ".dsbuild-" in name]
    assert not left, f"{left}: {told}"


def points(run, arguments, out, before):
    """Yield every call that a command makes; a disk that is full may stay so."""
    for call in faults.CALLS:
        restore(before, out)
        done = run(arguments, out, Fault(call, 0, 0))
        assert done.code == 0, done.said
        for at in range(1, done.calls + 1):
            full = call != "r" and at % 2
            lasting = full and call in "wo"
            number = errno.ENOSPC if full else errno.EIO
            yield Fault(call, at, number, faults.LASTING if lasting else faults.ONCE)
            if call in "msfu":
                yield Fault(call, at, errno.EIO, faults.LATE)
            if call in "wsmofu":
                yield Fault(call, at, 0, faults.KILLED)


def prepared(run, voc, tmp_path, prepare):
    """Return arguments, folder, what is there before, and what a run without fault leaves."""
    out, before = str(tmp_path / "out"), str(tmp_path / "before")
    arguments = prepare(run, voc, out)
    restore(out, before)
    assert run(arguments).code == 0
    return arguments, out, before, of(out)


@pytest.mark.parametrize("prepare", COMMANDS, ids=lambda prepare: prepare.__name__)
def test_some_calls_fail(run, voc, tmp_path, prepare):
    arguments, out, before, expected = prepared(run, voc, tmp_path, prepare)
    every = list(points(run, arguments, out, before))
    for fault in random.Random(0).sample(every, min(6, len(every))):
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
        assert done.code == 1, told
        assert len([line for line in done.said.splitlines() if line.startswith("error: ")]) == 1, (
            told
        )
        assert voc in done.said, told
        assert run(arguments).code == 0
        assert of(out) == expected, told
