import functools
import threading
import time

import pytest

from dsbuild.engines import Job, Local, lanes, turn
from dsbuild.errors import DsbuildError


def double(task, advance):
    with turn():
        advance(1, 0)
    return 2 * task


def busy(task, advance, *, within, most):
    """Note how many are at work, and within a turn, at the same time."""
    within.append("work")
    most.append(within.count("work"))
    time.sleep(0.02)
    with turn():
        within.append("turn")
        assert within.count("turn") == 1
        time.sleep(0.005)
        within.remove("turn")
    within.remove("work")


def fail_at_two(task, advance):
    if task == 2:
        raise DsbuildError("two")
    while True:
        advance(1, 0)
        time.sleep(0.001)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("tasks", [0, 1, 2, 20])
def test_results_are_in_the_order_of_the_tasks(workers, tasks):
    job = Job(iter(range(tasks)), double, tasks, "doubling", lanes=3)
    assert Local(workers).map(job) == [2 * task for task in range(tasks)]


def test_lanes_work_together_but_take_turns():
    within, most = [], []
    work = functools.partial(busy, within=within, most=most)
    Local(1).map(Job(range(9), work, 9, "working", lanes=3))
    assert max(most) == 3
    assert not within


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_error_stops_all_lanes(workers):
    with pytest.raises(DsbuildError, match="two"):
        Local(workers).map(Job(range(6), fail_at_two, 6, "failing", lanes=3))
    assert not [one for one in threading.enumerate() if one.name == "dsbuild-lane"]


def test_an_interruption_stops_all_lanes(monkeypatch):
    def interrupted(samples, size):
        raise KeyboardInterrupt

    monkeypatch.setattr("dsbuild.engines.progress.Bar.advance", lambda *_: interrupted(1, 0))
    with pytest.raises(KeyboardInterrupt):
        Local(1).map(Job(range(6), double, 6, "doubling", lanes=3))
    assert not [one for one in threading.enumerate() if one.name == "dsbuild-lane"]


class UnsendableError(DsbuildError):
    def __reduce__(self):
        raise MemoryError


def fail_unsendably_at_two(task, advance):
    if task == 2:
        raise UnsendableError


def test_a_lane_that_ends_without_a_word_is_noticed():
    with pytest.raises(DsbuildError, match="a worker process died"):
        Local(2).map(Job(range(6), fail_unsendably_at_two, 6, "failing", lanes=3))


def test_a_lane_that_cannot_start_stops_the_others(monkeypatch):
    plain, started = lanes.start, []

    def start(lane, turns):
        if started:
            raise RuntimeError("can't start new thread")
        started.append(plain(lane, turns))
        return started[0]

    def endless(task, advance):
        while True:
            advance(1, 0)
            time.sleep(0.001)

    monkeypatch.setattr(lanes, "start", start)
    with pytest.raises(RuntimeError, match="new thread"):
        Local(1).map(Job(range(6), endless, 6, "working", lanes=3))
    started[0].join(10)
    assert not started[0].is_alive()
