"""Send files to a store in parts, which are smaller and fewer at a time on slow links.

While a body is sent the client hears nothing, so a stalled request and one on a slow link look
alike. Two things tell them apart: a time limit by size, for slower and slower links, and a small
request between two tries, which a store that is away would not answer.
"""

import contextlib
import os
import time
from collections.abc import Callable
from typing import IO, NamedTuple

from dsbuild.errors import StorageError
from dsbuild.storage import clients, completing, fencing, troubles, urls


class Pace(NamedTuple):
    """How to use a link: bytes per request, requests at a time, bytes per second of each.

    S3 and Google's store accept no parts below 5 MiB except the last one.
    """

    part: int
    width: int
    rate: int


PACES = (
    Pace(8 << 20, 4, 512 << 10),
    Pace(5 << 20, 4, 128 << 10),
    Pace(5 << 20, 2, 32 << 10),
    Pace(5 << 20, 1, 16 << 10),
)
_paces: dict[str, int] = {}  # bucket -> index of the pace that its link needed last


def forget() -> None:
    """Forget the paces of all links."""
    _paces.clear()


class _SlowError(Exception):
    """A request took longer than its limit, which the message names."""


def put(url: str, file: IO[bytes]) -> None:
    """Send a file to a URL, where it appears when complete; raise StorageError.

    The pace of a slow link is kept for the next files, until one of them shows that it was too
    cautious.
    """
    fencing.check(url)
    place = urls.split(url)
    bucket, size = f"{place.scheme}://{place.bucket}", file.seek(0, os.SEEK_END)
    watched = _Watched(file)
    while True:
        number = min(_paces.get(bucket, 0), len(PACES) - 1)
        try:
            seconds = _send(url, watched, size, PACES[number])
            break
        except _SlowError as error:
            _wait_for_an_answer(url)
            if number + 1 == len(PACES):
                raise StorageError(
                    f"{url}: cannot be written: {error}, though the store answers, so the link is "
                    "too slow; make smaller files with --shard-size 1MB, or build nearer to the "
                    "bucket"
                ) from None
            _paces[bucket] = number + 1
    if number and size >= PACES[number].part:
        faster = PACES[number - 1]
        if size >= seconds * faster.rate * faster.width:
            _paces[bucket] = number - 1


def _send(url: str, file: "_Watched", size: int, pace: Pace) -> float:
    """Send a file at a pace; return the seconds of the try that succeeded; raise _SlowError."""
    small = size <= pace.part
    body = size if small else completing.part_size(size, pace.part)
    limit = _limit(body, pace)
    store, key = clients.at(url, limit)
    trying = clients.tries(url)
    file.watch(pace, trying.moved)

    def send() -> float:
        file.seek(0)
        begin = time.monotonic()
        try:
            if small:
                fencing.write(url, store, key, file.read())
            else:
                with completing.uploading(url, file, pace.part) as (parts, size_of_part):
                    options = {"chunk_size": size_of_part, "max_concurrency": pace.width}
                    clients.library().put(store, key, parts, **options)
        except clients.library().exceptions.BaseError as error:
            if troubles.slow(error):
                raise _SlowError(f"{body:,} bytes took longer than {limit:.0f} s") from None
            raise
        return time.monotonic() - begin

    return clients.ask(url, "written", send, trying)


def _limit(size: int, pace: Pace) -> float:
    """Return how long a request may take: twice the time at this rate, but at least a stall.

    Limits grow by powers of two, so that few clients are opened.
    """
    limit = clients.stall()
    while limit * pace.rate < 2 * size:
        limit *= 2
    return limit


def _wait_for_an_answer(url: str) -> None:
    """Return when the store answers a small request; raise StorageError if it does not."""
    store, key = clients.at(url)

    def head() -> None:
        with contextlib.suppress(FileNotFoundError):
            clients.library().head(store, key)

    clients.ask(url, "written", head)


class _Watched:
    """A file that reports progress: reading on shows that the store took earlier parts."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._taken = file, 0
        self.seek, self.tell = file.seek, file.tell

    def watch(self, pace: Pace, moved: Callable[[], None]) -> None:
        """Call `moved` whenever the store took more than in any earlier try."""
        self._waiting, self._moved = pace.part * pace.width, moved

    def read(self, size: int = -1) -> bytes:
        taken = self._file.tell() - self._waiting
        if taken > self._taken:
            self._taken = taken
            self._moved()
        return self._file.read(size)
