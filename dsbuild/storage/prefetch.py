"""Objects read ahead: while one is worked on, the next ones are on their way."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from dsbuild.storage import patience
from dsbuild.storage.local import Stamp

if TYPE_CHECKING:
    from concurrent.futures import Future

Read = Callable[[str], tuple[bytes, Stamp]]
WIDTH = 64  # requests at a time; bench/README.md has what others come to


@contextlib.contextmanager
def ahead(urls: Iterable[str], fetch: Read) -> Iterator[Read]:
    """Give a `read` whose next `urls` are fetched in threads by `fetch`, so many at a time.

    What is not next is read as ever, what was passed over is dropped; errors arise where
    the object is read. What is still awaited when the block ends is cancelled.
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
        done.set()  # nobody waits any more for what waits for the store
        pool.shutdown(wait=True, cancel_futures=True)
