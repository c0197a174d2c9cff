"""Object stores on loopback for the tests: moto, Google's emulator, a few blobs, failures."""

import base64
import contextlib
import http.client
import itertools
import logging
import re
import socket
import threading
import time
import urllib.parse
import urllib.request
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

from dsbuild import storage
from dsbuild.build.output.holder import HOLDER
from dsbuild.storage import clients, lease, patience, uploads

SECRET = "wJalrXUtnFEMI"  # of all credentials: no error may show it
ODD_NAMES = (
    "a b.txt",
    "50%25 #1.png",
    "ü/日本.jpg",
    "a+b=c&d.txt",
    "~[x]{y}^`|'\"<>\\",
    "icon@2x.png",
)


def moto():
    """Return moto's S3 server, which checks no signatures."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = DomainDispatcherApplication(create_backend_app)
    return make_server("127.0.0.1", 0, app, threaded=True)


def s3_environment(port):
    """Return what a user exports for an S3 endpoint on loopback."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }


def s3_bucket(port, name):
    """Create a bucket."""
    urllib.request.urlopen(signed(f"http://127.0.0.1:{port}/{name}", "PUT")).close()


def signed(url, method="GET"):
    """Return a request that moto accepts as a known user's."""
    headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=test/x/us-east-1/s3/aws4_request"}
    return urllib.request.Request(url, method=method, headers=headers)


class _Any(BaseHTTPRequestHandler):
    """A handler that does the same for every method, and logs nothing."""

    disable_nagle_algorithm = True  # head and body are sent apart

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def log_message(self, *_):
        pass


class Faulty(ThreadingHTTPServer):
    """A proxy in front of a store. `fault(number, method, path)` decides what happens to a request.

    A status is answered in the store's place; `lost` drops the connection after the store
    has done its work; `cut` sends half of the body; `slow` waits a moment. As a cache does,
    `short` sends half of what was asked for with a length that fits, `shrunk` says besides that
    the object has no more; `plain` and `plain short` know of no ranges. An event is
    waited for. A function is called with the request's handler and body, and does what it likes;
    see `refused` and `tests/support/store_faults/kinds.py`.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port):
        super().__init__(("127.0.0.1", 0), Forward)
        self.port, self.fault, self.latency, self.seen = port, lambda *_: None, 0.0, []
        self.lock = threading.Lock()

    def handle_error(self, request, client_address):
        """Log nothing: clients may disconnect at any time."""


class Forward(_Any):
    """A request on its way to the store, and the answer on its way back."""

    protocol_version = "HTTP/1.1"

    def _handle(self):
        server, body = self.server, self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with server.lock:
            server.seen.append((self.command, self.path))
            fault = server.fault(len(server.seen), self.command, self.path)
        time.sleep(1 if fault == "slow" else server.latency)
        if isinstance(fault, threading.Event):
            fault.wait(120)
        if isinstance(fault, int):
            self.tell(fault)
        elif callable(fault):
            fault(self, body)
        else:
            self.forward(body, fault)

    def forward(self, body, fault=None):
        """Forward a request and return its answer, as changed by the fault."""
        plain = "plain" in str(fault)
        status, headers, data = self.ask(body, without={"range"} if plain else ())
        if fault in ("short", "shrunk", "plain short") and status in (200, 206):
            data = data[: len(data) // 2]
            if fault == "shrunk" and headers["Content-Range"]:
                begin = int(re.search(r"\d+", headers["Content-Range"])[0])
                end = begin + len(data)
                headers.replace_header("Content-Range", f"bytes {begin}-{end - 1}/{end}")
        if fault == "lost":
            self.shut()
        else:
            self.tell(status, data, headers, half=fault == "cut")

    def ask(self, body, without=()):
        """Return the store's answer, asked for without some headers: status, headers, body."""
        asked = {name: value for name, value in self.headers.items() if name not in without}
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=120)
        with contextlib.closing(upstream):
            upstream.request(self.command, self.path, body, asked)
            answer = upstream.getresponse()
            return answer.status, answer.headers, answer.read()

    def tell(self, status, data=b"", headers=None, half=False, rate=None):
        """Send an answer; of its body, if asked, one half only, or so many bytes a second."""
        self.send_response(status)
        length = len(data)
        for name, value in headers.items() if headers else ():
            if name.lower() == "content-length" and self.command == "HEAD":
                length = value
            elif name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command == "HEAD":
            return
        end = len(data) // 2 if half else len(data)
        step = int(rate / 20) if rate else end or 1
        for at in range(0, end, step):
            self.wfile.write(data[at : min(at + step, end)])
            time.sleep(1 / 20 if rate else 0)
        if end < len(data):
            self.shut()

    def shut(self):
        """Close the connection."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


def refused(status, body="", **headers):
    """Return a fault that answers instead of the store, with a body if one is allowed."""

    def answer(handler, _):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", len(body))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body.encode())

    return answer


def elsewhere(region):
    """Return a fault that answers as S3 does if the bucket is in another region."""
    code = f"<Code>AuthorizationHeaderMalformed</Code><Region>{region}</Region>"
    return refused(400, f"<Error>{code}</Error>")


def stalled(handler, _):
    """Send no answer for longer than anyone waits, then close the connection."""
    handler.close_connection = True
    time.sleep(15)


def azure():
    """Return a server for the part of Azure's blob API that is needed; no package emulates it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Azure)
    server.blobs, server.number = {}, itertools.count(1)
    return server


