"""What is listed is what is read: an answer that is cut on its way is trouble, and no data."""

from dsbuild.errors import NoFileError, StorageError
from dsbuild.storage.local import LARGEST, Stamp


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


def refuse_large(url: str, size: int) -> None:
    """Raise NoFileError for an object that no record holds."""
    if size > LARGEST:
        raise NoFileError(f"{url}: found {size:,} bytes, expected a file of at most {LARGEST:,}")
