"""No text from a data set leads out of a folder or has an effect on a terminal."""

import ast
import io
import os
import pathlib
import posixpath
import tarfile
import unicodedata
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dsbuild.cli.text.table import table
from dsbuild.storage import safe_text
from tests.support.texts import HOSTILE, TEXTS

ROOT = pathlib.Path(__file__).parents[2]


def hostile(test):
    """Also run a test of one text on the texts above."""
    for words in HOSTILE:
        test = example(words)(test)
    return given(TEXTS)(test)


@hostile
def test_a_stem_is_a_single_plain_name(key):
    name = safe_text.stem(key)
    assert name
    assert name not in (".", "..")
    assert not set(name) & set('/\\:*?"<>|\0')
    assert len(name.encode()) <= 255 - len("-12345-median_frequency.png")
    assert safe_text.text(name) == name
    assert name[-1] not in ". "


@hostile
def test_a_path_never_leads_out(key):
    path = safe_text.path(key)
    assert posixpath.normpath(path) == path
    assert not path.startswith(("/", "../"))
    for name in path.split("/"):
        assert name not in (".", "..")
        assert len(name.encode()) < 240
    assert len(path.encode()) < 1000


@hostile
def test_tars_unpack_into_their_folder(key):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo(f"{safe_text.path(key)}.json"))
    data.seek(0)
    with tarfile.open(fileobj=data) as tar:
        (member,) = tar.getmembers()
        assert member.name == f"{safe_text.path(key)}.json"
        tarfile.data_filter(member, os.path.realpath("/nowhere"))


@given(st.lists(TEXTS, min_size=2, max_size=2, unique=True))
@example(["a/b", "a%2Fb"])
@example(["\x80", "\udc80"])
@example(["\xff", "\udcff"])
@example(["x" * 180, "x" * 181])
@example(["x" * 181, "x" * 182])
@example(["nul", "%6Eul"])
def test_distinct_keys_have_distinct_names(keys):
    for name in (safe_text.stem, safe_text.path):
        one, other = map(name, keys)
        assert one != other


def test_plain_keys_stay_as_they_are():
    for key in (
        "2007_000032",
        "aachen/aachen_000000",
        "a.b",
        "München 3",
        "日本　語",
        "-x",
        "\u0646\u0645\u06cc\u200c\u062e\u0648",
    ):
        assert safe_text.path(key) == key
    assert unquote(safe_text.stem("a/b\\c:d")) == "a/b\\c:d"


@hostile
def test_a_line_has_no_effect_on_a_terminal(words):
    line = safe_text.text(words)
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in line)
    assert not any(unicodedata.bidirectional(c) in BIDI for c in line)
    assert safe_text.text(line) == line
    assert len(line) <= 4000
    for line in safe_text.lines(words).split("\n"):
        assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in line)


BIDI = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


def test_cells_are_as_wide_as_they_look():
    rows = [["class", "n"], ["\x1b[2Jx\n", "1"], ["y" * 5000, "2"]]
    lines = table(rows, "<>")
    assert len(lines) == 3
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) < 1100


def test_all_that_is_printed_goes_through_one_door():
    for path in sorted((ROOT / "dsbuild").rglob("*.py")):
        if path == ROOT / "dsbuild" / "cli" / "options.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            place = f"{path}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("print", "click.echo", "click.secho", "click.style"), place
            if isinstance(node, ast.Attribute):
                # The output of TensorFlow's import is passed on.
                assert ast.unparse(node) not in ("click.echo", "click.secho"), place


# A spool reads its own temporary file; pipelines read theirs, in a folder with a random name;
# workers and their parent read each other's messages.
_OWN = {
    "dsbuild/engines/serving.py",
    "dsbuild/engines/workers.py",
    "dsbuild/storage/spool.py",
    "dsbuild/storage/serving.py",
    "pipelines/engine.py",
    "pipelines/processes.py",
}
_RUNNING = {
    "eval",
    "exec",
    "pickle.load",
    "pickle.loads",
    "torch.load",
    "yaml.load",
    "marshal.loads",
}


@pytest.mark.parametrize("top", ["dsbuild", "pipelines"])
def test_nothing_that_is_read_is_run(top):
    for path in sorted((ROOT / top).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            place = f"{path.relative_to(ROOT)}:{node.lineno}"
            named = {word.arg: ast.unparse(word.value) for word in node.keywords}
            assert named.get("allow_pickle", "False") == "False", place
            assert named.get("shell", "False") == "False", place
            if str(path.relative_to(ROOT)) not in _OWN:
                assert ast.unparse(node.func) not in _RUNNING, place
            if ast.unparse(node.func).endswith("saving.load_model"):
                assert named["safe_mode"] == "True", place
