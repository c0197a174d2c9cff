import functools
import io
import json
import os
import pathlib

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

import dsbuild
from dsbuild.errors import TrainError
from dsbuild.images import colour
from dsbuild.train import runs
from dsbuild.train.fit import run as fit
from dsbuild.train.fit import tensorboard
from dsbuild.train.settings import Settings
from tests.support.once import once
from tests.support.trained import eager_steps, eagerly


def read(run):
    """Return the events of a run as TensorBoard reads them."""
    (file,) = pathlib.Path(run, runs.EVENTS).iterdir()
    found = EventAccumulator(str(file), size_guidance={"tensors": 0})
    found.Reload()
    return found


@pytest.fixture(scope="module")
def watched(voc_data, tmp_path_factory):
    """A folder of TFRecords, a run over it with events, and its result."""
    asked = Settings(
        backbone="tiny", crop=33, batch=2, steps=2, every=1, val="train[:4]", gradient=True
    )

    def build(folder):
        watch = functools.partial(tensorboard.watch, histograms=True)
        with eagerly(), eager_steps():
            fit.train(voc_data, str(folder / "run"), asked, talk=str, watch=watch)

    run = once(tmp_path_factory, "watched", build) / "run"
    return voc_data, str(run), json.loads((run / runs.METRICS).read_text())


def test_numbers_equal_the_log(watched):
    _, run, found = watched
    kept = read(run)
    for name in ("loss", "rate", "val_mean_iou", "val_accuracy", "images_per_second"):
        rows = kept.Tensors(name)
        assert [row.step for row in rows] == [1, 2]
        value = float(tensor_util.make_ndarray(rows[-1].tensor_proto))
        assert value == pytest.approx(found["last"][name], rel=1e-6)


def test_pictures_show_image_label_and_prediction(watched):
    path, run, _ = watched
    kept = read(run)
    names = [name for name in kept.Tags()["tensors"] if name.startswith("image, label")]
    assert len(names) == 4
    data = dsbuild.open(path, "train")
    for number, sample in enumerate(data[:4]):
        row = kept.Tensors(f"image, label, prediction/{number}")[0]
        width, height, png = tensor_util.make_ndarray(row.tensor_proto)[:3]
        rows, columns = sample.label.shape
        assert (int(width), int(height)) == (3 * columns, rows)
        shown = np.asarray(Image.open(io.BytesIO(png)))
        np.testing.assert_array_equal(shown[:, :columns], sample.image)
        colours = colour.table(data.palette)
        np.testing.assert_array_equal(
            shown[:, columns : 2 * columns], colour.paint(sample.label, colours)
        )
        painted = {tuple(one) for one in shown[:, 2 * columns :].reshape(-1, 3).tolist()}
        assert painted <= {tuple(one) for one in colours[:21].tolist()}


def test_histograms_show_the_weights(watched):
    _, run, _ = watched
    kept = read(run)
    names = kept.Tags()["tensors"]
    assert "logits/kernel" in names
    counts = tensor_util.make_ndarray(kept.Tensors("logits/kernel")[-1].tensor_proto)
    values = np.load(os.path.join(run, runs.LAST))["logits/kernel"]
    assert counts[:, 2].sum() == values.size
    assert counts[0, 0] == pytest.approx(values.min())
    assert counts[-1, 1] == pytest.approx(values.max())


def test_a_run_on_a_store_has_no_events():
    with pytest.raises(TrainError, match="s3://bucket/run: found a URL, but TensorFlow writes"):
        tensorboard.needs("s3://bucket/run")
