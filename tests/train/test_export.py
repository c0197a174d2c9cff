import dataclasses
import io
import json
import os
import pathlib
import pickle
import struct
import subprocess
import sys

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import dsbuild
from dsbuild.cli import main
from dsbuild.errors import DsbuildError, ModelError, PlanError, TrainError
from dsbuild.extras import functions
from dsbuild.images import display as viewed
from dsbuild.layouts.matting import Matting
from dsbuild.train import checkpoint, dataset, model, runs
from dsbuild.train.export import calibration, formats, graph, photo
from dsbuild.train.export import run as export
from dsbuild.train.predict.predictor import How, Predictor
from dsbuild.train.settings import Settings
from tests.support import fakes
from tests.support.backends import fresh as alone
from tests.support.backends import on_torch
from tests.support.runs import make

pytestmark = pytest.mark.usefixtures("eager")


def untrained(root, data, **asked):
    """Return the folder of a run over some data, with random weights."""
    run = str(root / "run")
    asked = Settings(backbone="tiny", crop=97, momentum=0.0, dropout=0.0, **asked)
    known = dataset.of(data)
    runs.begin(run, asked, known)
    keras.utils.set_random_seed(0)  # of other weights, 8 bits may keep too few classes
    network = model.build(**runs.architecture(asked, known))
    # With the statistics of pictures in random weights, pixels differ in their class.
    images = photos(97, 97, 4).astype(np.float32)
    plane = np.asarray(graph.Laplacian()(images))
    inputs = [images, plane] if asked.gradient else images
    for _ in range(2):
        network(inputs, training=True)
    for variable in network.variables:
        if variable.path.startswith("logits/kernel"):
            variable.assign(np.random.default_rng(3).normal(0, 1, variable.shape))
    names = checkpoint.names(network.variables)
    checkpoint.save(os.path.join(run, runs.BEST), names, {"step": 1})
    return run


@pytest.fixture(scope="module")
def run(voc_data, tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("plain"), voc_data)


