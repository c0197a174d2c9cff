"""Access files as objects in a store, where objects appear only when complete."""

import contextlib
import functools
import io
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, BinaryIO, cast

from dsbuild.errors import NoFileError, StorageError
from dsbuild.storage import (
    clients,
    fencing,
    listings,
    temporary,
    troubles,
    uploads,
    urls,
    whole,
)
from dsbuild.storage.listings import stamp_of
from dsbuild.storage.local import Stamp
from dsbuild.storage.raw import RawObject

PART = 8 << 20  # bytes in memory before a file is spooled to disk
_FIRST, _MOST = 1 << 18, 8 << 20  # bytes per request of a reader: at first, and at most
_PIECE = 1 << 20  # bytes: an interrupted answer keeps its complete pieces of this size
_FOLDERS = 64  # listings that a stamper remembers
_PAGE, _PAGES = 1000, 32  # objects in an answer, and answers that `some` takes for one folder
_PAST = "/\U0010fffd"  # sorts after nearly all names in a folder


def stamp(url: str) -> Stamp | None:
    """Return the stamp of an object, or None if there is no such object."""
    if (found := listings.remembered(url)) is not None:
        return found[0]
    try:
        return stamp_of(_head(url, "examined")) if urls.split(url).key else None
    except NoFileError:
        return None


def _head(url: str, done: str) -> Any:
    """Return the metadata of an object; raise NoFileError if there is none."""
    store, key = clients.at(url)

    def head() -> Any:
        library = clients.library()
        try:
            return library.head(store, key)
        except library.exceptions.BaseError as error:
            if troubles.passes(error) is troubles.Passes.NEVER:
                library.list_with_delimiter(store, key)  # its answer has a body that says why
            raise

    return clients.ask(url, done, head)


def stamper() -> Callable[[str], Stamp | None]:
    """Return a `stamp` for many objects, which lists each folder once instead."""

    @functools.lru_cache(_FOLDERS)
    def listed(folder: str) -> Mapping[str, Stamp | None]:
        return listings.listed(folder)[0]

    def stamped(url: str) -> Stamp | None:
        folder, _, name = urls.normal(url).rpartition("/")
        files = listed(folder)
        return files[name] or stamp(url) if name in files else None

    return stamped


def is_folder(url: str) -> bool:
    """Tell whether there is an object below a URL."""
    if (known := listings.is_folder(url)) is not None:
        return known
    store, key = clients.at(url)
    prefix = f"{key}/" if key else ""

    def some() -> bool:
        # Usually the first page decides; a page is one request, with up to 1,000 objects.
        pages = clients.library().list(store, prefix or None)
        return any(meta["path"].startswith(prefix) for page in pages for meta in page)

    found = clients.ask(url, "listed", some)
    if not found:
        listings.empty(url)
    return found


def entries(url: str) -> list[tuple[str, bool]]:
    """List the names directly below a URL, sorted, each with whether it is a folder."""
    files, folders = listings.listed(url)
    return sorted({**dict.fromkeys(files, False), **dict.fromkeys(folders, True)}.items())


def some(url: str, most: int) -> tuple[list[tuple[str, bool]], bool]:
    """Return what `entries` does for up to `most` names, and whether these are all.

    Once a folder is known, the objects in it are skipped.
    """
    store, key = clients.at(url)
    if urls.split(url).scheme == "az":  # Azure cannot start a listing in the middle
        return entries(url), True
    prefix = f"{key}/" if key else ""
    found: dict[str, bool] = {}
    after: str | None = None

    def page() -> list[str]:
        pages = clients.library().list(store, prefix or None, offset=after, chunk_size=_PAGE)
        return [meta["path"] for meta in next(iter(pages), [])]

    for _ in range(_PAGES):
        paths = clients.ask(url, "listed", page)
        for path in paths:
            name, slash, _rest = path.removeprefix(prefix).partition("/")
            if path.startswith(prefix) and name:
                found[name] = bool(slash) or found.get(name, False)
        if len(paths) < _PAGE:
            return sorted(found.items()), True
        if len(found) > most:
            break
        name, slash, _rest = paths[-1].removeprefix(prefix).partition("/")
        after = max(paths[-1], f"{prefix}{name}{_PAST}") if slash else paths[-1]
    return sorted(found.items())[:most], False


def read(url: str) -> tuple[bytes, Stamp]:
    """Return a whole object and its stamp, from one request unless that is interrupted."""
    store, key = clients.at(url)

    def get() -> tuple[bytes, bool, Stamp]:
        answer = whole.get(url, store, key)
        return *_received(answer), stamp_of(answer.meta)

    data, broke, stamp = clients.ask(url, "read", get)
    if broke:
        raw = _Ranges(url)  # continues after each interruption
        with io.BufferedReader(raw, 1 << 16) as file:
            data, stamp = file.read(), raw.stamp
    whole.hold(url, len(data), stamp.size)
    return data, stamp


