"""One failing call, tried: the command fails with one line, and a second run completes it."""

import errno
import signal

from tests.support.faults import calls
from tests.support.faults.calls import Fault
from tests.support.faults.claims import equal, hold, of, settled, shards
from tests.support.folders import everything, restore


def try_fault(run, arguments, out, before, expected, fault):
    """Run a command with a failing call, then again without: nothing may be lost."""
    restore(before, out)
    done = run(arguments, out, fault)
    told = f"{' '.join(arguments)}\n{fault}\nexit {done.code}\n{done.said}"
    assert "Traceback" not in done.said, told
    if fault.how == calls.KILLED:
        assert done.code == -signal.SIGKILL, told
    else:
        assert done.code in (0, 1, 2), told
        lines = done.said.splitlines()
        errors = [line for line in lines if line.startswith(("error: ", "problem: "))]
        assert len(errors) == bool(done.code), told
        hold(done.said, out, before, expected)
    found = of(out)
    if done.code == 0:
        # Files that only save later work may be missing; a note says so.
        left_out = f"note: {out}" in done.said and equal(found, of(before))
        assert found == expected or left_out, told
    elif "manifest.json" in found and not equal(found, of(before)):
        was = of(before)
        for name, data in settled(found).items():
            assert data in (was.get(name), expected.get(name)), f"{name}: {told}"
        repairs = was.get("manifest.json") == expected["manifest.json"]
        # A manifest never describes the shards of two builds.
        if not repairs and shards(was) != shards(expected):
            assert found["manifest.json"] == expected["manifest.json"], told
            assert found.items() >= shards(expected).items(), told
    again = run(arguments)
    assert again.code == 0, f"{told}\nagain: {again.said}"
    assert of(out) == expected, told
    left = [name for name in everything(out) if ".dsbuild-" in name]
    assert not left, f"{left}: {told}"


def points(run, arguments, out, before, kinds=tuple(calls.CALLS)):
    """Yield every call of some kinds that a command makes; a full disk may stay full."""
    for call in kinds:
        restore(before, out)
        done = run(arguments, out, Fault(call, 0, 0))
        assert done.code == 0, done.said
        for at in range(1, done.calls + 1):
            full = call != "r" and at % 2
            lasting = full and call in "wo"
            number = errno.ENOSPC if full else errno.EIO
            yield Fault(call, at, number, calls.LASTING if lasting else calls.ONCE)
            if call in "msfu":
                yield Fault(call, at, errno.EIO, calls.LATE)
            if call in "wsmofu":
                yield Fault(call, at, 0, calls.KILLED)


def prepared(run, voc, tmp_path, prepare):
    """Return arguments, folder, its content before, and its content after a run without faults."""
    out, before = str(tmp_path / "out"), str(tmp_path / "before")
    arguments = prepare(run, voc, out)
    restore(out, before)
    assert run(arguments).code == 0
    return arguments, out, before, of(out)
