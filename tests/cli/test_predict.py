import json
import os
import pathlib
import shlex
import shutil

import numpy as np
import pytest

import dsbuild
from dsbuild import images
from dsbuild.layouts.classes import Classes
from dsbuild.train import described, runs
from dsbuild.train.predict.predictor import How, Predictor
from tests.support import fakes, trained
from tests.support.runs import make

pytestmark = pytest.mark.usefixtures("eager", "loaded_once")
# For commands whose scores are no matter: each image takes its time.
FEW = ("--split", "val[:1]", "--no-boundary")


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A folder of TFRecords, and a run over it."""
    folder = tmp_path_factory.mktemp("voc")
    data = str(folder / "data")
    make(fakes.voc(folder), data)
    return data, trained.run(folder, data)


@pytest.fixture(scope="module")
def empty(known, tmp_path_factory):
    """A run without weights."""
    data, _ = known
    path = trained.run(tmp_path_factory.mktemp("empty"), data)
    os.unlink(os.path.join(path, runs.BEST))
    return path


def photo(path, seed=0):
    fakes.photo(np.random.default_rng(seed), 60, 44).save(path)
    return str(path)


def test_evaluate_prints_means_and_every_class(known, run, tmp_path):
    data, model = known
    done = run("evaluate", model, data, "--out", tmp_path / "report")
    assert done.exit_code == 0, done.output
    words = f"{model} {data} --split val --out predicted --overlay"
    assert done.stderr == f"next: dsbuild predict {words}\n"
    for name in ("mIoU", "pixel accuracy", "mean accuracy", "frequency-weighted IoU"):
        assert name in done.stdout
    rows = [line.split() for line in done.stdout.splitlines()]
    (row,) = [row for row in rows if row[1:2] == ["pottedplant"]]
    assert len(row) >= 7
    assert os.listdir(tmp_path / "report")


def test_evaluate_gives_json(known, run, tmp_path):
    data, model = known
    how = ["--scales", "0.5,1", "--flip", "--window", "50", "--no-boundary", "--json"]
    done = run("evaluate", model, data, "--split", "val[:2]", "--out", tmp_path, *how)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["scales"], found["flip"], found["window"]) == ([0.5, 1.0], True, 50)
    assert found["samples"] == 2
    assert "boundary_f1" not in found
    assert 0 <= found["mean_iou"] <= 1


def test_predict_writes_and_reports(known, run, tmp_path, out):
    _, model = known
    os.mkdir(tmp_path / "in")
    photo(tmp_path / "in" / "a.png")
    photo(tmp_path / "in" / "b.jpg", 1)
    done = run("predict", model, tmp_path / "in", "--out", out, "--overlay", "--resize", "33")
    assert done.exit_code == 0, done.output
    assert sorted(os.listdir(out)) == ["a.overlay.jpg", "a.png", "b.overlay.jpg", "b.png"]
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        os.path.join(out, name) for name in ("a.png", "b.png")
    ]
    quiet = run("predict", model, tmp_path / "in", "--out", out, "--quiet")
    assert (quiet.exit_code, quiet.output) == (0, "")


def test_predict_continues_after_unreadable_images(known, run, tmp_path, out):
    _, model = known
    (tmp_path / "a.png").write_bytes(b"junk")
    photo(tmp_path / "b.png")
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    done = run("predict", model, *paths, "--out", out, "--json")
    assert done.exit_code == 1
    assert os.listdir(out) == ["b.png"]
    assert done.stderr.startswith(f"error: {tmp_path / 'a.png'}: found")
    assert "1 of 2 could not be predicted" in done.stderr
    found = json.loads(done.stdout)
    assert (len(found["made"]), len(found["failed"])) == (1, 1)


def test_predict_prints_the_class_of_images(run, tmp_path):
    data = str(tmp_path / "data")
    make(fakes.classes(tmp_path), data, layout=Classes())
    model = trained.run(tmp_path, data)
    done = run("predict", model, photo(tmp_path / "a.png"))
    assert done.exit_code == 0, done.output
    path, _, told = done.stdout.rpartition(": ")
    assert path == str(tmp_path / "a.png")
    assert told.split()[0] in ("cat", "dog", "horse")
    assert told.split()[2] == "%"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["predict", "RUN"], "or videos; --split, for the run's data; --camera"),
        (
            ["predict", "RUN", "IMAGE", "--camera", "0"],
            "expected one of: images, folders or videos; --split,",
        ),
        (["predict", "RUN", "IMAGE", "--frames", "2"], "--frames needs --camera"),
        (["predict", "RUN", "DATA", "IMAGE", "--split", "val"], "--split goes with one folder of"),
        (["predict", "RUN", "--camera", "0", "--split", "val"], "--split goes with one folder of"),
        (["predict", "RUN", "DATA", "--split", "vla", "--out", "OUT"], "did you mean val?"),
        (["predict", "RUN", "DATA", "--split", "val"], "found no --out"),
        (["predict", "RUN", "DATA", "--out", "OUT"], "found TFRecords, expected images; --split"),
        (["predict", "RUN", "--split", "val", "--out", "OUT"], "does not say what it was trained"),
        (["predict", "RUN", "IMAGE", "--scales", "a"], "found 'a'"),
        (["predict", "RUN", "IMAGE", "--out", "OUT", "--scales", "0"], "scales: found (0.0,)"),
        (["predict", "RUN", "IMAGE"], "found no --out"),
        (["predict", "RUN", "none.png", "--out", "OUT"], "none.png: no such file"),
        (["predict", "none", "IMAGE", "--out", "OUT"], "expected the folder of a run"),
        (
            ["predict", "RUN", "--camera", "97", "--out", "OUT"],
            "camera 97: found no readable",
        ),
        (
            ["predict", "RUN", "--camera", "-1", "--out", "OUT"],
            "camera -1: found no readable",
        ),
        (
            ["predict", "RUN", "--camera", "9" * 12, "--out", "OUT"],
            "camera 999999999999: found",
        ),
        (["predict", "RUN", "--camera", "rtsp://127.0.0.1:1/x", "--out", "OUT"], "readable stream"),
        (["evaluate", "RUN", "none"], "none: no such folder"),
        (["evaluate", "none", "DATA"], "expected the folder of a run"),
        (["evaluate", "RUN", "DATA", "--split", "test"], "there is no split 'test'"),
        (["evaluate", "RUN", "DATA", "--matting"], "matting: found a model of 21 classes"),
        (["evaluate", "EMPTY", "DATA"], "found no weights yet"),
    ],
)
def test_bad_input_is_reported_in_one_line(known, empty, run, tmp_path, out, command, told):
    data, model = known
    words = {
        "RUN": model,
        "DATA": data,
        "OUT": out,
        "IMAGE": photo(tmp_path / "a.png"),
        "EMPTY": empty,
    }
    done = run(*(words.get(word, word) for word in command))
    assert done.exit_code in (1, 2)
    assert told in done.stderr
    assert "Traceback" not in done.output
    assert not os.path.exists(out)


@pytest.fixture
def remembered(known, tmp_path):
    """A run that knows its data, with both in a folder of their own."""
    data, model = known
    shutil.copytree(data, tmp_path / "there" / "data")
    shutil.copytree(model, tmp_path / "there" / "run")
    described.keep_data(str(tmp_path / "there" / "run"), str(tmp_path / "there" / "data"))
    return tmp_path / "there"


def test_a_run_knows_its_data_from_every_folder(remembered, run, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    done = run("evaluate", "../there/run", *FEW, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["data"] == str(remembered / "data")
    named = run("evaluate", "../there/run", "../there/data", *FEW, "--json")
    assert json.loads(named.stdout)["mean_iou"] == found["mean_iou"]
    done = run("predict", "../there/run", "--split", "val", "--out", "predicted")
    assert done.exit_code == 0, done.output
    keys = sorted(sample.key for sample in dsbuild.open(remembered / "data", "val").epoch())
    assert sorted(os.listdir("predicted")) == [f"{key}.png" for key in keys]


def test_predictions_of_records_are_those_that_are_measured(remembered, run, tmp_path):
    model, data, out = (str(path) for path in (remembered / "run", remembered / "data", tmp_path))
    out = os.path.join(out, "predicted")
    assert run("predict", model, "--split", "val[:2]", "--out", out, "--quiet").output == ""
    predictor = Predictor(runs.load(model), How())
    for sample in dsbuild.open(data, "val[:2]").epoch():
        with open(os.path.join(out, f"{sample.key}.png"), "rb") as file:
            written = images.plane(file.read())
        np.testing.assert_array_equal(written, predictor.classes(sample.image))
    inside = run("predict", model, "--split", "val", "--out", os.path.join(data, "predicted"))
    assert inside.exit_code == 2
    assert "in the folder of the TFRecords; give another --out" in inside.stderr


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["evaluate", "RUN", *FEW], "name the folder: dsbuild evaluate RUN DATA"),
        (["predict", "RUN", *FEW[:2]], "dsbuild predict RUN DATA --split"),
    ],
)
def test_data_that_was_moved_is_named_with_the_remedy(words, remedy, remembered, run, tmp_path):
    model = str(remembered / "run")
    os.rename(remembered / "data", remembered / "moved")
    words = [model if word == "RUN" else word for word in words]
    done = run(*words)
    assert done.exit_code == 2
    assert f"{model}: it was trained on {remembered / 'data'}, where there is no" in done.stderr
    assert remedy in done.stderr
    done = run(words[0], model, remembered / "moved", *words[2:], "--out", tmp_path / "report")
    assert done.exit_code == 0, done.output


def test_a_run_of_an_older_version_opens(known, run, tmp_path, monkeypatch):
    data, model = known
    assert "data" not in json.loads(pathlib.Path(model, described.RUN).read_text())
    monkeypatch.chdir(tmp_path)
    done = run("evaluate", model)
    assert done.exit_code == 2
    assert "this run does not say what it was trained on; name the folder: dsbuild" in done.stderr
    shutil.copytree(data, tmp_path / "tfrecord")
    done = run("evaluate", model, *FEW, "--out", "report")
    assert done.exit_code == 0, done.output


def test_the_data_of_a_run_is_exported(remembered, run, tmp_path):
    done = run("export", remembered / "run", tmp_path / "tars", "--to", "webdataset")
    assert done.exit_code == 0, done.output
    assert f"note: exporting {remembered / 'data'}, the TFRecords that" in done.stderr
    assert any(name.endswith(".tar") for name in os.listdir(tmp_path / "tars"))
    os.rename(remembered / "data", remembered / "moved")
    done = run("export", remembered / "run", tmp_path / "more", "--to", "webdataset")
    assert done.exit_code == 2
    assert "name the folder: dsbuild export DATA OUT --to webdataset" in done.stderr


def test_data_that_was_built_again_is_noted(remembered, run, tmp_path):
    words = ["evaluate", remembered / "run", *FEW, "--out", tmp_path / "report"]
    assert "was built again" not in run(*words).stderr
    path = remembered / "run" / described.RUN
    known = json.loads(path.read_text())
    known["facts"]["digest"] = "0" * 64
    path.write_text(json.dumps(known))
    done = run(*words)
    assert f"note: {remembered / 'data'}: was built again since" in done.stderr
    assert json.loads(run(*words, "--json").stdout)["rebuilt"] is True
    shutil.copytree(remembered / "data", tmp_path / "other")
    assert "was built again" not in run(*words[:2], tmp_path / "other", *words[2:]).stderr


def test_an_evaluation_leads_to_a_prediction_that_runs(remembered, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("evaluate", remembered / "run", "--no-boundary", "--out", "report")
    words = shlex.split(done.stderr.splitlines()[-1])
    assert words[:3] == ["next:", "dsbuild", "predict"]
    assert run(*words[2:]).exit_code == 0
    assert os.listdir("predicted")
