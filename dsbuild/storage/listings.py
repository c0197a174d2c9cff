"""List folders on a store, and remember the listings while a block runs.

A build asks about the same few folders again and again, and every answer takes time.
Within `listed_once` each folder is listed once; changes by this process are noted.
"""

import contextlib
import contextvars
import functools
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from dsbuild.storage import clients, forks, urls
from dsbuild.storage.local import Stamp


class _Listing(NamedTuple):
    """A folder: its objects by name, with None for a stamp that has to be asked for; its folders.

    Some tools mark a folder with an object, which has the folder's own path and is left out.
    """

    files: dict[str, Stamp | None]
    folders: set[str]


_Known = dict[str, _Listing]  # URL of a folder -> its listing
_KNOWN: contextvars.ContextVar[_Known | None] = contextvars.ContextVar("known", default=None)


@contextlib.contextmanager
def listed_once(*folders: str) -> Iterator[None]:
    """List each folder on a store once while the block runs; these folders first, all at a time.

    For folders that only this process changes meanwhile, or that may be seen as they were at the
    first listing. Threads and processes that the block starts do not take part.
    """
    if forks.cut():  # its helper lists
        yield
        return
    from dsbuild.storage.threads import threads  # here: `--help` needs no threads

    found: _Known = {}
    names = [urls.normal(folder) for folder in folders if urls.is_url(folder)]
    if names:
        with threads(len(names), "dsbuild-list") as pool:
            asked = [pool.submit(functools.partial(_listing, name)) for name in names]
            found.update((name, pool.result(one)) for name, one in zip(names, asked, strict=True))
    token = _KNOWN.set(found)
    try:
        yield
    finally:
        _KNOWN.reset(token)


def changed(url: str, there: bool) -> None:
    """Correct what is remembered: this process wrote or removed an object."""
    known, (folder, _, name) = _KNOWN.get() or {}, urls.normal(url).rpartition("/")
    if not there:
        found = known.get(folder, _Listing({}, set()))
        found.files.pop(name, None)
        if not found.files and not found.folders:
            forget(folder)  # it may be gone
        return
    if folder in known:
        known[folder].files[name] = None
    for above, name in _above(folder):
        if above in known:
            known[above].folders.add(name)


def empty(url: str) -> None:
    """Remember that there is no object below a URL."""
    known = _KNOWN.get()
    if known is not None:
        known[urls.normal(url)] = _Listing({}, set())


def forget(url: str) -> None:
    """Forget the folders above an object, such as one that could not be written or removed."""
    known = _KNOWN.get() or {}
    for above, _ in _above(urls.normal(url)):
        known.pop(above, None)


def _above(url: str) -> Iterator[tuple[str, str]]:
    """Yield each folder above a URL, with the name that leads down to it."""
    above, _, name = url.rpartition("/")
    while not above.endswith("/"):  # up to the bucket
        yield above, name
        above, _, name = above.rpartition("/")


def stamp_of(meta: Any) -> Stamp:
    """Return the stamp of an object from what a store says of it."""
    # Whole seconds: HTTP's Last-Modified has no more, while listings have milliseconds, and a
    # stamp must not depend on the request that it comes from.
    return Stamp(meta["size"], int(meta["last_modified"].timestamp()) * 10**9)


def remembered(url: str) -> tuple[Stamp | None] | None:
    """Return the stamp of an object, in a tuple; None if no remembered listing has it."""
    known = _KNOWN.get()
    if not known:
        return None
    folder, _, name = urls.normal(url).rpartition("/")
    if folder not in known:
        return None
    stamp = known[folder].files.get(name)
    return None if stamp is None and name in known[folder].files else (stamp,)


def listed(url: str) -> tuple[Mapping[str, Stamp | None], Collection[str]]:
    """Return name -> stamp of the objects directly below a URL, and the names of its folders.

    A stamp is None if it has to be asked for.
    """
    known, url = _KNOWN.get(), urls.normal(url)
    found = None if known is None else _found(known, url)
    if found is None:
        found = _listing(url)
        if known is not None:
            known[url] = found
    return found


def is_folder(url: str) -> bool | None:
    """Tell whether there is an object below a URL; None if the remembered listings do not say."""
    known, url = _KNOWN.get(), urls.normal(url)
    found = _found(known, url) if known else None
    if found is not None:
        return bool(found.files or found.folders)
    above, _, name = url.rpartition("/")
    return True if known and above in known and name in known[above].folders else None


def _found(known: _Known, url: str) -> _Listing | None:
    """Return what is remembered of a folder, also that the folder above has no such folder."""
    above, _, name = url.rpartition("/")
    if url not in known and above in known and name not in known[above].folders:
        return _Listing({}, set())
    return known.get(url)


def _listing(url: str) -> _Listing:
    store, key = clients.at(url)
    prefix = f"{key}/" if key else ""
    listing = functools.partial(clients.library().list_with_delimiter, store, prefix or None)
    answer = clients.ask(url, "listed", listing)
    files: dict[str, Stamp | None] = {
        meta["path"][len(prefix) :]: stamp_of(meta)
        for meta in answer["objects"]
        if meta["path"].startswith(prefix)
    }
    folders = {path[len(prefix) :].rstrip("/") for path in answer["common_prefixes"]}
    return _Listing(files, folders)