def _received(answer: Any) -> tuple[bytes, bool]:
    """Return the bytes of an answer, and whether it was interrupted after them."""
    begin, end = answer.range
    if end - begin <= _PIECE:
        return answer.bytes().to_bytes(), False
    pieces = []
    try:
        for piece in answer.stream(_PIECE):
            pieces.append(piece)
    except clients.library().exceptions.BaseError as error:
        if not pieces or troubles.passes(error) is troubles.Passes.NEVER:
            raise
        return b"".join(pieces), True
    return b"".join(pieces), False


def read_part(url: str, offset: int, size: int) -> bytes:
    """Return some bytes of an object, from one request; fewer at its end."""
    store, key = clients.at(url)

    def get() -> bytes | None:
        answer = whole.part(url, store, key, offset, offset + size)
        if answer is None:
            return None
        begin, end = answer.range
        data: bytes = answer.bytes().to_bytes()
        whole.hold(url, len(data), end - begin)
        return data

    data = clients.ask(url, "read", get)
    if data is not None:
        return data
    there = stamp(url)
    ended = there is not None and there.size <= offset
    return b"" if ended else read(url)[0][offset : offset + size]


@contextlib.contextmanager
def reading(url: str) -> Iterator[tuple[io.BufferedReader, int]]:
    """Open an object for reading, in order or from anywhere; give it and its size."""
    raw = _Ranges(url)
    file: io.BufferedReader = io.BufferedReader(raw, 1 << 16)
    with file:
        yield file, raw.size


class _Ranges(RawObject):
    """An object as a raw file, fetched in ranges that grow while it is read in order.

    All ranges are from the same version of the object; any other version is an error.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._store, self._key = clients.at(url)
        meta = _head(url, "read")
        super().__init__(meta["size"])
        self.stamp, self._version = stamp_of(meta), meta["e_tag"]
        self._start, self._ahead = 0, _FIRST
        self._data: bytes | memoryview = b""

    def readinto(self, buffer: Any) -> int:
        if self._at >= self.size:
            return 0
        end = self._start + len(self._data)
        if not self._start <= self._at < end:
            self._ahead = min(2 * self._ahead, _MOST) if 0 < self._at == end else _FIRST
            self._fetch(min(self._at + max(self._ahead, len(buffer)), self.size))
        begin = self._at - self._start
        part = self._data[begin : begin + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def _fetch(self, end: int) -> None:
        options = {"range": (self._at, end), "if_match": self._version}

        def get() -> tuple[bytes, bool, Any]:
            answer = clients.library().get(self._store, self._key, options=options)
            return *_received(answer), answer.meta

        data, broke, meta = clients.ask(self._url, "read", get)
        # Not all stores respect the condition.
        if meta["e_tag"] != self._version or meta["size"] != self.size:
            raise StorageError(f"{self._url}: cannot be read: it was replaced meanwhile")
        if not broke:
            whole.hold(self._url, len(data), end - self._at)
        self._start, self._data = self._at, memoryview(data)
        if broke:
            self._ahead = _FIRST // 2  # the next request is small again, and later ones grow


@contextlib.contextmanager
def writing(url: str) -> Iterator[BinaryIO]:
    """Write an object that appears, complete, when the block ends, or not at all.

    A large object is kept in a temporary file on this machine and then sent in parts.
    """
    clients.at(url)
    with temporary.named(url), tempfile.SpooledTemporaryFile(PART) as file:
        yield cast(BinaryIO, file)  # it has all methods, but not the base class
        _put(url, file)


@contextlib.contextmanager
def placing(url: str) -> Iterator[str]:
    """Give a temporary name on this machine to a writer that opens files itself.

    The name is that of an open file without a folder, so nothing can be left behind.
    """
    clients.at(url)
    with temporary.named(url), tempfile.TemporaryFile() as file:
        yield f"/dev/fd/{file.fileno()}"
        _put(url, file)


def _put(url: str, file: IO[bytes]) -> None:
    try:
        uploads.put(url, file)
    except BaseException:  # the request may have arrived
        listings.forget(url)
        raise
    listings.changed(url, there=True)


def remove(*paths: str) -> None:
    """Remove objects from one bucket, many per request; missing objects are no error."""
    if fencing.over(paths[0]):
        # Removals take no condition: a late one may hit another builder's object.
        there = stamp if len(paths) == 1 else stamper()
        paths = tuple(path for path in paths if there(path))
        if not paths:
            return
        fencing.check(paths[0])
    store, _ = clients.at(paths[0])
    keys = [urls.split(path).key for path in paths]

    def delete() -> None:
        try:
            clients.library().delete(store, keys)
        except FileNotFoundError:  # the other objects may still be there
            for key in keys:
                with contextlib.suppress(FileNotFoundError):
                    clients.library().delete(store, key)

    try:
        clients.ask(paths[0], "removed", delete)
    except BaseException:
        for path in paths:
            listings.forget(path)
        raise
    for path in paths:
        listings.changed(path, there=False)
