"""Commands of dsbuild in which one system call fails, each in its own process.

A driver that has everything imported runs under the preloaded shim and forks for each command,
which takes a tenth of what a fresh process takes.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from typing import NamedTuple

HERE = pathlib.Path(__file__).parent
# What may fail; `r`, reading, is kept apart, since it changes no file.
CALLS = {
    "w": "write",
    "s": "sync",
    "m": "rename",
    "o": "open to write",
    "f": "make a folder",
    "u": "unlink",
    "c": "close",
    "r": "read",
}
ONCE, LASTING, LATE, KILLED = range(4)  # how a call fails, as the shim has it
_HOW = ("", " and all behind it", ", which was done all the same", ", before which it is killed")
_LONGEST = 60  # seconds of a command, which is then killed


class Fault(NamedTuple):
    """The call that fails: its kind, its number among these, its errno, and how it fails."""

    call: str
    at: int
    number: int
    how: int = ONCE

    def __str__(self) -> str:
        name = CALLS.get(self.call, "call")
        return f"{name} {self.at}{_HOW[self.how]}: {os.strerror(self.number)}"


NONE = Fault("*", 0, 0)


class Done(NamedTuple):
    """How a command ended: its exit code, its output, and how many such calls it made."""

    code: int
    said: str
    calls: int


def build_shim(folder) -> str | None:
    """Compile the shim into a folder; return its path, or None without a compiler."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None or sys.platform != "linux":
        return None
    path = str(pathlib.Path(folder, "shim.so"))
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", path, str(HERE / "shim.c"), "-ldl"]
    subprocess.run(command, check=True, timeout=120)
    return path


@contextlib.contextmanager
def driver(shim):
    """Yield `run(arguments, path, fault)`, which runs a command whose calls on `path` fail."""
    environment = {**os.environ, "LD_PRELOAD": shim, "COLUMNS": "200", "NO_COLOR": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", "from tests.support.faults import calls; calls.serve()", shim],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )

    def run(arguments, path="", fault=NONE):
        process.stdin.write(json.dumps([[*map(str, arguments)], str(path), fault]) + "\n")
        process.stdin.flush()
        return Done(*json.loads(process.stdout.readline()))

    try:
        yield run
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(2 * _LONGEST)


def serve():
    """Act as the driver: run the commands that arrive on stdin."""
    from dsbuild.build import preflight, repair  # noqa: F401
    from dsbuild.build import run as build  # noqa: F401
    from dsbuild.inspect import documents, statistics  # noqa: F401
    from dsbuild.inspect.html import run as page  # noqa: F401
    from dsbuild.interop.export import array_record, webdataset  # noqa: F401
    from dsbuild.interop.export import run as export  # noqa: F401

    shim = ctypes.CDLL(sys.argv[1])
    shim.arm.argtypes = [ctypes.c_char, *[ctypes.c_int] * 2, ctypes.c_char_p, ctypes.c_int]
    for line in sys.stdin:
        arguments, path, fault = json.loads(line)
        print(json.dumps(_run(shim, arguments, path, Fault(*fault))), flush=True)


def _run(shim, arguments, path, fault):
    with tempfile.TemporaryFile() as said:
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            _child(shim, arguments, path, fault, said.fileno(), theirs)
        os.close(theirs)
        with open(ours) as pipe:
            calls = int(pipe.read() or 0)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        said.seek(0)
        return Done(code, said.read().decode(errors="replace"), calls)


def _child(shim, arguments, path, fault, said, pipe):
    from dsbuild.cli import main

    signal.alarm(_LONGEST)
    os.dup2(said, 1)
    os.dup2(said, 2)
    code = 70
    try:
        shim.arm(fault.call.encode(), fault.at, fault.number, os.fsencode(path), fault.how)
        main(arguments, prog_name="dsbuild")
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    calls = shim.counted()
    shim.arm(b"*", 0, 0, b"", 0)
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os.write(pipe, str(calls).encode())
    os._exit(code)
