"""FIFOs, sockets and devices where files belong: named, never waited for, never read."""

import json
import os
import pathlib
import shutil
import signal

import pytest

from tests.support import fakes
from tests.support.odd_files import ODD, endless, fifo
from tests.support.runs import content, make

KINDS = pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.__name__)


@pytest.fixture(autouse=True)
def no_wait():
    """End a test that waits."""
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it waits"))
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def replace(path, odd):
    pathlib.Path(path).unlink()
    odd(str(path))


@KINDS
@pytest.mark.parametrize(
    "name", ["JPEGImages/2007_000007.jpg", "SegmentationClass/2007_000007.png"]
)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_source_that_is_not_a_file_is_a_finding(voc, out, run, odd, name, workers):
    path = os.path.join(voc, name)
    replace(path, odd)
    words = ["voc", voc, out, "--split", "train", "--workers", workers]
    result = run(*words)
    assert result.exit_code == 2
    line = f"error: sample 2007_000007: {path}: found {ODD[odd]}, expected a file"
    assert line in result.stderr
    assert run(*words, "--on-error", "skip").exit_code == 0, result.output
    (reject,) = map(json.loads, pathlib.Path(out, "rejects.jsonl").read_text().splitlines())
    assert reject["key"] == "2007_000007"
    assert reject["reason"] == f"found {ODD[odd]}, expected a file"


@pytest.mark.parametrize("odd", [fifo, endless])
def test_a_list_that_is_not_a_file_is_named(voc, out, run, odd):
    replace(os.path.join(voc, "ImageSets/Segmentation/train.txt"), odd)
    result = run("voc", voc, out)
    assert result.exit_code == 2
    assert f"train.txt: found {ODD[odd]}, expected a file" in result.stderr


def files(voc):
    """Return the names of the files of a build."""
    return sorted(
        str(path.relative_to(voc)) for path in pathlib.Path(voc).rglob("*") if path.is_file()
    )


@pytest.mark.parametrize("odd", [fifo, endless])
def test_special_files_in_a_build_never_block(tmp_path, run, odd):
    voc = fakes.voc(tmp_path, train=3, val=0)
    whole, out = str(tmp_path / "whole"), str(tmp_path / "out")
    make(voc, whole, shards=1, splits=("train",))
    for name in files(whole):
        if name.endswith("lock"):
            continue
        for words in (
            ["validate", out, "--workers", 1],
            ["inspect", out],
            ["statistics", out, "--workers", 1],
            ["export", out, tmp_path / "tar", "--to", "webdataset", "--workers", 1],
            ["voc", voc, out, "--split", "train", "--shards", 1, "--workers", 1],
            ["repair", out, voc, "--workers", 1],
        ):
            shutil.rmtree(out, ignore_errors=True)
            shutil.copytree(whole, out)
            replace(os.path.join(out, name), odd)
            result = run(*words)
            told = f"{name}: {words}: {result.output}"
            assert result.exception is None or isinstance(result.exception, SystemExit), told
            assert result.exit_code in (0, 1, 2), told
            if result.exit_code and words[0] != "validate":
                assert "error: " in result.stderr or "problem: " in result.stderr, told
            if name.endswith(".tfrecord") and words[0] in ("voc", "repair"):
                assert content(out) == content(whole), told
