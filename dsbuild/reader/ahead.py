"""Fetch records from a store ahead of their use: neighbours together, many requests at a time."""

import collections
import functools
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

from dsbuild.errors import DsbuildError, StorageError
from dsbuild.format import tfrecord
from dsbuild.storage import patience
from dsbuild.storage.spool import batches

_PART = 1 << 20  # bytes of neighbouring records in a request; a larger record has its own
_HELD = 32 << 20  # bytes that are fetched ahead, or being fetched
_WIDTH = 128  # requests at a time; as many more wait for a thread that has no need to be woken
_FULL = 0.75  # share of both from which on none are asked for: the next ones are asked for together
_LOOK = 256  # records whose files are known in advance


class Records(Protocol):
    """Records by number, as in `records`."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Their files."""
        ...

    @property
    def check(self) -> str:
        """`crc` or `none`."""
        ...

    def __getitem__(self, number: int, /) -> tfrecord.Record: ...

    def file(self, number: int, /) -> int:
        """Return which file has a record."""
        ...

    def index(self, file: int, /) -> Any:
        """Return the index of a file."""
        ...

    def part(self, file: int, offset: int, size: int, /) -> bytes:
        """Return some bytes of a file."""
        ...

    def bounds(self, number: int, /) -> tuple[int, int, int, int]:
        """Return which file has a record, which it is there, its offset and its size."""
        ...


class _Place(NamedTuple):
    """A record: its number, file, number there, offset and size."""

    number: int
    file: int
    inner: int
    offset: int
    size: int


class _Group(NamedTuple):
    """Neighbouring records and their bytes, which are being fetched."""

    places: collections.deque[_Place]
    begin: int
    data: Future[bytes]


def requesting(done: threading.Event) -> ThreadPoolExecutor:
    """Return threads for requests, whose waits end when `done` is set."""
    return ThreadPoolExecutor(_WIDTH, "dsbuild-records", patience.heed, (done,))


class Ahead(Iterator[Callable[[], tfrecord.Record]]):
    """Records in the order in which they will be used, each as a function that waits for it.

    One thread takes them, and any may wait. A function raises what reading the record alone would.
    `pool` is of `requesting`, for several such iterators; by default each has threads of its own.
    """

    def __init__(
        self, records: Records, numbers: Iterable[int], pool: ThreadPoolExecutor | None = None
    ) -> None:
        self._records = records
        self._groups: collections.deque[_Group] = collections.deque()
        self._held = 0
        self._error: DsbuildError | None = None
        done = threading.Event()
        weakref.finalize(self, done.set)  # nobody needs the answers then
        self._pool = pool or requesting(done)
        self._coming = _neighbours(records, _indexed(records, numbers, self._pool))

    def __next__(self) -> Callable[[], tfrecord.Record]:
        if self._short(_FULL):
            self._fill()
        if not self._groups:
            raise self._error or StopIteration
        group = self._groups[0]
        place = group.places.popleft()
        self._held -= place.size
        if not group.places:
            self._groups.popleft()
        return functools.partial(_wait, self._records, place, group.begin, group.data)

    def _short(self, share: float) -> bool:
        """Tell whether less than this share of what may be fetched ahead is."""
        return len(self._groups) < share * 2 * _WIDTH and self._held < share * _HELD

    def _fill(self) -> None:
        try:
            while self._short(1) and (places := next(self._coming, None)) is not None:
                self._submit(places)
        except DsbuildError as error:  # of a later file: the records before it come first
            self._error = error

    def _submit(self, places: list[_Place]) -> None:
        file, begin = places[0].file, places[0].offset
        size = sum(place.size for place in places)
        data = self._pool.submit(self._records.part, file, begin, size)
        self._groups.append(_Group(collections.deque(places), begin, data))
        self._held += size


def _neighbours(records: Records, numbers: Iterable[int]) -> Iterator[list[_Place]]:
    """Yield records in their order, those together that lie next to each other in a file."""
    found: list[_Place] = []
    size = 0
    for number in numbers:
        try:
            place = _Place(number, *records.bounds(number))
        except DsbuildError:
            if found:
                yield found
            raise
        last = found[-1] if found else place
        joined = (place.file, place.offset) == (last.file, last.offset + last.size)
        if found and not (joined and size + place.size <= _PART):
            yield found
            found, size = [], 0
        found.append(place)
        size += place.size
    if found:
        yield found


def _indexed(records: Records, numbers: Iterable[int], pool: ThreadPoolExecutor) -> Iterator[int]:
    """Yield numbers once the indexes of their files are there, fetched one batch ahead."""
    known: set[int] = set()
    coming: collections.deque[tuple[list[int], list[Future[Any]]]] = collections.deque()

    def submit(some: list[int]) -> None:
        files = {records.file(number) for number in some} - known
        known.update(files)
        coming.append((some, [pool.submit(records.index, file) for file in files]))

    for some in batches(numbers, _LOOK):
        submit(some)
        if len(coming) > 1:
            yield from _ready(*coming.popleft())
    while coming:
        yield from _ready(*coming.popleft())


def _ready(some: list[int], indexes: list[Future[Any]]) -> list[int]:
    """Return numbers once their indexes have been fetched, or could not be."""
    futures.wait(indexes)
    return some


def _wait(records: Records, place: _Place, begin: int, data: Future[bytes]) -> tfrecord.Record:
    try:
        found = data.result()
    except StorageError:
        return records[place.number]  # perhaps only its neighbours could not be read
    at = place.offset - begin
    frame = found[at : at + place.size]
    path, check = records.paths[place.file], records.check == "crc"
    return tfrecord.framed(frame, path, place.inner, place.offset, place.size, check)
