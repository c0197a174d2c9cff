"""A value that is computed once, and never under a lock."""

import threading

import pytest

from dsbuild.reader.once import once
from dsbuild.reader.stored import Stored


class Counted:
    """An object whose value says how often it was computed."""

    made = 0

    @once
    def value(self):
        """Return a number."""
        self.made += 1
        return self.made


def test_it_is_computed_once_for_each_object():
    one, other = Counted(), Counted()
    assert [one.value, one.value, other.value] == [1, 1, 1]
    assert Counted.value.__doc__ == "Return a number."


@pytest.mark.parametrize("name", ["features", "values", "panoptic"])
def test_records_are_decoded_by_several_threads_at_once(name):
    """One object's value is made while another one's waits: no lock is shared by a class."""
    begun, there = threading.Barrier(2, timeout=20), []

    class Waiting(Stored):
        def __init__(self) -> None:
            """Have nothing: the value is that of the function below."""

    def work(self):
        begun.wait()
        return self

    work.__name__ = name
    setattr(Waiting, name, type(Stored.__dict__[name])(work))
    threads = [
        threading.Thread(target=lambda: there.append(getattr(Waiting(), name))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(there) == 2
