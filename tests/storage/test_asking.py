"""Questions about one place are asked at once on a store, and one by one on a disk."""

import threading

import pytest

from dsbuild import storage
from dsbuild.errors import LostLease, StorageError
from dsbuild.storage import clients, fencing

URL = "memory://asking"


def test_answers_are_in_order():
    for place in (URL, "local"):
        assert list(storage.at_once(place, lambda i: i * i, range(200))) == [
            i * i for i in range(200)
        ]
        assert list(storage.at_once(place, str, [])) == []


def test_a_store_is_asked_at_once():
    together = threading.Barrier(3)
    assert list(storage.at_once(URL, lambda _: together.wait(10) >= 0, range(3))) == [True] * 3


def test_a_disk_is_asked_when_an_answer_is_needed():
    asked = []
    answers = storage.at_once("local", lambda i: asked.append(i) or i, range(3))
    assert next(answers) == 0
    assert asked == [0]


@pytest.mark.parametrize("place", [URL, "local"])
def test_the_first_error_is_raised_after_the_answers_before_it(place):
    def ask(number):
        if number > 1:
            raise StorageError(f"{number}: is wrong")
        return number

    answers = storage.at_once(place, ask, range(4))
    assert [next(answers), next(answers)] == [0, 1]
    with pytest.raises(StorageError, match="2: is wrong"):
        next(answers)


def test_listings_are_remembered_across_threads(monkeypatch):
    storage.write_all({f"{URL}/out/{name}": b"" for name in ("a", "b/c")})
    with storage.listed_once(f"{URL}/out"):
        monkeypatch.setattr(clients, "ask", None)  # nothing is asked again
        known = list(storage.at_once(URL, storage.is_folder, [f"{URL}/out/{n}" for n in "ab"]))
    assert known == [False, True]


def test_a_lock_that_was_lost_is_noticed_in_threads(s3):
    lock = f"{s3}/out/.dsbuild/lock"
    storage.write(lock, b"another's")
    with fencing.holding(fencing.Hold(lock, "mine")), pytest.raises(LostLease):
        storage.write_all({f"{s3}/out/{name}": b"" for name in "ab"})
    assert storage.names(f"{s3}/out") == [".dsbuild"]