@pytest.fixture(scope="module")
def branched(voc_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("branched")
    return untrained(folder, voc_data, gradient=True, resize=(49, 97, 8))


@pytest.fixture(scope="module")
def onnx(run, tmp_path_factory):
    """The run as ONNX: the folder, and what the export returned."""
    out = str(tmp_path_factory.mktemp("onnx") / "out")
    return out, export.export(run, out, "onnx", check=False)


def photos(height, width, count=2):
    rng = np.random.default_rng(height)
    return np.stack([np.asarray(fakes.photo(rng, width, height)) for _ in range(count)])


def classes(run, images, how=None):
    """Return the classes that the run's own model predicts, image by image."""
    predictor = Predictor(runs.load(run), how or How())
    return np.stack([predictor.classes(image) for image in images])


def fresh(form, path, batches, folder):
    """Return the classes that a fresh process computes for batches with an exported model."""
    source, out = str(folder / "in.npz"), str(folder / "out.npz")
    np.savez(source, *batches)
    command = [sys.executable, "-m", "dsbuild.train.export.formats", form, path, source, out]
    subprocess.run(command, check=True, capture_output=True, timeout=200)
    with np.load(out) as found:
        return list(found.values())


def test_the_laplacian_of_a_served_model_equals_the_extra():
    rng = np.random.default_rng(1)
    for shape in ((1, 1, 3), (1, 7, 3), (5, 1, 3), (2, 2, 3), (3, 7, 3), (64, 51, 3)):
        image = rng.integers(0, 256, shape, np.uint8)
        found = np.asarray(graph.Laplacian()(image[None]))[0, ..., 0]
        assert np.array_equal(found, functions.laplacian(image))
    shades = np.arange(256, dtype=np.uint8)
    cube = np.stack(np.meshgrid(shades, shades[::5], shades[::5]), -1).reshape(256, -1, 3)
    found = np.asarray(graph.Laplacian()(cube[None]))[0, ..., 0]
    assert np.array_equal(found, cv2.Laplacian(cv2.cvtColor(cube, cv2.COLOR_RGB2GRAY), cv2.CV_16S))


@pytest.mark.parametrize(
    ("form", "which"),
    [
        pytest.param("saved_model", "branched", marks=pytest.mark.slow),
        ("onnx", "run"),
        pytest.param("keras", "branched", marks=pytest.mark.slow),
        pytest.param("onnx", "branched", marks=pytest.mark.slow),
        pytest.param("saved_model", "run", marks=pytest.mark.slow),
    ],
)
def test_images_of_any_size_get_the_classes_of_the_run(form, which, request, tmp_path):
    run = request.getfixturevalue(which)
    if (form, which) == ("onnx", "run"):
        out, found = request.getfixturevalue("onnx")
    else:
        out = str(tmp_path / "out")
        found = export.export(run, out, form, check=False)
    assert found == export.Exported(os.path.join(out, f"model{formats.ENDINGS[form]}"), None)
    batches = [photos(75, 101), photos(129, 97, count=1)]
    for images, seen in zip(batches, fresh(form, found.path, batches, tmp_path), strict=True):
        expected = classes(run, images)
        assert seen.dtype == np.int32
        assert len(np.unique(expected)) > 2
        assert np.mean(seen == expected) >= 0.999
    labels = json.loads(pathlib.Path(out, "labels.json").read_text())
    assert labels["classes"][15] == "person"
    assert labels["palette"]["15"] == [192, 128, 128]


@pytest.mark.slow
def test_tflite_models_take_images_of_one_size(run, tmp_path):
    out = str(tmp_path / "out")
    found = export.export(run, out, "tflite", size=(65, 81))
    assert found.agreement >= 0.999
    images = photos(65, 81)
    (seen,) = fresh("tflite", found.path, [images], tmp_path)
    assert np.mean(seen == classes(run, images)) >= 0.999


@pytest.mark.slow
def test_models_of_half_precision_take_images_of_one_size(run, tmp_path):
    found = export.export(run, str(tmp_path / "out"), "tflite_fp16", size=(65, 81))
    assert found.agreement >= 0.99
    assert found.scores is None
    assert sorted(os.listdir(tmp_path / "out")) == ["labels.json", "model_fp16.tflite"]
    images = photos(65, 81)
    (seen,) = fresh("tflite_fp16", found.path, [images], tmp_path)
    assert np.mean(seen == classes(run, images)) >= 0.99


@pytest.mark.parametrize("check", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_models_of_8_bits_are_calibrated_with_records(voc_data, run, tmp_path, check):
    out = tmp_path / "out"
    asked = {"size": (33, 47), "calibrate": 5, "data": voc_data, "check": check}
    found = export.export(run, str(out), "tflite_int8", **asked)
    assert sorted(os.listdir(out)) == ["labels.json", "model_int8.json", "model_int8.tflite"]
    assert 0.8 <= found.agreement < 1 if check else found.agreement is None
    report = json.loads((out / "model_int8.json").read_text())
    assert report["size"] == [33, 47]
    assert report["calibration"] == {"data": voc_data, "split": "train", "seed": 0, "records": 5}
    assert report["scores"] == found.scores.document()
    assert (found.scores.split, found.scores.images) == ("val", 5)
    assert found.scores.agreement > 0.8
    drawn = calibration.draw(run, runs.load(run), 5, voc_data)
    images = np.stack(list(drawn.images((33, 47))))
    if check:
        (seen,) = fresh("tflite_int8", found.path, [images], tmp_path)
    else:
        seen = formats.load("tflite_int8", found.path)(images)
    assert 0.8 <= np.mean(seen == classes(run, images)) < 1


@pytest.mark.parametrize("size", [(33, 47), (600, 600)])
def test_scores_beside_float_cover_every_pixel_once(voc_data, run, size):
    drawn = calibration.draw(run, runs.load(run), 100, voc_data)

    def zeros(images):
        assert images.shape == (1, *size, 3)
        return np.zeros(images.shape[:3], np.int32)

    found = calibration.score(drawn, size, zeros, lambda images: zeros(images) + 1)
    labels = np.concatenate([np.ravel(one.label) for one in dsbuild.open(voc_data, "val")])
    counted = labels[labels != 255]
    assert found.float_accuracy == pytest.approx(np.mean(counted == 0))
    assert found.accuracy == pytest.approx(np.mean(counted == 1))
    assert found.agreement == 0


def test_records_for_calibration_are_drawn_by_the_seed(voc_data, run):
    trained = runs.load(run)
    first, again = (calibration.draw(run, trained, 6, voc_data) for _ in range(2))
    other = dataclasses.replace(trained, settings=dataclasses.replace(trained.settings, seed=1))
    second = calibration.draw(run, other, 6, voc_data)
    assert first.chosen == again.chosen != second.chosen
    for size in ((33, 47), (400, 20)):
        for image, same in zip(first.images(size), again.images(size), strict=True):
            assert image.shape == (*size, 3)
            np.testing.assert_array_equal(image, same)
    assert len(calibration.draw(run, trained, 1000, voc_data).chosen) == 12
    elsewhere = dataclasses.replace(trained.settings, val="other")
    with pytest.raises(PlanError, match=r"split 'other'"):  # before a model is written
        calibration.draw(run, dataclasses.replace(trained, settings=elsewhere), 6, voc_data)


@pytest.mark.slow
def test_saved_models_take_image_files(run, tmp_path):
    path = export.export(run, str(tmp_path / "out"), "saved_model", check=False).path
    (image,) = photos(75, 101, count=1)
    found = tf.saved_model.load(path)
    data = tf.io.encode_png(image)
    seen = found.signatures["image_bytes"](image_bytes=data)["classes"].numpy()
    assert np.mean(seen == classes(run, [image])[0]) >= 0.999


@pytest.mark.slow
def test_classifiers_and_mattes_are_served(class_data, tmp_path):
    mattes = str(tmp_path / "mattes")
    make(fakes.matting(tmp_path), mattes, layout=Matting())
    for name, data, asked in (
        ("classes", class_data, {}),
        ("matting", mattes, {"sigmoid": True, "loss": "bce"}),
    ):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        run = untrained(folder, data, **asked)
        found = export.export(run, str(folder / "out"), "saved_model")
        assert found.agreement >= 0.999
        images = photos(75, 101)
        (seen,) = fresh("saved_model", found.path, [images], folder)
        assert np.mean(seen == classes(run, images)) >= 0.999


def test_labels_of_another_model_are_not_replaced(run, tmp_path):
    labels = tmp_path / "out" / "labels.json"
    labels.parent.mkdir()
    labels.write_text('{"classes": ["lamp"]}')
    with pytest.raises(TrainError, match=r"labels.json: already exists, for a model with other"):
        export.export(run, str(tmp_path / "out"), "keras", check=False)
    assert [path.name for path in labels.parent.iterdir()] == ["labels.json"]
    export.export(run, str(tmp_path / "out"), "keras", check=False, overwrite=True)
    assert "person" in labels.read_text()


ON_TORCH = """
import sys
import numpy as np, torch
import dsbuild
from dsbuild.train import runs
from dsbuild.train.predict.predictor import Predictor
from dsbuild.train.export import formats as forms

run, path, source, out = sys.argv[1:]
images = np.load(source)["images"]
predictor = Predictor(runs.load(run))
assert isinstance(predictor.trained.model, torch.nn.Module)
served = forms.load("keras", path)
np.savez(out, own=predictor.classes(images), served=served(images))
"""


@pytest.mark.slow
def test_a_run_and_its_export_open_on_torch(run, tmp_path):
    path = export.export(run, str(tmp_path / "out"), "keras", check=False).path
    images = photos(75, 101)
    np.savez(tmp_path / "in.npz", images=images)
    on_torch(ON_TORCH, run, path, tmp_path / "in.npz", tmp_path / "found.npz")
    expected = classes(run, images)
    with np.load(tmp_path / "found.npz") as found:
        for seen in found.values():
            assert np.mean(seen == expected) >= 0.999


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (2, 2), (9, 13)])
def test_laplacians_equal_the_extra(size):
    image = photos(*size, 1)[0]
    found = np.asarray(graph.Laplacian()(image[None]))[0, ..., 0]
    np.testing.assert_array_equal(found, functions.laplacian(image))


