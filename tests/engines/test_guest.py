"""Jobs in somebody's process leave no trace there."""

import subprocess
import sys

import pytest

# What a job may not change. An allocation this large is a mapping of its own, whatever glibc
# learnt, unless somebody told it otherwise: bit 1 of the word before it says so.
STATE = """
import ctypes, json, logging, os, signal, sys, threading, warnings

def state():
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    place = libc.malloc(100 << 20)
    mapped = ctypes.c_size_t.from_address(place - ctypes.sizeof(ctypes.c_size_t)).value & 2
    libc.free(place)
    return {
        "mapped": mapped,
        "warnings": repr(warnings.filters),
        "environment": dict(os.environ),
        "logging": logging.root.manager.disable,
        "signals": {str(one): repr(signal.getsignal(one)) for one in signal.valid_signals()},
        "hooks": [repr(sys.excepthook), repr(threading.excepthook)],
        "threads": threading.active_count(),
        "bars": sys.modules["tqdm"].tqdm.monitor_interval if "tqdm" in sys.modules else 10,
        "stderr": repr(sys.stderr),
        "folder": os.getcwd(),
    }

class Terminal:
    def __getattr__(self, name):
        return getattr(sys.__stderr__, name)
    def isatty(self):
        return True
"""

RUN = """
sys.stderr = Terminal()
before = state()
from tests.engines.test_guest import square
from dsbuild.engines import Job, Local
quiet = {quiet}
found = Local({workers}, quiet, method={method!r}).map(Job(range(6), square, 6, "squaring"))
assert found == [0, 1, 4, 9, 16, 25]
after = state()
changed = {{key: (before[key], after[key]) for key in before if before[key] != after[key]}}
assert not changed, changed
assert before["mapped"]
"""


def square(task, advance):
    advance(1, 1)
    return task * task


def fresh(code):
    done = subprocess.run(
        [sys.executable, "-c", STATE + code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocations are looked at")
@pytest.mark.parametrize(
    ("workers", "method", "quiet"),
    [(1, "", True), (1, "", False), (2, "fork", True), (2, "spawn", False)],
)
def test_a_job_leaves_no_trace(workers, method, quiet):
    fresh(RUN.format(workers=workers, method=method, quiet=quiet))


def test_a_warning_of_the_work_is_heard():
    code = """
import pytest
from tests.engines.test_guest import warn
from dsbuild.engines import Job, Local
with pytest.warns(DeprecationWarning, match="old"):
    Local().map(Job([1], warn, 1, "x"))
"""
    fresh(code)


def warn(task, advance):
    import warnings

    warnings.warn("old", DeprecationWarning, stacklevel=1)


def test_workers_of_our_own_are_tuned():
    code = """
from tests.engines.test_guest import mapped
from dsbuild.engines import Job, Local
assert Local(2).map(Job([1, 2], mapped, 1, "x")) == [0, 0]
"""
    fresh(code)


def mapped(task, advance):
    scope: dict = {}
    exec(STATE, scope)
    return scope["state"]()["mapped"]
