"""Backends that cannot be imported are named in one line by every command."""

import os
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "nonsense"])
@pytest.mark.parametrize("command", ["train", "evaluate", "predict"])
def test_a_missing_backend_is_one_line(tmp_path, command, backend):
    code = "import sys; sys.modules['jax'] = None; from dsbuild.cli import main; main()"
    arguments = {"train": ["data", "--run", "run"]}.get(command, ["run", "data"])
    done = subprocess.run(
        [sys.executable, "-c", code, command, *arguments],
        env=os.environ | {"KERAS_BACKEND": backend},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    said = done.stderr.strip()
    assert said.startswith(f"error: KERAS_BACKEND={backend}: Keras could not be imported (")
    assert said.endswith("or unset KERAS_BACKEND to train on TensorFlow")
    assert len(said.splitlines()) == 1


def test_a_missing_backend_of_an_extra_names_it(tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from dsbuild.train import tensorflow_env\ntensorflow_env.quiet('dsbuild train')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"KERAS_BACKEND": "torch"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    last = done.stderr.strip().splitlines()[-1]
    said = "KERAS_BACKEND=torch needs PyTorch, which is not installed: pip install 'dsbuild[torch]'"
    assert last == f"dsbuild.errors.TrainError: {said}"
