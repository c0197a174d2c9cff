import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from dsbuild import storage
from dsbuild.errors import StorageError
from dsbuild.storage import clients, lease
from tests.support import azurite
from tests.support.stores import s3_bucket


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(lease, "BEAT", 0.2)
    monkeypatch.setattr(lease, "WATCH", 1.0)


@pytest.fixture
def patient(monkeypatch):
    """Let a slow machine take its time: a lock that was not renewed just now is left to others."""
    monkeypatch.setattr(lease, "WATCH", 60.0)


@azurite.TOO
def test_a_lock_is_held_once_and_freed(bucket):
    path = f"{bucket}/out/.dsbuild/lock"
    with storage.lock(path):
        with (
            pytest.raises(StorageError, match=f"^{bucket}/out: another dsbuild is at work"),
            storage.lock(path),
        ):
            pass
        time.sleep(1.5)  # longer than a dead holder would keep it
        assert storage.stamp(path)
    assert storage.stamp(path) is None
    with storage.lock(path):
        pass


@azurite.TOO
def test_a_dead_holders_lock_is_taken_over(bucket):
    path = f"{bucket}/lock"
    storage.write(path, b"someone who died")
    begin = time.monotonic()
    told = []
    with storage.lock(path, told.append):
        assert time.monotonic() - begin >= 1
        assert storage.read(path)[0] != b"someone who died"
    assert storage.stamp(path) is None
    (line,) = told
    assert "another dsbuild locked it; if that one was killed" in line


@azurite.TOO
def test_of_many_who_find_a_dead_lock_one_has_it(bucket):
    path = f"{bucket}/lock"
    storage.write(path, b"someone who died")
    had, refused, inside = [], [], threading.Lock()

    def take():
        try:
            with storage.lock(path):
                assert inside.acquire(blocking=False)
                had.append(1)
                time.sleep(1.5)
                inside.release()
        except StorageError:
            refused.append(1)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert (len(had), len(refused)) == (1, 3)


def test_a_killed_holder(s3, moto):
    code = (
        "import sys, time; from dsbuild import storage; from dsbuild.storage import lease\n"
        "lease.BEAT = 0.2\n"
        f"with storage.lock('{s3}/lock'): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StorageError, match="another dsbuild"), storage.lock(f"{s3}/lock"):
            pass
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait(60)
        with storage.lock(f"{s3}/lock"):
            pass


@azurite.TOO
def test_a_holder_that_was_taken_over_is_told(bucket):
    path = f"{bucket}/lock"
    with pytest.raises(StorageError, match="took the lock over"), storage.lock(path):
        storage.write(path, b"someone else")
        time.sleep(0.6)
    assert storage.read(path)[0] == b"someone else"


@pytest.mark.usefixtures("patient")
def test_a_lost_answer_does_not_lose_the_lock(faulty, moto):
    s3_bucket(moto, "leases")
    faulty.fault = lambda number, method, _: "lost" if method == "PUT" and number % 2 else None
    with storage.lock("s3://leases/lock"):
        time.sleep(1.5)
    assert storage.stamp("s3://leases/lock") is None


@pytest.mark.usefixtures("patient")
def test_a_store_that_is_away_for_some_beats(faulty, moto, monkeypatch):
    monkeypatch.setenv(clients.SECONDS, "0.3")
    clients.open_store.cache_clear()
    s3_bucket(moto, "away")
    with storage.lock("s3://away/lock"):
        faulty.fault = lambda *request: "lost" if request[1] == "PUT" else None
        time.sleep(1.5)
        faulty.fault = lambda *_: None
        time.sleep(1.5)
    assert storage.stamp("s3://away/lock") is None


def test_a_store_without_conditions(bucket, monkeypatch):
    library = clients.library()
    plain = library.put

    def put(store, key, data, mode=None, **options):
        if mode is not None:
            raise NotImplementedError
        return plain(store, key, data, **options)

    monkeypatch.setattr(library, "put", put)
    path = f"{bucket}/lock"
    with storage.lock(path):
        with pytest.raises(StorageError, match="another dsbuild"), storage.lock(path):
            pass
        time.sleep(0.6)
    assert storage.stamp(path) is None
