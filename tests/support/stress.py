"""Kill processes, fail system calls and fail stores under all commands: `make stress`.

    python -m tests.support.stress [SECONDS [SEED]]

Exit code 1 if a command hangs, loses data, or leaves a process behind.
"""

import collections
import faulthandler
import os
import pathlib
import random
import secrets
import signal
import sys
import tempfile
import time

from tests.support import fakes
from tests.support.faults import calls, commands, kills, trial
from tests.support.store_faults import points
from tests.support.store_faults import run as stores

MARK = "DSBUILD_STRESS_MARK"  # in the environment of all that is started here


def strays(mark):
    """Return pid -> command for every other process that carries the mark."""
    found = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        pid = int(path.parent.name)
        try:
            marked = f"{MARK}={mark}".encode() in path.read_bytes().split(b"\0")
            if marked and pid != os.getpid():
                found[pid] = path.with_name("cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # it ended, or is somebody else's
    return found


def stress(folder, seconds, rng, counts):
    """Kill and fail at random for some seconds; count what happened."""
    until = time.monotonic() + seconds
    killed = list(kills.commands(folder / "kills"))
    with stores.scenes() as scene:
        _stress(folder, until, killed, scene, rng, counts)


def _stress(folder, until, killed, scene, rng, counts):
    shim = calls.build_shim(folder)
    if shim is None:
        while time.monotonic() < until:
            _kill(killed, rng, counts)
            _store(scene, rng, counts)
        return
    voc = fakes.voc(folder / "sources", train=4, val=2)
    with calls.driver(shim) as run:
        failing = []
        for prepare in commands.COMMANDS:
            room = folder / prepare.__name__
            room.mkdir()
            asked = trial.prepared(run, voc, room, prepare)
            failing.append((asked, list(trial.points(run, *asked[:3]))))
        while time.monotonic() < until:
            _kill(killed, rng, counts)
            _store(scene, rng, counts)
            for _ in range(5):
                asked, every = rng.choice(failing)
                trial.try_fault(run, *asked, rng.choice(every))
                counts["calls failed"] += 1


def _kill(every, rng, counts):
    command = rng.choice(every)
    counts[f"{command.name}: {kills.kill(command, rng)} was killed"] += 1


def _store(scene, rng, counts):
    point = points.drawn(len(points.PATIENCE) * rng.randrange(1 << 20))  # of the least patience
    assert not stores.many(scene, [point])
    counts[f"stores: {point.way}"] += 1


def main():
    """Run for the requested time, and print what happened."""
    words = [*sys.argv[1:], *(None, None)]
    seconds = float(words[0] or os.environ.get("DSBUILD_STRESS_SECONDS") or 120)
    seed = int(words[1] or time.strftime("%Y%m%d"))  # another one every day
    mark = os.environ[MARK] = secrets.token_hex(8)
    faulthandler.dump_traceback_later(seconds + 600, exit=True)
    print(f"stress: seed {seed}, {seconds:.0f} s", flush=True)
    counts = collections.Counter()
    try:
        with tempfile.TemporaryDirectory() as folder:
            stress(pathlib.Path(folder), seconds, random.Random(seed), counts)
    finally:
        for what, count in sorted(counts.items()):
            print(f"{count:6} {what}")
        left = strays(mark)
        for pid, command in left.items():
            print(f"stray process {pid}: {command}")
            os.kill(pid, signal.SIGKILL)
    sys.exit(bool(left))


if __name__ == "__main__":
    main()
