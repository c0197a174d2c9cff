"""Exit codes of every command, and how errors look: 0 fine, 1 found something, 2 could not run."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from dsbuild.cli import main
from tests.support import fakes
from tests.support.runs import make

RED, YELLOW = "\x1b[31m", "\x1b[33m"

# Every command that needs no TensorFlow: words and exit code. Those of a trained model are in
# test_predict.py, test_train.py and train/audit/test_audit.py.
CODES = [
    ("--version", 0),
    ("--help", 0),
    ("", 0),
    ("nonsense", 2),
    ("demo voc drawn --samples 4", 0),
    ("demo voc data", 2),
    ("build data new", 0),
    ("build empty new", 2),
    ("build nowhere new", 2),
    ("voc data new", 0),
    ("voc data out", 2),
    ("voc data out --split train --shards 2", 0),
    ("voc data new --dry-run", 0),
    ("voc broken new --dry-run", 1),
    ("voc broken new --dry-run --json", 1),
    ("voc broken new", 2),
    ("voc broken new --on-error skip", 0),
    ("voc data new --strict", 1),
    ("voc broken new --strict", 1),
    ("voc nowhere new", 2),
    ("voc data new --split test", 2),
    ("voc data new --shards 0", 2),
    ("voc data new --max-side 4 --jpeg-quality 101", 2),
    ("voc data new --tile 3", 2),
    ("voc data new --tile-overlap 9", 2),
    ("voc data new --depth 12", 2),
    ("voc data new --scale 9", 2),
    ("voc data new --plane depth", 2),
    ("cityscapes data new", 2),
    ("coco data new", 2),
    ("ade20k data new", 2),
    ("ade20k-full data new", 2),
    ("pascal-context data new", 2),
    ("oxford-pets data new", 2),
    ("labelme data new", 2),
    ("yolo data new", 2),
    ("cvat data new", 2),
    ("supervisely data new", 2),
    ("mapillary data new", 2),
    ("bdd100k data new", 2),
    ("matting data new", 2),
    ("pairs data new", 2),
    ("classes nowhere new", 2),
    ("inspect out", 0),
    ("inspect damaged", 1),
    ("inspect nowhere", 2),
    ("inspect out --record 0", 0),
    ("inspect out --record 99", 2),
    ("inspect out --key nothing", 2),
    ("statistics out", 0),
    ("statistics damaged", 1),
    ("statistics half", 1),
    ("statistics nowhere", 2),
    ("check out", 0),
    ("check damaged", 1),
    ("check nowhere", 2),
    ("check out --rules nowhere.toml", 2),
    ("check out --against out", 2),
    ("validate out", 0),
    ("validate damaged", 1),
    ("validate damaged --json", 1),
    ("validate nowhere", 2),
    ("validate out nowhere --level source", 2),
    ("validate out data --level source", 0),
    ("repair out data", 0),
    ("repair damaged data", 0),
    ("repair damaged nowhere", 2),
    ("repair nowhere", 2),
    ("diff out out", 0),
    ("diff out other", 1),
    ("diff out other --drift 1", 0),
    ("diff out other --drift 0", 1),
    ("diff out nowhere", 2),
    ("merge out other new", 0),
    ("merge out other new --dry-run", 0),
    ("merge out other", 2),
    ("merge out nowhere new", 2),
    ("merge out damaged new", 2),
    ("interop out", 0),
    ("interop nowhere", 2),
    ("export out new --to webdataset", 0),
    ("export out new --to onnx", 2),
    ("export half new --to webdataset", 1),
    ("export nowhere new --to webdataset", 2),
    ("export out new --to coco", 0),
    ("export out new --to coco --max-loss 0", 1),
    ("export half new --to coco", 2),
    ("export nowhere new --to coco", 2),
    ("convert data new --to voc --split train", 0),
    ("convert data new --to coco --split train --max-loss 0", 1),
    ("convert broken new --to coco", 2),
    ("convert nowhere new --to coco", 2),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data set, the same with a bad sample, and folders of TFRecords: good, other, damaged."""
    folder = tmp_path_factory.mktemp("codes")
    root = fakes.voc(folder / "data")
    (folder / "empty").mkdir()
    shutil.copytree(folder / "data", folder / "broken")
    image = next((folder / "broken").rglob("2007_000004.jpg"))
    image.write_bytes(image.read_bytes()[:-50])
    make(root, folder / "out", splits=("train",), shards=2)
    make(root, folder / "other", splits=("val",), shards=2)
    shutil.copytree(folder / "out", folder / "half")
    (folder / "half" / "manifest.json").unlink()
    shutil.copytree(folder / "out", folder / "damaged")
    shard = folder / "damaged" / "train-00001-of-00002.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-9])
    return folder


