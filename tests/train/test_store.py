"""Training from an object store gives the numbers of a local run."""

import json
import os
import pathlib
import sys

import pytest

from dsbuild import storage
from tests.support import fakes
from tests.support.processes import ended, started
from tests.support.runs import make
from tests.support.stores import files, upload

TINY = "--backbone tiny --crop 33 --batch 4 --optimiser adam --steps 4 --every 2".split()
SECONDS = 200  # far more than any command takes, even on a busy machine


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A VOC tree, and its build."""
    folder = tmp_path_factory.mktemp("trained")
    tree = fakes.voc(folder, width=48, height=40)
    make(tree, str(folder / "out"), shards=2)
    return pathlib.Path(tree), folder / "out"


def call(*arguments, code=0):
    """Return the output of a command."""
    command = [sys.executable, "-m", "dsbuild", *map(str, arguments)]
    with started(command, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}) as process:
        said = ended(process, SECONDS)
    assert process.returncode == code, said
    assert "Traceback" not in said
    return said


@pytest.mark.slow
@pytest.mark.parametrize("place", ["s3", "gs"])
def test_a_run_on_a_store_equals_a_local_run(request, built, place, tmp_path):
    tree, out = built
    url, here = request.getfixturevalue(place), tmp_path / "run"
    upload(out, f"{url}/out")
    upload(tree / "JPEGImages", f"{url}/images")
    call("train", out, "--run", here, *TINY)
    call("train", f"{url}/out", "--run", f"{url}/run", *TINY)
    there = files(f"{url}/run")
    for name in ("best.npz", "settings.json"):  # last.npz contains times
        assert there[name] == (here / name).read_bytes(), name
    assert "this training is finished" in call("train", f"{url}/out", "--run", f"{url}/run", *TINY)
    storage.remove(f"{url}/run/metrics.json")
    assert "continues after step 4" in call("train", f"{url}/out", "--run", f"{url}/run", *TINY)
    assert files(f"{url}/run")["best.npz"] == there["best.npz"]

    scores = [
        json.loads(call("evaluate", run, data, "--json", "--out", to))
        for run, data, to in ((here, out, tmp_path / "e"), (f"{url}/run", f"{url}/out", f"{url}/e"))
    ]
    for found in scores:
        del found["run"], found["data"], found["out"]
    assert scores[0] == scores[1]

    call("predict", here, tree / "JPEGImages", "--out", tmp_path / "p")
    call("predict", f"{url}/run", f"{url}/images", "--out", f"{url}/p")
    masks = {name: data for name, data in files(f"{url}/p").items() if name.endswith(".png")}
    assert len(masks) == 18
    assert masks == {name: (tmp_path / "p" / name).read_bytes() for name in masks}


@pytest.mark.slow
def test_commands_that_need_local_folders_say_so_at_once(s3, built, tmp_path):
    _, out = built
    upload(out, f"{s3}/out")
    run = f"{s3}/run"
    said = call("train", f"{s3}/out", "--run", run, *TINY, "--tensorboard", code=2)
    assert f"{run}: found a URL, but TensorFlow writes TensorBoard events" in said
    assert storage.names(run) == []
    call("train", f"{s3}/out", "--run", run, *TINY)
    said = call("export", run, f"{s3}/model", "--to", "keras", code=2)
    assert f"{s3}/model: found a URL, expected a local folder" in said
    call("export", run, tmp_path / "model", "--to", "keras")


LOOP = """
import dsbuild, sys, torch
from torch.utils.data import DataLoader

def crop(image, label):
    return image[:, :32, :32].float() / 255, label[:32, :32].long()

def main():
    url, method, iterable = sys.argv[1], sys.argv[2], sys.argv[3] == "stream"
    torch.manual_seed(0)
    data = dsbuild.torch_dataset(
        url, "train", iterable=iterable, as_supervised=True, transforms=crop
    )
    loader = DataLoader(
        data, 4, num_workers=2, multiprocessing_context=method, persistent_workers=iterable
    )
    network = torch.nn.Conv2d(3, 21, 3, padding=1)
    step = torch.optim.SGD(network.parameters(), 0.1)
    wanted = torch.nn.CrossEntropyLoss(ignore_index=255)
    for epoch in range(2):
        for image, label in loader:
            loss = wanted(network(image), label)
            step.zero_grad()
            loss.backward()
            step.step()
    print(f"loss {loss.item():.4f}")

if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "kind"), [("fork", "map"), ("fork", "stream"), ("spawn", "map")]
)
def test_a_torch_loop_with_workers_equals_one_over_local_files(s3, built, method, kind, tmp_path):
    pytest.importorskip("torch")
    upload(built[1], f"{s3}/out")
    script = tmp_path / "loop.py"
    script.write_text(LOOP)
    losses = []
    for path in (str(built[1]), f"{s3}/out"):
        with started([sys.executable, "-W", "ignore", script, path, method, kind]) as process:
            said = ended(process, SECONDS)
        assert process.returncode == 0, said
        losses.append(said.splitlines()[-1])
    assert losses[0] == losses[1]
    assert losses[0].startswith("loss ")
