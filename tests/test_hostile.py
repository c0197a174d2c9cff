"""A folder made to do harm: nothing in it is run, followed out of it, or said to a terminal."""

import html.parser
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile

import numpy as np
import pytest
from click.testing import CliRunner

from dsbuild import images, tfrecord, wire
from dsbuild.cli import main
from dsbuild.layouts.pairs import Pairs
from tests import fakes
from tests.conftest import make

TERMINAL = "\x1b]0;title\x07\x1b[2J\x1b[8m\x9b31m\x7f\u202e\u2066\u2028\r\n\b\t"
EVIL = f"{TERMINAL}<script>alert(1)</script>\"'&</title>`|](javascript:x)"
IMAGE, KEY, LABEL = "image/encoded", "image/filename", "image/segmentation/class/encoded"
KEYS = [EVIL.encode(), b"\xff\x1b[31m\n", b"../../../../tmp/evil", b"/tmp/evil", b"", b"x\0"]
PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


@pytest.fixture
def theirs(tmp_path):
    """Shards by somebody else, every name of which does harm, and an index of large numbers."""
    folder = tmp_path / f"theirs{TERMINAL}"
    folder.mkdir()
    for split, number in itertools.product((f"{EVIL.replace('/', '')[:60]}", "train"), (0, 1)):
        name = f"{split}-{number:05d}-of-00002.tfrecord"
        with open(folder / name, "wb") as file:
            writer = tfrecord.Writer(file)
            for i, key in enumerate(KEYS):
                features = {
                    IMAGE: images.encode(PIXELS + i),
                    KEY: key,
                    LABEL: images.encode(PIXELS[..., 0] % 5),
                    "image/format": EVIL.encode(),
                    "image/height": 2**62,
                    EVIL: EVIL.encode(),
                    f"image/{EVIL}/../x": [EVIL.encode(), b"\xff"],
                }
                if i % 2:
                    features |= {"image/class/label": -(2**63), LABEL: EVIL.encode()}
                writer.write(wire.serialize(features))
            writer.write(EVIL.encode())
            file.write(EVIL.encode())
        (folder / "index").mkdir(exist_ok=True)
        (folder / "index" / f"{name}.idx").write_text(f"0 {2**70}\n{2**70} {2**80}\n")
    return folder


@pytest.fixture
def ours(tmp_path, out):
    """A build whose names of classes do harm."""
    names = (EVIL, f"b{TERMINAL}", "x" * 100_000)
    make(fakes.pairs(tmp_path, count=4), out, layout=Pairs(names=names), shards=2)
    return pathlib.Path(out)


COMMANDS = [
    "inspect",
    "inspect --json",
    "inspect --record 0",
    "inspect --record 1 --json",
    "inspect --key nosuch",
    "inspect --record 0 --save {tmp}/saved",
    "inspect --html {tmp}/page.html",
    "inspect --html {tmp}/page.html --problems",
    "inspect --html {tmp}/page.html --most nosuch",
    "statistics",
    "statistics --json",
    "validate --level frames",
    "validate --level records --json",
    "validate",
    "diff OTHER",
    "diff OTHER --json",
    "export {tmp}/tars --to webdataset",
    "export {tmp}/rows --to parquet",
    "interop --license x",
    "repair",
]
RGB = r"8;2;\d+;\d+;\d+"
COLOUR = re.compile(rf"\x1b\[(?:0|2|\d\d|[34]{RGB}(?:;49|;4{RGB})?)m")  # our own


def said(command, folder, tmp_path):
    """Run a command; return what it printed, colours included."""
    name, *words = command.format(tmp=tmp_path).split()
    words = [str(folder) if word == "OTHER" else word for word in words]
    if name in ("inspect", "statistics", "validate", "export", "diff"):
        words += ["--workers", "1"]
    result = CliRunner().invoke(main, [name, str(folder), *words], color=True)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize("which", ["theirs", "ours"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_command_says_anything_to_a_terminal(which, request, tmp_path, monkeypatch):
    folder = request.getfixturevalue(which)
    before = {p for p in pathlib.Path("/tmp").iterdir() if "evil" in p.name}
    inspecting = sys.modules["dsbuild.cli.inspect"]
    monkeypatch.setattr(inspecting, "_coloured", lambda: True)
    for command in COMMANDS:
        result = said(command, folder, tmp_path)
        for stream in (result.stdout, result.stderr):
            text = COLOUR.sub("", stream)
            assert [c for c in text if not c.isprintable() and c != "\n"] == [], command
            assert not re.search(r"^\\x08", text, re.MULTILINE), command  # after a name's newline
        if "--json" in command and result.stdout:
            json.loads(result.stdout)
        assert "Traceback" not in result.output
    assert {p for p in pathlib.Path("/tmp").iterdir() if "evil" in p.name} == before
    for path in tmp_path.glob("saved/*"):
        assert path.name.isprintable()
    for path in tmp_path.glob("tars/*.tar"):
        with tarfile.open(path) as tar:
            for member in tar:
                tarfile.data_filter(member, str(tmp_path))


class Page(html.parser.HTMLParser):
    """The elements and attributes of a page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.texts = [], {}
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data):
        self.texts.setdefault(self._open, []).append(data)


@pytest.mark.parametrize("which", ["theirs", "ours"])
@pytest.mark.parametrize("words", ["", "--problems"])
def test_hostile_names_are_text_of_the_page_alone(which, words, request, run, tmp_path):
    folder, page = request.getfixturevalue(which), tmp_path / "page.html"
    run("statistics", folder, "--workers", "1")
    result = run("inspect", folder, "--html", page, "--workers", "1", *words.split())
    assert result.exception is None or isinstance(result.exception, SystemExit)
    text = page.read_text()
    assert [c for c in text if not c.isprintable() and c != "\n"] == []
    found = Page(text)
    assert [tag for tag, _ in found.tags].count("script") == 2
    assert [tag for tag, _ in found.tags].count("title") >= 1
    for tag, attributes in found.tags:
        assert tag not in ("iframe", "object", "embed", "base", "a") or attributes["href"][0] == "#"
        assert not [name for name in attributes if name.startswith("on")]
        assert not {"src", "srcset", "action", "formaction"} & set(attributes)
        assert "url(" not in attributes.get("style", "")
    said = "".join(itertools.chain(*found.texts.values()))
    assert "<script>alert(1)</script>" in said


@pytest.mark.skipif(sys.platform != "linux", reason="a terminal of its own is Linux's here")
def test_nothing_reaches_a_terminal_raw(theirs, tmp_path):
    import pty

    for words in (["inspect"], ["validate"], ["statistics"]):
        master, slave = pty.openpty()
        command = [sys.executable, "-m", "dsbuild", *words, str(theirs), "--workers", "1"]
        child = subprocess.Popen(command, stdout=slave, stderr=slave, stdin=slave)
        os.close(slave)
        seen = b""
        while True:
            try:
                part = os.read(master, 1 << 16)
            except OSError:  # so Linux says that the terminal is closed
                break
            if not part:
                break
            seen += part
        assert child.wait(60) == 1
        os.close(master)
        text = COLOUR.sub("", seen.decode())
        assert "\x1b]0" not in text
        assert "\x1b[2J" not in text
        assert not set(text) & {"\x07", "\x9b", "\x7f", "\u202e", "\u2066", "\b"}
