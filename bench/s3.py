"""A small S3 in memory that answers each request after a fixed time, fast enough for benchmarks.

    python bench/s3.py --latency 0.02         prints its port; ends when its input does

It checks no signature and no condition: it is for measuring, not for storing. Files below a folder
are objects of the bucket `files`, read on request.
"""

import argparse
import asyncio
import email.utils
import hashlib
import os
import sys
import urllib.parse
from xml.sax.saxutils import escape

PAGE = 1000  # keys per listing


class Store:
    """Objects by `bucket/key`, and the received parts of multipart uploads."""

    def __init__(self, files: str | None):
        self.objects: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.requests = 0
        known: dict[bytes, bytes] = {}
        for folder, _, names in os.walk(files or os.devnull):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    data = file.read()
                self.objects[f"files/{os.path.relpath(path, files)}"] = known.setdefault(data, data)

    def answer(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[str], bytes]:
        """Return status, headers and body for a request."""
        self.requests += 1
        path, _, query = target.partition("?")
        path = urllib.parse.unquote(path)[1:]
        asked = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        if method == "GET" and "list-type" in asked:
            return 200, [], self._listing(path.strip("/"), asked).encode()
        if method == "POST" and "delete" in asked:
            keys = [part.partition("<")[0] for part in body.decode().split("<Key>")[1:]]
            for key in keys:
                self.objects.pop(f"{path.strip('/')}/{key}", None)
            rows = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
            return 200, [], f"<DeleteResult>{rows}</DeleteResult>".encode()
        if method == "POST" and "uploads" in asked:
            upload = str(self.requests)
            self.parts[upload] = {}
            return 200, [], f"<R><UploadId>{upload}</UploadId></R>".encode()
        if method == "PUT" and "uploadId" in asked:
            self.parts[asked["uploadId"]][int(asked["partNumber"])] = body
            return 200, [_tag(body)], b""
        if method == "POST":
            parts = self.parts.pop(asked["uploadId"])
            self.objects[path] = b"".join(parts[number] for number in sorted(parts))
            return 200, [], b'<R><ETag>"parts"</ETag></R>'
        if method == "PUT":
            self.objects[path] = body
            return 200, [_tag(body)], b""
        if method == "DELETE":
            self.objects.pop(path, None)
            return 204, [], b""
        data = self.objects.get(path)
        if data is None:
            return 404, [], b"<Error><Code>NoSuchKey</Code></Error>"
        about = [_tag(data), f"Last-Modified: {email.utils.formatdate(0, usegmt=True)}"]
        if "range" in headers:
            first, last = headers["range"].removeprefix("bytes=").split("-")
            begin, end = int(first), min(int(last or len(data)) + 1, len(data))
            about.append(f"Content-Range: bytes {begin}-{end - 1}/{len(data)}")
            return 206, about, data[begin:end]
        return 200, about, data

    def _listing(self, bucket: str, asked: dict[str, str]) -> str:
        prefix = asked.get("prefix", "")
        after, deep = asked.get("continuation-token", ""), "delimiter" not in asked
        skip = len(bucket) + 1
        keys = sorted(
            key[skip:]
            for key in self.objects
            if key.startswith(f"{bucket}/{prefix}") and key[skip:] > after
        )
        rows, folders = [], set()
        more = len(keys) > PAGE
        for key in keys[:PAGE] if deep else keys:
            below, slash, _ = key[len(prefix) :].partition("/")
            if slash and not deep:
                folders.add(f"{prefix}{below}/")
            elif len(rows) < PAGE:
                rows.append(
                    f"<Contents><Key>{escape(key)}</Key><Size>{len(self.objects[f'{bucket}/{key}'])}"
                    "</Size><LastModified>1970-01-01T00:00:00.000Z</LastModified><ETag>x</ETag>"
                    "</Contents>"
                )
                last = key
        rows += [
            f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in folders
        ]
        more = more and len(rows) >= PAGE
        token = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if more else ""
        rows.append(f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}")
        return f"<ListBucketResult>{''.join(rows)}</ListBucketResult>"


def _tag(data: bytes) -> str:
    return f'ETag: "{hashlib.blake2b(data[:64] + bytes(len(data) % 251)).hexdigest()[:32]}"'


class Connection(asyncio.Protocol):
    """A connection: it answers requests one after another, each after the latency."""

    def __init__(self, store: Store, latency: float):
        self._store, self._latency, self._data = store, latency, bytearray()
        self._need = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to send answers."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer as soon as a request is complete."""
        self._data += data
        while len(self._data) > self._need:
            end = self._data.find(b"\r\n\r\n")
            if end < 0:
                return
            first, *lines = self._data[:end].decode().split("\r\n")
            headers = {
                line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines
            }
            self._need = end + 4 + int(headers.get("content-length", 0))
            if len(self._data) < self._need:
                self._need -= 1
                return
            body = bytes(self._data[end + 4 : self._need])
            del self._data[: self._need]
            self._need = 0
            method, target, _ = first.split(" ")
            status, about, found = self._store.answer(method, target, headers, body)
            about.append(f"Content-Length: {len(found)}")
            head = f"HTTP/1.1 {status} x\r\n" + "\r\n".join(about) + "\r\n\r\n"
            answer = head.encode() + (b"" if method == "HEAD" else found)
            asyncio.get_running_loop().call_later(self._latency, self._transport.write, answer)


async def main() -> None:
    """Serve until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.02)
    parser.add_argument("--files")
    options = parser.parse_args()
    store = Store(options.files)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(store, options.latency), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
