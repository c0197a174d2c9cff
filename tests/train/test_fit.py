import csv
import dataclasses
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from dsbuild import storage
from dsbuild.cli import main
from dsbuild.cli.text.train import fit_text
from dsbuild.errors import DsbuildError, StorageError, TrainError
from dsbuild.format import manifest
from dsbuild.reader.caching import Caching
from dsbuild.train import checkpoint, dataset, described, runs
from dsbuild.train.fit import batches
from dsbuild.train.fit import run as fit
from dsbuild.train.metrics.confusion import Confusion
from dsbuild.train.metrics.evaluate import Scores, measure
from dsbuild.train.predict.predictor import Predictor
from dsbuild.train.settings import Settings
from tests.support import fakes, reads
from tests.support.backends import fresh, on_torch
from tests.support.once import once
from tests.support.trained import eager_steps, eagerly

pytestmark = pytest.mark.usefixtures("eager")
no_graph = pytest.mark.usefixtures("eager_fit")
QUICK = {
    "backbone": "tiny",
    "crop": 33,
    "batch": 4,
    "steps": 4,
    "every": 2,
    "optimiser": "adam",
    "rate": 3e-3,
    "val": "train[:2]",
    "momentum": 0.8,
}


def quick(**asked):
    return Settings(**QUICK | asked)


def build(*arguments):
    found = CliRunner().invoke(main, [*arguments, "--quiet"])
    assert found.exit_code == 0, found.output
    return arguments[2]


def last(run):
    values, meta = checkpoint.load(os.path.join(run, runs.LAST))
    return values, meta


def generators():
    return random.getstate(), np.random.get_state()[1].tolist()


class Left(Exception):
    """Interrupts a run at a line, as a user would."""


@pytest.fixture(scope="session")
def whole(shapes, tmp_path_factory):
    """Settings, folder, result and lines of an uninterrupted run of four steps, without graphs."""
    asked = quick(schedule="plateau", plateau=3, patience=5, ema=0.9, hard_share=0.5, hard_steps=4)

    def build(folder):
        lines, before = [], generators()
        with reads.once(), eagerly(), eager_steps():
            found = fit.train(shapes, str(folder / "run"), asked, talk=lines.append)
        assert generators() == before, "training has moved a generator of the process"
        (folder / "result.json").write_text(json.dumps([found, lines]))

    folder = once(tmp_path_factory, "whole", build)
    found, lines = json.loads((folder / "result.json").read_text())
    return asked, str(folder / "run"), found, lines


