import json
import os
import pathlib

import pytest

from dsbuild.train import described, runs
from tests.support import fakes
from tests.support.runs import make

TINY = ["--backbone", "tiny", "--crop", "33", "--batch", "4", "--optimiser", "adam"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voc")
    make(fakes.voc(folder), folder / "data")
    return str(folder / "data")


def test_it_trains_reports_and_writes_a_run(data, run, tmp_path):
    folder = tmp_path / "run"
    options = [*TINY, "--steps", "2", "--rates", "2,4", "--flip", "0", "--no-separable"]
    done = run("train", data, "--run", folder, *options)
    assert done.exit_code == 0, done.output
    said = [line for line in done.stderr.splitlines() if not line.startswith("training: ")]
    assert said == [f"next: dsbuild evaluate {folder}"]  # a slow machine also shows progress
    header, _, lines = done.stdout.partition("\n\n")
    assert header.startswith(f"data      {data}: 12 images of train, scored on 6 of val\n")
    assert header.endswith(f"run       {folder}")
    first, last = lines.splitlines()
    assert first.startswith("step 2 of 2  loss ")
    assert "val mIoU" in first
    assert last.startswith(f"{folder}: 2 steps; best val mIoU 0.")
    settings = described.settings_of(str(folder))
    assert (settings.rates, settings.flip, settings.separable) == ((2, 4), 0.0, False)
    again = run("train", data, "--run", folder, "--from-run", folder)
    assert again.exit_code == 0, again.output
    assert "this training is finished" in again.stdout
    silent = run("train", data, "--run", folder, "--from-run", folder, "--quiet")
    assert (silent.exit_code, silent.output) == (0, "")
    longer = run("train", data, "--run", folder, "--from-run", folder, "--epochs", "1")
    assert longer.exit_code == 2
    assert "has epochs 50.0, steps 2; found epochs 1.0, steps None; give" in longer.stderr


def test_first_weights_are_kept_by_no_steps(data, run, tmp_path, eager):
    done = run("train", data, "--run", tmp_path / "run", *TINY, "--steps", "0", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["best"]["step"] == found["steps"] == 0
    assert 0 <= found["best"]["val_mean_iou"] < 0.2
    assert json.loads(pathlib.Path(tmp_path, "run", runs.METRICS).read_text()) == found
    assert run("evaluate", tmp_path / "run", data, "--output-stride", "8").exit_code == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--rates", "6,x"], "found '6,x'; expected something like 6,12,18"),
        (["--backbone", "vgg"], "--backbone: found 'vgg'; expected one of mobilenet_v2"),
        (["--scales", "1"], "scales: found (1.0,), expected 2 numbers, above 0"),
        (["--batch", "0"], "batch: found 0, expected a whole number, at least 1"),
        (["--sigmoid"], "loss: found 'cross_entropy', expected bce or bce_log_dice with"),
        (["--ema", "0.9", "--steps", "0"], "ema: found 0.9, expected 0 with --steps 0"),
        (["--split", "test"], "there is no split 'test'"),
        (["--devices", "3"], "batch: found 4, expected a multiple of 3 devices"),
        (["--steps", "2", "--epochs", "1"], "--steps and --epochs: found both; expected one"),
        (["--from-run", "nowhere"], "nowhere: no such folder; expected the folder of a run"),
        (["--weights", "nowhere"], "weights: nowhere: found no file, no keras-hub preset"),
    ],
)
def test_bad_input_is_reported_in_one_line(data, run, tmp_path, options, text):
    done = run("train", data, "--run", tmp_path / "run", *TINY, *options)
    assert done.exit_code in (1, 2)
    assert text in done.stderr
    assert "Traceback" not in done.output
    assert not os.path.exists(tmp_path / "run")
