"""Open object stores by scheme and bucket, once each; retry requests; keep secrets out of errors.

Credentials, endpoints and regions come from the environment, under the names that obstore
knows: AWS_*, GOOGLE_*, AZURE_*.
"""

import contextlib
import functools
import json
import os
import re
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, TypeVar

from dsbuild.errors import DeniedError, NoFileError, StorageError, missing
from dsbuild.storage import forks, interruptions, patience, troubles, urls
from dsbuild.storage.patience import SECONDS as SECONDS
from dsbuild.storage.troubles import Passes, message

Answer = TypeVar("Answer")

# A cache alone calls its function once for each of several threads that come at the same time.
_opening = threading.Lock()

_STALL = 20.0  # seconds without a byte after which a request is abandoned and repeated
_ALL = "1h"  # the limit for a whole request, however slow
_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"),
    "az": ("AZURE_ENDPOINT", "AZURE_STORAGE_ENDPOINT"),
    "gs": ("STORAGE_EMULATOR_HOST",),
}
_IN_HEADERS = {
    "s3": ("AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"),
    "az": ("AZURE_STORAGE_ACCOUNT_NAME",),
    "gs": (),
}


def library() -> Any:
    """Return obstore, imported only here, so that local paths never wait for it.

    Raises StorageError in a process that was forked after that import: obstore would hang there.
    """
    if forks.cut():
        raise StorageError(forks.REFUSED)
    try:
        import obstore
        import obstore.exceptions
        import obstore.store
    except ImportError as error:
        raise StorageError(missing("obstore", "a URL of an object store", error)) from error
    return obstore


def stall() -> float:
    """Return after how many seconds without a byte a request is repeated.

    This is less than the budget, or one request without an answer would spend all of it.
    """
    return min(_STALL, max(1.0, patience.seconds() / 3))


def at(url: str, limit: float | None = None) -> tuple[Any, str]:
    """Return the store of a URL, and the key in it.

    `limit` is how many seconds its requests wait without a byte, by default `stall`. Sending a
    body counts as waiting, so `limit` has to cover the time that this may take.
    """
    place = urls.split(url)
    if forks.cut():
        raise StorageError(f"{place.url}: {forks.REFUSED}")
    interruptions.watch()
    with _opening:
        if place.scheme == "memory":
            return open_store(place.scheme, place.bucket), place.key
        waits = stall() if limit is None else limit
        return open_store(place.scheme, place.bucket, waits), place.key


@functools.cache
def open_store(scheme: str, bucket: str, limit: float = _STALL) -> Any:
    """Return a store, the same one for the life of this process."""
    kinds = library().store
    if scheme == "memory":
        import multiprocessing  # here: `--help` needs none

        if multiprocessing.parent_process() is not None:
            raise StorageError(
                f"memory://{bucket}: is in the memory of another process, which started this "
                "worker; use --workers 1"
            )
        return kinds.MemoryStore()
    _check_environment(scheme)
    # obstore itself only retries through short outages, so that a long listing need not restart
    # for one failed page, nor (with a longer limit) an upload for one part. `ask` does the rest.
    bridged = patience.seconds() / 4 if limit > stall() else limit / 10
    retries = {
        "max_retries": 1000,
        "retry_timeout": timedelta(seconds=bridged),
        "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=1)},
    }
    # Not client_options: they would replace those from the environment, such as AWS_ALLOW_HTTP.
    config = {
        "timeout": _ALL,
        "read_timeout": f"{limit * 1000:.0f}ms",
        "connect_timeout": f"{min(limit, 5) * 1000:.0f}ms",
    }
    emulator = os.environ.get("STORAGE_EMULATOR_HOST") if scheme == "gs" else None
    if emulator:  # read as Google's own clients read it
        base = emulator if "://" in emulator else f"http://{emulator}"
        blank = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        key = {**blank, "gcs_base_url": base, "disable_oauth": True}
        config |= {"service_account_key": json.dumps(key), "allow_http": "true"}
    kind = {"gs": kinds.GCSStore, "s3": kinds.S3Store, "az": kinds.AzureStore}[scheme]
    with errors(f"{scheme}://{bucket}", "opened"):
        return kind(bucket, config=config, retry_config=retries)


def _check_environment(scheme: str) -> None:
    """Raise StorageError for variables that make obstore fail without a message."""
    for name in _ENDPOINTS[scheme]:
        value = os.environ.get(name, "")
        if value and not (
            _is_endpoint(value) or (scheme == "gs" and _is_endpoint(f"http://{value}"))
        ):
            raise StorageError(
                f"{name}: found no URL of a host; expected something like https://HOST:9000"
            )
    for name in _IN_HEADERS[scheme]:
        if not _is_plain(os.environ.get(name, "")):
            raise StorageError(
                f"{name}: found a blank, a line break or a character beyond ASCII, expected none; "
                "set it again"
            )


def _is_plain(value: str) -> bool:
    return value.isascii() and value.isprintable() and " " not in value


def _is_endpoint(value: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(value)
        port = parts.port != 0 and not parts.netloc.endswith(":")
    except ValueError:  # of the port
        return False
    return _is_plain(value) and parts.scheme in ("http", "https") and bool(parts.hostname) and port


@contextlib.contextmanager
def errors(url: str, done: str) -> Iterator[None]:
    """Turn obstore's errors into a StorageError: where, what failed, why, what to do.

    The chain of exceptions is cut, so that none of obstore's text is shown.
    """
    try:
        yield
    except StorageError:
        raise
    except FileNotFoundError as error:
        if re.search(troubles.NO_BUCKET, str(error)) is None:
            raise NoFileError(f"{url}: there is no such file") from None
        raise StorageError(f"{url}: cannot be {done}: {message(error)}") from None
    except (library().exceptions.BaseError, NotImplementedError, OSError, ValueError) as error:
        kinds = library().exceptions
        denied = isinstance(error, kinds.PermissionDeniedError | kinds.UnauthenticatedError)
        kind = DeniedError if denied else StorageError
        raise kind(f"{url}: cannot be {done}: {message(error)}") from None


def tries(url: str, budget: float | None = None) -> patience.Tries:
    """Return the tries of a request; `budget` is in seconds, by default the user's."""
    place = urls.split(url)
    return patience.Tries(f"{place.scheme}://{place.bucket}", budget)


def ask(
    url: str, done: str, call: Callable[[], Answer], trying: patience.Tries | None = None
) -> Answer:
    """Return call(), repeated during temporary failures until `trying` gives up.

    Raises as `errors` does.
    """
    trying = trying or tries(url)
    with errors(url, done):
        while True:
            try:
                answer = call()
            except (library().exceptions.BaseError, FileNotFoundError) as error:
                kind = troubles.passes(error)
                if kind is Passes.NEVER:
                    trying.moved()
                    raise
                if kind is Passes.IF_REACHED and not trying.reached:
                    raise
                if not trying.again(troubles.said(error)):
                    raise StorageError(
                        f"{url}: cannot be {done}: {_spent(error, trying)}"
                    ) from None
            else:
                trying.moved()
                return answer


def _spent(error: Exception, trying: patience.Tries) -> str:
    """Say what failed and for how long, and how to make it wait longer."""
    more = min(patience.MOST, round(5 * patience.seconds()))
    return (
        f"{troubles.said(error)}, tried for {trying.tried:.0f} s; "
        f"{troubles.AGAIN}, with {patience.OPTION} {more} (or {patience.SECONDS}={more}) to wait "
        "longer"
    )
