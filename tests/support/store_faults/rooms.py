"""A bucket behind a proxy that fails, and the way to it that does not, past dsbuild's own."""

import contextlib
import itertools
import json
import re
import urllib.request

import obstore
from obstore.store import GCSStore, S3Store

from tests.support import gcs, stores
from tests.support.store_faults.kinds import Faults

BUCKET = "faults"


class Room:
    """A bucket with a proxy before it.

    Attributes:
      kind: `s3` or `gs`.
      url: of the bucket.
      proxy: the proxy, whose faults `fails` sets.
      environment: what leads a command through the proxy.
    """

    def __init__(self, kind, port, proxy, environment, store):
        self.kind, self.url, self.proxy = kind, f"{kind}://{BUCKET}", proxy
        self.environment, self._port, self._store = environment, port, store
        self._numbers = itertools.count(1)

    def fresh(self):
        """Return the name of a folder that is not there yet."""
        return f"at-{next(self._numbers):05d}"

    def fails(self, fault=None):
        """Set what befalls requests from now on; forget those that were seen."""
        with self.proxy.lock:
            self.proxy.fault = fault or Faults()
            self.proxy.seen.clear()

    def put(self, folder, files):
        """Write files into a folder."""
        for name, data in files.items():
            obstore.put(self._store, f"{folder}/{name}", data)

    def get(self, folder):
        """Return path -> bytes of all files in a folder."""
        found = {}
        for page in obstore.list(self._store, f"{folder}/"):
            for meta in page:
                path = meta["path"]
                # One that goes away in between is not there.
                with contextlib.suppress(FileNotFoundError):
                    found[path.removeprefix(f"{folder}/")] = bytes(
                        obstore.get(self._store, path).bytes()
                    )
        return found

    def wipe(self, folder):
        """Remove a folder."""
        for page in obstore.list(self._store, f"{folder}/"):
            for meta in page:
                obstore.delete(self._store, meta["path"])

    def uploads(self):
        """Return the keys of uploads in parts that were begun, and neither ended nor given up."""
        if self.kind != "s3":
            return []
        request = stores.signed(f"http://127.0.0.1:{self._port}/{BUCKET}?uploads")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return re.findall(r"<Key>(.*?)</Key>", answer.read().decode())


@contextlib.contextmanager
def room(kind):
    """Give a room of a kind of store, whose servers are threads of this process."""
    with _SERVED[kind]() as (port, environment, store), gcs.serving(stores.Faulty(port)) as proxy:
        yield Room(kind, port, proxy, environment(proxy.server_port), store)


@contextlib.contextmanager
def _s3():
    with gcs.serving(stores.moto()) as server:
        port = server.server_port
        stores.s3_bucket(port, BUCKET)
        known = {"aws_access_key_id": "test", "aws_secret_access_key": stores.SECRET}
        known |= {"endpoint": f"http://127.0.0.1:{port}", "region": "us-east-1"}
        store = S3Store(BUCKET, config=known, client_options={"allow_http": True})
        yield port, stores.s3_environment, store


@contextlib.contextmanager
def _gs():
    with gcs.serving(gcs.gcs(BUCKET)) as server:
        key = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        key |= {"gcs_base_url": f"http://127.0.0.1:{server.server_port}", "disable_oauth": True}
        store = GCSStore(
            BUCKET, config={"service_account_key": json.dumps(key), "allow_http": "true"}
        )
        yield server.server_port, _emulator, store


def _emulator(port):
    return {"STORAGE_EMULATOR_HOST": f"127.0.0.1:{port}"}


_SERVED = {"s3": _s3, "gs": _gs}
