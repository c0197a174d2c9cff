"""What is listed is what is read: an answer that is cut on its way is trouble, and no data."""

import re
from typing import Any

from dsbuild.errors import NoFileError, StorageError
from dsbuild.storage import clients
from dsbuild.storage.local import LARGEST, Stamp

# How an answer says, by its status or by what it lacks, that it is no range.
_NO_RANGE = r"status code: 416|Wanted range starting at|source: (NotPartial|NoContentRange|Parse)"
_OTHER = r"Requested (\d+)\.\.(\d+), got (\d+)\.\.(\d+)"  # where it is another one


def get(url: str, store: Any, key: str) -> Any:
    """Return obstore's answer to a request for a whole object, whose metadata tell its true size.

    It is asked for as a range: an answer to that says how large all of the object is, beside how
    much is sent, whoever cuts it. Raises NoFileError for an object larger than any record.
    """
    found = part(url, store, key, 0, LARGEST)
    if found is None:  # it is empty, or something on the way knows of no ranges
        size = clients.library().head(store, key)["size"]
        found = clients.library().get(store, key)
        hold(url, found.meta["size"], size)
    if found.meta["size"] > LARGEST:
        raise NoFileError(
            f"{url}: found {found.meta['size']:,} bytes, expected at most {LARGEST:,}"
        )
    return found


def part(url: str, store: Any, key: str, begin: int, end: int) -> Any | None:
    """Return obstore's answer to a request for a range; None where none is given."""
    try:
        return clients.library().get(store, key, options={"range": (begin, end)})
    except clients.library().exceptions.GenericError as error:
        if (other := re.search(_OTHER, str(error))) is not None:
            start, stop, first, last = map(int, other.groups())
            hold(url, last - first, stop - start)
        if re.search(_NO_RANGE, str(error)) is None:
            raise
        return None


def hold(url: str, size: int, expected: int) -> None:
    """Raise StorageError where another number of bytes arrived than the store says.

    Caches and proxies cut answers and say that they are whole; a list that is cut has fewer
    samples, and an image that is cut is no bad image.
    """
    if size != expected:
        what = "shorter" if size < expected else "longer"
        raise StorageError(
            f"{url}: arrived {what} than the store says: found {size:,} bytes, expected "
            f"{expected:,}; a cache or a proxy on the way changed it, or somebody is replacing it: "
            "run the same command again, if need be past the cache"
        )


def hold_stamp(url: str, size: int, stamp: Stamp | None) -> None:
    """Raise as `hold` does by an object's stamp; NoFileError where it is gone meanwhile."""
    if stamp is None:
        raise NoFileError(f"{url}: there is no such file")
    hold(url, size, stamp.size)
