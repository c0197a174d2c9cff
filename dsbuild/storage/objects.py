"""Files as objects of a store: an object appears whole or not at all, so none is renamed."""

import contextlib
import functools
import io
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

from dsbuild.errors import NoFileError, StorageError
from dsbuild.storage import clients, fencing, temporary, troubles, uploads, urls, whole
from dsbuild.storage.local import Stamp
from dsbuild.storage.raw import RawObject

PART = 8 << 20  # bytes in memory before a file is spooled to disk
_FIRST, _MOST = 1 << 18, 8 << 20  # bytes that a reader asks for: at first, and reading on
_PIECE = 1 << 20  # bytes of an answer that are kept where it breaks off behind them
_FOLDERS = 64  # listings that are kept while stamps are asked for


def _stamp(meta: Any) -> Stamp:
    # Whole seconds, since HTTP's Last-Modified has no more, while listings have milliseconds:
    # a stamp must be the same whichever request it is of.
    return Stamp(meta["size"], int(meta["last_modified"].timestamp()) * 10**9)


def stamp(url: str) -> Stamp | None:
    """Return the object's stamp, or None where there is no such object."""
    try:
        return _stamp(_head(url, "examined")) if urls.split(url).key else None
    except NoFileError:
        return None


def _head(url: str, done: str) -> Any:
    """Return the object's metadata; raise NoFileError where there is none."""
    store, key = clients.at(url)

    def head() -> Any:
        library = clients.library()
        try:
            return library.head(store, key)
        except library.exceptions.BaseError as error:
            if troubles.passes(error) is troubles.Passes.NEVER:
                library.list_with_delimiter(store, key)  # whose answer has a body that says why
            raise

    return clients.ask(url, done, head)


def stamper() -> Callable[[str], Stamp | None]:
    """Return `stamp` for many objects: a folder is listed once, and no object asked for."""

    @functools.lru_cache(_FOLDERS)
    def listed(folder: str) -> dict[str, Stamp]:
        found, _ = _listing(folder)
        return {name: _stamp(meta) for name, meta in found.items()}

    def stamped(url: str) -> Stamp | None:
        folder, _, name = urls.normal(url).rpartition("/")
        return listed(folder).get(name)

    return stamped


def is_folder(url: str) -> bool:
    """Tell whether some object lies below a URL."""
    store, key = clients.at(url)
    prefix = f"{key}/" if key else ""

    def some() -> bool:
        # The first page tells; a page is one request, of up to 1,000 objects.
        pages = clients.library().list(store, prefix or None)
        return any(meta["path"].startswith(prefix) for page in pages for meta in page)

    return clients.ask(url, "listed", some)


def entries(url: str) -> list[tuple[str, bool]]:
    """List the names right below a URL, sorted, each with whether objects lie below it."""
    files, folders = _listing(url)
    return sorted({**dict.fromkeys(files, False), **dict.fromkeys(folders, True)}.items())


def _listing(url: str) -> tuple[dict[str, Any], list[str]]:
    """Return name -> metadata of the objects right below a URL, and the names of folders."""
    store, key = clients.at(url)
    prefix = f"{key}/" if key else ""
    listing = functools.partial(clients.library().list_with_delimiter, store, prefix or None)
    found = clients.ask(url, "listed", listing)
    # The object that some tools write to mark a folder has the folder's own path.
    files = {
        meta["path"][len(prefix) :]: meta
        for meta in found["objects"]
        if meta["path"].startswith(prefix)
    }
    return files, [path[len(prefix) :].rstrip("/") for path in found["common_prefixes"]]


def read(url: str) -> tuple[bytes, Stamp]:
    """Return a whole object and its stamp, of one request where that does not break off."""
    store, key = clients.at(url)

    def get() -> tuple[bytes, bool, Stamp]:
        found = whole.get(url, store, key)
        return *_came(found), _stamp(found.meta)

    data, broke, stamp = clients.ask(url, "read", get)
    if broke:
        raw = _Ranges(url)  # which goes on where one breaks off
        with io.BufferedReader(raw, 1 << 16) as file:
            data, stamp = file.read(), raw.stamp
    whole.hold(url, len(data), stamp.size)
    return data, stamp


def _came(found: Any) -> tuple[bytes, bool]:
    """Return the bytes of an answer, and whether it broke off behind some of them."""
    begin, end = found.range
    if end - begin <= _PIECE:
        return found.bytes().to_bytes(), False
    pieces = []
    try:
        for piece in found.stream(_PIECE):
            pieces.append(piece)
    except clients.library().exceptions.BaseError as error:
        if not pieces or troubles.passes(error) is troubles.Passes.NEVER:
            raise
        return b"".join(pieces), True
    return b"".join(pieces), False


def read_part(url: str, offset: int, size: int) -> bytes:
    """Return some bytes of an object, of one request; fewer where it ends before them."""
    store, key = clients.at(url)

    def get() -> bytes | None:
        found = whole.part(url, store, key, offset, offset + size)
        if found is None:
            return None
        begin, end = found.range
        data: bytes = found.bytes().to_bytes()
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
    """An object as a raw file, fetched by ranges that grow while it is read in order.

    All are of one version of the object: a range of another one is an error.
    """

    def __init__(self, url: str):
        self._url = url
        self._store, self._key = clients.at(url)
        meta = _head(url, "read")
        super().__init__(meta["size"])
        self.stamp, self._version = _stamp(meta), meta["e_tag"]
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
            found = clients.library().get(self._store, self._key, options=options)
            return *_came(found), found.meta

        data, broke, meta = clients.ask(self._url, "read", get)
        # Not all stores heed the condition.
        if meta["e_tag"] != self._version or meta["size"] != self.size:
            raise StorageError(f"{self._url}: cannot be read: it was replaced meanwhile")
        if not broke:
            whole.hold(self._url, len(data), end - self._at)
        self._start, self._data = self._at, memoryview(data)
        if broke:
            self._ahead = _FIRST // 2  # so that little is asked for next, and then ever more


@contextlib.contextmanager
def writing(url: str) -> Iterator[BinaryIO]:
    """Write an object that appears whole when the block ends, or not at all.

    Large ones wait in a temporary file on this machine, and are sent in parts.
    """
    clients.at(url)
    with temporary.named(url), tempfile.SpooledTemporaryFile(PART) as file:
        yield cast(BinaryIO, file)  # it has all methods, but not the base class
        uploads.put(url, file)


@contextlib.contextmanager
def placing(url: str) -> Iterator[str]:
    """Give a temporary name on this machine to a writer that opens files itself.

    The name is that of an open file which lies in no folder, so that nothing is left of it.
    """
    clients.at(url)
    with temporary.named(url), tempfile.TemporaryFile() as file:
        yield f"/dev/fd/{file.fileno()}"
        uploads.put(url, file)


def remove(*paths: str) -> None:
    """Remove objects of one bucket, many by one request; one that is not there is no error."""
    if fencing.over(paths[0]):
        # A removal knows no condition; where it comes late, what is there may be another's.
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
        except FileNotFoundError:  # after which the others of them may be there still
            for key in keys:
                with contextlib.suppress(FileNotFoundError):
                    clients.library().delete(store, key)

    clients.ask(paths[0], "removed", delete)