def test_a_run_has_its_settings_facts_log_and_metrics(shapes, whole):
    asked, run, found, lines = whole
    assert sorted(os.listdir(run)) == sorted(
        [".dsbuild", "best.npz", "last.npz", "log.csv", "metrics.json", "run.json", "settings.json"]
    )
    assert described.settings_of(run) == asked
    about = json.loads(pathlib.Path(run, described.RUN).read_text())
    assert about["facts"] == dataset.of(shapes).document()
    assert about["versions"]["keras"]
    with open(os.path.join(run, runs.LOG), newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert float(rows[-1]["val_mean_iou"]) == found["last"]["val_mean_iou"]
    assert found == json.loads(pathlib.Path(run, runs.METRICS).read_text())
    assert found["best"]["val_mean_iou"] == max(float(row["val_mean_iou"]) for row in rows)
    assert len(lines) == 2
    assert lines[1].startswith("step 4 of 4  loss ")
    assert lines[1].endswith("images/s")


def test_the_best_weights_are_averages_and_score_as_logged(shapes, whole):
    _, run, found, _ = whole
    trained = runs.load(run)
    assert trained.step == found["best"]["step"]
    held = batches.labelled(shapes, trained.settings, "val")
    score = measure(Predictor(trained), held).confusion.mean_iou
    assert score == pytest.approx(found["best"]["val_mean_iou"], abs=1e-9)
    values, _ = last(run)
    best, _ = checkpoint.load(os.path.join(run, runs.BEST))
    assert not np.array_equal(values["logits/kernel"], best["logits/kernel"])
    ended = checkpoint.weights(runs.load(run, runs.LAST).model)
    np.testing.assert_array_equal(ended["logits/kernel"], values["averaged/logits/kernel"])
    held = batches.labelled(shapes, trained.settings, "val")
    score = measure(Predictor(runs.load(run, runs.LAST)), held).confusion.mean_iou
    assert score == pytest.approx(found["last"]["val_mean_iou"], abs=1e-9)


def assert_ends_alike(shapes, asked, run, found, again):
    """Assert that a run that is interrupted and resumed ends like one that was not."""

    def leave(line):
        raise Left

    with pytest.raises(Left):
        fit.train(shapes, again, asked, talk=leave)
    assert last(again)[1]["step"] == 2
    lines = []
    other = fit.train(shapes, again, asked, talk=lines.append)
    assert lines[0] == f"{again}: continues after step 2"
    assert len(lines) == 2
    values, meta = last(run)
    resumed, resumed_meta = last(again)
    for name, value in values.items():
        np.testing.assert_allclose(resumed[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    assert resumed_meta["kept"]["stop"]["wait"] == meta["kept"]["stop"]["wait"]
    assert other["last"]["loss"] == pytest.approx(found["last"]["loss"], abs=1e-5)


@no_graph
def test_an_interrupted_run_ends_like_an_unbroken_one(shapes, whole, tmp_path):
    asked, run, found, _ = whole
    assert_ends_alike(shapes, asked, run, found, str(tmp_path / "run"))


@pytest.mark.slow
def test_an_interrupted_run_of_graphs_ends_like_an_unbroken_one(shapes, whole, tmp_path):
    asked, run = whole[0], str(tmp_path / "whole")
    found = fit.train(shapes, run, asked, quiet=True)
    assert_ends_alike(shapes, asked, run, found, str(tmp_path / "run"))
    # Graphs compute what is computed without them, but for rounding.
    assert found["last"]["loss"] == pytest.approx(whole[2]["last"]["loss"], rel=1e-2)


def test_a_finished_run_stays_as_it_is(shapes, whole):
    asked, run, found, _ = whole
    before = {name: os.stat(os.path.join(run, name)).st_mtime_ns for name in os.listdir(run)}
    lines = []
    assert fit.train(shapes, run, asked, talk=lines.append) == found
    assert lines == [f"{run}: this training is finished; use another folder to train again"]
    after = {name: os.stat(os.path.join(run, name)).st_mtime_ns for name in os.listdir(run)}
    assert after == before


def test_a_folder_of_something_else_is_named(shapes, whole, tmp_path):
    asked, run, _, _ = whole
    with pytest.raises(TrainError) as error:
        fit.train(shapes, run, quick(batch=8), talk=print)
    assert f"{run}: this run has " in str(error.value)
    file = tmp_path / "file"
    file.touch()
    for folder, text in (
        (shapes, "found a folder of TFRecords, expected the folder of a run"),
        (str(file), "file: found a file, expected the folder of a run"),
    ):
        with pytest.raises(TrainError, match=text):
            fit.train(shapes, folder, asked)
    copy = str(tmp_path / "copy")
    shutil.copytree(shapes, copy)
    known = pathlib.Path(copy, "manifest.json")
    text = known.read_text()
    sha = json.loads(text)["splits"]["train"]["shards"][0]["sha256"]
    document = json.loads(text.replace(sha, "0" * 64))
    known.write_bytes(manifest.text(manifest.sealed(document)))
    with pytest.raises(
        TrainError, match="was trained on other data, or the data has been built again"
    ):
        fit.train(copy, run, asked)


def test_bad_input_is_named(shapes, tmp_path):
    run = str(tmp_path / "run")
    for path, asked, text in (
        (str(tmp_path), quick(), r"found no manifest.json, expected a folder that dsbuild wrote"),
        (shapes, quick(split="test"), r"split 'test': there is no split 'test', there are train"),
        (
            shapes,
            quick(val="val"),
            r"none with --val '', or divide one: --split 'train\[:90%\]' --val",
        ),
        (shapes, quick(val="train[:0]"), r"val 'train\[:0\]': found no sample"),
        (shapes, quick(sigmoid=True, loss="bce"), r"sigmoid: found 4 classes, expected 2"),
        (shapes, quick(val="", patience=3), r"val: found none, expected a split"),
        (
            shapes,
            quick(weights=str(tmp_path / "none.h5")),
            r"none.h5: found no file, no keras-hub preset",
        ),
        (shapes, quick(class_weights="median"), r"class weights median"),
        (
            shapes,
            quick(freeze=("tail",)),
            r"tail: there are no such layers; expected one of aspp, back",
        ),
        (shapes, quick(freeze=("",)), r"freeze: found no layer left to train"),
        (
            shapes,
            quick(weights=shapes),
            r"weights: .*: found no .*keras-hub preset, no DeepLab check",
        ),
        (shapes, quick(scales=(0.7, 1.3)), r"scale_step: found 0.25"),
    ):
        with pytest.raises(DsbuildError, match=text):
            fit.train(path, run, asked)
        assert not os.path.exists(run), f"{text}: left a run behind"


@no_graph
def test_labels_that_are_not_classes_are_named_with_their_sample(shapes, tmp_path):
    copy = str(tmp_path / "copy")
    shutil.copytree(shapes, copy)
    known = pathlib.Path(copy, "manifest.json")
    document = json.loads(known.read_text())
    for one in (document, *document["splits"].values()):
        one["classes"] = one["classes"][:2]
    known.write_bytes(manifest.text(manifest.sealed(document)))
    text = r"^sample \d{3} label: found [23] expected 0 to 1, or 255, which is ignored$"
    with pytest.raises(TrainError, match=text):
        fit.train(copy, str(tmp_path / "run"), quick(val=""))


def test_weights_that_are_not_finite_are_named_before_the_first_step(shapes, whole, tmp_path):
    run, asked = str(tmp_path / "run"), quick(weights=str(tmp_path / "base"))
    shutil.copytree(whole[1], asked.weights)
    path = os.path.join(asked.weights, runs.BEST)
    values, meta = checkpoint.load(path)
    values["aspp_0/kernel"][0, 0, 0, 0] = np.nan
    checkpoint.save(path, values, meta)
    with pytest.raises(TrainError, match="aspp_0/kernel: found NaN or infinite values"):
        fit.train(shapes, run, asked)
    assert not os.path.exists(run)
    with pytest.raises(TrainError, match="aspp_0/kernel: found NaN or infinite values"):
        runs.load(asked.weights)


def test_crops_have_features_on_their_first_and_last_pixel(shapes, tmp_path):
    run, lines = str(tmp_path / "run"), []
    asked = quick(crop=40, steps=0, val="")
    fit.train(shapes, run, asked, talk=lines.append)
    assert lines[0] == (
        "crop: 40 is not a multiple of the output stride, 16, plus 1; using 49, so that features "
        "lie on the first and the last pixel"
    )
    assert described.settings_of(run).crop == 49
    # A run of an earlier version, which kept any crop, is resumed.
    path = pathlib.Path(run, described.SETTINGS)
    path.write_text(path.read_text().replace('"crop": 49', '"crop": 40'))
    known = dataset.of(shapes)
    assert runs.resumable(run, dataclasses.replace(asked, crop=49), known)


def test_the_backbone_of_another_run_is_loaded_alone(shapes, whole, tmp_path):
    run, lines = str(tmp_path / "run"), []
    asked = quick(steps=0, val="", weights=whole[1], initialize="backbone", depth=16)
    fit.train(shapes, run, asked, talk=lines.append)
    assert re.search(r"loaded \d+ variables$", lines[0])
    (mine, _), (theirs, _) = (runs.weights(runs.file_of(one)) for one in (run, whole[1]))
    for name in mine:
        if name.startswith("backbone_"):
            np.testing.assert_array_equal(mine[name], theirs[name])
    assert mine["aspp_0/kernel"].shape != theirs["aspp_0/kernel"].shape


@pytest.mark.parametrize(("backbone", "fill"), [("tiny", 127.5), ("resnet50", 123.68)])
def test_crops_are_padded_with_the_pixel_that_is_0_to_the_backbone(backbone, fill, shapes):
    asked = quick(backbone=backbone)
    assert batches.augmentation(asked, dataset.of(shapes)).fill[0] == fill


@pytest.mark.slow
def test_a_damaged_record_is_named(shapes, tmp_path):
    copy = str(tmp_path / "copy")
    shutil.copytree(shapes, copy)
    (shard,) = pathlib.Path(copy).glob("train-*")
    found = bytearray(shard.read_bytes())
    found[len(found) // 2] ^= 255
    shard.write_bytes(found)
    text = r"train-00000-of-00001.tfrecord: record \d+ at byte \d+: the checksum of the record"
    with pytest.raises(TrainError, match=text):
        fit.train(copy, str(tmp_path / "run"), quick(val="", crop=33, steps=6))


@no_graph
def test_a_loss_that_is_not_finite_stops_the_run(shapes, tmp_path):
    run = str(tmp_path / "run")
    asked = quick(optimiser="sgd", rate=1e30, val="")
    with pytest.raises(TrainError, match=r"the loss is (nan|inf), expected a finite number; low"):
        fit.train(shapes, run, asked)
    assert runs.LAST not in os.listdir(run)


@pytest.mark.slow
def test_weights_that_are_not_finite_after_the_last_step_are_not_kept(shapes, tmp_path):
    """The loss of the last step is computed with the weights before it."""
    run = str(tmp_path / "run")
    once = {"optimiser": "sgd", "val": "", "steps": 1, "every": 1}
    with pytest.raises(
        TrainError, match=r"^step 1: weights of \S+ are NaN or infinite, expected a fin"
    ):
        fit.train(shapes, run, quick(rate=3e38, last_rate=100.0, **once))
    assert {runs.LAST, runs.BEST}.isdisjoint(os.listdir(run))


@pytest.mark.slow
def test_a_gradient_branch_trains_in_16_bits(shapes, whole, tmp_path):
    lines = []
    asked = quick(gradient=True, mixed=True, steps=2, freeze=("backbone",), loss="dice")
    found = fit.train(shapes, str(tmp_path / "run"), asked, talk=lines.append)
    assert np.isfinite(found["last"]["loss"])
    with pytest.raises(TrainError, match=r"found shape .*, expected"):
        fit.train(shapes, str(tmp_path / "other"), quick(weights=whole[1], depth=16))


@no_graph
def test_files_of_an_earlier_start_are_not_used(shapes, whole, tmp_path):
    run = str(tmp_path / "run")
    shutil.copytree(whole[1], run)
    os.unlink(os.path.join(run, runs.LAST))
    asked = quick(steps=1, val="", ema=0.5, schedule="poly", dropout=0.0, weights=whole[1])
    lines = []
    found = fit.train(shapes, run, asked, talk=lines.append)
    assert "loaded" in lines[0]
    assert "best" not in found
    assert runs.BEST not in os.listdir(run)
    assert found["last"]["rate"] == pytest.approx(asked.rate)
    values, _ = last(run)
    used = checkpoint.weights(runs.load(run).model)
    np.testing.assert_array_equal(used["logits/kernel"], values["averaged/logits/kernel"])
    assert not any("seed" in name for name in used)
    with storage.lock(os.path.join(run, runs.ROOM, "lock")):
        os.unlink(os.path.join(run, runs.METRICS))
        with pytest.raises(StorageError, match="run: another dsbuild is at work in this folder"):
            fit.train(shapes, run, asked)


def test_a_split_without_a_labelled_pixel_has_no_score(tmp_path):
    source = fakes.shapes(tmp_path, 4, 40)
    for path in pathlib.Path(source, "labels").iterdir():
        Image.fromarray(np.full((40, 40), 255, np.uint8)).save(path)
    names = os.path.join(source, "classes.txt")
    out = build(
        "pairs", source, str(tmp_path / "out"), "--classes", names, "--accept", "all-ignore"
    )
    with pytest.raises(TrainError, match="val: found no labelled pixel, expected some; name anot"):
        fit.train(out, str(tmp_path / "run"), quick(steps=0, val="train"))


@no_graph
def test_a_run_that_predicts_one_class_everywhere_says_so(shapes, tmp_path, monkeypatch):
    found = Confusion(np.array([[9, 0, 0, 0], [4, 0, 0, 0], [0] * 4, [0] * 4]))
    monkeypatch.setattr(fit, "measure", lambda *_, **__: Scores(found))
    found = fit.train(shapes, str(tmp_path / "run"), quick(steps=1, every=1))
    assert found["note"].startswith("val: every prediction is 'ground'")
    assert fit_text("run", found).endswith(f"; {found['note']}")


@pytest.mark.slow
def test_mattes_are_trained_with_one_logit(tmp_path):
    source = fakes.matting(tmp_path)
    out = build("matting", source, str(tmp_path / "out"))
    asked = quick(sigmoid=True, loss="bce_log_dice", steps=2, val="", crop=33)
    found = fit.train(out, str(tmp_path / "run"), asked)
    assert np.isfinite(found["last"]["loss"])
    assert "best" not in found
    assert runs.load(str(tmp_path / "run")).model.output_shape[-1] == 1


@no_graph
def test_classification_is_trained(class_data, tmp_path):
    asked = quick(steps=4, val="train", crop=33, scales=(1.0, 1.0), scale_step=0.0)
    found = fit.train(class_data, str(tmp_path / "run"), asked)
    assert np.isfinite(found["last"]["loss"])
    assert found["best"]["val_accuracy"] >= found["last"]["val_accuracy"] >= 0
    assert 0 <= found["last"]["accuracy"] <= 1
    assert not any("mean_iou" in name for name in found["last"])
    assert fit_text("run", found).startswith("run: 4 steps; best val accuracy 0.")
    for wrong in ({"gradient": True}, {"pyramid": (0.5, 1.0)}):
        with pytest.raises(TrainError, match=r"expected .* for classification"):
            fit.train(class_data, str(tmp_path / "other"), dataclasses.replace(asked, **wrong))


@pytest.mark.parametrize(
    ("asked", "least"),
    [
        ({"crop": 49, "steps": 40, "every": 40, "rates": (2, 4), "val": "train[:12]"}, 0.5),
        pytest.param(
            {"crop": 97, "steps": 240, "every": 60, "val": "train"}, 0.8, marks=pytest.mark.slow
        ),
    ],
    ids=["soon", "well"],
)
def test_tiny_learns_drawn_shapes(shapes, tmp_path, asked, least):
    asked = quick(batch=8, scales=(1.0, 1.0), scale_step=0.0, **asked)
    found = fit.train(shapes, str(tmp_path / "run"), asked)
    assert found["best"]["val_mean_iou"] > least


def test_one_class_alone_is_refused_before_anything_is_written(tmp_path):
    source = fakes.shapes(tmp_path, 4, 40)
    for path in pathlib.Path(source, "labels").iterdir():
        Image.fromarray(
            np.where(np.arange(1600).reshape(40, 40) < 800, 0, 255).astype(np.uint8)
        ).save(path)
    pathlib.Path(source, "classes.txt").write_text("building\n")
    out = build("pairs", source, str(tmp_path / "out"), "--classes", f"{source}/classes.txt")
    with pytest.raises(TrainError, match="found one class, 'building', expected two or more"):
        fit.train(out, str(tmp_path / "run"), quick(val=""))
    assert not os.path.exists(tmp_path / "run")


@pytest.mark.parametrize("crop", [33, pytest.param(97, marks=pytest.mark.slow)])
def test_a_cache_changes_no_batch(shapes, tmp_path, crop):
    asked, facts = quick(crop=crop), dataset.of(shapes)
    caching = Caching("decoded", tmp_path / "kept")
    plain = batches.batches(shapes, asked, facts, 2).take(6)
    for one, other in zip(plain, batches.batches(shapes, asked, facts, 2, caching), strict=False):
        for mine, theirs in zip(one, other, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert list((tmp_path / "kept").rglob("*.pixels"))


TORCH = """
import sys
from dsbuild.train.fit import run as fit
from dsbuild.train.settings import Settings

path, folder = sys.argv[1:]
asked = Settings(backbone="tiny", crop=33, batch=2, steps=6, every=2, val="", dropout=0.5)

class Left(Exception):
    pass

def leave(line):
    raise Left

fit.train(path, f"{folder}/whole", asked, quiet=True)
try:
    fit.train(path, f"{folder}/left", asked, talk=leave)
except Left:
    pass
"""
GO_ON = "\nfit.train(path, f'{folder}/left', asked, quiet=True)"


@pytest.mark.slow
def test_an_interrupted_run_on_torch_ends_like_an_unbroken_one_bit_for_bit(shapes, tmp_path):
    on_torch(TORCH, shapes, tmp_path)
    on_torch(TORCH.partition("fit.train(")[0] + GO_ON, shapes, tmp_path)
    (whole, _), (left, _) = (last(str(tmp_path / name)) for name in ("whole", "left"))
    for name, value in whole.items():
        np.testing.assert_array_equal(left[name], value, err_msg=name)


@pytest.mark.slow
def test_a_killed_run_ends_like_an_unbroken_one(shapes, whole, tmp_path):
    _, _, found, _ = whole
    again = str(tmp_path / "run")
    options = [
        word
        for name, value in (
            QUICK | {"schedule": "plateau", "plateau": 3, "patience": 5, "ema": 0.9}
        ).items()
        for word in (f"--{name}", str(value))
    ]
    options += ["--hard-share", "0.5", "--hard-steps", "4"]
    command = [sys.executable, "-m", "dsbuild", "train", shapes, "--run", again, *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until = time.monotonic() + 120
    while not os.path.exists(os.path.join(again, runs.LAST)) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert last(again)[1]["step"] == 2
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=180)
    assert "continues after step 2" in done.stdout
    other = json.loads(pathlib.Path(again, runs.METRICS).read_text())
    assert other["last"]["loss"] == pytest.approx(found["last"]["loss"], rel=1e-3)
    assert other["last"]["val_mean_iou"] == pytest.approx(found["last"]["val_mean_iou"], abs=0.02)


DEVICES = """
import sys
from dsbuild.train.fit import run as fit
from dsbuild.train.settings import Settings

count, path, folder = int(sys.argv[1]), *sys.argv[2:]
asked = Settings(
    backbone="tiny", crop=65, batch=8, steps=4, every=2, dropout=0.0, momentum=0.8, rate=0.01,
    val="train[:2]", ema=0.5, hard_share=0.5, hard_steps=4, clip=10.0,
)

class Left(Exception):
    pass

def leave(line):
    raise Left

whole = fit.train(path, f"{folder}/whole", asked, devices=count, quiet=True)
try:
    fit.train(path, f"{folder}/left", asked, devices=count, talk=leave)
except Left:
    pass
left = fit.train(path, f"{folder}/left", asked, devices=count, quiet=True)
print(*(found["last"][name] for found in (whole, left) for name in ("loss", "val_mean_iou")))
"""


@pytest.mark.slow
def test_two_devices_train_like_one(shapes, tmp_path):
    """Two devices train like one, also after an interruption."""
    found = [
        [float(word) for word in fresh(DEVICES, count, shapes, tmp_path / str(count)).split()]
        for count in (1, 2)
    ]
    for loss, score, loss_left, score_left in found:
        assert loss_left == pytest.approx(loss, rel=1e-3)
        assert score_left == pytest.approx(score, abs=0.02)
    assert found[1][0] == pytest.approx(
        found[0][0], rel=1e-2
    )  # each device keeps its own hard pixels
    assert found[1][1] == pytest.approx(found[0][1], abs=0.02)


ONE_LOSS = """
import sys
import numpy as np, tensorflow as tf
from dsbuild.train import dataset as facts
from dsbuild.train.fit import devices
from dsbuild.train.fit.network import compiled
from dsbuild.train.settings import Settings

count, path, loss = int(sys.argv[1]), *sys.argv[2:]
asked = Settings(backbone="tiny", batch=8, dropout=0.0, momentum=0.8, rate=0.01, loss=loss)
spread = devices.strategy(count, asked.batch)
assert spread.num_replicas_in_sync == count
with spread.scope():
    network, _ = compiled(path, asked, facts.of(path), 4)
rng = np.random.default_rng(0)
images = rng.uniform(0, 255, (8, 65, 65, 3)).astype("float32")
labels = rng.integers(0, network.output_shape[-1], (8, 65, 65, 1))
for number, label in enumerate(labels):  # each with another share of pixels that count
    label[: number * 9 + 2] = 255
batch = images, labels
found = network.fit(
    tf.data.Dataset.from_tensors(batch).repeat(), steps_per_epoch=1, epochs=4, verbose=0
)
print(*found.history["loss"])
"""


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["cross_entropy", "dice+focal", "lovasz"])
def test_two_devices_have_the_loss_of_one_device(shapes, loss):
    """Two devices have the loss of one, also if they have unequal numbers of pixels that count."""
    one, two = (
        [float(word) for word in fresh(ONE_LOSS, count, shapes, loss).split()] for count in (1, 2)
    )
    assert len(one) == 4
    assert two == pytest.approx(one, rel=1e-3)
