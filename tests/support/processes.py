"""Processes that tests start: every wait has an end, and survivors of a command are found."""

import contextlib
import os
import pathlib
import signal
import subprocess
import time

import pytest


@contextlib.contextmanager
def started(command, **options):
    """Start a command in a session of its own; whatever is left of it at the end is killed."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        **options,
    )
    try:
        yield process
    finally:
        for pid in members(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate(timeout=60)


def ended(process, seconds=60):
    """Return what a process printed until it ended; fail if it does not end."""
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        pytest.fail(f"{process.args} still waits after {seconds} s")


def until(found, seconds=60):
    """Return a function's result as soon as it is true; fail if it never is."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, f"waited for {seconds} s in vain"
        time.sleep(0.005)
    return value


def members(session):
    """Return the pids of a session's live processes; zombies do not count."""
    return [pid for pid, words in _processes() if words[3] == str(session) and words[0] not in "ZX"]


def alive(pid):
    """Tell whether a process is alive; zombies are not."""
    return any(found == pid and words[0] not in "ZX" for found, words in _processes())


def children(parent):
    """Return the pids of a process's live workers."""
    found = [pid for pid, words in _processes() if words[1] == str(parent) and words[0] not in "ZX"]
    return [pid for pid in found if b"resource_tracker" not in _command(pid)]


def gone(session, seconds=20):
    """Tell whether all processes of a session end in time."""
    end = time.monotonic() + seconds
    while members(session):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def _processes():
    """Yield the pid of each process, and its state, parent, group and session."""
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            yield int(path.parent.name), path.read_text().rpartition(")")[2].split()[:4]


def _command(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
