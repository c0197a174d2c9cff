"""Download a file whose digest is known: whole and right, or not at all."""

import hashlib
import http.client
import os
import tempfile
import time
import urllib.error
import urllib.request
from typing import IO

from dsbuild.errors import TrainError

_WAIT = 30.0  # seconds that a server may be silent
_LONGEST = 3600.0  # seconds of a download
_CHUNK = 1 << 20


def digest(path: str) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(url: str, path: str, sha256: str, most: int, name: str) -> None:
    """Write the file at a URL to a path, atomically.

    Args:
      url: of http or https.
      path: in a folder that exists.
      sha256: the digest, or its first digits.
      most: bytes that the file may have.
      name: of the weights, for errors.

    Raises TrainError if there is no network, or the file is cut, too large or another one; OSError
    if it cannot be written.
    """
    handle, part = tempfile.mkstemp(dir=os.path.dirname(path), suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            found = _copied(url, file, most, name, path)
        if not found.startswith(sha256):
            raise TrainError(
                f"weights: {name}: {url}: found a file with SHA-256 {found[:16]}..., expected "
                f"{sha256[:16]}: it was changed, or a proxy answered; it was not kept"
            )
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.remove(part)


def _copied(url: str, file: IO[bytes], most: int, name: str, path: str) -> str:
    """Copy what is at a URL into a file, which will be at a path; return its SHA-256."""
    try:
        with urllib.request.urlopen(url, timeout=_WAIT) as answer:
            length = answer.headers.get("Content-Length")
            hashed, count, end = hashlib.sha256(), 0, time.monotonic() + _LONGEST
            while chunk := answer.read(_CHUNK):
                count += len(chunk)
                if count > most:
                    raise TrainError(
                        f"weights: {name}: {url}: found more than {most:,} bytes, so it is another "
                        "file; it was not kept"
                    )
                if time.monotonic() > end:
                    raise TimeoutError(f"not finished after {_LONGEST:,.0f} s")
                hashed.update(chunk)
                _write(file, chunk)
    except _DiskError as error:
        raise error.error from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        why = getattr(error, "reason", None) or error
        raise TrainError(
            f"weights: {name}: {url} cannot be downloaded ({why}); without a network, download it "
            f"elsewhere and copy it to {path}"
        ) from error
    if length is not None and length.isdecimal() and count != int(length):
        raise TrainError(
            f"weights: {name}: {url}: the download ended after {count:,} of {int(length):,} bytes; "
            "run the same command again"
        )
    return hashed.hexdigest()


class _DiskError(Exception):
    """An error of the disk, which is none of the network."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


def _write(file: IO[bytes], chunk: bytes) -> None:
    try:
        file.write(chunk)
    except OSError as error:
        raise _DiskError(error) from error
