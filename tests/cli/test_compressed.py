"""Every command that reads TFRecords reads compressed ones, and says the same of them."""

import gzip
import json
import pathlib
import shutil
import zlib

import pytest

from tests.support import fakes
from tests.support.runs import content, make

NAMES = ["train-00000-of-00002", "train-00001-of-00002", "val-00000-of-00002", "val-00001-of-00002"]
PACKED = dict(zip(NAMES, (gzip.compress, bytes, zlib.compress, gzip.compress), strict=True))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A build; its shards alone; and these compressed, some under their own names."""
    home = tmp_path_factory.mktemp("compressed")
    make(fakes.voc(home), home / "built", splits=("train", "val"), shards=2)
    for folder in ("plain", "packed"):
        (home / folder).mkdir()
    for name in NAMES:
        data = (home / "built" / f"{name}.tfrecord").read_bytes()
        ending = ".gz" if name == NAMES[0] else ""
        (home / "plain" / f"{name}.tfrecord").write_bytes(data)
        (home / "packed" / f"{name}.tfrecord{ending}").write_bytes(PACKED[name](data))
    return home


def shown(home, run, *words):
    """What a command says of either folder, without names, sizes and time."""
    found = []
    for folder in ("plain", "packed"):
        result = run(*(word.format(home / folder) for word in words))
        assert result.exit_code == 0, result.output
        text = result.stdout.replace(str(home / folder), "").replace(".tfrecord.gz", ".tfrecord")
        found.append(_without(json.loads(text)))
    return found


def _without(value):
    if isinstance(value, dict):
        return {key: _without(one) for key, one in value.items() if key != "bytes"}
    return [_without(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "words",
    [
        ("inspect", "{}"),
        ("inspect", "{}", "--record", "7"),
        ("inspect", "{}", "--key", "2007_000003"),
        ("validate", "{}"),
        ("validate", "{}", "--level", "frames"),
        ("statistics", "{}"),
        ("check", "{}"),
    ],
)
def test_the_same_is_said(home, run, words):
    plain, packed = shown(home, run, *words, "--json")
    assert packed == plain


def test_the_same_is_compared_exported_and_drawn(home, run, tmp_path):
    result = run("diff", home / "plain", home / "packed", "--json")
    assert result.exit_code == 0, result.output
    for folder in ("plain", "packed"):
        out = tmp_path / folder
        result = run("export", home / folder, out, "--to", "webdataset")
        assert result.exit_code == 0, result.output
        shutil.rmtree(out / ".dsbuild")
        result = run("inspect", home / folder, "--html", tmp_path / f"{folder}.html", "--problems")
        assert result.exit_code == 0, result.output
    assert content(tmp_path / "packed") == content(tmp_path / "plain")
    pages = [(tmp_path / f"{folder}.html").read_text() for folder in ("plain", "packed")]
    assert len({page.count("data:image/") for page in pages}) == 1


@pytest.mark.parametrize("command", ["inspect", "validate", "statistics", "export"])
def test_a_cut_file_is_one_clear_line(home, run, tmp_path, command):
    shutil.copytree(home / "packed", tmp_path / "cut")
    path = tmp_path / "cut" / f"{NAMES[0]}.tfrecord.gz"
    path.write_bytes(path.read_bytes()[:-5])
    words = [tmp_path / "out", "--to", "webdataset"] if command == "export" else []
    result = run(command, tmp_path / "cut", *words)
    assert result.exit_code in (1, 2)
    assert result.output.count("the gzip data is cut") == 1
    assert not list(tmp_path.glob("out/*00000*"))


def test_a_build_that_was_compressed_is_named_with_the_remedy(home, run, tmp_path):
    shutil.copytree(home / "built", tmp_path / "out")
    for path in pathlib.Path(tmp_path / "out").glob("*.tfrecord"):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    for command in ("inspect", "validate"):
        result = run(command, tmp_path / "out")
        assert result.exit_code == 1
        assert result.output.count(f"decompress {NAMES[0]}.tfrecord.gz beside it") == 1
    found = json.loads(run("validate", tmp_path / "out", "--json").stdout)
    assert {problem["kind"] for problem in found["problems"]} == {"missing"}
    result = run("repair", tmp_path / "out")
    assert result.exit_code
    assert f"{NAMES[0]}.tfrecord.gz: found a shard of this build, compressed" in result.output
    result = run("merge", tmp_path / "out", home / "built", tmp_path / "merged")
    assert result.exit_code
    assert f"decompress {NAMES[0]}.tfrecord.gz beside it" in result.output


def test_no_shard_is_missing_for_merge_if_some_are_compressed(home, run, tmp_path):
    result = run("merge", home / "packed", home / "built", tmp_path / "merged")
    assert result.exit_code
    assert "this shard is missing" not in result.output
    assert "it does not name its classes; say by --map" in result.output
