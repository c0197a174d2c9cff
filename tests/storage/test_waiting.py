import time

from dsbuild.engines import Job, Local
from dsbuild.storage import waiting


def test_listeners_hear_of_waits():
    heard = []
    waiting.tell("a", "nobody hears this")
    with waiting.heard_by(lambda *said: heard.append(said)):
        waiting.tell("a", "one")
        waiting.tell("a", "too soon")
        waiting.tell("b", "two")
        with waiting.heard_by(None):
            waiting.tell("c", "silenced")
        waiting.tell("a", "three")
    waiting.tell("d", "nobody hears this")
    assert heard == [("a", "one"), ("b", "two"), ("a", "three")]


def test_a_wait_is_reported_again_after_a_while(monkeypatch):
    monkeypatch.setattr(waiting, "_AGAIN", 0.1)
    heard = []
    with waiting.heard_by(lambda *said: heard.append(said)):
        for _ in range(2):
            waiting.tell("a", "it waits")
            time.sleep(0.2)
    assert heard == [("a", "it waits")] * 2


def _wait(task, advance):
    for number in range(50):
        waiting.tell(f"store {task}", f"it waits {number}")
        advance(1, 0)
    waiting.tell("all", "it waits")
    return task


def test_a_parent_hears_of_the_waits_of_its_workers():
    heard = []
    with waiting.heard_by(lambda *said: heard.append(said)):
        assert Local(2).map(Job(range(4), _wait, 200, "waits")) == [0, 1, 2, 3]
    told = [(f"store {task}", "it waits 0") for task in range(4)]
    assert sorted(heard) == [("all", "it waits"), *told]
