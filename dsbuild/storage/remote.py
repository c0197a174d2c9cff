"""Files as objects of a store: an object appears whole or not at all, so none is renamed."""

import contextlib
import functools
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from dsbuild.errors import StorageError
from dsbuild.storage import stores, temporary
from dsbuild.storage.local import Stamp

PART = 8 << 20  # bytes in memory before a file is spooled to disk; of a part of an upload
_FIRST, _MOST = 1 << 18, 8 << 20  # bytes that a reader asks for: at first, and reading on
_FOLDERS = 64  # listings that are kept while stamps are asked for


def _stamp(meta: Any) -> Stamp:
    # Whole seconds, since HTTP's Last-Modified has no more, while listings have milliseconds:
    # a stamp must be the same whichever request it is of.
    return Stamp(meta["size"], int(meta["last_modified"].timestamp()) * 10**9)


def stamp(url: str) -> Stamp | None:
    """Return the object's stamp, or None where there is no such object."""
    store, key = stores.at(url)

    def head() -> Stamp | None:
        try:
            return _stamp(stores.library().head(store, key))
        except FileNotFoundError:
            return None

    return stores.ask(url, "examined", head) if key else None


def stamper() -> Callable[[str], Stamp | None]:
    """Return `stamp` for many objects: a folder is listed once, and no object asked for."""

    @functools.lru_cache(_FOLDERS)
    def listed(folder: str) -> dict[str, Stamp]:
        found, _ = _listing(folder)
        return {name: _stamp(meta) for name, meta in found.items()}

    def stamped(url: str) -> Stamp | None:
        folder, _, name = stores.urls.normal(url).rpartition("/")
        return listed(folder).get(name)

    return stamped


def is_folder(url: str) -> bool:
    """Tell whether some object lies below a URL."""
    store, key = stores.at(url)
    prefix = f"{key}/" if key else ""

    def some() -> bool:
        # The first page tells; a page is one request, of up to 1,000 objects.
        pages = stores.library().list(store, prefix or None)
        return any(meta["path"].startswith(prefix) for page in pages for meta in page)

    return stores.ask(url, "listed", some)


def entries(url: str) -> list[tuple[str, bool]]:
    """List the names right below a URL, sorted, each with whether objects lie below it."""
    files, folders = _listing(url)
    return sorted({**dict.fromkeys(files, False), **dict.fromkeys(folders, True)}.items())


def _listing(url: str) -> tuple[dict[str, Any], list[str]]:
    """Return name -> metadata of the objects right below a URL, and the names of folders."""
    store, key = stores.at(url)
    prefix = f"{key}/" if key else ""
    listing = functools.partial(stores.library().list_with_delimiter, store, prefix or None)
    found = stores.ask(url, "listed", listing)
    # The object that some tools write to mark a folder has the folder's own path.
    files = {
        meta["path"][len(prefix) :]: meta
        for meta in found["objects"]
        if meta["path"].startswith(prefix)
    }
    return files, [path[len(prefix) :].rstrip("/") for path in found["common_prefixes"]]


def read(url: str) -> tuple[bytes, Stamp]:
    """Return a whole object and its stamp, of one request."""
    store, key = stores.at(url)

    def get() -> tuple[bytes, Stamp]:
        found = stores.library().get(store, key)
        return found.bytes().to_bytes(), _stamp(found.meta)

    return stores.ask(url, "read", get)


def read_part(url: str, offset: int, size: int) -> bytes:
    """Return some bytes of an object, of one request; fewer where it ends before them."""
    store, key = stores.at(url)
    part = functools.partial(stores.library().get_range, store, key, start=offset, length=size)
    return stores.ask(url, "read", lambda: part().to_bytes())


@contextlib.contextmanager
def reading(url: str) -> Iterator[tuple[BinaryIO, int]]:
    """Open an object for reading, in order or from anywhere; give it and its size."""
    raw = _Ranges(url)
    with io.BufferedReader(raw, 1 << 16) as file:
        yield file, raw.size


class _Ranges(io.RawIOBase):
    """An object as a raw file, fetched by ranges that grow while it is read in order.

    All are of one version of the object: a range of another one is an error.
    """

    def __init__(self, url: str):
        self._url = url
        self._store, self._key = stores.at(url)
        head = functools.partial(stores.library().head, self._store, self._key)
        meta = stores.ask(url, "read", head)
        self.size, self._version = meta["size"], meta["e_tag"]
        self._at = self._start = 0
        self._data, self._ahead = b"", _FIRST

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

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

        def get() -> tuple[Any, Any]:
            found = stores.library().get(self._store, self._key, options=options)
            return memoryview(found.bytes()), found.meta

        self._data, meta = stores.ask(self._url, "read", get)
        self._start = self._at
        # Not all stores heed the condition.
        if meta["e_tag"] != self._version or len(self._data) != end - self._at:
            raise StorageError(f"{self._url}: cannot be read: it was replaced meanwhile")


@contextlib.contextmanager
def writing(url: str) -> Iterator[BinaryIO]:
    """Write an object that appears whole when the block ends, or not at all.

    Large ones wait in a temporary file on this machine, and are sent in parts.
    """
    stores.at(url)
    with temporary.named(url), tempfile.SpooledTemporaryFile(PART) as file:
        yield file
        _put(url, file)


@contextlib.contextmanager
def placing(url: str) -> Iterator[str]:
    """Give a temporary name on this machine to a writer that opens files itself.

    The name is that of an open file which lies in no folder, so that nothing is left of it.
    """
    stores.at(url)
    with temporary.named(url), tempfile.TemporaryFile() as file:
        yield f"/dev/fd/{file.fileno()}"
        _put(url, file)


def _put(url: str, file: BinaryIO) -> None:
    store, key = stores.at(url)

    def put() -> None:
        file.seek(0)
        stores.library().put(store, key, file, chunk_size=PART, max_concurrency=4)

    stores.ask(url, "written", put)


def remove(*urls: str) -> None:
    """Remove objects of one bucket, many by one request; one that is not there is no error."""
    store, _ = stores.at(urls[0])
    keys = [stores.at(url)[1] for url in urls]

    def delete() -> None:
        try:
            stores.library().delete(store, keys)
        except FileNotFoundError:  # after which the others of them may be there still
            for key in keys:
                with contextlib.suppress(FileNotFoundError):
                    stores.library().delete(store, key)

    stores.ask(urls[0], "removed", delete)
