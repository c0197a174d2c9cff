"""Google's object store on loopback: its emulator, with what of the XML API it lacks."""

import contextlib
import threading
import urllib.parse
from email.utils import formatdate
from functools import partial
from http.server import HTTPServer
from xml.sax.saxutils import escape

from gcp_storage_emulator.handlers import objects
from gcp_storage_emulator.handlers.buckets import create_bucket
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage


@contextlib.contextmanager
def serving(server):
    """Run a server in a thread; stop it by its handle."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def gcs(bucket, seen=lambda *_: None):
    """Return a server with a bucket; `seen(method, path)` is called at every request."""
    kept = Storage(use_memory_fs=True)
    create_bucket(bucket, kept)
    server = HTTPServer(("127.0.0.1", 0), partial(_Gcs, kept))
    server.seen = seen
    return server


def _json(name):
    """Return a method that leaves paths of the JSON API, Beam's client, to the emulator."""

    def method(self):
        self.server.seen(name, self.path)
        if self.path.startswith(("/storage/", "/upload/", "/download/", "/batch/")):
            getattr(RequestHandler, f"do_{name}")(self)
        else:
            getattr(self, f"_{name.lower()}")()

    return method


class _Gcs(RequestHandler):
    """The emulator keeps and reads; here are ETag, conditions, HEAD, DELETE and listings."""

    do_GET, do_PUT, do_DELETE = map(_json, ("GET", "PUT", "DELETE"))  # noqa: N815

    def _where(self):
        path, _, query = self.path.partition("?")
        bucket, _, key = urllib.parse.unquote(path).lstrip("/").partition("/")
        return bucket, key, dict(urllib.parse.parse_qsl(query))

    def _meta(self):
        bucket, key, _ = self._where()
        return self.storage.objects.get(bucket, {}).get(key)

    def _answer(self, status, data=b"", length=None):
        self.send_response(status)
        self.send_header("Content-Length", length or len(data))
        self.end_headers()
        self.wfile.write(data)

    def end_headers(self):
        meta = self._meta()
        if meta:
            self.send_header("ETag", f'"{meta["generation"]}"')
            self.send_header("x-goog-generation", meta["generation"])
            seconds = int(meta["generation"]) / 1e9
            self.send_header("Last-Modified", formatdate(seconds, usegmt=True))
        super().end_headers()

    def do_HEAD(self):  # noqa: N802
        meta = self._meta()
        self._answer(200, length=meta["size"]) if meta else self._answer(404)

    def _delete(self):
        bucket, key, _ = self._where()
        if self._meta():
            self.storage.delete_file(bucket, key)
        self._answer(204)

    def _put(self):
        wanted = self.headers.get("x-goog-if-generation-match")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        bucket, key, _ = self._where()
        if bucket not in self.storage.buckets:
            self._answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        elif wanted is not None and wanted != (self._meta() or {"generation": "0"})["generation"]:
            self._answer(412)
        else:
            meta = objects._make_object_resource("", bucket, key, "x/y", str(len(body)))
            self.storage.create_file(bucket, key, body, objects._checksums(body, meta))
            self._answer(200)

    def _get(self):
        bucket, _, query = self._where()
        if bucket not in self.storage.buckets:
            self._answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
            return
        if "list-type" not in query:
            super().do_GET()
            return
        files, folders = self.storage.get_file_list(
            bucket, query.get("prefix"), query.get("delimiter")
        )
        rows = [
            f"<Contents><Key>{escape(one['name'])}</Key><Size>{one['size']}</Size>"
            f"<LastModified>{one['updated']}</LastModified><ETag>x</ETag></Contents>"
            for one in files
        ]
        rows += [
            f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in folders
        ]
        self._answer(200, f"<ListBucketResult>{''.join(rows)}</ListBucketResult>".encode())
