import errno
import functools
import itertools
import tracemalloc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.errors import StorageError
from dsbuild.storage import spool
from dsbuild.storage.spool import Spool, batches, ordered


@given(st.lists(st.text()), st.integers(1, 9))
def test_batches_hold_all_values_in_order(values, size):
    found = list(batches(values, size))
    assert [value for batch in found for value in batch] == values
    assert all(len(batch) == size for batch in found[:-1])
    assert all(found)


@pytest.mark.parametrize("count", [0, 1, 1023, 1024, 5000])
def test_a_spool_is_read_again_and_by_two_at_once(count):
    found = Spool(str(i) for i in range(count))
    want = [str(i) for i in range(count)]
    assert len(found) == count
    assert list(found) == list(found) == want
    assert list(zip(found, found, strict=True)) == list(zip(want, want, strict=True))


def test_a_spool_leaves_memory_for_a_file_without_a_name(monkeypatch, tmp_path):
    monkeypatch.setattr(spool.tempfile, "tempdir", str(tmp_path))
    found = Spool(range(10_000), memory=100)
    assert found._file._rolled
    assert not list(tmp_path.iterdir())
    assert list(found) == list(range(10_000))


@given(st.lists(st.integers(0, 20)), st.integers(1, 9), st.integers(2, 4))
def test_values_are_sorted_and_equals_keep_their_order(keys, run, most):
    values = list(zip(keys, itertools.count()))
    found = ordered(values, key=lambda value: value[0], run=run, most=most)
    assert list(found) == sorted(values)


def test_few_runs_are_kept_however_many_there_are(monkeypatch):
    alive = []
    plain = Spool.__init__

    def counted(self, *args, **options):
        plain(self, *args, **options)
        alive.append(weakref.ref(self))

    monkeypatch.setattr(Spool, "__init__", counted)
    found = ordered(range(1000, 0, -1), key=lambda value: value, run=2, most=4)
    assert sum(one() is not None for one in alive) <= 4 * 5  # levels of up to 3, and one extra
    assert list(found) == list(range(1, 1001))


def test_many_values_are_sorted_in_little_memory():
    tracemalloc.start()
    found = ordered((f"{i * 7919 % 100_003:032d}" for i in range(100_000)), key=str)
    last = ""
    for value in found:
        assert value > last
        last = value
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20  # of 8 MB


def test_no_room_for_temporary_files_is_named(monkeypatch):
    full = functools.partial(open, "/dev/full", "w+b")
    monkeypatch.setattr(spool.tempfile, "TemporaryFile", lambda **_: full())
    monkeypatch.setattr(spool.tempfile, "tempdir", "/full")
    with pytest.raises(StorageError, match=r"^/full: .*No space left.*name another folder in TMP"):
        list(Spool(range(10_000), memory=100))


def test_no_folder_for_temporary_files_is_named(monkeypatch):
    def nowhere():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/a']")

    monkeypatch.setattr(spool.tempfile, "_get_default_tempdir", nowhere)
    monkeypatch.setattr(spool.tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", "/a")
    with pytest.raises(StorageError, match=r"^/a: .*No usable .*name another folder in TMPDIR$"):
        Spool(range(10_000), memory=100)


def test_errors_from_the_values_are_passed_on():
    def values():
        yield 1
        raise FileNotFoundError("theirs")

    with pytest.raises(FileNotFoundError, match="theirs"):
        Spool(values())
