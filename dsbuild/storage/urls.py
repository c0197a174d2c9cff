"""URLs of objects: taken apart, put in order, compared. Asks no store."""

import functools
import posixpath
import re
from typing import NamedTuple

from dsbuild.errors import StorageError

SCHEMES = ("gs", "s3", "az", "memory")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Place(NamedTuple):
    """Where an object lies: scheme, bucket (a container on Azure), key without slashes around."""

    scheme: str
    bucket: str
    key: str

    @property
    def url(self) -> str:
        """The URL, in order."""
        return f"{self.scheme}://{self.bucket}" + (f"/{self.key}" if self.key else "")


def is_url(path: str) -> bool:
    """Tell whether a path is a URL; `folder/a://b` is none."""
    return "://" in path and "/" not in path.partition("://")[0]


@functools.lru_cache(256)
def split(url: str) -> Place:
    """Return where a URL leads, `.` and `..` resolved; raise StorageError where dsbuild cannot go.

    Keys are taken as they are: nothing is percent-decoded, and `#` is a character. What may
    be a secret, a user before the bucket or a query after the key, is refused unseen: an
    error or a manifest must never repeat it.
    """
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme not in SCHEMES:
        raise StorageError(
            f"{scheme}://: found a URL of this kind, expected a local path, or a URL that begins "
            "with gs://, s3:// or az://"
        )
    if not _BUCKET.fullmatch(bucket) or "?" in key:
        raise StorageError(
            f"{scheme}://: found a URL with more than a bucket and a key, expected "
            f"{scheme}://bucket/folder without user, port or query; credentials are taken from the "
            "environment only (docs/object-stores.md)"
        )
    return Place(scheme, bucket, posixpath.normpath(f"/{key}").strip("/"))


def normal(url: str) -> str:
    """Return a URL with `.`, `..` and needless slashes resolved."""
    return split(url).url


def relative(path: str, folder: str) -> str | None:
    """Return path relative to folder, `.` for the folder itself; None where it is not inside."""
    path, folder = normal(path), normal(folder)
    if path == folder:
        return "."
    below = path.removeprefix(f"{folder}/")
    return None if below == path else below
