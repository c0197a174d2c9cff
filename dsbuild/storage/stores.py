"""Object stores by scheme and bucket: opened once, patient, silent about secrets.

Credentials, endpoints and regions come from the environment, by the names that obstore
knows: AWS_*, GOOGLE_*, AZURE_*.
"""

import contextlib
import functools
import json
import multiprocessing
import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from dsbuild.errors import NoFileError, StorageError
from dsbuild.storage import forks, urls

SECONDS = "DSBUILD_STORE_SECONDS"  # how long a request is tried before it fails
_DEFAULT = 60


def library() -> Any:
    """Return obstore, imported here only, so that local paths never wait for it.

    Raises StorageError in a process forked after that import, where obstore would hang.
    """
    if forks.cut():
        raise StorageError(forks.REFUSED)
    try:
        import obstore
        import obstore.exceptions
        import obstore.store
    except ImportError as error:
        raise StorageError(
            "found a URL of an object store, which obstore reads and writes: "
            "pip install 'dsbuild[cloud]'"
        ) from error
    return obstore


def patience() -> float:
    """Return for how many seconds a request is tried."""
    asked = os.environ.get(SECONDS, "")
    try:
        seconds = float(asked or _DEFAULT)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= 3600:
        raise StorageError(f"{SECONDS}={asked!r}: expected a number of seconds, up to 3600")
    return seconds


def at(url: str) -> tuple[Any, str]:
    """Return the store that a URL leads to, and the key in it."""
    place = urls.split(url)
    if forks.cut():
        raise StorageError(f"{place.url}: {forks.REFUSED}")
    return open_store(place.scheme, place.bucket), place.key


@functools.cache
def open_store(scheme: str, bucket: str) -> Any:
    """Return a store, the same one as long as this process lives."""
    kinds = library().store
    if scheme == "memory":
        if multiprocessing.parent_process() is not None:
            raise StorageError(
                f"memory://{bucket}: lies in the memory of one process, and this is a worker of "
                "it; use --workers 1"
            )
        return kinds.MemoryStore()
    seconds = patience()
    backoff = {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=10)}
    retries = {
        "max_retries": 20,
        "retry_timeout": timedelta(seconds=seconds),
        "backoff": backoff,
    }
    # Not as client_options, which would replace those of the environment, AWS_ALLOW_HTTP say.
    config = {"timeout": f"{seconds * 1000:.0f}ms"}
    emulator = os.environ.get("STORAGE_EMULATOR_HOST") if scheme == "gs" else None
    if emulator:  # as Google's own clients understand it
        base = emulator if "://" in emulator else f"http://{emulator}"
        key = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        key |= {"gcs_base_url": base, "disable_oauth": True}
        config |= {"service_account_key": json.dumps(key), "allow_http": "true"}
    kind = {"gs": kinds.GCSStore, "s3": kinds.S3Store, "az": kinds.AzureStore}[scheme]
    with errors(f"{scheme}://{bucket}", "opened"):
        return kind(bucket, config=config, retry_config=retries)


@contextlib.contextmanager
def errors(url: str, done: str) -> Iterator[None]:
    """Turn what obstore raises into a StorageError: where, what cannot be done, why, what to do.

    The chain is cut, and nothing of obstore's text is repeated but what `told` knows to be
    harmless: it holds whole requests, on Azure with their signature.
    """
    try:
        yield
    except StorageError:
        raise
    except FileNotFoundError as error:
        if re.search(_NO_BUCKET, str(error)) is None:
            raise NoFileError(f"{url}: there is no such file") from None
        raise StorageError(f"{url}: cannot be {done}: {told(error)}") from None
    except (library().exceptions.BaseError, NotImplementedError, OSError, ValueError) as error:
        raise StorageError(f"{url}: cannot be {done}: {told(error)}") from None


def ask(url: str, done: str, call: Callable[[], Any]) -> Any:
    """Return call(), tried again where the connection breaks off in the middle of an answer.

    obstore does so itself, but not for the answers that it reads whole, such as listings.
    Raises as `errors` does.
    """
    with errors(url, done):
        end = time.monotonic() + patience()
        while True:
            try:
                return call()
            except library().exceptions.GenericError as error:
                if _BROKEN_OFF not in told(error) or time.monotonic() > end:
                    raise
            time.sleep(0.3)


_BROKEN_OFF = "the connection breaks off"
_NO_BUCKET = "NoSuchBucket|ContainerNotFound"
_REMEDIES = (
    (_NO_BUCKET, "there is no such bucket; create it first"),
    (
        r"169\.254\.169\.254|169\.254\.170\.2|metadata\.google|MissingCredentials|Unauthenticated",
        "the store wants credentials, and none were found or taken; set them in the environment "
        "(docs/object-stores.md)",
    ),
    (r"status code: 40[13]|PermissionDenied", "not allowed; check credentials and rights"),
    (r"status code: 404", "not found; check the bucket and the endpoint"),
    (r"status code: (429|5\d\d)", "the store is busy or broken"),
    (r"URL scheme is not allowed|BadScheme", "the endpoint is http://; set AWS_ALLOW_HTTP=true"),
    (r"TimedOut|kind: Timeout|timed out", "the store does not answer in time"),
    (r"kind: Connect|tcp connect|dns error", "the store cannot be reached; check the endpoint"),
    (r"kind: (Request|Body|Decode|Interrupted)|HTTP error", _BROKEN_OFF),
    (r"Precondition", "it was replaced meanwhile by someone else"),
    (r"Could not parse path|Error parsing Path", "no name that dsbuild can ask a store for"),
)


def told(error: Exception) -> str:
    """Say what an error of obstore is about, and what to do, without a word of the request.

    >>> told(Exception("PUT https://h/b/k?sig=S - status code: 503 Slow: <Code>SlowDown</Code>"))
    'the store is busy or broken (503 SlowDown); finished work is kept: run the same command again'
    """
    text = f"{type(error).__name__}: {error}"
    said = next((said for pattern, said in _REMEDIES if re.search(pattern, text)), "it failed")
    status, code = re.search(r"status code: (\d{3})", text), re.search(r"<Code>(\w{1,40})<", text)
    seen = " ".join(found[1] for found in (status, code) if found) or type(error).__name__
    again = "" if ";" in said else "; finished work is kept: run the same command again"
    return f"{said} ({seen}){again}"
