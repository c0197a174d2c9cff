import json
import os
import pathlib
import shutil

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

import dsbuild
from dsbuild.cli.text.train import evaluation_text
from dsbuild.errors import DsbuildError, TrainError
from dsbuild.format import manifest
from dsbuild.layouts.matting import Matting as MattingLayout
from dsbuild.train import runs
from dsbuild.train.metrics import evaluate, report
from dsbuild.train.metrics.boundary import BoundaryF1
from dsbuild.train.metrics.matting import Matting
from dsbuild.train.predict.predictor import How, Predictor
from tests.support import fakes, trained
from tests.support.runs import make

BINARY = {"sigmoid": True, "loss": "bce"}
pytestmark = pytest.mark.usefixtures("eager", "loaded_once")


@pytest.fixture(scope="module")
def matting_run(tmp_path_factory):
    """A folder of mattes whose records have alpha, and a run of a model with one logit."""
    folder = tmp_path_factory.mktemp("matting")
    data = str(folder / "data")
    make(fakes.matting(folder), data, layout=MattingLayout(), extras=["alpha"])
    return data, trained.run(folder, data, **BINARY)


def logits(loaded, sample):
    height, width = sample.image.shape[:2]
    seen = sample.image.astype(np.float32)
    pixels = loaded.facts.task == "segmentation"
    if pixels:
        seen = trained.canvas(seen)
    found = np.array(loaded.model(seen[None], training=False))[0]
    return found[:height, :width] if pixels else found


def test_scores_equal_those_of_scikit_learn(voc_run, tmp_path):
    data, run = voc_run
    found = evaluate.evaluate(run, data, out=str(tmp_path / "report"))
    samples = dsbuild.open(data, "val")
    predictor = Predictor(runs.load(run))
    planes = [predictor.classes(sample.image) for sample in samples]
    labels = [sample.label for sample in samples]
    label, plane = (np.concatenate([one.ravel() for one in all]) for all in (labels, planes))
    counts = label != 255
    matrix = confusion_matrix(label[counts], plane[counts], labels=range(21))
    assert len(set(plane.tolist())) > 3
    union = matrix.sum(0) + matrix.sum(1) - matrix.diagonal()
    iou = matrix.diagonal()[union > 0] / union[union > 0]
    assert abs(found["mean_iou"] - iou.mean()) < 1e-9
    assert abs(found["pixel_accuracy"] - matrix.trace() / matrix.sum()) < 1e-9
    assert found["pixels"] == counts.sum()
    table = (tmp_path / "report" / report.TABLE).read_text().splitlines()[1:]
    assert [list(map(int, row.split(",")[1:])) for row in table] == matrix.tolist()
    contours = BoundaryF1.empty(21)
    for one, other in zip(labels, planes, strict=True):
        contours += BoundaryF1.of(one, other, 21)
    assert abs(found["boundary_f1"] - contours.mean) < 1e-9
    assert (found["samples"], found["step"]) == (6, 7)
    saved = json.loads((tmp_path / "report" / report.SCORES).read_text())
    assert saved["mean_iou"] == found["mean_iou"]


def test_validation_measures_the_confusion_matrix_alone(voc_run):
    data, run = voc_run
    seen = []
    found = evaluate.measure(
        Predictor(runs.load(run)), dsbuild.open(data, "val"), advance=lambda: seen.append(1)
    )
    assert (found.boundary, found.matting) == (None, None)
    assert len(seen) == 6
    expected = sum(int((sample.label != 255).sum()) for sample in dsbuild.open(data, "val"))
    assert found.confusion.counts.sum() == expected


def test_scales_windows_and_flips_change_scores(voc_run, tmp_path):
    data, run = voc_run
    how = How(scales=(0.5, 1.0), flip=True, window=44)
    found = evaluate.evaluate(
        run, data, "train[:1]", how, out=str(tmp_path), boundary=False, last=False
    )
    assert (found["scales"], found["flip"], found["window"]) == ([0.5, 1.0], True, 44)
    assert "boundary_f1" not in found
    predictor = Predictor(runs.load(run), how)
    right = total = 0
    for sample in dsbuild.open(data, "train[:1]"):
        counts = sample.label != 255
        right += int((predictor.classes(sample.image) == sample.label)[counts].sum())
        total += int(counts.sum())
    assert abs(found["pixel_accuracy"] - right / total) < 1e-9


