"""Read objects ahead: while one is processed, the next ones are fetched."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from dsbuild.storage import patience
from dsbuild.storage.local import Stamp

if TYPE_CHECKING:
    from concurrent.futures import Future

Read = Callable[[str], tuple[bytes, Stamp]]
WIDTH = 64  # requests at a time; bench/README.md compares other numbers


@contextlib.contextmanager
def ahead(urls: Iterable[str], fetch: Read) -> Iterator[Read]:
    """Give a `read` for which threads fetch the next `urls` with `fetch`, up to `WIDTH` at a time.

    Other objects are read directly, and skipped ones are dropped. Errors are raised when the
    object is read. Pending requests are cancelled when the block ends.
    """
    from concurrent.futures import ThreadPoolExecutor  # here: `--help` needs no threads

    coming = iter(urls)
    awaited: dict[str, Future[tuple[bytes, Stamp]]] = {}

    def fill() -> None:
        while len(awaited) < WIDTH and (url := next(coming, None)) is not None:
            if url not in awaited:
                awaited[url] = pool.submit(fetch, url)

    def read(url: str) -> tuple[bytes, Stamp]:
        if url not in awaited:
            return fetch(url)
        while (first := next(iter(awaited))) != url:
            awaited.pop(first).cancel()
        future = awaited.pop(url)
        fill()
        return future.result()

    done = threading.Event()
    pool = ThreadPoolExecutor(WIDTH, "dsbuild-ahead", patience.heed, (done,))
    try:
        fill()
        yield read
    finally:
        done.set()  # ends the waits for the store: nobody needs them now
        pool.shutdown(wait=True, cancel_futures=True)
