"""Commands of dsbuild as processes that are forked, not started: all is imported already.

A driver forks for each command, which takes a tenth of what a fresh process takes; each is a
session of its own, so that it can be killed whole, and what it leaves behind is found.
"""

import contextlib
import importlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass

from tests.support.processes import members


@dataclass(frozen=True)
class Done:
    """What came of a command; `code` is None where it was killed since it did not end."""

    code: int | None
    out: str
    err: str
    seconds: float
    strays: int


class Driver:
    """The process that forks, as a test sees it."""

    def __init__(self, folder):
        self._folder, self._count = pathlib.Path(folder), 0
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from tests.support.store_faults import driver; driver.serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
        )

    def start(self, arguments, environment=None, patches=None):
        """Start a command; `patches` are values of modules, by `module.name`."""
        self._count += 1
        said = str(self._folder / f"said-{self._count}")
        asked = {"arguments": [*map(str, arguments)], "environment": environment or {}}
        pid = self._ask({**asked, "patches": patches or {}, "said": said})
        return Command(self, pid, said)

    def run(self, arguments, environment=None, patches=None, limit=60):
        """Run a command to its end."""
        return self.start(arguments, environment, patches).ended(limit)

    def code(self, pid):
        """Return the exit code of a command, None as long as it runs."""
        return self._ask({"wait": pid})

    def close(self):
        """End the driver."""
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(60)

    def _ask(self, asked):
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


class Command:
    """A command that runs."""

    def __init__(self, driver, pid, said):
        self._driver, self.pid, self._said = driver, pid, said
        self._begin, self._code = time.monotonic(), None

    def running(self):
        """Tell whether it runs yet."""
        if self._code is None:
            self._code = self._driver.code(self.pid)
        return self._code is None

    def signal(self, number):
        """Send a signal to all its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def ended(self, limit):
        """Wait for its end, for some seconds; what is left of it then is killed."""
        end, ended = time.monotonic() + limit, True
        while self.running():
            if time.monotonic() > end:
                ended = False
                self.signal(signal.SIGKILL)
            time.sleep(0.01)
        seconds = time.monotonic() - self._begin
        until = time.monotonic() + 15
        while (strays := members(self.pid)) and ended and time.monotonic() < until:
            time.sleep(0.02)
        for pid in strays:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        texts = []
        for name in ("out", "err"):
            path = pathlib.Path(f"{self._said}.{name}")
            texts.append(path.read_text(errors="replace"))
            path.unlink()
        strays = len(strays) if ended else 0
        return Done(self._code if ended else None, *texts, seconds, strays)


@contextlib.contextmanager
def driver():
    """Give a Driver, which ends with the block."""
    with tempfile.TemporaryDirectory() as folder:
        made = Driver(folder)
        try:
            yield made
        finally:
            made.close()


def serve():
    """Be the driver: start what comes on stdin.

    obstore is not imported here, since its threads do not survive a fork.
    """
    from dsbuild.build import preflight, repair  # noqa: F401
    from dsbuild.build import run as build  # noqa: F401
    from dsbuild.cli import main  # noqa: F401
    from dsbuild.inspect import documents, statistics  # noqa: F401
    from dsbuild.inspect.html import run as page  # noqa: F401
    from dsbuild.interop.export import run as export  # noqa: F401
    from dsbuild.interop.export import webdataset  # noqa: F401
    from dsbuild.storage import lease, objects  # noqa: F401
    from dsbuild.validate import run as validate  # noqa: F401

    codes = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if "wait" in asked:
            answer = _code(codes, asked["wait"])
        else:
            answer = os.fork()
            if answer == 0:
                _child(**asked)  # which never returns
            codes[answer] = None
        print(json.dumps(answer), flush=True)
    for pid in codes:  # whose test was killed
        if _code(codes, pid) is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def _code(codes, pid):
    if codes[pid] is None:
        found, status = os.waitpid(pid, os.WNOHANG)
        codes[pid] = os.waitstatus_to_exitcode(status) if found else None
    return codes[pid]


def _child(arguments, environment, patches, said):
    code = 70
    try:
        os.setsid()
        for handle, name in ((0, os.devnull), (1, f"{said}.out"), (2, f"{said}.err")):
            flags = os.O_RDONLY if handle == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(name, flags, 0o600), handle)
        os.environ.update(environment)
        for name, value in patches.items():
            module, _, key = name.rpartition(".")
            setattr(importlib.import_module(module), key, value)
        if arguments[0] in READERS:
            READERS[arguments[0]](*arguments[1:])
        else:
            from dsbuild.cli import main

            main(arguments, prog_name="dsbuild")
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    sys.exit(code)  # through `serve`, so that this process ends as any other one


def _opened(url, split):
    """Read all samples in order."""
    import dsbuild

    _told(lambda: ((one.key, one.image, one.label) for one in dsbuild.open(url, split)))


def _torch(url, split, workers, method):
    """Read all samples by a DataLoader with workers, in order."""
    import torch.utils.data

    import dsbuild

    def samples():
        found = dsbuild.torch_dataset(url, split)
        context = {"multiprocessing_context": method} if int(workers) else {}
        loader = torch.utils.data.DataLoader(
            found, batch_size=None, num_workers=int(workers), **context
        )
        for one in loader:
            yield one["key"], one["image"].permute(1, 2, 0).numpy(), one["label"].numpy()

    _told(samples)


def _told(samples):
    """Print how many samples there are, and a digest; an error as the command line does."""
    import hashlib

    from dsbuild.errors import DsbuildError

    count, digest = 0, hashlib.sha256()
    try:
        for key, image, label in samples():
            count += 1
            for part in (key.encode(), image.tobytes(), label.tobytes()):
                digest.update(part)
    except DsbuildError as error:
        print(f"error: {error}".splitlines()[0], file=sys.stderr)
        sys.exit(1)
    print(count, digest.hexdigest())


READERS = {"open": _opened, "torch": _torch}