def test_errors_of_mattes_use_the_probability_of_class_1(matting_run, tmp_path):
    data, run = matting_run
    found = evaluate.evaluate(run, data, "train[:3]", out=str(tmp_path), matting=True)
    expected, loaded = Matting(), runs.load(run)
    for sample in dsbuild.open(data, "train[:3]"):
        probable = 1 / (1 + np.exp(-logits(loaded, sample)[..., 0].astype(np.float64)))
        assert sample.alpha.max() > 1
        expected += Matting.of(sample.alpha / 255, probable)
    for name, value in expected.means.items():
        assert found["matting"][name] == pytest.approx(value, rel=1e-3), name
    assert found["matting"]["images"] == 3
    assert found["classes"][1]["prediction_pixels"] > 0
    text = evaluation_text(found)
    assert "SAD / 1000, whole images" in text
    assert text.splitlines()[-3].endswith("of whole images: the records have no trimap")


def test_mattes_are_scored_in_the_unknown_region_too(tmp_path):
    data = str(tmp_path / "data")
    extras = ["alpha", "trimap:width=2"]
    make(fakes.matting(tmp_path, 2, 1), data, layout=MattingLayout(), extras=extras)
    run = trained.run(tmp_path, data, **BINARY)
    found = evaluate.evaluate(run, data, "train", out=str(tmp_path / "report"), matting=True)
    whole, region = Matting(), Matting()
    seen = Predictor(runs.load(run))
    for sample in dsbuild.open(data, "train"):
        probable = seen.probabilities(sample.image)[..., 0]
        whole += Matting.of(sample.alpha / 255, probable)
        region += Matting.of(sample.alpha / 255, probable, sample.trimap == 128)
    for expected, key in ((whole, "matting"), (region, "matting_unknown")):
        for name, value in expected.means.items():
            assert found[key][name] == pytest.approx(value, rel=1e-6), (key, name)
    assert 0 < region.sad < whole.sad
    text = evaluation_text(found)
    assert "MSE, whole images" in text
    assert "MSE, unknown region of the trimap" in text
    assert "no trimap" not in text


def test_mattes_need_alpha_and_two_classes(voc_run, tmp_path):
    data, run = voc_run
    with pytest.raises(TrainError, match="matting: found a model of 21 classes, expected 2"):
        evaluate.evaluate(run, data, matting=True)
    bare = str(tmp_path / "bare")
    make(fakes.matting(tmp_path, 2, 1), bare, layout=MattingLayout())
    run = trained.run(tmp_path, bare, **BINARY)
    with pytest.raises(TrainError, match=r"sample '.+': found no alpha; build .*`--extra alpha`"):
        evaluate.evaluate(run, bare, "train", matting=True)
    assert not [name for name in os.listdir(run) if name.startswith("evaluation")]


def test_classification_is_measured_by_images(class_run):
    data, run = class_run
    found = evaluate.evaluate(run, data, "train")
    samples, loaded = dsbuild.open(data, "train"), runs.load(run)
    ranks = [
        list(np.argsort(-logits(loaded, sample), kind="stable")).index(sample.label)
        for sample in samples
    ]
    assert found["accuracy"] == pytest.approx(np.mean(np.array(ranks) == 0))
    assert found["top_5_accuracy"] == pytest.approx(np.mean(np.array(ranks) < 5))
    assert found["images"] == len(samples) > 0
    assert sum(one["label_images"] for one in found["classes"]) == len(samples)
    text = evaluation_text(found)
    assert f"{len(samples)} labelled images" in text
    assert "top-5 accuracy" in text
    assert "pixel" not in text + json.dumps(found)
    with pytest.raises(TrainError, match="boundary: found a model that classifies"):
        evaluate.evaluate(run, data, "train", boundary=True)


def alter(data, classes):
    """Change the classes in a manifest."""
    path = pathlib.Path(data, "manifest.json")
    document = json.loads(path.read_text())
    document["classes"] = classes
    for split in document["splits"].values():
        for key in ("classes", "weights"):
            split.pop(key, None)
    path.write_bytes(manifest.text(manifest.sealed(document)))


def test_a_label_that_is_not_a_class_is_named_with_its_sample(voc_data, out, tmp_path):
    shutil.copytree(voc_data, out)
    alter(out, ["background", "aeroplane", "bicycle"])
    run = trained.run(tmp_path, out)
    with pytest.raises(TrainError, match=r"sample '2007_0000\d\d': label: found .*expected 0 to 2"):
        evaluate.evaluate(run, out)


