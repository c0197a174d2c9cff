import contextlib
import functools
import os
import signal
import subprocess
import sys
import termios
import time

import pytest

from dsbuild.build.encode import Rejected
from dsbuild.engines import Job, Local, Stopped, cores
from dsbuild.errors import DsbuildError, PlanError, SampleError
from tests.support import fakes


def square(task, advance):
    advance(1, task)
    return task * task, os.getpid()


def fail_at_three(task, advance):
    if task == 3:
        raise Rejected("sample k: bad", key="k", file="f", reason="bad")
    for _ in range(100):
        time.sleep(0.02)
        advance(1, 0)
    return task


def die(task, advance):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_keep_task_order(workers):
    results = Local(workers).map(Job(range(20), square, 20, "squaring"))
    assert [result for result, _ in results] == [i * i for i in range(20)]
    assert (os.getpid() in {pid for _, pid in results}) == (workers == 1)


def test_no_tasks_give_no_results():
    assert Local(3).map(Job([], square, 0, "nothing")) == []


def test_the_first_error_stops_the_others_soon():
    begin = time.monotonic()
    with pytest.raises(SampleError, match="sample k: bad") as caught:
        Local(2).map(Job([3, 1, 2, 4, 5, 6], fail_at_three, 6, "failing"))
    assert (caught.value.key, caught.value.file, caught.value.reason) == ("k", "f", "bad")
    assert time.monotonic() - begin < 10  # each task alone takes two seconds, all of them ten


def test_a_dead_worker_is_named():
    with pytest.raises(DsbuildError, match=r"a worker process died.*fewer --workers"):
        Local(2).map(Job([1, 2], die, 2, "dying"))


STUBS = ("tensorflow", "torch")  # these take seconds to import; their names alone decide


@pytest.mark.skipif(sys.platform != "linux", reason="nothing is forked elsewhere")
@pytest.mark.parametrize(
    ("module", "method"),
    [("dsbuild.build.run", "fork"), ("obstore", "spawn"), *((one, "spawn") for one in STUBS)],
)
def test_workers_are_forked_only_without_threads(module, method):
    code = f"import sys; sys.modules[{module!r}] = sys\n" if module in STUBS else ""
    code += f"import {module}\nfrom dsbuild.engines import local\n"
    code += f"assert local.safe_method() == {method!r}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_at_least_one_worker_is_required():
    with pytest.raises(PlanError, match="--workers 0"):
        Local(0).map(Job([1], square, 1, "x"))
    assert cores() >= 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_bar_shows_samples_and_speed_on_a_terminal(tmp_path, workers):
    voc = fakes.voc(tmp_path, train=40, val=20, width=400, height=300)
    command = [sys.executable, "-m", "dsbuild", "voc", voc, str(tmp_path / "out")]
    command += ["--extra", "laplacian:png16", "--shards", "10", "--workers", workers]
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # a terminal ends so when its last writer is gone
        while data := os.read(ours, 10_000):
            shown += data
    os.close(ours)
    assert process.wait(60) == 0
    assert b"building train, val, trainval" in shown
    assert b" of 120 samples" in shown
    assert b" MB/s" in shown


def test_stop_reaches_a_partial():
    def work(task, advance, *, note):
        raise Stopped

    with pytest.raises(Stopped):
        Local(1).map(Job([1], functools.partial(work, note=1), 1, "x"))
