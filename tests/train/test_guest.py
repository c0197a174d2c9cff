"""The trainer is a good guest: it leaves nothing behind in the process that uses it."""

import os

import pytest

from tests.support import photos
from tests.support.backends import fresh

STATE = """
import os, random, sys, warnings
import cv2, keras, tensorflow as tf  # whose own imports leave traces
import numpy as np
import dsbuild.images  # a wing with a test of its own

def state():
    generator = np.random.get_state()
    return {
        "environment": dict(os.environ),
        "random": random.getstate(),
        "numpy": (generator[0], generator[1].tolist(), *generator[2:]),
        "warnings": list(warnings.filters),
        "floatx": keras.config.floatx(),
        "epsilon": keras.config.epsilon(),
        "format": keras.config.image_data_format(),
        "policy": keras.config.dtype_policy().name,
        "threads": cv2.getNumThreads(),
        "log level": cv2.utils.logging.getLogLevel(),
        "imported": "matplotlib" in sys.modules,
    }

def same(before):
    after = state()
    changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
    assert not changed, changed

random.seed(1)
np.random.seed(2)
tf.random.set_seed(3)
drawn = float(tf.random.uniform([]))
tf.random.set_seed(3)
before = state()
"""
SAME = """
same(before)
assert float(tf.random.uniform([])) == drawn
"""
IMPORTS = """
import importlib, pkgutil
import dsbuild.train
for module in pkgutil.walk_packages(dsbuild.train.__path__, "dsbuild.train."):
    importlib.import_module(module.name)
"""
WORK = """
import dsbuild
from dsbuild.train import runs
from dsbuild.train.export import run as exporting
from dsbuild.train.fit import run as fit
from dsbuild.train.metrics.evaluate import evaluate
from dsbuild.train.predict import run as predicting
from dsbuild.train.predict.predictor import Predictor
from dsbuild.train.settings import Settings

data, folder, photo, video = sys.argv[1:]
settings = Settings(
    backbone="tiny", crop=33, batch=2, steps=1, every=1, val="train[:1]", mixed=True, dropout=0.5
)
fit.train(data, f"{folder}/run", settings, quiet=True)
same(before)
evaluate(f"{folder}/run", data, "train[:1]")
same(before)
predictor = Predictor(runs.load(f"{folder}/run"))
wanted = predicting.Wanted(out=f"{folder}/predicted", overlay=True)
predicting.predict(predictor, [photo, video], wanted)
same(before)
exporting.export(f"{folder}/run", f"{folder}/served", "keras", check=False)
dsbuild.load_model(f"{folder}/served/model.keras")
"""


def test_importing_the_trainer_leaves_no_trace():
    fresh(STATE + IMPORTS + SAME)


@pytest.mark.slow
def test_training_evaluating_predicting_and_exporting_leave_no_trace(shapes, tmp_path):
    photo, video = tmp_path / "photo.png", tmp_path / "clip.mp4"
    photos.photo(photo)
    photos.clip(video, 2)
    fresh(STATE + WORK + SAME, shapes, tmp_path, photo, video)
    assert os.path.exists(tmp_path / "predicted" / "clip.mp4")
