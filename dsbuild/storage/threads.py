"""Ask a store in threads, whose waits end when the one who asks is interrupted or asked to stop."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from dsbuild.storage import patience

Answer = TypeVar("Answer")
_LOOK = 0.5  # seconds between two looks whether this thread is to stop


class Threads:
    """Threads that make requests for another one."""

    def __init__(self, pool: ThreadPoolExecutor, done: threading.Event) -> None:
        self._pool, self._done, self._stop = pool, done, patience.stopping()

    def submit(self, call: Callable[[], Answer]) -> Future[Answer]:
        """Call a function in one of the threads."""
        return self._pool.submit(call)

    def result(self, future: Future[Answer]) -> Answer:
        """Return what a call returned, or raise what it raised."""
        while self._stop and not future.done():
            with contextlib.suppress(TimeoutError):
                return future.result(_LOOK)
            if self._stop.is_set():
                self._done.set()
        return future.result()


@contextlib.contextmanager
def threads(width: int, name: str) -> Iterator[Threads]:
    """Start up to `width` threads; calls whose results nobody took are cancelled at the end."""
    done = threading.Event()
    pool = ThreadPoolExecutor(width, name, patience.heed, (done,))
    try:
        yield Threads(pool, done)
    finally:
        done.set()  # ends the waits for the store: nobody needs them now
        pool.shutdown(wait=True, cancel_futures=True)
