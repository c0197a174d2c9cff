"""Images of 16 bits are trained on and predicted in a stated range, and never nearly black."""

import pathlib

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import dsbuild
from dsbuild.errors import ImageError, TrainError
from dsbuild.format.folder import Folder
from dsbuild.train import dataset, image_range, runs
from dsbuild.train.export import calibration, photo
from dsbuild.train.fit import batches
from dsbuild.train.fit import run as fit
from dsbuild.train.metrics.evaluate import evaluate
from dsbuild.train.predict import run as predict
from dsbuild.train.predict.deeplab import DeepLabModel
from dsbuild.train.predict.predictor import Predictor
from dsbuild.train.predict.run import Wanted
from dsbuild.train.settings import Settings
from tests.support import trained

pytestmark = pytest.mark.usefixtures("eager", "loaded_once")
QUICK = {"backbone": "tiny", "crop": 33, "batch": 2, "steps": 2, "val": "train"}
BUILDS = {  # factor of the pixels of 8 bits, their bands, options
    "eight": (1, 3, {}),
    "whole": (257, 3, {}),
    "twelve": (16, 3, {}),
    "grey": (257, 1, {}),
    "four": (257, 4, {}),
    "tiled": (257, 3, {"tile": 33, "tile_overlap": 8}),
    "eight_tiled": (1, 3, {"tile": 33, "tile_overlap": 8}),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Folders of the same pictures with 8 and with 16 bits, and of their files, by name."""
    root = tmp_path_factory.mktemp("depths")
    rng = np.random.default_rng(0)
    pixels = [
        cv2.resize(rng.uniform(0, 255, (5, 5, 4)).astype(np.float32), (64, 64)).astype(np.uint8)
        for _ in range(4)
    ]
    found = {}
    for name, (factor, bands, options) in BUILDS.items():
        kind = np.uint8 if factor == 1 else np.uint16
        for part in ("images", "labels"):
            (root / name / part).mkdir(parents=True)
        for i, one in enumerate(pixels):
            image = np.squeeze(one[..., :bands].astype(kind) * kind(factor))
            cv2.imwrite(str(root / name / "images" / f"{i}.png"), image)
            mask = (one[..., 0] > 128).astype(np.uint8)
            Image.fromarray(mask).save(root / name / "labels" / f"{i}.png")
        depth = {} if factor == 1 else {"depth": 16}
        out = str(root / f"{name}-records")
        dsbuild.build("pairs", root / name, out, classes="a,b", workers=1, **depth, **options)
        found[name] = out, str(root / name / "images")
    return found


def drawn(folder, data, **settings):
    """Return a run with drawn weights over one of the folders."""
    return trained.run(folder, data[0], **settings)


def files(folder):
    return {one.name: one.read_bytes() for one in sorted(pathlib.Path(folder).iterdir())}


@pytest.mark.slow
def test_16_bits_train_to_the_weights_of_8(data, tmp_path):
    lines, values = [], []
    for name in ("eight", "whole"):
        run = str(tmp_path / name)
        fit.train(data[name][0], run, Settings(**QUICK), talk=lines.append)
        values.append(runs.weights(runs.file_of(run, runs.LAST))[0])
    for name, value in values[0].items():
        np.testing.assert_array_equal(value, values[1][name], err_msg=name)
    assert any("of which 0:65535 becomes 0 to 255 (--image-range); '0' reaches" in x for x in lines)
    assert '"image_range": "0:65535"' in (tmp_path / "whole" / "settings.json").read_text()


def test_the_range_is_a_setting_of_runs_on_16_bits_alone(data, tmp_path):
    for name, expected in (("eight", ""), ("whole", "0:65535")):
        samples = batches.labelled(data[name][0], Settings(**QUICK))
        assert image_range.fitted(Settings(**QUICK), samples).image_range == expected
    assert "image_range" not in Settings(**QUICK).document()
    asked = Settings(**QUICK, image_range="0:65535")
    run = drawn(tmp_path, data["whole"], which=runs.LAST, **QUICK, image_range="0:65535")
    known = dataset.of(data["whole"][0])
    assert runs.resumable(run, asked, known)
    for other in (Settings(**QUICK), Settings(**QUICK, image_range="1:65535")):
        with pytest.raises(TrainError, match="this run has image_range '0:65535'; found image_r"):
            runs.resumable(run, other, known)


@pytest.mark.parametrize(
    ("kind", "span"),
    [
        ("twelve", f"0:{255 * 16}"),
        pytest.param("whole", "0:65535", marks=pytest.mark.slow),
    ],
)
def test_batches_are_those_of_8_bits(data, kind, span):
    eight, other = (
        next(
            iter(
                batches.batches(
                    data[name][0],
                    Settings(**QUICK, image_range=span),
                    dataset.of(data[name][0]),
                )
            )
        )
        for name, span in (("eight", ""), (kind, span))
    )
    np.testing.assert_array_equal(other[0], eight[0])
    np.testing.assert_array_equal(other[1], eight[1])


@pytest.mark.slow
def test_predictions_equal_those_of_8_bits(data, tmp_path):
    made = {}
    for name in ("eight", "whole"):
        (tmp_path / name).mkdir()
        span = {} if name == "eight" else {"image_range": "0:65535"}
        run = drawn(tmp_path / name, data[name], **span)
        scores = evaluate(run, data[name][0], "train", out=str(tmp_path / name / "scores"))
        predictor = Predictor(runs.load(run))
        tiles = data[f"{name}_tiled" if name == "eight" else "tiled"][0]
        for part, call, where in (
            ("files", predict.predict, ([data[name][1]],)),
            ("records", predict.predict_split, (data[name][0], "train")),
            ("tiles", predict.predict_split, (tiles, "train")),
        ):
            out = str(tmp_path / name / part)
            done = call(predictor, *where, Wanted(out=out, overlay=True, batch=3))
            assert not done["failed"]
            made.setdefault(part, []).append(files(out))
        made.setdefault("scores", []).append(scores["mean_iou"])
    for part, (one, other) in made.items():
        assert one == other, part
    assert len(made["tiles"][0]) == 8


def test_a_model_of_16_bits_takes_all_images_in_its_range(data, tmp_path):
    run = drawn(tmp_path, data["twelve"], image_range="0:4080", val="")
    predictor = Predictor(runs.load(run))
    twelve, eight = (dsbuild.open(data[name][0])[0].image for name in ("twelve", "eight"))
    np.testing.assert_array_equal(predictor.classes(twelve), predictor.classes(eight))
    np.testing.assert_array_equal(predictor.picture(twelve), eight)
    names = ("twelve", "grey", "eight", "four")
    sources = [f"{data[name][1]}/{i}.png" for i, name in enumerate(names)]
    found = predict.predict(predictor, sources, Wanted(out=str(tmp_path / "out"), resize=40))
    assert [one["path"] for one in found["made"]] == sources[:3]
    assert "found 4 bands of 16 bits, expected 1 or 3" in found["failed"][0]["error"]
    drawn_records = calibration.draw(run, predictor.trained, 1, data["twelve"][0])
    (window,) = drawn_records.images((64, 64))
    assert any(np.array_equal(window, one.image) for one in dsbuild.open(data["eight"][0]))
    model = DeepLabModel(run, 48)
    resized, classes = model.run(twelve)
    assert (resized.dtype, resized.shape, classes.shape) == (np.uint16, (48, 48, 3), (48, 48))
    with Image.open(sources[1]) as image:
        resized, grey = model.run(image)
    assert resized.mode == "I;16"
    assert grey.shape == (48, 48)


def test_nearly_black_images_are_refused(data, tmp_path):
    path, pictures = data["twelve"]
    run = str(tmp_path / "refused")
    text = "are at most 4,0[0-9]*, which is nearly black in the range 0:65535; .*-range 0:4095"
    with pytest.raises(TrainError, match=text):
        fit.train(path, run, Settings(**QUICK))
    with pytest.raises(TrainError, match=r"are outside of the range 0:255; give .*range 0:4095"):
        fit.train(path, run, Settings(**QUICK, image_range="0:255"))
    assert not pathlib.Path(run).exists()
    wide = drawn(tmp_path, data["whole"], image_range="0:65535")
    predictor = Predictor(runs.load(wide))
    for call in (
        lambda: evaluate(wide, path, "train"),
        lambda: predict.predict_split(predictor, path, "train", Wanted(out=run)),
    ):
        with pytest.raises(TrainError, match="the model needs images in the range that it was"):
            call()
    found = predict.predict(predictor, [pictures], Wanted(out=run))
    assert len(found["failed"]) == 4
    assert "nearly black in 0:65535, the range that the model" in found["failed"][0]["error"]


@pytest.mark.parametrize(
    ("peak", "chosen", "told"),
    [
        (16383, False, "16,383, and the model would see them 4 times too dark: 16,383 is the larg"),
        (8191, False, "8 times too dark: 8,191 is the largest of 13 bits; give --image-range 0:8"),
        (16382, False, "said: --image-range 0:16383 would suit them"),
        (16384, False, ""),
        (16383, True, ""),
        (16400, False, ""),
    ],
)
def test_cameras_of_few_bits_are_told_from_dark_images(peak, chosen, told):
    class Samples(list):
        folder = type("Folder", (), {"path": "scans"})()

    def image(largest):
        pixels = np.linspace(5000, 8000, 300).astype(np.uint16).reshape(10, 10, 3)
        pixels[0, 0, 0] = largest
        return type("Sample", (), {"image": pixels, "key": "a"})()

    samples = Samples([image(8190), image(peak)])
    settings, lines = Settings(image_range=image_range.WHOLE), []

    def call():
        image_range.check(settings, samples, "train", lines.append, chosen=chosen)

    if told and not told.startswith("said: "):
        with pytest.raises(TrainError, match=told):
            call()
        return
    call()
    assert lines[0].startswith("images have 16 bits per channel")
    assert len(lines) == (2 if told else 1)
    assert told.removeprefix("said: ") in lines[-1]


def test_what_does_not_fit_is_refused_by_name(data, tmp_path):
    run = str(tmp_path / "refused")
    for name, asked, text in (
        ("four", {}, "found 4 bands of 16 bits, expected 1 or 3, since the model takes RGB"),
        ("eight", {"image_range": "0:99"}, "image_range: found 0:99, but the images of .* have 8"),
    ):
        with pytest.raises(TrainError, match=text):
            fit.train(data[name][0], run, Settings(**QUICK, **asked))
    for wrong in ("99:0", "0:65536", "0-99"):
        with pytest.raises(TrainError, match=f"image_range: found '{wrong}', expected LOW:HIGH"):
            Settings(image_range=wrong)
    eight = drawn(tmp_path, data["eight"])
    with pytest.raises(TrainError, match=r"found images of 16 bits per channel .*, expected 8, as"):
        evaluate(eight, data["whole"][0], "train")
    with pytest.raises(TrainError, match="image: found 16 bits per channel, expected 8, as the"):
        Predictor(runs.load(eight)).classes(np.zeros((9, 9, 3), np.uint16))
    with pytest.raises(TrainError, match="expected 8, as the model was trained on"):
        image_range.expect(Settings(), Folder.of(data["grey"][0]))
    with pytest.raises(ImageError, match="found 4 bands"):
        image_range.read(
            pathlib.Path(data["four"][1], "0.png").read_bytes(), Settings(image_range="0:9")
        )


def test_served_files_of_16_bits_are_scaled(data):
    settings = Settings(image_range="0:4095")
    for name in ("twelve", "eight"):
        data_of = pathlib.Path(data[name][1], "0.png").read_bytes()
        expected = image_range.picture(image_range.read(data_of, settings), settings)
        found = photo.pixels(tf.constant(data_of), image_range.limits(settings))
        np.testing.assert_array_equal(found, expected)
