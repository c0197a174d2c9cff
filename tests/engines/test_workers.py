"""Worker processes under fire: whoever is killed, at whatever moment, nobody waits for ever."""

import contextlib
import os
import pathlib
import random
import signal
import sys
import time

import pytest

from dsbuild.engines import Job, Local
from dsbuild.errors import DsbuildError
from tests.support.processes import children, ended, gone, started, until

LARGE = 1 << 25  # bytes that no pipe holds
METHODS = ["fork", "spawn"]
METHOD = ""  # of workers, in processes that tests start


def process_of(call, method="fork"):
    """Start a process that calls a function of this module, its workers by a method."""
    code = f"import {__name__} as here; here.METHOD = {method!r}\n"
    code += f"here.{call}"
    return started([sys.executable, "-c", code])


def wait_for_go(task, advance):
    """Return much, as soon as there is a file `go`."""
    folder, number = task
    pathlib.Path(folder, f"pid-{number}").write_text(f"{os.getpid()}\n")
    until(lambda: os.path.exists(os.path.join(folder, "go")))
    return bytes(LARGE)


def run_waiting(folder):
    try:
        job = Job([(folder, 0), (folder, 1)], wait_for_go, 2, "x")
        print([len(one) for one in Local(2, method=METHOD).map(job)])
    except DsbuildError as error:
        print("ended:", error)


def pids(folder):
    """Return the pids of both workers as soon as they are at work."""

    def found():
        texts = [path.read_text() for path in sorted(folder.glob("pid-*"))]
        return len(texts) == 2 and all(texts) and list(map(int, texts))

    return until(found)


@pytest.mark.parametrize("method", METHODS)
def test_a_worker_that_is_killed_while_it_sends_ends_the_job(tmp_path, method):
    with process_of(f"run_waiting({str(tmp_path)!r})", method) as process:
        victim = pids(tmp_path)[0]
        os.kill(process.pid, signal.SIGSTOP)  # so that what is sent fills the pipe and no more
        (tmp_path / "go").touch()
        time.sleep(1)
        os.kill(victim, signal.SIGKILL)
        os.kill(process.pid, signal.SIGCONT)
        assert "ended: a worker process died" in ended(process)
        assert process.returncode == 0
        assert gone(process.pid)


@pytest.mark.parametrize("method", METHODS)
def test_a_worker_that_is_held_up_while_it_sends_loses_nothing(tmp_path, method):
    with process_of(f"run_waiting({str(tmp_path)!r})", method) as process:
        first, second = pids(tmp_path)
        (tmp_path / "go").touch()
        for _ in range(20):
            for pid in (first, second, process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                    time.sleep(0.005)
                    os.kill(pid, signal.SIGCONT)
        assert ended(process) == f"[{LARGE}, {LARGE}]\n"
        assert gone(process.pid)


@pytest.mark.parametrize("method", METHODS)
def test_workers_end_with_a_parent_that_is_killed(tmp_path, method):
    with process_of(f"run_waiting({str(tmp_path)!r})", method) as process:
        pids(tmp_path)
        process.kill()
        ended(process)
        assert gone(process.pid, 10)


@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_ends_every_process(tmp_path, method):
    with process_of(f"run_counting({str(tmp_path)!r})", method) as process:
        until(lambda: (tmp_path / "begun").exists())
        os.killpg(process.pid, signal.SIGINT)
        assert ended(process, 20) == "interrupted\n"
        assert gone(process.pid, 10)
    assert not (tmp_path / "whole").exists()


@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.05, 0.1])
def test_ctrl_c_while_workers_start(tmp_path, seconds):
    with process_of(f"run_counting({str(tmp_path)!r})", "spawn") as process:
        until(lambda: len(children(process.pid)) > 1)
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGINT)
        assert ended(process, 20) == "interrupted\n"


def count(task, advance):
    pathlib.Path(task, "begun").touch()
    for _ in range(3000):
        advance(1, 1)
        time.sleep(0.01)
    pathlib.Path(task, "whole").touch()


def run_counting(folder):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        Local(2, method=METHOD).map(Job([folder] * 3, count, 3, "x"))
    except KeyboardInterrupt:
        print("interrupted")


def some(task, advance):
    advance(1, task)
    return bytes([task % 256]) * (task % 7 << 17)


def run_many():
    try:
        found = Local(3, method=METHOD).map(Job(range(400), some, 400, "x"))
        print("whole", found == [some(i, lambda *_: None) for i in range(400)])
    except DsbuildError as error:
        print("ended:", error)


def kill_somebody(rng, longest):
    """Kill a worker, or the parent, at a random moment of a job; return what was heard of it."""
    with process_of("run_many()") as process:
        time.sleep(rng.uniform(0, longest))
        there = children(process.pid) if rng.random() < 0.8 else [process.pid]
        if there:
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(there), signal.SIGKILL)
        said = ended(process, 30)
        assert gone(process.pid), said
        return process.returncode, said


@pytest.mark.parametrize("count", [8, pytest.param(200, marks=pytest.mark.slow)])
def test_any_process_may_be_killed_at_any_moment(count):
    rng = random.Random(count)
    heard = [kill_somebody(rng, 1.0) for _ in range(count)]
    for code, said in heard:
        whole = said == "whole True\n" and code == 0
        assert whole or said.startswith("ended: a worker process died") or code == -signal.SIGKILL


def hold_still(task, advance):
    if task == 0:
        raise DsbuildError("the first")
    os.kill(os.getpid(), signal.SIGSTOP)


def test_a_stuck_worker_is_ended():
    there = {*children(os.getpid())}  # of other tests
    begin = time.monotonic()
    with pytest.raises(DsbuildError, match="the first"):
        Local(2, patience=0.5).map(Job([1, 0], hold_still, 2, "x"))
    assert time.monotonic() - begin < 10
    assert {*children(os.getpid())} <= there


class Unpicklable(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")
        self.held = lambda: None


def fail(task, advance):
    raise {"key": KeyError("lost"), "lambda": Unpicklable(1, 2)}[task]


def test_errors_that_are_bugs_say_where_they_arose():
    for task, kind, text in (("key", KeyError, "lost"), ("lambda", RuntimeError, "1 and 2")):
        with pytest.raises(kind, match=text) as caught:
            Local(2).map(Job([task, task], fail, 2, "x"))
        assert "in fail" in "".join(caught.value.__notes__)


def test_unpicklable_work_fails_at_once():
    there = {*children(os.getpid())}  # of other tests
    with pytest.raises(Exception, match=r"pickle|lambda"):
        Local(2).map(Job([lambda: 0, lambda: 1], some, 2, "x"))
    with pytest.raises(Exception, match=r"pickle|lambda"):
        Local(2).map(Job([1, 2], give_lambda, 2, "x"))
    assert {*children(os.getpid())} <= there


def give_lambda(task, advance):
    return lambda: task


def test_only_a_few_tasks_of_a_stream_are_held(tmp_path):
    def tasks():
        for i in range(60):
            assert len(list(tmp_path.iterdir())) >= i - 6
            yield i, str(tmp_path)

    assert Local(2).map(Job(tasks(), touch, 60, "x")) == list(range(60))


def touch(task, advance):
    number, folder = task
    pathlib.Path(folder, str(number)).touch()
    return number


def test_a_stream_that_fails_ends_the_job():
    def tasks():
        yield from range(5)
        raise DsbuildError("the stream broke off")

    there = {*children(os.getpid())}  # of other tests
    with pytest.raises(DsbuildError, match="the stream broke off"):
        Local(2).map(Job(tasks(), some, 9, "x"))
    assert {*children(os.getpid())} <= there
