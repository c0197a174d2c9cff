"""A point: a command drawn by a seed, and what befalls it; tried, and judged."""

import contextlib
import os
import random
import signal
import time
from dataclasses import dataclass

from tests.support.processes import children
from tests.support.store_faults import judge
from tests.support.store_faults.cases import CASES, WRITERS, Case
from tests.support.store_faults.kinds import Faults, Seen, draw
from tests.support.store_faults.scene import Scene, settled

# Seconds: of a lock that nobody renews any more, to wait for less.
QUICK = {"dsbuild.storage.lease.BEAT": 0.5, "dsbuild.storage.lease.WATCH": 2.0}
_LIMIT = 60  # seconds of a command with the store well
WAYS = {"fault": 16, "kill": 2, "freeze": 1}  # how often each is drawn
NAMES = {"fault": tuple(CASES), "kill": WRITERS, "freeze": ("build",)}
PATIENCE = (3, 6, 3, 12, 3, 6, 3, 30)  # seconds that are given to a store, by seed


@dataclass(frozen=True)
class Point:
    """What a seed stands for: the same four are the same point."""

    seed: int
    store: str
    name: str
    way: str

    def __str__(self):
        return f"{self.seed} {self.store} {self.name} {self.way}"

    @property
    def patience(self):
        """Return for how many seconds a store that fails is tried."""
        return PATIENCE[self.seed % len(PATIENCE)]


def drawn(seed, store=None, name=None, way=None):
    """Return the point of a seed; what is named is not drawn."""
    rng = random.Random(seed)
    ways = [one for one in WAYS if (way or one) == one and (name or NAMES[one][0]) in NAMES[one]]
    way = rng.choices(ways, [WAYS[one] for one in ways])[0]
    return Point(seed, store or rng.choice(("s3", "gs")), name or rng.choice(NAMES[way]), way)


@dataclass(frozen=True)
class Trial:
    """A point on its way: a command on a folder of the store that nobody else has."""

    scene: Scene
    case: Case
    folder: str
    rng: random.Random
    patience: int

    @property
    def out(self):
        """The folder's URL."""
        return f"{self.scene.room.url}/{self.folder}"

    @property
    def environment(self):
        """What the command's environment has."""
        return {**self.scene.room.environment, "DSBUILD_STORE_SECONDS": str(self.patience)}

    def start(self, words):
        """Start a command."""
        return self.scene.driver.start(words, self.environment, QUICK)

    def files(self):
        """Return the folder's files."""
        return self.scene.room.get(self.folder)

    def told(self, done, *what):
        """Return what is printed of the point."""
        words = " ".join(map(str, self.case.words)).replace(self.out, "OUT")
        said = " / ".join((done.err.strip() or done.out.strip()).splitlines()[-2:])[-300:]
        what = " | ".join(map(str, what))
        return f"{words} | {what} | exit {done.code} after {done.seconds:.1f} s: {said}"


def attempt(scene, point):
    """Try a point; return what befell it, and each thing that is wrong with what came of it."""
    room = scene.room
    folder = room.fresh()
    case = CASES[point.name](scene, random.Random(str(point)), f"{room.url}/{folder}")
    trial = Trial(scene, case, folder, random.Random(f"{point} befalls"), point.patience)
    room.put(folder, case.before)
    try:
        told, wrong = _WAYS[point.way](trial)
        room.fails()
        again = trial.start(case.words).ended(_LIMIT)
        wrong += [f"again: {one}" for one in judge.succeeded(case, again, trial.files(), trial.out)]
        left = [key for key in room.uploads() if folder in key]
        if "killed" not in told:  # who is killed gives up nothing
            wrong += [f"an upload is left: {key}" for key in left]
    finally:
        room.fails()
        room.wipe(folder)
    return told, wrong


def _fault(trial):
    """Run the command while the store fails."""
    room, case, patience = trial.scene.room, trial.case, trial.patience
    writes = case.before != case.expected
    count = trial.rng.choice((1, 1, 2))
    every = [draw(trial.rng, patience, writes, case.matches) for _ in range(count)]
    faults = Faults(*every)
    room.fails(faults)
    done = trial.start(case.words).ended(4 * patience + 25)
    room.fails()
    found, wrong = trial.files(), judge.ended(done)
    if done.code == 0:
        wrong += judge.succeeded(case, done, found, trial.out)
    else:
        wrong += judge.refused(done) if done.code in (1, 2) else []
        wrong += judge.standing(case, found)
        if all(one.passes(patience) for one in every):
            wrong.append("ended by trouble that passes")
    return trial.told(done, faults, f"{faults.hits} hits"), wrong


def _kill(trial):
    """Kill all processes of the command, or one worker, while files appear."""
    room, rng = trial.scene.room, trial.rng
    command = _met(trial, trial.case.words, rng.choice((1, 2, 3, 5, 8)), 0.02)
    time.sleep(rng.choice((0, rng.uniform(0, 0.05), rng.uniform(0, 0.5))))
    workers = children(command.pid)
    if workers and rng.random() < 0.5:
        victim = "a worker"
        with contextlib.suppress(ProcessLookupError):
            os.kill(rng.choice(workers), signal.SIGKILL)
    else:
        victim = "all"
        command.signal(signal.SIGKILL)
    done = command.ended(_LIMIT)
    room.fails()
    wrong = judge.ended(done, codes=(0, 1, 2, -signal.SIGKILL))
    wrong += judge.refused(done) if done.code in (1, 2) else []
    wrong += judge.standing(trial.case, trial.files()) if done.code else []
    return trial.told(done, f"{victim} killed"), wrong


def _freeze(trial):
    """Stop a build until one of another recipe has taken over and ended; then let it go on."""
    case, rng = trial.case, trial.rng
    other = trial.scene.words("voc" if case.recipe == "small" else "small", trial.out)
    first = _met(trial, [*other, "--workers", "1"], rng.randint(1, 10), rng.choice((0.02, 0.3)))
    time.sleep(rng.uniform(0, 0.4))
    first.signal(signal.SIGSTOP)
    trial.scene.room.fails()
    held = any(name.endswith("/lock") for name in trial.files())
    try:
        second = trial.start([*case.words, "--overwrite"]).ended(_LIMIT)
        wrong = judge.succeeded(case, second, trial.files(), trial.out)
        wrong = [f"the second: {one}" for one in wrong]
    finally:
        first.signal(signal.SIGCONT)
    done = first.ended(_LIMIT)
    wrong += judge.ended(done)
    wrong += judge.refused(done) if done.code in (1, 2) else []
    if done.code == 0 and held:
        wrong.append("it ended well though it had lost the lock")
    if judge.differences(settled(trial.files()), settled(case.expected)):
        wrong.append("the one that was stopped wrote into the folder of the other")
    check = trial.start(["validate", trial.out, "--workers", "1"]).ended(_LIMIT)
    wrong += [f"validate: {one}" for one in judge.ended(check, codes=(0,))]
    return trial.told(done, "stopped, and taken over"), wrong


_WAYS = {"fault": _fault, "kill": _kill, "freeze": _freeze}


def _met(trial, words, number, latency):
    """Start a command; return it when it has begun so many writes of shards, or has ended."""
    seen = Seen(f"^PUT .*{trial.folder}/.*-of-", number, latency)
    trial.scene.room.fails(seen)
    command = trial.start(words)
    end = time.monotonic() + _LIMIT
    while not seen.wait(0.01) and command.running() and time.monotonic() < end:
        pass
    return command
