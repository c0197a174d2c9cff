"""Commands whose processes are killed at random moments; a second run completes them."""

import contextlib
import os
import shutil
import signal
import sys
import time

from tests.support import fakes
from tests.support.folders import restore
from tests.support.processes import children, ended, gone, started, until
from tests.support.runs import content

WORDS = ["--workers", "2", "--quiet"]


class Command:
    """A command, its output folder, and the folder's content before and after."""

    def __init__(self, name, arguments, out, before):
        self.name, self.arguments, self.out = name, [*map(str, arguments)], str(out)
        self.before = str(before)
        restore(self.before, self.out)
        begin = time.monotonic()
        assert self.run() == 0
        self.seconds = time.monotonic() - begin
        self.expected = content(self.out)

    def started(self):
        """Start it."""
        return started([sys.executable, "-m", "dsbuild", *self.arguments])

    def run(self):
        """Run it to its end; return its exit code."""
        with self.started() as process:
            self.said = ended(process, 300)
            return process.returncode


def commands(folder):
    """Yield commands over drawn data, each with its starting state."""
    voc = fakes.voc(folder / "sources", train=24, val=12, width=200, height=150)
    whole, before = folder / "whole", folder / "before"
    build = ["voc", voc, "--shards", "6", "--extra", "edges", *WORDS]
    made = Command("build", [*build[:2], whole, *build[2:]], whole, folder / "nothing")
    yield Command("build", [*build[:2], folder / "out", *build[2:]], folder / "out", "nowhere")
    parts = [*build[:2], folder / "parts", "--split", "trainval", "--shards", "1", *WORDS[:1], "3"]
    yield Command("parts", parts, folder / "parts", "nowhere")
    shutil.copytree(whole, before)
    for i in range(0, 6, 2):
        os.truncate(before / f"train-{i:05d}-of-00006.tfrecord", 50 + i)
    (before / "index" / "val-00001-of-00006.tfrecord.idx").unlink()
    (before / "manifest.json").unlink()
    there = folder / "repaired"
    mended = Command("repair", ["repair", there, voc, *WORDS], there, before)
    assert mended.expected == made.expected
    yield mended
    there = folder / "exported"
    words = ["export", whole, there, "--to", "webdataset", "--workers", "2"]
    yield Command("export", words, there, "nowhere")
    for name in ("statistics", "validate"):
        there = folder / name
        yield Command(name, [name, there, "--workers", "2"], there, whole)


def kill(command, rng):
    """Kill a process of a command at a random moment, then finish it; return who was hit."""
    if rng.random() < 0.5:
        restore(command.before, command.out)
    with command.started() as process:
        if rng.random() < 0.5:
            time.sleep(rng.uniform(0, 1.2 * command.seconds))
            victim = process.pid
        else:
            workers = until(lambda: children(process.pid) or (process.poll() is not None and [0]))
            time.sleep(command.seconds / 4 * rng.random() ** 3)
            victim = rng.choice(workers) or process.pid
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        said = ended(process, 120)
        assert gone(process.pid, 30), f"{command.name}: a process outlived its parent"
        assert "Traceback" not in said, f"{command.name}: {said}"
        hit = "nobody" if process.returncode == 0 else "a worker"
        if process.returncode == -signal.SIGKILL:
            hit = "the parent"
        elif process.returncode:
            assert "a worker process died" in said, f"{command.name}: {said}"
    assert command.run() == 0, f"{command.name} after {hit} was killed: {command.said}"
    assert content(command.out) == command.expected, f"{command.name} after {hit} was killed"
    return hit
