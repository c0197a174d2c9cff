"""A job: work to be mapped over tasks, as a value that any engine can run."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")
Advance = Callable[[int, int], None]  # (samples, bytes) done since the last call


class Stopped(Exception):
    """Raised inside work when its job was asked to stop."""


def _named(task: Any) -> str:
    """Return the name or path of a task; empty if it has neither."""
    name = getattr(task, "name", None) or getattr(task, "path", task)
    return name if isinstance(name, str) else ""


@dataclass(frozen=True)
class Job(Generic[Task, Result]):
    """Work over tasks: `work(task, advance)` runs in any process, in any order.

    Attributes:
      tasks: picklable, as is work; may be a stream, of which a few are held at a time.
      work: calls advance(samples, bytes) as it goes; that raises Stopped at a stop.
      samples: how many samples all tasks have, for the progress bar.
      title: the text of the bar.
      unit: what the bar counts.
      named: returns the name of a task, for an error that is not of its data.
      seconds: roughly how long one worker needs for all tasks, if that may be less than starting
        another worker takes; None if not known.
      lanes: how many tasks a process should do at a time; more than one for tasks that wait for a
        store. What only one should do at a time is within `engines.turn`.
    """

    tasks: Iterable[Task]
    work: Callable[[Task, Advance], Result]
    samples: int
    title: str
    unit: str = "samples"
    named: Callable[[Task], str] = _named
    seconds: float | None = None
    lanes: int = 1
