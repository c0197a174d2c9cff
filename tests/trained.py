"""Runs with drawn weights, made without training."""

import os

from dsbuild.train import checkpoint, facts, model, runs
from dsbuild.train.settings import Settings
from tests.backends import drawn


def run(folder, tfrecord, seed=0, which=runs.BEST, **settings):
    """Make the folder of a run over a folder of TFRecords; return its path."""
    asked = Settings(**({"backbone": "tiny", "crop": 33} | settings))
    path, known = os.path.join(folder, "run"), facts.of(str(tfrecord))
    if not os.path.isdir(path):  # which would remove other weights
        runs.begin(path, asked, known)
    network = model.build(**runs.architecture(asked, known))
    drawn(network, seed)
    variables = checkpoint.names(network.variables)
    checkpoint.save(os.path.join(path, which), variables, {"step": 7})
    return path
