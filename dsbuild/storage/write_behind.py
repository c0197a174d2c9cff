"""Write behind: while a caller makes the next data, a thread takes what was made before."""

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from dsbuild.storage.syncing import settle

_BATCH = 1 << 20  # bytes that are taken at once: handing over each record would cost more
_WAITING = 4  # batches that may wait for the thread
_WHOLE = 1 << 17  # bytes of a part that is not joined with others: the copy would cost more
_SETTLED = 1 << 22  # bytes after which the thread waits for the disk
_LARGE = 1 << 23  # bytes; the caller waits until a larger batch is taken, so that none wait


@contextlib.contextmanager
def behind(
    take: Callable[[bytes], object], file: BinaryIO | None = None
) -> Iterator[Callable[[bytes], None]]:
    """Give a function for parts of data, which a thread passes to `take` in their order.

    Small parts are joined. All are taken when the block ends; if it raises, the rest is dropped.
    An error of `take` is raised by the next call, or at the end. If `take` writes to a `file`, the
    thread waits for its disk now and then, so that less is left to sync at the end.
    """
    import queue  # here: `--help` needs no threads

    waiting: queue.Queue[list[bytes] | None] = queue.Queue(_WAITING)
    errors: list[BaseException] = []
    dropped = threading.Event()
    parts: list[bytes] = []
    size = 0

    def work() -> None:
        unsettled = 0
        while (batch := waiting.get()) is not None:
            if not errors and not dropped.is_set():
                try:
                    for piece in _pieces(batch):
                        take(piece)
                        unsettled += len(piece)
                    if file is not None and unsettled >= _SETTLED:
                        settle(file)
                        unsettled = 0
                except BaseException as error:
                    errors.append(error)
            del batch
            waiting.task_done()

    def flush() -> None:
        nonlocal parts, size
        waiting.put(parts)
        if size > _LARGE:
            waiting.join()
        parts, size = [], 0
        if errors:
            raise errors[0]

    def give(part: bytes) -> None:
        nonlocal size
        parts.append(part)
        size += len(part)
        if size >= _BATCH:
            flush()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield give
        flush()
    except BaseException:
        dropped.set()
        raise
    finally:
        waiting.put(None)
        thread.join()
    if errors:
        raise errors[0]


def _pieces(batch: Iterable[bytes]) -> Iterator[bytes]:
    """Yield large parts as they are, and the small ones between them joined."""
    for large, parts in itertools.groupby(batch, lambda part: len(part) >= _WHOLE):
        if large:
            yield from parts
        else:
            yield b"".join(parts)