def _environment():
    root = str(pathlib.Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": root}


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.mark.parametrize(("words", "code"), CODES)
def test_exit_codes(words, code, here, run):
    done = run(*words.split())
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    if code == 2:
        assert done.stdout == "" or words in ("voc broken new", "voc data out")  # after their plan
        assert done.stderr.splitlines()[-1].startswith("error: ") or "build empty" in words
        assert not (here / "new").exists() or words.startswith("voc broken")


def test_the_table_has_every_command():
    named = {words.split()[0] for words, _ in CODES if words}
    assert set(main.commands) - named == {"audit", "train", "evaluate", "predict"}


def colour(run, *words):
    """Return what a command prints to stderr, with its colours."""
    return run(*words).stderr


@pytest.mark.parametrize("words", ["nonsense", "voc --shrads 2", "inspect nowhere", "diff out x"])
def test_errors_are_red_and_look_alike(words, here, run, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    text = colour(run, *words.split())
    assert text.startswith(f"{RED}error: ")
    assert text.count("\n") == 1


def test_problems_are_red_and_warnings_are_yellow(here, run, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert f"{RED}problem: " in colour(run, "inspect", "damaged")
    assert YELLOW in colour(run, "voc", "data", "new", "--dry-run")


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NO_COLOR": "1"},
        {"NO_COLOR": "1", "FORCE_COLOR": "1"},
        {"TERM": "dumb", "FORCE_COLOR": "1"},
        {"FORCE_COLOR": "0"},
        {"FORCE_COLOR": ""},
    ],
)
@pytest.mark.parametrize("words", ["nonsense", "inspect out", "inspect damaged", "voc data new"])
def test_pipes_and_no_color_have_no_colours(environment, words, here, run, monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert "\x1b" not in run(*words.split()).output


def test_json_has_no_colours(here, run, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    for words in ("inspect out --json", "validate damaged --json", "diff out other --json"):
        assert "\x1b" not in run(*words.split()).stdout


def test_a_closed_pipe_is_no_traceback(here):
    """`dsbuild inspect | head -1` ends without a word."""
    command = f"{sys.executable} -m dsbuild inspect out | head -c 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        env=_environment(),
        timeout=60,
        check=False,
    )
    rest = [line for line in done.stderr.splitlines() if not line.startswith("next: ")]
    assert rest == []  # whether head or the command ends first is left to chance


@pytest.mark.parametrize("words", ["statistics half", "export half new --to webdataset --quiet"])
def test_an_unfinished_folder_is_named(words, here, run):
    said = run(*words.split()).stderr
    assert "problem: half: found no manifest.json, so this build is unfinished; run its" in said
    assert "next:" not in said


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("validate out --level source", "dsbuild validate out SOURCE --level source"),
        ("repair damaged", "dsbuild repair damaged SOURCE"),
    ],
)
def test_a_missing_source_is_asked_for_by_the_command_that_needs_it(words, remedy, here, run):
    shutil.rmtree(here / "data")
    shutil.rmtree(here / "broken")
    done = run(*words.split())
    assert done.exit_code == 2
    assert "found no data set (Pascal VOC)" in done.stderr
    assert done.stderr.rstrip().endswith(remedy)