def test_obstacles_are_named(run, tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    (out / "model.onnx").write_text("mine")
    with pytest.raises(TrainError, match=r"model.onnx: already exists; give another folder, or"):
        export.export(run, str(out), "onnx")
    with pytest.raises(TrainError, match=r"size: found one for keras"):
        export.export(run, str(out), "keras", size=(3, 3))
    with pytest.raises(TrainError, match=r"expected the folder of a run"):
        export.export(str(out), str(tmp_path / "other"), "keras")
    with pytest.raises(TrainError, match=r"calibrate: found one for tflite; only tflite_int8"):
        export.export(run, str(tmp_path / "other"), "tflite", calibrate=3)
    with pytest.raises(TrainError, match=r"name the folder: dsbuild export .* --data DATA"):
        export.export(run, str(tmp_path / "other"), "tflite_int8")
    monkeypatch.setitem(export._MODULES, "tf2onnx", "there_is_no_such_module")
    with pytest.raises(TrainError, match=r"tf2onnx, which .*: pip install 'dsbuild\[serve\]'"):
        export.export(run, str(tmp_path / "other"), "onnx")
    assert (out / "model.onnx").read_text() == "mine"
    assert os.listdir(out) == ["model.onnx"]


def test_a_model_with_other_classes_is_not_written(run, tmp_path, monkeypatch):
    def other(network, path):
        for variable in network.variables:
            if variable.path.startswith("logits/bias"):
                variable.assign_add(np.linspace(0, 9, 21))
        network.save(path)
        for variable in network.variables:
            if variable.path.startswith("logits/bias"):
                variable.assign_add(-np.linspace(0, 9, 21))

    monkeypatch.setitem(formats._WRITERS, "keras", other)
    monkeypatch.setattr(export, "_sizes", lambda _: [(75, 101)])
    with pytest.raises(TrainError, match=r"keras: .*% of all classes agree with the run's"):
        export.export(run, str(tmp_path / "out"), "keras")
    assert os.listdir(tmp_path / "out") == []


def test_the_command_distinguishes_records_from_runs(run, tmp_path):
    def output(*arguments):
        found = CliRunner().invoke(main, ["export", *arguments])
        assert found.exit_code == 2
        return found.stderr

    out = str(tmp_path / "out")
    text = output(run, out, "--to", "parquet")
    assert "does not say what it was trained on; name the folder: dsbuild export DATA" in text
    assert "found no run of `dsbuild train`" in output(out, out, "--to", "onnx")


ODD = ((1, 1), (1, 2000), (2000, 1), (500, 375))


def odd(run, form, folder, **asked):
    """Assert that an exported model agrees with the run on images of odd sizes."""
    batches = [photos(*size, count=1) for size in ODD]
    if form == "tflite":
        seen = []
        for number, (size, images) in enumerate(zip(ODD, batches, strict=True)):
            out = str(folder / str(number))
            path = export.export(run, out, form, size=size, check=False, **asked).path
            seen += fresh(form, path, [images], folder)
    else:
        path = export.export(run, str(folder / "out"), form, check=False, **asked).path
        seen = fresh(form, path, batches, folder)
    how = How(size=asked.get("least"))
    for images, found in zip(batches, seen, strict=True):
        expected = classes(run, images, how)
        assert found.shape == expected.shape == images.shape[:3]
        assert np.mean(found == expected) >= 0.999


@pytest.mark.slow
@pytest.mark.parametrize("form", ["saved_model", "keras", "onnx", "tflite"])
@pytest.mark.parametrize("least", [None, 513])
def test_odd_sizes_get_the_classes_of_the_run(run, form, least, tmp_path):
    odd(run, form, tmp_path, least=least)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["saved_model", "onnx", "tflite"])
