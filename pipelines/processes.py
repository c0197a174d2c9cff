"""The processes of Beam's own runner: their tasks, their output, and how they end.

Each notes its current task in a file, in a folder that the driver made, so that the error about a
killed process can name the task. An environment variable names the folder.
"""

import contextlib
import fcntl
import glob
import os
import pickle
import re
import secrets
import shlex
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, TextIO

from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from dsbuild.engines import tune

_FOLDER = "DSBUILD_AT"  # the folder where a process notes its current task
_DRIVER = "dsbuild-driver"  # the thread that watches the driver
_APART = "multi_processing"  # Beam's name for running workers as processes
_TOGETHER = 0.5  # seconds in which several processes may die together, before Beam ends the rest
_LIBRARIES = ("apache_beam", "grpc")
_TOKEN = secrets.token_hex(8)
_EXIT = re.compile(r"exited with return code (-?\d+)")


@contextlib.contextmanager
def at(task: Any) -> Iterator[None]:
    """Note the current task of this process, for a driver on the same machine."""
    folder = os.environ.get(_FOLDER)
    if folder is None:
        yield
        return
    path = os.path.join(folder, f"at-{os.getpid()}-{threading.get_ident()}")
    # A task that cannot be noted is still done.
    with contextlib.suppress(OSError), open(path, "wb") as file:
        pickle.dump(task, file)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)


def token() -> str:
    """Return a text that identifies this process among those of all machines."""
    return _TOKEN


def settle(driver: str) -> None:
    """Make this process end with its driver; tune its memory unless it is the driver itself.

    The driver may be any program, and its memory is not ours to tune.
    """
    if driver != _TOKEN:
        tune()
    _bind()


def _bind() -> None:
    """Make this process end with its driver; Beam would let it finish its task first."""
    if os.environ.get(_FOLDER) and _DRIVER not in {thread.name for thread in threading.enumerate()}:
        threading.Thread(target=_end_with_driver, name=_DRIVER, daemon=True).start()


def _end_with_driver() -> None:
    driver = os.getppid()
    while os.getppid() == driver:
        time.sleep(_TOGETHER)
    os._exit(1)


class Gone(Exception):
    """A process died, and Beam still waits for it."""


class Processes:
    """The processes that a runner starts, and what is known about them.

    Attributes:
      exits: exit codes of those that Beam did not end itself, as far as it reports them.
      lost: the tasks of those that died, except those that Beam ended afterwards.
    """

    def __init__(self, folder: str, log: TextIO, place: str) -> None:
        self._folder, self._log, self._place = folder, log, place
        self.exits: list[int] = []
        self.lost: list[Any] = []
        self._until: float | None = None

    @contextlib.contextmanager
    def runner(self, options: PipelineOptions) -> Iterator[FnApiRunner | None]:
        """Give a runner that starts these processes; None if the options ask for none."""
        direct = options.view_as(DirectOptions)
        if direct.direct_running_mode != _APART:
            yield None
            return
        folder, log = shlex.quote(self._folder), shlex.quote(self._place)
        command = (
            # The driver handles Ctrl-C and ends the processes. Their output is not for users.
            f"trap '' INT; export {_FOLDER}={folder}; {{ true > {folder}/pid-$$; }} 2> /dev/null; "
            f"exec {shlex.quote(sys.executable)} -m apache_beam.runners.worker.sdk_worker_main "
            f">> {log} 2>&1"
        )
        environment = SubprocessSDKEnvironment.from_command_string(command_string=command)
        direct.direct_running_mode = "in_memory"  # otherwise Beam runs its own command
        try:
            yield FnApiRunner(default_environment=environment)
        finally:
            direct.direct_running_mode = _APART

    def look(self) -> bool:
        """Return whether a process died; note its task, and those of others that died with it."""
        now = time.monotonic()
        if self._until is None and (self.exits or not all(map(_lives, self._pids()))):
            self._until = now + _TOGETHER
        if self._until is not None and now < self._until:
            self.lost = self._tasks()
        return self._until is not None

    def end(self) -> None:
        """End the processes that still run."""
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _tasks(self) -> list[Any]:
        tasks = []
        for path in sorted(glob.glob(os.path.join(glob.escape(self._folder), "at-*"))):
            if _lives(int(path.split("-")[-2])):
                continue
            unread = contextlib.suppress(OSError, EOFError, pickle.UnpicklingError)
            with unread, open(path, "rb") as file:
                tasks.append(pickle.load(file))
        return tasks

    def keep_log(self, more: str) -> str:
        """Write the log and a text after it to a file; return its path, "" if the disk is full."""
        text = ""
        if self._log.readable():
            self._log.seek(0)
            text = self._log.read()
        try:
            handle, path = tempfile.mkstemp(prefix="dsbuild-beam-", suffix=".log")
            with open(handle, "w") as file:
                file.write(text + more)
        except OSError:
            return ""
        return path

    def _pids(self) -> list[int]:
        paths = glob.glob(os.path.join(glob.escape(self._folder), "pid-*"))
        return [int(path.rpartition("-")[2]) for path in paths]


@contextlib.contextmanager
def watched(folder: str) -> Iterator[Processes]:
    """Give the processes of a pipeline; `folder` is an empty folder for them.

    Meanwhile failures in Beam's threads are noted, and stderr goes to the log.
    """
    before = threading.excepthook
    with _memory() as (log, place), contextlib.redirect_stderr(log):
        processes = Processes(folder, log, place)

        def hook(args: threading.ExceptHookArgs) -> None:
            if not _beams(args.exc_traceback):
                before(args)
            elif args.exc_value and (code := _EXIT.search(str(args.exc_value))):
                processes.exits.append(int(code[1]))

        threading.excepthook = hook
        try:
            yield processes
        finally:
            threading.excepthook = before


@contextlib.contextmanager
def _memory() -> Iterator[tuple[TextIO, str]]:
    """Give a log in memory, which never fills a disk, and the path by which processes open it."""
    if not hasattr(os, "memfd_create"):
        with open(os.devnull, "w") as log:
            yield log, os.devnull
        return
    handle = os.memfd_create("dsbuild")
    fcntl.fcntl(handle, fcntl.F_SETFL, os.O_APPEND)
    with open(handle, "a+", buffering=1, errors="replace") as log:
        yield log, f"/proc/{os.getpid()}/fd/{handle}"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _beams(trace: TracebackType | None) -> bool:
    """Return whether code of Beam is in a traceback."""
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        if name.partition(".")[0] in _LIBRARIES:
            return True
        trace = trace.tb_next
    return False
