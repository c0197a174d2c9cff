"""Published weights, from a server on this machine."""

import functools
import hashlib
import io
import os
import socket
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from dsbuild.errors import TrainError
from dsbuild.train.fit import warm_start
from dsbuild.train.settings import Settings
from dsbuild.train.weights import download, zoo

DATA = os.urandom(3_000_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


class Files(BaseHTTPRequestHandler):
    """Answers with the data; `/cut` ends early, `/silent` says nothing more."""

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path.startswith("/none"):
            self.send_error(404)
            return
        data = self.server.data
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if "cut" in self.path else data)

    def log_message(self, *_): ...


@pytest.fixture
def server():
    with HTTPServer(("127.0.0.1", 0), Files) as server:
        server.data, server.asked = DATA, []
        thread = threading.Thread(target=functools.partial(server.serve_forever, 0.02))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def publish(monkeypatch, tmp_path, server):
    """Return a function that publishes weights `mine` under a path of the server."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def publish(path, sha256=SHA256, most=3_000_000, port=None):
        url = f"http://127.0.0.1:{port or server.server_port}/{path}"
        monkeypatch.setitem(zoo.PUBLISHED, "mine", zoo.Published(url, sha256, most))

    return publish


@pytest.mark.parametrize("digits", [8, 64])
def test_weights_are_downloaded_once(publish, server, tmp_path, digits):
    publish("found.pth", SHA256[:digits])
    lines = []
    path = zoo.located("mine", lines.append)
    assert path == str(tmp_path / "cache/dsbuild/weights/found.pth")
    with open(path, "rb") as file:
        assert file.read() == DATA
    assert len(lines) == 1
    assert lines[0].startswith("weights: mine: downloading http://127")
    assert zoo.located("mine", lines.append) == path
    assert server.asked == ["/found.pth"]
    with open(path, "wb") as file:
        file.write(DATA[:-1])
    zoo.located("mine")
    assert len(server.asked) == 2
    assert os.listdir(tmp_path / "cache/dsbuild/weights") == ["found.pth"]
    assert zoo.located("other") == "other"


def closed():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.parametrize(
    ("path", "asked", "message"),
    [
        ("a.pth", {"sha256": "0" * 64}, r"found a file with SHA-256 .*, expected 0{16}: it was"),
        ("cut.pth", {}, "the download ended after 1,500,000 of 3,000,000 bytes; run the same"),
        ("a.pth", {"most": 2_999_999}, "found more than 2,999,999 bytes, so it is another file"),
        ("none.pth", {}, r"cannot be downloaded \(Not Found\); without a network, download it"),
        ("a.pth", {"port": closed}, r"refused.*; without .*copy it to .*/weights/a\.pth$"),
    ],
)
def test_what_is_not_the_published_file_is_not_kept(publish, tmp_path, path, asked, message):
    publish(path, **{name: value() if callable(value) else value for name, value in asked.items()})
    with pytest.raises(TrainError, match=message) as caught:
        warm_start.backbone(Settings(weights="mine"))
    assert str(caught.value).startswith("weights: mine: http://127.0.0.1:")
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path / "cache/dsbuild/weights") == []


def test_a_server_that_says_nothing_is_left(publish, monkeypatch):
    monkeypatch.setattr(download, "_WAIT", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        publish("a.pth", port=silent.getsockname()[1])
        with pytest.raises(TrainError, match=r"cannot be downloaded \(timed out\)"):
            zoo.located("mine")


def test_a_cache_that_cannot_be_written_is_named(publish, tmp_path):
    publish("a.pth")
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(TrainError, match=r"Not a directory.*; set XDG_CACHE_HOME to another"):
        zoo.located("mine")


def test_archives_are_unpacked(publish, server, tmp_path):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as file:
        for name in (
            "a/graph.pb",
            "../b/model.ckpt-9.index",
            "/c/model.ckpt-9.data-00000-of-00001",
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(name)
            file.addfile(entry, io.BytesIO(name.encode()))
        link = tarfile.TarInfo("model.ckpt-9.data-link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    server.data = archive.getvalue()
    publish("found.tar.gz", hashlib.sha256(server.data).hexdigest())
    path = zoo.located("mine")
    folder = tmp_path / "cache/dsbuild/weights/found"
    assert path == str(folder / "model.ckpt-9")
    names = ["model.ckpt-9.data-00000-of-00001", "model.ckpt-9.index"]
    assert sorted(os.listdir(folder)) == names
    assert sorted(os.listdir(folder.parent)) == ["found", "found.tar.gz"]
    assert zoo.located("mine") == path
    os.remove(folder / names[1])
    assert zoo.located("mine") == path
    assert sorted(os.listdir(folder)) == names


def test_names_are_offered_if_one_is_misspelt():
    with pytest.raises(TrainError, match=r"did you mean voc-mobilenet_v2\?"):
        warm_start.backbone(Settings(weights="voc-mobilenetv2"))


def test_weights_of_another_backbone_are_not_downloaded():
    for name in zoo.PUBLISHED:
        with pytest.raises(TrainError, match=r"found weights of .*, expected those of tiny; give"):
            zoo.expect(name, "tiny")
    zoo.expect("coco-resnet50_v1_5", "resnet50_v1_5")
    zoo.expect("runs/mine", "tiny")


def test_published_weights_have_digests():
    for name, published in zoo.PUBLISHED.items():
        assert len(published.sha256) in (8, 64), name
        assert int(published.sha256, 16) >= 0
        assert len(published.sha256) == 64 or f"-{published.sha256}." in published.url
