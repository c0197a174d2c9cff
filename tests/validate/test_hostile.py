"""A folder made to do harm: nothing in it is run, followed out of it, or said to a terminal."""

import contextlib
import importlib
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dsbuild
from dsbuild import images
from dsbuild.cli import main
from dsbuild.cli.text import inspect
from dsbuild.errors import DsbuildError
from dsbuild.format import example, schema, tfrecord
from dsbuild.inspect import diff, documents, gallery, statistics
from dsbuild.inspect.html import run as page
from dsbuild.interop.export import run as export
from dsbuild.layouts.pairs import Pairs
from dsbuild.validate.run import validate
from tests.support import fakes
from tests.support.pages import Reader
from tests.support.runs import make

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
                writer.write(example.serialize(features))
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
def test_no_command_prints_control_characters(which, request, tmp_path, monkeypatch):
    folder = request.getfixturevalue(which)
    before = {p for p in pathlib.Path("/tmp").iterdir() if "evil" in p.name}
    inspecting = importlib.import_module("dsbuild.cli.inspect")
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


@pytest.mark.parametrize("layout", ["pairs", "voc", "classes", "matting", "cityscapes"])
def test_source_file_names_print_no_control_characters(layout, tmp_path):
    root = getattr(fakes, layout)(tmp_path)
    for path in sorted(pathlib.Path(root).rglob("*.*"), reverse=True):
        name = TERMINAL.replace("\n", "") if layout == "voc" else TERMINAL
        if path.is_file() and path.suffix != ".txt":
            path.rename(path.with_name(f"{name}{path.name}"))
        if path.suffix == ".txt":
            lines = path.read_text().splitlines()
            path.write_text("".join(f"{name}{line}\n" for line in lines))
    names = tmp_path / f"names{TERMINAL}"
    names.write_text(f"{TERMINAL}\nb\x1b[2J\nc\n")
    for words in ([], ["--dry-run"], ["--on-error", "skip"], ["--dry-run", "--json"]):
        words = [*words, *(["--classes", str(names)] if layout == "pairs" else [])]
        words = [layout, str(root), str(tmp_path / "out"), *words, "--workers", "1"]
        result = CliRunner().invoke(main, words, color=True)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        for stream in (result.stdout, result.stderr):
            text = COLOUR.sub("", stream)
            assert [c for c in text if not c.isprintable() and c != "\n"] == []


def test_an_index_of_numbers_that_no_file_has_is_left_alone(theirs):
    for path in (theirs / "index").iterdir():
        path.write_text("0 1\n" + "".join(f"{i} 1\n" for i in range(1, 200)) + f"{2**70} 1\n")
    result = CliRunner().invoke(main, ["statistics", str(theirs), "--workers", "1"])
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize("which", ["theirs", "ours"])
@pytest.mark.parametrize("words", ["", "--problems"])
def test_hostile_names_are_only_text_in_the_page(which, words, request, run, tmp_path):
    folder, page = request.getfixturevalue(which), tmp_path / "page.html"
    run("statistics", folder, "--workers", "1")
    result = run("inspect", folder, "--html", page, "--workers", "1", *words.split())
    assert result.exception is None or isinstance(result.exception, SystemExit)
    text = page.read_text()
    assert [c for c in text if not c.isprintable() and c != "\n"] == []
    found = Reader(text)
    assert [tag for tag, _ in found.tags].count("script") == 2
    assert [tag for tag, _ in found.tags].count("title") >= 1
    for tag, attributes in found.tags:
        assert tag not in ("iframe", "object", "embed", "base", "a") or attributes["href"][0] == "#"
        assert not [name for name in attributes if name.startswith("on")]
        assert not {"srcset", "action", "formaction"} & set(attributes)
        assert attributes.get("src", "data:image/png;base64,").startswith("data:image/png;base64,")
        assert "url(" not in attributes.get("style", "")
    said = "".join(text for _, text in found.texts)
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


PNG, GREY = images.encode(PIXELS), images.encode(PIXELS[..., 0])
NAMES = sorted(
    {f.name for name in ("segmentation", "classification") for f in schema.load(name).features}
)
BLOBS = st.sampled_from([PNG, GREY, PNG[:40], GREY[:-20], b"", b"raw16", b"png16", b"\xff\xd8\xff"])
VALUES = st.one_of(
    BLOBS,
    st.binary(max_size=20),
    st.lists(BLOBS, max_size=3),
    st.sampled_from([0, 1, 4, 255, 256, -1, 2**31, 2**62, -(2**63)]),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20).map(lambda v: np.array(v, np.int64)),
    st.lists(st.floats(width=32), max_size=20).map(lambda v: np.array(v, np.float32)),
)
RECORDS = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), VALUES, max_size=12).map(
    lambda features: example.serialize({k: v for k, v in features.items() if k.isprintable()})
)


@st.composite
def broken(draw):
    """Records, some with bytes of another value, or cut."""
    data = bytearray(draw(RECORDS))
    for _ in range(draw(st.integers(0, 3)) if data else 0):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


def every_part(sample):
    for role in sample:
        if role.endswith(".encoded") or role in ("label", "image", "class"):
            getattr(sample, role.removesuffix(".encoded").replace("class", "label"), None)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(broken(), min_size=1, max_size=3))
def test_any_record_raises_only_errors_that_name_it(made):
    assert_named(made)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(broken(), min_size=1, max_size=3))
def test_any_of_many_records_raises_only_errors_that_name_it(made):
    assert_named(made)


def assert_named(made):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "train-00000-of-00001.tfrecord")
        with open(path, "wb") as file:
            writer = tfrecord.Writer(file)
            for one in made:
                writer.write(one)
        out = os.path.join(folder, "out")
        calls = [
            lambda: inspect.inspection_text(documents.inspect(folder)),
            lambda: inspect.record_text(documents.record(folder, 0)),
            lambda: inspect.statistics_text(statistics.statistics(folder)),
            lambda: validate(folder),
            lambda: gallery.load(folder, documents.record(folder, 0)),
            lambda: page.make(folder, documents.inspect(folder), samples=4, seed=0),
            lambda: diff.read(folder),
            lambda: export.export(folder, f"{out}1", "webdataset"),
            lambda: export.export(folder, f"{out}2", "parquet"),
            lambda: [every_part(sample) for sample in dsbuild.open(folder, "train")],
            lambda: dsbuild.open(folder).presence(),
        ]
        for call in calls:
            with contextlib.suppress(DsbuildError):
                call()
