"""Azurite, Microsoft's emulator of Azure's blobs, as a process on loopback."""

import base64
import contextlib
import hashlib
import hmac
import os
import re
import shutil
import subprocess
import threading
import urllib.request
from email.utils import formatdate

import pytest

from tests.support.processes import until
from tests.support.stores import SECRET

PLACE = "AZURITE"  # in the environment: the path of `azurite-blob`, where it is not on PATH
_KEY = base64.b64encode(SECRET.encode()).decode()
_VERSION = "2023-11-03"


# The kinds of buckets that tests run on, by the names of their fixtures.
KINDS = ("s3", "gs", "az", "memory")


def program():
    """Return the path of Azurite's blob server, or None if it is not installed."""
    return os.environ.get(PLACE) or shutil.which("azurite-blob")


MARKS = [
    pytest.mark.slow,
    pytest.mark.skipif(
        program() is None,
        reason=f"there is no Azurite: npm install -g azurite, or {PLACE}=PATH",
    ),
]
# Runs a test on every kind of bucket and, if installed, on Azurite.
TOO = pytest.mark.parametrize(
    "bucket", [*KINDS, pytest.param("azurite_container", marks=MARKS)], indirect=True
)


@contextlib.contextmanager
def serving():
    """Run Azurite in memory; give its port."""
    words = ["--blobPort", "0", "--inMemoryPersistence", "--skipApiVersionCheck"]
    process = subprocess.Popen(
        [program(), *words, "--silent", "--disableTelemetry"],
        env={**os.environ, "AZURITE_ACCOUNTS": f"account:{_KEY}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = []
    hearer = threading.Thread(target=lambda: said.extend(process.stdout), daemon=True)
    hearer.start()
    try:
        yield int(until(lambda: re.search(r"successfully listens on \S+:(\d+)", "".join(said)))[1])
    finally:
        process.terminate()
        process.wait(60)
        hearer.join(60)
        process.stdout.close()


def environment(port):
    """Return what a user exports for Azurite."""
    return {
        "AZURE_STORAGE_ACCOUNT_NAME": "account",
        "AZURE_STORAGE_ACCOUNT_KEY": _KEY,
        "AZURE_ENDPOINT": f"http://127.0.0.1:{port}/account",
        "AZURE_ALLOW_HTTP": "true",
    }


def container(port, name):
    """Create a container, by a request signed with the account's key.

    The signature is that of "Authorize with Shared Key", of Azure's REST API.
    """
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": _VERSION}
    about = "".join(f"{key}:{value}\n" for key, value in sorted(headers.items()))
    text = "PUT" + 12 * "\n" + about + f"/account/account/{name}\nrestype:container"
    key = hmac.new(base64.b64decode(_KEY), text.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey account:{base64.b64encode(key).decode()}"
    url = f"http://127.0.0.1:{port}/account/{name}?restype=container"
    urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers)).close()
