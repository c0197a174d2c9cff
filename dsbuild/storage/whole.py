"""Check that answers arrive complete: one cut on its way is an error, not data."""

import re
from typing import Any

from dsbuild.errors import NoFileError, StorageError
from dsbuild.storage import clients
from dsbuild.storage.local import LARGEST, Stamp

# How an answer shows, by its status or by missing headers, that it is not a range.
_NO_RANGE = r"status code: 416|Wanted range starting at|source: (NotPartial|NoContentRange|Parse)"
_OTHER = r"Requested (\d+)\.\.(\d+), got (\d+)\.\.(\d+)"  # if it is another range


def get(url: str, store: Any, key: str) -> Any:
    """Return obstore's answer to a request for a whole object; its metadata have the true size.

    The object is requested as a range: such an answer contains the size of the whole object
    besides that of the range, even if somebody cuts it. Raises NoFileError for an object that is
    larger than any record.
    """
    answer = part(url, store, key, 0, LARGEST)
    if answer is None:  # the object is empty, or something on the way does not support ranges
        size = clients.library().head(store, key)["size"]
        answer = clients.library().get(store, key)
        hold(url, answer.meta["size"], size)
    if answer.meta["size"] > LARGEST:
        raise NoFileError(
            f"{url}: found {answer.meta['size']:,} bytes, expected at most {LARGEST:,}"
        )
    return answer


def part(url: str, store: Any, key: str, begin: int, end: int) -> Any | None:
    """Return obstore's answer to a request for a range; None if there is no such range."""
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
    """Raise StorageError if the number of bytes that arrived is not what the store says.

    Caches and proxies may cut answers and call them complete. A list that was cut has fewer
    samples, and an image that was cut is not a bad image.
    """
    if size != expected:
        what = "shorter" if size < expected else "longer"
        raise StorageError(
            f"{url}: arrived {what} than the store says: found {size:,} bytes, expected "
            f"{expected:,}; a cache or a proxy changed it, or somebody is replacing it: run the "
            "same command again, if necessary without the cache"
        )


def hold_stamp(url: str, size: int, stamp: Stamp | None) -> None:
    """Check a size against a stamp as `hold` does; raise NoFileError if the object is gone."""
    if stamp is None:
        raise NoFileError(f"{url}: there is no such file")
    hold(url, size, stamp.size)