def test_data_of_other_classes_is_refused(voc_run, out):
    data, run = voc_run
    shutil.copytree(data, out)
    names = json.loads(pathlib.Path(out, "manifest.json").read_text())["classes"]
    alter(out, [*names[:-1], "lamp"])
    with pytest.raises(TrainError, match="class 20: found 'lamp', expected 'tvmonitor'"):
        evaluate.evaluate(run, out)
    alter(out, names[:-1])
    with pytest.raises(TrainError, match="found 20 classes, expected 21"):
        evaluate.evaluate(run, out)


def test_folders_that_are_not_runs_or_data_are_refused(voc_run, tmp_path):
    data, run = voc_run
    with pytest.raises(TrainError, match=r"found no manifest\.json"):
        evaluate.evaluate(run, str(tmp_path))
    with pytest.raises(TrainError, match="expected the folder of a run"):
        evaluate.evaluate(str(tmp_path / "none"), data)
    with pytest.raises(DsbuildError, match="there is no split 'test', there are train, "):
        evaluate.evaluate(run, data, "test")
    with pytest.raises(TrainError, match="found no sample in 'val"):
        evaluate.evaluate(run, data, "val[:0]")
    empty = trained.run(tmp_path, data)
    os.unlink(os.path.join(empty, runs.BEST))
    with pytest.raises(TrainError, match="found no weights yet"):
        evaluate.evaluate(empty, data)


def test_the_last_weights_are_used_on_request(voc_run, tmp_path):
    data, _ = voc_run
    run = trained.run(tmp_path, data)
    trained.run(tmp_path, data, seed=1, which=runs.LAST)
    best, last = (evaluate.evaluate(run, data, "val[:2]", last=last) for last in (False, True))
    assert best["mean_iou"] != last["mean_iou"]
    assert best["out"] == os.path.join(run, "evaluation-val__2_")
    assert last["out"] == os.path.join(run, "evaluation-val__2_-last")
    kept = json.loads(pathlib.Path(last["out"], report.SCORES).read_text())
    assert kept == last
    assert sorted(os.listdir(best["out"])) == ["confusion.csv", "confusion.png", "scores.json"]


def test_every_way_of_measuring_has_a_report_of_its_own(voc_run):
    data, run = voc_run
    how = How(scales=(0.5, 1.0), flip=True, window=40)
    found = evaluate.evaluate(run, data, "val[:1]", how, output_stride=8, boundary=False)
    assert os.path.basename(found["out"]) == (
        "evaluation-val__1_-scales-0.5-1-flip-window-40-stride-8"
    )
    assert found["output_stride"] == 8
    other = evaluate.evaluate(run, data, "val[:1]", boundary=False)
    assert other["output_stride"] == 16
    counts = [[one["prediction_pixels"] for one in each["classes"]] for each in (found, other)]
    assert counts[0] != counts[1]


def test_reports_on_other_data_have_folders_of_their_own(voc_run, tmp_path):
    data, run = voc_run
    for number in (1, 2):
        make(fakes.voc(tmp_path / str(number), seed=number), str(tmp_path / str(number) / "data"))
    shutil.copytree(data, tmp_path / "copy")
    folders = [data, tmp_path / "copy", *(tmp_path / str(number) / "data" for number in (1, 2))]
    outs = [
        evaluate.evaluate(run, str(folder), "val[:1]", boundary=False)["out"] for folder in folders
    ]
    assert outs[0] == outs[1] == os.path.join(run, "evaluation-val__1_")
    assert len(set(outs)) == 3
    assert os.path.basename(outs[2]).startswith("evaluation-val__1_-on-data-")


def test_data_without_labels_is_named(voc_run, tmp_path):
    _, run = voc_run
    root = fakes.voc(tmp_path)
    shutil.rmtree(os.path.join(root, "SegmentationClass"))
    fakes.write_list(root, "test", sorted(name[:-4] for name in os.listdir(f"{root}/JPEGImages")))
    data = str(tmp_path / "data")
    make(root, data, splits=["test"])
    with pytest.raises(TrainError, match="found no label; name a split that has labels"):
        evaluate.evaluate(run, data, "test")
