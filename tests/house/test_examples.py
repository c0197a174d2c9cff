"""The examples run, on their own, as a reader would run them."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import dsbuild
from tests.support import fakes
from tests.support.blocks import Session
from tests.support.runs import make

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
NOTEBOOK = "first_hour.ipynb"


def called(name, *arguments):
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


AGAIN = """
import os, sys
os.environ["KERAS_BACKEND"] = "torch"
import numpy as np, torch
from dsbuild.train import model
from dsbuild import open as opened

network = model.build(classes=21, backbone="tiny", momentum=0.8)
network.load_state_dict(torch.load(sys.argv[2]))
for number, sample in enumerate(opened(sys.argv[1], "val")):
    found = network(torch.tensor(sample.image[None]).float(), training=False)[0].argmax(-1)
    np.save(f"{sys.argv[3]}/{number}.npy", found.detach().numpy())
"""


@pytest.mark.slow
def test_torch_takes_no_more_workers_than_can_fill_a_batch(tmp_path):
    pytest.importorskip("torch", reason="torch is not installed")
    data, out = str(tmp_path / "data"), str(tmp_path / "deeplab.pt")
    make(fakes.voc(tmp_path), data)
    count = len(dsbuild.open(data, "train"))
    given = (data, "--crop", 33, "--steps", 2, "--out", out, "--batch")
    lines = called("torch_train.py", *given, count - 1)
    assert lines[0].startswith("step 2 of 2  loss ")
    done = subprocess.run(
        [sys.executable, EXAMPLES / "torch_train.py", *map(str, given), str(count + 1)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert f"error: train: found {count} samples, fewer than a batch of {count + 1}" in done.stderr


@pytest.mark.slow
def test_torch_trains_on_shards_and_keeps_the_weights(tmp_path):
    pytest.importorskip("torch", reason="torch is not installed")
    data, out = str(tmp_path / "data"), str(tmp_path / "deeplab.pt")
    make(fakes.voc(tmp_path), data)
    lines = called("torch_train.py", data, "--crop", 33, "--batch", 4, "--steps", 4, "--out", out)
    assert lines[0].startswith("step 4 of 4  loss ")
    assert np.isfinite(float(lines[0].split()[-1]))
    subprocess.run([sys.executable, "-c", AGAIN, data, out, tmp_path], check=True)
    both, either = np.zeros(21), np.zeros(21)
    for number, sample in enumerate(dsbuild.open(data, "val")):
        found = np.load(tmp_path / f"{number}.npy")
        for value in range(21):
            here, there = sample.label == value, (found == value) & (sample.label != 255)
            both[value] += (here & there).sum()
            either[value] += (here | there).sum()
    score = (both / np.maximum(either, 1))[either > 0].mean()
    assert float(lines[-1].removeprefix("val: mIoU ")) == pytest.approx(score, abs=1e-4)
    assert os.path.getsize(out) > 100_000


EXECUTED = """
import sys
import nbclient, nbformat

book = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(book, timeout=200, kernel_name="python3").execute()
nbformat.write(book, sys.argv[2])
"""


@pytest.mark.heavy
@pytest.mark.slow
def test_the_notebook_runs_in_an_empty_folder(tmp_path):
    pytest.importorskip("nbclient", reason="nbclient is not installed")
    folder, executed = tmp_path / "fresh", tmp_path / "executed.ipynb"
    folder.mkdir()
    session = Session(folder, {})
    command = [sys.executable, "-c", EXECUTED, EXAMPLES / NOTEBOOK, executed]
    try:
        subprocess.run(command, cwd=folder, env=session.environment, check=True, timeout=300)
    finally:
        session.close()
    cells = [cell for cell in json.loads(executed.read_text())["cells"] if "outputs" in cell]
    shown = json.dumps([cell["outputs"] for cell in cells])
    assert "Pascal VOC: 40 listed images in 2 splits (train and val)" in shown
    assert "runs/first, step " in shown  # the best of two checkpoints
    assert "mIoU" in shown
    for value in ("<Reader of tfrecord: 30 samples of train", "<Sample "):
        (cell,) = [cell for cell in cells if value in json.dumps(cell["outputs"])]
        assert '<img src=\\"data:image/' in json.dumps(cell["outputs"]), value
    assert '"image/png": ' in json.dumps(cells[-1]["outputs"])  # photo and prediction


def test_the_notebook_is_kept_without_outputs():
    cells = json.loads((EXAMPLES / NOTEBOOK).read_text())["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
    assert {cell["cell_type"] for cell in cells} == {"code", "markdown"}
