"""Waits of threads that ask a store for another one end with it."""

import threading
import time

import pytest

from dsbuild import storage
from dsbuild.errors import StorageError
from dsbuild.storage import patience
from dsbuild.storage.threads import threads
from tests.support import stores


def wait():
    tries = patience.Tries("s3://a", 60)
    while tries.again("broken"):
        pass


def stopped(call):
    """Return the error of a call in a thread that is then asked to stop, and how long it took."""
    stop, errors, begin = threading.Event(), [], time.monotonic()

    def run():
        patience.heed(stop)
        try:
            call()
        except StorageError as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    time.sleep(0.5)
    stop.set()
    thread.join(30)
    return errors, time.monotonic() - begin


@pytest.fixture
def away(monkeypatch):
    """A store that answered before and is now away."""
    yield from stores.on_store(monkeypatch, stores.s3_environment(9), "s3://bucket")


def test_results_and_errors_are_those_of_the_calls():
    with threads(2, "test") as pool:
        calls = [pool.submit(lambda i=i: 1 / i) for i in range(3)]
        assert [pool.result(one) for one in calls[1:]] == [1, 0.5]
        with pytest.raises(ZeroDivisionError):
            pool.result(calls[0])


def test_an_interruption_ends_their_waits():
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt), threads(2, "test") as pool:
        pool.submit(wait)
        time.sleep(0.3)
        raise KeyboardInterrupt
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("way", ["write", "list"])
def test_a_stop_ends_the_wait_for_a_store_that_is_away(away, way):
    def write():
        storage.write_all({f"{away}/a": b"1", f"{away}/b": b"2"})

    def listing():
        with storage.listed_once(f"{away}/a"):
            raise AssertionError

    patience.reach()
    errors, took = stopped(write if way == "write" else listing)
    assert errors
    assert took < 10
