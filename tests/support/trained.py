"""Runs with drawn weights, without training."""

import contextlib
import os

import numpy as np
import pytest

from dsbuild.errors import DsbuildError
from dsbuild.train import checkpoint, dataset, model, runs
from dsbuild.train.fit import run as fit
from dsbuild.train.predict import predictor
from dsbuild.train.settings import Settings
from tests.support.backends import drawn


def canvas(plane, stride=16, fill=127.5, least=1):
    """Return a plane (h, w, c), float32, padded to multiples of the stride plus one."""
    sizes = [max(side, least) for side in plane.shape[:2]]
    pads = [
        (0, -(-(size - 1) // stride) * stride + 1 - side)
        for size, side in zip(sizes, plane.shape, strict=False)
    ]
    channels = np.broadcast_to(fill, plane.shape[-1:])
    planes = [
        np.pad(plane[..., i].astype(np.float32), pads, constant_values=value)
        for i, value in enumerate(channels)
    ]
    return np.stack(planes, -1)


def run(folder, tfrecord, seed=0, which=runs.BEST, **settings):
    """Create the folder of a run over a folder of TFRecords; return its path."""
    asked = Settings(**({"backbone": "tiny", "crop": 33} | settings))
    path, known = os.path.join(folder, "run"), dataset.of(str(tfrecord))
    if not os.path.isdir(path):  # as `begin` removes other weights
        runs.begin(path, asked, known)
    network = model.build(**runs.architecture(asked, known))
    drawn(network, seed)
    variables = checkpoint.names(network.variables)
    checkpoint.save(os.path.join(path, which), variables, {"step": 7})
    return path


@contextlib.contextmanager
def eagerly():
    """Let predictors that are made in the block compute without graphs.

    Tracing a graph for a new size takes longer than a small model needs for a few images. Graphs
    are tested in tests/train/test_predictor.py.
    """
    compiled = predictor._compiled

    def plain(*given):
        made = compiled(*given)
        made.run_eagerly = True
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictor, "_compiled", plain)
        yield


@contextlib.contextmanager
def eager_steps():
    """Let trainings in the block compute their steps without graphs.

    Tracing a step takes as long as ten steps of the smallest model. Steps of graphs are trained in
    tests/train/test_fit.py and tests/cli/test_train.py.
    """
    compiled = fit.compiled

    def plain(*given):
        network, share = compiled(*given)
        network.run_eagerly = True
        return network, share

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "compiled", plain)
        yield


@contextlib.contextmanager
def loaded_once():
    """Load each run once in the block: building a model takes longer than a few predictions.

    For tests that only predict: they share the model. A run whose files change is loaded again.
    """
    load, kept = runs.load, {}

    def once(run, which=None, output_stride=None):
        try:
            files = [os.path.join(run, runs.SETTINGS), os.path.join(run, runs.RUN)]
            files.append(os.path.join(run, runs.file_of(run, which)))
            stats = [os.stat(path) for path in files]
        except (OSError, DsbuildError):  # no run, or on a store
            return load(run, which, output_stride)
        stamps = [(one.st_ino, one.st_size, one.st_mtime_ns) for one in stats]
        key = (*files, *stamps, output_stride)
        if key not in kept:
            while len(kept) > 3:
                kept.pop(next(iter(kept)))
            kept[key] = load(run, which, output_stride)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "load", once)
        yield
