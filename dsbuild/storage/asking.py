"""Ask several questions about one place; on a store all at a time, since each answer takes time."""

import contextvars
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from dsbuild.storage import files

Item = TypeVar("Item")
Answer = TypeVar("Answer")
WIDTH = 64  # questions at a time


def at_once(place: str, ask: Callable[[Item], Answer], items: Iterable[Item]) -> Iterator[Answer]:
    """Yield ask(item) for each item, in order; on a store threads ask about all of them.

    On a disk nothing is asked until it is needed. The threads know what this one knows: listings
    that are remembered, locks that are held.
    """
    if not files.is_remote(place):
        yield from map(ask, items)
        return
    from dsbuild.storage.threads import threads  # here: `--help` needs no threads

    calls = [functools.partial(ask, item) for item in items]
    with threads(min(len(calls), WIDTH) or 1, "dsbuild-ask") as pool:
        # A thread starts with an empty context.
        asked = [
            pool.submit(functools.partial(contextvars.copy_context().run, call)) for call in calls
        ]
        for one in asked:
            yield pool.result(one)