def azure_environment(port):
    """Return what a user exports for an endpoint on loopback."""
    return {
        "AZURE_STORAGE_ACCOUNT_NAME": "account",
        "AZURE_STORAGE_ACCOUNT_KEY": base64.b64encode(SECRET.encode()).decode(),
        "AZURE_ENDPOINT": f"http://127.0.0.1:{port}",
        "AZURE_ALLOW_HTTP": "true",
    }


class _Azure(_Any):
    """Blobs as key -> (bytes, tag, time): put on conditions, get, list, delete in batches."""

    protocol_version = "HTTP/1.1"

    def _handle(self):
        path, _, query = self.path.partition("?")
        asked, key = dict(urllib.parse.parse_qsl(query)), urllib.parse.unquote(path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        blobs = self.server.blobs
        tag = blobs[key][1] if key in blobs else None
        if asked.get("comp") == "batch":
            self._batch(body)
        elif asked.get("comp") == "list":
            self._answer(200, self._list(f"{key}/", asked.get("prefix", ""), "delimiter" in asked))
        elif self.command == "PUT":
            if self.headers.get("If-None-Match") == "*" and tag:
                self._answer(409, b"<Error><Code>BlobAlreadyExists</Code></Error>")
            elif self.headers.get("If-Match", tag) != tag:
                self._answer(412, b"<Error><Code>ConditionNotMet</Code></Error>")
            else:
                blobs[key] = body, f'"{next(self.server.number)}"', formatdate(usegmt=True)
                self._answer(201, b"", *blobs[key][1:])
        elif tag is None:
            self._answer(404)
        else:
            data, begin, end = blobs[key][0], 0, None
            if "Range" in self.headers:
                begin, end = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
                self._range = f"bytes {begin}-{min(end, len(data) - 1)}/{len(data)}"
                end += 1
            self._answer(206 if end else 200, data[begin:end], *blobs[key][1:])

    _range = None

    def _answer(self, status, data=b"", tag=None, modified=None, kind="application/xml"):
        self.send_response(status)
        about = {"ETag": tag, "Last-Modified": modified, "Content-Range": self._range}
        about |= {"Content-Type": kind, "Content-Length": len(data)}
        for name, value in about.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self._range = None
        if self.command != "HEAD":
            self.wfile.write(data)

    def _list(self, container, prefix, shallow):
        rows, folders = [], set()
        for key in sorted(key.removeprefix(container) for key in self.server.blobs):
            below, slash, _ = key.removeprefix(prefix).partition("/")
            if key.startswith(prefix) and slash and shallow:
                folders.add(f"{prefix}{below}/")
            elif key.startswith(prefix):
                data, tag, modified = self.server.blobs[container + key]
                rows.append(
                    f"<Blob><Name>{escape(key)}</Name><Properties><Last-Modified>{modified}"
                    f"</Last-Modified><Content-Length>{len(data)}</Content-Length><Content-Type>x/y"
                    f"</Content-Type><Etag>{escape(tag)}</Etag></Properties></Blob>"
                )
        rows += [f"<BlobPrefix><Name>{escape(one)}</Name></BlobPrefix>" for one in sorted(folders)]
        listed = f"<Blobs>{''.join(rows)}</Blobs><NextMarker/>"
        return f"<EnumerationResults>{listed}</EnumerationResults>".encode()

    def _batch(self, body):
        answers = []
        for number, path in enumerate(re.findall(rb"DELETE (\S+) HTTP", body)):
            there = self.server.blobs.pop(urllib.parse.unquote(path.decode()), None)
            status = "202 Accepted" if there else "404 Gone\r\nx-ms-error-code: BlobNotFound"
            answers.append(
                f"--b\r\nContent-Type: application/http\r\nContent-ID: {number}\r\n\r\n"
                f"HTTP/1.1 {status}\r\n\r\n\r\n"
            )
        kind = "multipart/mixed; boundary=b"
        self._answer(202, f"{''.join(answers)}--b--\r\n".encode(), kind=kind)


def upload(folder, url):
    """Upload a local folder's files below a URL."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            storage.write(storage.join(url, path.relative_to(folder).as_posix()), path.read_bytes())


def files(url):
    """Return path -> bytes for all objects below a URL."""
    found = {}
    for name, is_folder in storage.entries(url):
        path = storage.join(url, name)
        if is_folder:
            found |= {f"{name}/{below}": data for below, data in files(path).items()}
        else:
            found[name] = storage.read(path)[0]
    return found


def built(url, receipts=False):
    """Return what `content` returns, for a folder on a store; with the receipts if asked."""
    alone = (f".dsbuild/{lease.TENURE}", f".dsbuild/{HOLDER}")  # which only stores have
    found = {name: data for name, data in files(url).items() if name not in alone}
    return {name: data for name, data in found.items() if receipts or "receipts" not in name}


def on_store(monkeypatch, variables, value):
    """Yield a value while the environment leads to a store; for fixtures."""
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    forget()
    yield value
    forget()


def forget():
    """Forget all stores, so that they are opened again by the current environment."""
    clients.open_store.cache_clear()
    patience.forget()
    uploads.forget()
