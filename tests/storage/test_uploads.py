import io
import itertools
import os
import threading
import time

import pytest

from dsbuild import storage
from dsbuild.errors import StorageError
from dsbuild.storage import patience, uploads
from dsbuild.storage.uploads import PACES, Pace
from tests.support import stores
from tests.support.stores import s3_bucket, stalled

MIB = 1 << 20


@pytest.fixture
def link(faulty, moto, monkeypatch):
    """A bucket `link` with a limit of a second per request; `slow(rate)` delays its bodies."""
    monkeypatch.setenv(patience.SECONDS, "3")
    stores.forget()
    s3_bucket(moto, "link")
    sizes = []

    def slow(rate):
        def fault(number, method, path):
            return delayed if method == "PUT" else None

        def delayed(handler, body):
            sizes.append(len(body))
            time.sleep(len(body) / rate)
            handler.forward(body)

        faulty.fault = fault

    slow.sizes, slow.proxy = sizes, faulty
    return slow


def send(url, data):
    with storage.writing(url) as file:
        file.write(data)


def test_parts_are_not_smaller_than_stores_accept():
    for pace, slower in itertools.pairwise(PACES):
        assert slower.part <= pace.part
        assert slower.width <= pace.width
        assert slower.rate < pace.rate
    assert all(pace.part >= 5 * MIB for pace in PACES)  # as S3 and Google's store require


def test_a_limit_is_twice_the_time_at_the_rate(monkeypatch):
    monkeypatch.setenv(patience.SECONDS, "60")
    limits = [[uploads._limit(size, pace) for size in (100, pace.part)] for pace in PACES]
    assert limits == [[20, 40], [20, 80], [20, 320], [20, 640]]


def test_a_slow_link_gets_smaller_parts(link, monkeypatch):
    monkeypatch.setattr(uploads, "PACES", (Pace(8 * MIB, 4, 16 * MIB), Pace(5 * MIB, 2, 4 * MIB)))
    data = os.urandom(9 * MIB)
    link(3 * MIB)
    send("s3://link/x", data)
    assert link.sizes[:2] == [8 * MIB, MIB] or link.sizes[:2] == [MIB, 8 * MIB]
    assert sorted(link.sizes[-2:]) == [4 * MIB, 5 * MIB]
    link.sizes.clear()
    send("s3://link/y", data)  # the pace is kept
    assert sorted(link.sizes) == [4 * MIB, 5 * MIB]
    link(1 << 40)
    monkeypatch.setattr(uploads, "PACES", (Pace(8 * MIB, 2, MIB), Pace(5 * MIB, 2, MIB >> 1)))
    send("s3://link/y", data)  # and raised again if the link is faster
    link.sizes.clear()
    send("s3://link/y", data)
    assert sorted(link.sizes) == [MIB, 8 * MIB]
    link.proxy.fault = lambda *_: None
    assert storage.read("s3://link/x")[0] == storage.read("s3://link/y")[0] == data


def test_a_link_that_is_too_slow_is_named(link, monkeypatch):
    monkeypatch.setattr(uploads, "PACES", (Pace(8 * MIB, 4, 16 * MIB), Pace(5 * MIB, 2, 16 * MIB)))
    link(MIB)
    with pytest.raises(StorageError, match=r"^s3://link/x: cannot be written: .* too slow; make"):
        send("s3://link/x", bytes(6 * MIB))


def test_a_store_that_hangs_is_not_a_slow_link(link, monkeypatch):
    monkeypatch.setattr(uploads, "PACES", (Pace(8 * MIB, 4, 16 * MIB), *PACES[1:]))
    link.proxy.fault = lambda *_: stalled
    begin = time.monotonic()
    with pytest.raises(StorageError, match=r"in time, tried for .* --store-seconds"):
        send("s3://link/x", bytes(6 * MIB))
    assert time.monotonic() - begin < 12  # rather than after the limits of all paces


def test_a_single_hanging_request_is_repeated(link, monkeypatch):
    hung = threading.Event()

    def once(handler, body):
        hung.set()
        stalled(handler, body)

    link.proxy.fault = lambda _, method, path: (
        once if method == "PUT" and "partNumber" in path and not hung.is_set() else None
    )
    data, begin = os.urandom(9 * MIB), time.monotonic()
    monkeypatch.setattr(uploads, "PACES", (Pace(8 * MIB, 4, 16 * MIB), *PACES[1:]))
    send("s3://link/x", data)
    assert time.monotonic() - begin < 12
    assert storage.read("s3://link/x")[0] == data


def test_a_lost_answer_to_a_completion_is_not_a_missing_file(link):
    lost = []

    def fault(_, method, path):
        completion = method == "POST" and "uploadId=" in path
        return "lost" if completion and not lost and not lost.append(1) else None

    link.proxy.fault = fault
    data = os.urandom(9 * MIB)
    send("s3://link/x", data)
    assert lost
    assert storage.read("s3://link/x")[0] == data


def test_parts_taken_by_the_store_are_progress():
    moved, file = [], uploads._Watched(io.BytesIO(bytes(100)))
    for _ in range(2):  # nothing is new the second time
        file.seek(0)
        file.watch(Pace(10, 2, 1), lambda: moved.append(1))
        while file.read(10):
            pass
    assert len(moved) == 8
