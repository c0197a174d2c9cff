"""Data that a thread takes behind its caller: all of it, in order, and every error is raised."""

import threading

import pytest

from dsbuild import storage

MEGABYTE = 1 << 20


@pytest.mark.parametrize("sizes", [[], [0], [1, 2, 3], [MEGABYTE] * 9, [9 * MEGABYTE, 5]])
def test_everything_is_taken_in_order(sizes):
    before = threading.active_count()
    parts, taken = [bytes([i]) * size for i, size in enumerate(sizes)], []
    with storage.behind(taken.append) as give:
        for part in parts:
            give(part)
    assert b"".join(taken) == b"".join(parts)
    assert threading.active_count() == before


def test_an_error_is_raised_and_ends_the_thread():
    def full(data):
        raise OSError(28, "No space left on device")

    before, given = threading.active_count(), 0
    with pytest.raises(OSError, match="No space left"), storage.behind(full) as give:
        for _ in range(100):
            give(bytes(MEGABYTE))
            given += 1
    assert given < 100  # it is not found out at the end alone
    with pytest.raises(OSError, match="No space left"), storage.behind(full) as give:
        give(b"little")
    assert threading.active_count() == before


def test_nothing_is_taken_after_the_caller_failed():
    taken, gate = [], threading.Event()

    def slow(data):
        gate.wait(10)
        taken.append(len(data))

    with pytest.raises(KeyboardInterrupt), storage.behind(slow) as give:
        for _ in range(4):
            give(bytes(MEGABYTE))
        threading.Timer(0.05, gate.set).start()
        raise KeyboardInterrupt
    assert len(taken) <= 1
