"""Read objects ahead: while one is processed, the next ones are fetched."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from dsbuild.storage.local import Stamp

if TYPE_CHECKING:
    from concurrent.futures import Future

Read = Callable[[str], tuple[bytes, Stamp]]
WIDTH = 128  # requests at a time, at most; bench/METHOD.md compares other numbers
_HELD = 32 << 20  # bytes that are fetched ahead, if files are as large as those before
_FIRST = 16  # requests at a time until a size is known


@contextlib.contextmanager
def ahead(urls: Iterable[str], fetch: Read) -> Iterator[Read]:
    """Give a `read` for which threads fetch the next `urls` with `fetch`, up to `WIDTH` at a time.

    Other objects are read directly, and skipped ones are dropped. Errors are raised when the
    object is read. Pending requests are cancelled when the block ends.
    """
    from dsbuild.storage.threads import threads  # here: `--help` needs no threads

    coming = iter(urls)
    awaited: dict[str, Future[tuple[bytes, Stamp]]] = {}
    count = total = 0  # of files that were read, and of their bytes

    def fill() -> None:
        most = min(_FIRST, WIDTH)
        if count:  # as many more as WIDTH wait for a thread that has no need to be woken
            most = max(2, min(2 * WIDTH, _HELD * count // max(total, 1)))
        if len(awaited) > most - max(1, most // 4):
            return  # later, some together
        while len(awaited) < most and (url := next(coming, None)) is not None:
            if url not in awaited:
                awaited[url] = pool.submit(functools.partial(fetch, url))

    def read(url: str) -> tuple[bytes, Stamp]:
        nonlocal count, total
        if url not in awaited:
            return fetch(url)
        while (first := next(iter(awaited))) != url:
            awaited.pop(first).cancel()
        future = awaited.pop(url)
        fill()
        found = pool.result(future)
        count, total = count + 1, total + len(found[0])
        return found

    with threads(WIDTH, "dsbuild-ahead") as pool:
        fill()
        yield read
