import threading
import time

import pytest

from dsbuild.errors import StorageError
from dsbuild.storage import patience, waiting
from dsbuild.storage.patience import Tries


@pytest.fixture(autouse=True)
def fresh():
    patience.forget()
    yield
    patience.forget()


def spend(tries, why="away"):
    """Fail until the budget is spent; return the seconds and tries that it took."""
    begin, count = time.monotonic(), 1
    while tries.again(why):
        count += 1
    return time.monotonic() - begin, count


def test_seconds_come_from_the_environment(monkeypatch):
    monkeypatch.delenv(patience.SECONDS, raising=False)
    assert patience.seconds() == 60
    monkeypatch.setenv(patience.SECONDS, "2.5")
    assert patience.seconds() == 2.5
    for wrong in ("soon", "0", "-1", "nan", "3601", "inf"):
        monkeypatch.setenv(patience.SECONDS, wrong)
        with pytest.raises(StorageError, match=f"^DSBUILD_STORE_SECONDS='{wrong}': expected"):
            patience.seconds()


def test_the_budget_is_spent_and_waits_grow():
    seconds, count = spend(Tries("s3://a", 3))
    assert 3 <= seconds < 4
    assert 4 <= count <= 8  # waits double, and the last try is at the end of the budget


def test_progress_restores_the_budget():
    tries = Tries("s3://a", 0.5)
    spend(tries)
    tries.moved()
    assert spend(tries)[0] >= 0.5


def test_an_outage_is_waited_for_once():
    spend(Tries("s3://a", 0.5))
    assert spend(Tries("s3://a", 0.5)) == (pytest.approx(0, abs=0.2), 1)
    assert spend(Tries("s3://b", 0.3))[0] >= 0.3  # another store
    Tries("s3://a", 0.5).moved()  # an answer ends it
    assert spend(Tries("s3://a", 0.3))[0] >= 0.3


def test_failures_long_apart_are_different_outages(monkeypatch):
    spend(Tries("s3://a", 0.2))
    monkeypatch.setattr(patience, "_STALE", 0.3)
    time.sleep(0.4)
    assert spend(Tries("s3://a", 0.2))[0] >= 0.2


def test_a_request_without_any_answer_ends_although_others_get_one():
    mine, begin = Tries("s3://a", 0.6), time.monotonic()
    while mine.again("broken"):
        Tries("s3://a", 0.6).moved()
    assert 0.6 <= time.monotonic() - begin < 2


def test_an_answer_marks_a_store_as_reached():
    assert not Tries("s3://a", 1).reached
    Tries("s3://a", 1).moved()
    assert Tries("s3://a", 1).reached
    assert Tries("s3://b", 1).reached  # it has the same endpoint
    assert not Tries("gs://b", 1).reached


def test_waits_end_on_request():
    stop, took = threading.Event(), []

    def wait():
        patience.heed(stop)
        took.append(spend(Tries("s3://a", 60))[0])

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.3)
    stop.set()
    thread.join(30)
    assert took[0] < 10


def test_a_long_wait_is_reported(monkeypatch):
    monkeypatch.setattr(patience, "_UNSAID", 0.3)
    heard = []
    with waiting.heard_by(lambda *said: heard.append(said)):
        spend(Tries("s3://a", 0.2))
        assert heard == []
        spend(Tries("s3://b", 1), "it is away")
    assert heard == [("s3://b", heard[0][1])]
    assert heard[0][1].startswith("it is away, for ")
    assert heard[0][1].endswith(" s so far; retrying for up to 1 s")