def test_odd_sizes_that_are_resized_get_the_classes_of_the_run(branched, form, tmp_path):
    odd(branched, form, tmp_path)


def test_checked_sizes_are_around_the_bounds():
    assert {(1, 1), (75, 101)} <= set(export._sizes(()))
    found = export._sizes((81, 513, 2))
    for low, high in ((min(size), max(size)) for size in found[5:]):
        assert 1 <= low <= high <= 518
    assert any(min(size) < 81 for size in found[5:])
    assert any(min(size) > 513 for size in found)
    assert any(min(size) < 81 and max(size) > 513 for size in found)


def test_dimensions_of_onnx_have_names(onnx):
    graph = pytest.importorskip("onnx").load(onnx[1].path).graph
    named = [
        [one.dim_param or one.dim_value for one in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    ]
    assert named == [["batch", "height", "width", 3], ["batch", "height", "width"]]


def jpeg(image, orientation=None, order="big"):
    """Return the bytes of a JPEG with an orientation in its EXIF block."""
    from PIL import Image

    data = io.BytesIO()
    exif = b""
    if orientation is not None:
        mark, endian = (b"MM\0*", ">") if order == "big" else (b"II*\0", "<")
        entries = struct.pack(f"{endian}HHIHH", 0x010F, 3, 1, 9, 0)
        entries += struct.pack(f"{endian}HHIHH", 0x0112, 3, 1, orientation, 0)
        exif = b"Exif\0\0" + mark + struct.pack(f"{endian}IH", 8, 2) + entries + bytes(4)
    Image.fromarray(image).save(data, "JPEG", quality=85, exif=exif)
    return data.getvalue()


@pytest.mark.parametrize("orientation", [None, *range(10)])
def test_jpegs_have_the_pixels_that_predict_sees(orientation):
    (image,) = photos(29, 43, count=1)
    for order in ("big", "little"):
        data = jpeg(image, orientation, order)
        found = photo.pixels(tf.constant(data)).numpy()
        np.testing.assert_array_equal(found, viewed.pixels(data))
    assert found.shape[:2] == ((43, 29) if orientation in (5, 6, 7, 8) else (29, 43))


def test_other_formats_have_the_pixels_that_predict_sees():
    from PIL import Image

    (image,) = photos(29, 43, count=1)
    exif = Image.Exif()
    exif[0x0112] = 6
    for form, options in (("PNG", {}), ("PNG", {"exif": exif}), ("GIF", {}), ("BMP", {})):
        data = io.BytesIO()
        Image.fromarray(image).save(data, form, **options)
        found = photo.pixels(tf.constant(data.getvalue())).numpy()
        np.testing.assert_array_equal(found, viewed.pixels(data.getvalue()))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow warns about such EXIF
@settings(deadline=None, max_examples=30)
@given(st.integers(0, 200), st.binary(max_size=12))
def test_damaged_exif_has_no_orientation(at, junk):
    (image,) = photos(16, 24, count=1)
    whole = jpeg(image, 6)
    block = whole.index(b"Exif")
    data = whole[: block + 6 + at % 38] + junk + whole[block + 6 + at % 38 + len(junk) :]
    try:
        expected = viewed.pixels(data)
    except DsbuildError:
        return
    np.testing.assert_array_equal(photo.pixels(tf.constant(data)), expected)


@pytest.mark.slow
def test_saved_models_take_batches_of_files(run, tmp_path):
    path = export.export(run, str(tmp_path / "out"), "saved_model", check=False).path
    served = tf.saved_model.load(path)
    call = served.signatures["image_bytes"]
    images = [photos(75, 101, count=1)[0], photos(40, 120, count=1)[0]]
    files = [jpeg(images[0], 6), jpeg(images[1])]
    found = call(image_bytes=tf.constant(files))["classes"].numpy()
    assert found.shape == (2, 101, 120)
    for plane, data in zip(found, files, strict=True):
        expected = classes(run, [viewed.pixels(data)])[0]
        height, width = expected.shape
        assert np.mean(plane[:height, :width] == expected) >= 0.999
        assert (np.delete(plane, np.s_[:height], 0) == formats.OUTSIDE).all()
        assert (plane[:, width:] == formats.OUTSIDE).all()
        alone = call(image_bytes=tf.constant(data))["classes"].numpy()
        np.testing.assert_array_equal(alone, plane[:height, :width])
    assert call(image_bytes=tf.constant(files[:1]))["classes"].shape == (1, 101, 75)


def test_a_keras_file_is_loaded_by_dsbuild(run, tmp_path):
    path = export.export(run, str(tmp_path / "out"), "keras", check=False).path
    model = dsbuild.load_model(path)
    images = photos(33, 35)
    np.testing.assert_array_equal(model.predict_on_batch(images), classes(run, images))


@pytest.mark.slow
def test_a_keras_file_is_loaded_by_keras_after_importing_dsbuild(run, tmp_path):
    path = export.export(run, str(tmp_path / "out"), "keras", check=False).path
    load = "import sys, numpy as np\n{}\nprint(model(np.zeros((1, 33, 35, 3), 'uint8')).shape)"
    code = "import keras, dsbuild\nmodel = keras.saving.load_model(sys.argv[1])"
    assert "(1, 33, 35)" in alone(load.format(code), path)


def test_files_with_code_are_refused_and_not_run(tmp_path):
    touched = tmp_path / "touched"
    inputs, name = keras.Input((3,)), str(touched)
    evil = keras.layers.Lambda(lambda x: __import__("os").mkdir(name) or x, output_shape=(3,))
    path = str(tmp_path / "evil.keras")
    keras.Model(inputs, evil(inputs)).save(path)
    if touched.exists():
        touched.rmdir()
    with pytest.raises(ModelError, match=r"evil\.keras: found no model exported by dsbuild"):
        dsbuild.load_model(path)
    with pytest.raises(ModelError, match=r"expected the weights of tiny"):
        model.build(backbone="tiny", weights=path)
    assert not touched.exists()


class Evil:
    """An object that runs code when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("name", ["a.npz", "a.h5", "a.weights.h5", "a.ckpt", "a.keras", "a.pt"])
def test_pickles_are_refused_and_not_run(run, name, tmp_path):
    touched, path = tmp_path / "touched", tmp_path / name
    evil = np.array([Evil(str(touched))], object)
    if name.endswith(".npz"):
        np.savez(path, **{"logits/kernel": evil, "meta": evil}, allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(Evil(str(touched))))
    with pytest.raises(ModelError, match="expected the weights of tiny"):
        model.build(backbone="tiny", weights=str(path))
    if name.endswith(".npz"):
        with pytest.raises(TrainError, match="found no complete checkpoint of dsbuild"):
            checkpoint.load(str(path))
    assert not touched.exists()
