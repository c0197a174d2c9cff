"""Split, normalise and compare URLs of objects, without asking a store."""

import functools
import posixpath
import re
from typing import NamedTuple

from dsbuild.errors import StorageError

SCHEMES = ("gs", "s3", "az", "memory")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Place(NamedTuple):
    """The place of an object: scheme, bucket (a container on Azure), key without outer slashes."""

    scheme: str
    bucket: str
    key: str

    @property
    def url(self) -> str:
        """The normalised URL."""
        return f"{self.scheme}://{self.bucket}" + (f"/{self.key}" if self.key else "")


def is_url(path: str) -> bool:
    """Tell whether a path is a URL; `folder/a://b` is not."""
    return "://" in path and "/" not in path.partition("://")[0]


@functools.lru_cache(256)
def split(url: str) -> Place:
    """Return the place of a URL, `.` and `..` resolved; raise StorageError if it is unsupported.

    Keys are used as they are: nothing is percent-decoded, and `#` is an ordinary character. Parts
    that may be secret, a user before the bucket or a query after the key, are refused without
    being shown: no error and no manifest may repeat them.
    """
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme not in SCHEMES:
        raise StorageError(
            f"{scheme}://: found a URL of this kind, expected a local path, or a URL that starts "
            "with gs://, s3:// or az://"
        )
    if not _BUCKET.fullmatch(bucket) or "?" in key:
        raise StorageError(
            f"{scheme}://: found a URL with more than a bucket and a key, expected "
            f"{scheme}://bucket/folder without user, port or query; credentials only come from the "
            "environment (docs/object-stores.md)"
        )
    return Place(scheme, bucket, posixpath.normpath(f"/{key}").strip("/"))


def normal(url: str) -> str:
    """Return a URL without `.`, `..` and extra slashes."""
    return split(url).url


def relative(path: str, folder: str) -> str | None:
    """Return a URL relative to a folder, `.` for the folder itself; None if it is outside."""
    path, folder = normal(path), normal(folder)
    if path == folder:
        return "."
    below = path.removeprefix(f"{folder}/")
    return None if below == path else below
