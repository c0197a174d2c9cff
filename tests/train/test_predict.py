import json
import os
import pathlib

import cv2
import numpy as np
import pytest
from PIL import Image

import dsbuild
from dsbuild.cli.text.train import prediction_lines
from dsbuild.errors import ImageError, TrainError
from dsbuild.images import colour
from dsbuild.layouts.matting import Matting
from dsbuild.layouts.pairs import Pairs
from dsbuild.train import runs
from dsbuild.train.metrics.evaluate import measure
from dsbuild.train.predict import run as predict
from dsbuild.train.predict.predictor import Predictor
from dsbuild.train.predict.run import Wanted
from tests.support import fakes, trained
from tests.support.photos import clip, frames, photo
from tests.support.runs import make

pytestmark = pytest.mark.usefixtures("eager", "loaded_once")


@pytest.fixture(scope="module")
def run(voc_run):
    return voc_run[1]


@pytest.fixture(scope="module")
def predictor(run, eager):
    return Predictor(runs.load(run))


@pytest.fixture(scope="module")
def classifier(class_run, eager):
    return Predictor(runs.load(class_run[1]))


def files(folder):
    folder = pathlib.Path(folder)
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())


def test_classes_are_written_like_vocs(predictor, tmp_path, out):
    pixels = photo(tmp_path / "a.png")
    found = predict.predict(predictor, [str(tmp_path / "a.png")], Wanted(out=out))
    assert files(out) == ["a.png"]
    with Image.open(os.path.join(out, "a.png")) as image:
        assert image.mode == "P"
        plane = np.asarray(image)
        assert image.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
    np.testing.assert_array_equal(plane, predictor.classes(pixels))
    assert len(np.unique(plane)) > 1
    (made,) = found["made"]
    names = predictor.trained.facts.classes
    expected = {names[value]: pytest.approx((plane == value).mean()) for value in np.unique(plane)}
    assert made["shares"] == expected
    assert found["failed"] == []


@pytest.mark.slow
def test_more_than_256_classes_are_written_with_16_bits(tmp_path, out):
    data = str(tmp_path / "data")
    names = tuple(f"class {i}" for i in range(300))
    make(fakes.pairs(tmp_path), data, layout=Pairs(names=names))
    predictor = Predictor(runs.load(trained.run(str(tmp_path), data, seed=4)))
    pixels = photo(tmp_path / "a.png")
    wanted = Wanted(out=out, overlay=True)
    predict.predict(predictor, [str(tmp_path / "a.png")], wanted)
    plane = predictor.classes(pixels)
    assert plane.dtype == np.uint16
    assert plane.max() > 255
    found = cv2.imread(os.path.join(out, "a.png"), cv2.IMREAD_UNCHANGED)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, plane)
    scores = measure(predictor, dsbuild.open(data, "train"))
    assert len(scores.confusion.iou) == 300


def test_overlays_and_probabilities_are_written_on_request(predictor, tmp_path, out):
    pixels = photo(tmp_path / "a.png")
    wanted = Wanted(out=out, overlay=True, probabilities=True)
    predict.predict(predictor, [str(tmp_path / "a.png")], wanted)
    assert files(out) == ["a.npz", "a.overlay.jpg", "a.png"]
    plane = predictor.classes(pixels)
    expected = colour.overlay(pixels, plane, colour.table(predictor.trained.facts.palette))
    with Image.open(os.path.join(out, "a.overlay.jpg")) as image:
        away = np.asarray(image).astype(int) - expected
    assert np.abs(away).mean() < 12
    with np.load(os.path.join(out, "a.npz")) as found:
        np.testing.assert_array_equal(found["probabilities"], predictor.probabilities(pixels))
        assert found["classes"][15] == "person"


@pytest.mark.parametrize("size", [(60, 44), (20, 90)])
def test_classes_of_a_resized_image_have_its_own_size(predictor, tmp_path, out, size):
    pixels = photo(tmp_path / "a.png", *size)
    predict.predict(predictor, [str(tmp_path / "a.png")], Wanted(out=out, resize=33))
    width, height = (33, 24) if size == (60, 44) else (7, 33)
    small = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
    plane = Image.fromarray(predictor.classes(np.asarray(small)))
    with Image.open(os.path.join(out, "a.png")) as image:
        assert image.size == size
        np.testing.assert_array_equal(
            np.asarray(image), np.asarray(plane.resize(size, Image.Resampling.NEAREST))
        )


def test_batches_predict_the_same_as_single_images(predictor, tmp_path):
    sizes = [(40, 30), (40, 30), (40, 30), (30, 40), (40, 30)]
    for number, size in enumerate(sizes):
        photo(tmp_path / "in" / f"{number}.png", *size, seed=number)
    for batch in (1, 2):
        wanted = Wanted(out=str(tmp_path / str(batch)), batch=batch)
        found = predict.predict(predictor, [str(tmp_path / "in")], wanted)
        assert [os.path.basename(one["path"]) for one in found["made"]] == [
            f"{number}.png" for number in range(5)
        ]
    for name in files(tmp_path / "1"):
        one, other = (np.asarray(Image.open(tmp_path / folder / name)) for folder in ("1", "2"))
        assert (one == other).mean() > 0.999


def test_unreadable_files_are_named_and_the_rest_is_predicted(predictor, tmp_path, out):
    photo(tmp_path / "in" / "b.png")
    for name, data in {"a.jpg": b"junk", "c.png": b"", "d.mp4": b"junk"}.items():
        (tmp_path / "in" / name).write_bytes(data)
    whole = (tmp_path / "in" / "b.png").read_bytes()
    (tmp_path / "in" / "e.png").write_bytes(whole[: len(whole) // 2])
    found = predict.predict(predictor, [str(tmp_path / "in")], Wanted(out=out, batch=2))
    assert files(out) == ["b.png"]
    assert [os.path.basename(one["path"]) for one in found["failed"]] == [
        "a.jpg",
        "c.png",
        "d.mp4",
        "e.png",
    ]
    for one in found["failed"]:
        assert one["error"].startswith(one["path"] + ": found")


@pytest.mark.parametrize("ending", ["tif", "gif", "webp", "png"])
def test_the_first_of_several_pictures_is_named_with_their_count(
    predictor, classifier, tmp_path, out, ending
):
    photo = fakes.photo(np.random.default_rng(0), 40, 30)
    more = [photo.rotate(90 * turns) for turns in (1, 2)]
    path = str(tmp_path / f"several.{ending}")
    photo.save(path, save_all=True, append_images=more)
    photo.save(tmp_path / f"one.{ending}")
    for model in (predictor, classifier):
        wanted = Wanted(out=out)
        (one,) = predict.predict(model, [path], wanted)["made"]
        assert one["pictures"] == 3
        assert prediction_lines({"made": [one]})[0].endswith("  (the first of 3 pictures)")
        (one,) = predict.predict(model, [str(tmp_path / f"one.{ending}")], wanted)["made"]
        assert "pictures" not in one
        assert "pictures" not in prediction_lines({"made": [one]})[0]


def test_two_images_never_write_one_file(predictor, tmp_path, out):
    for name in ("x/a.png", "y/a.png", "z/a.jpg", "z/a.png"):
        photo(tmp_path / name)
    asked = [str(tmp_path / "x"), str(tmp_path / "y")]
    with pytest.raises(TrainError, match=r"a\.png: both .*x/a\.png and .*y/a"):
        predict.predict(predictor, asked, Wanted(out=out))
    with pytest.raises(TrainError, match="would write it"):
        predict.predict(predictor, [str(tmp_path / "z")], Wanted(out=out))
    assert not os.path.exists(out)
    predict.predict(predictor, [str(tmp_path / "[xy]" / "*.png")], Wanted(out=out))
    assert files(out) == ["x/a.png", "y/a.png"]


def test_no_source_is_replaced(predictor, tmp_path):
    photo(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    with pytest.raises(TrainError, match="would replace"):
        predict.predict(predictor, [str(tmp_path / "a.png")], Wanted(out=str(tmp_path)))
    assert (tmp_path / "a.png").read_bytes() == before


def test_videos_become_videos(predictor, tmp_path, out):
    seen = clip(tmp_path / "clip.mp4")
    wanted = Wanted(out=out, batch=4)
    found = predict.predict(predictor, [str(tmp_path / "clip.mp4")], wanted)
    assert files(out) == ["clip.mp4"]
    assert found["made"][0]["frames"] == 6 == len(seen)
    capture = cv2.VideoCapture(os.path.join(out, "clip.mp4"))
    assert capture.get(cv2.CAP_PROP_FPS) == 12.5
    table = colour.table(predictor.trained.facts.palette)
    written = frames(os.path.join(out, "clip.mp4"))
    assert len(written) == 6
    for one, frame in zip(written, seen, strict=True):
        expected = colour.overlay(frame, predictor.classes(frame), table)
        assert one.shape == frame.shape
        assert np.abs(one.astype(int) - expected).mean() < 20
        assert np.abs(one.astype(int) - expected).mean() < np.abs(one.astype(int) - frame).mean()


def test_frames_of_a_camera_are_never_replaced(predictor, tmp_path, out):
    clip(tmp_path / "stream.mp4")
    found = predict.watch(
        predictor, str(tmp_path / "stream.mp4"), Wanted(out=out, overlay=True), frames=2
    )
    names = [f"camera/00000{number}.{end}" for number in (0, 1) for end in ("overlay.jpg", "png")]
    assert files(out) == names
    assert len(found["made"]) == 2
    with pytest.raises(TrainError, match="found frames of an earlier recording"):
        predict.watch(predictor, str(tmp_path / "stream.mp4"), Wanted(out=out))


def test_a_missing_camera_is_named(predictor, out):
    with pytest.raises(TrainError, match="camera 97: found no readable camera"):
        predict.watch(predictor, 97, Wanted(out=out))
    assert not os.path.exists(out)


def test_classification_returns_class_and_probability(classifier, tmp_path, out):
    pixels = photo(tmp_path / "a.png")
    asked = [str(tmp_path / "a.png")]
    (made,) = predict.predict(classifier, asked, Wanted(out=None))["made"]
    probabilities = classifier.probabilities(pixels)
    assert made["class"] == ("cat", "dog", "horse")[probabilities.argmax()]
    assert made["probability"] == pytest.approx(probabilities.max())
    assert list(made["probabilities"]) == ["cat", "dog", "horse"]
    predict.predict(classifier, asked, Wanted(out=out))
    saved = json.loads((pathlib.Path(out) / predict.PREDICTIONS).read_text())
    assert saved == {"images": [made]}
    with pytest.raises(TrainError, match="classifies whole images"):
        predict.predict(classifier, asked, Wanted(out=out, overlay=True))
    clip(tmp_path / "b.mp4", 2)
    with pytest.raises(TrainError, match=r"b\.mp4: found a video, expected images"):
        predict.predict(classifier, [str(tmp_path / "b.mp4")], Wanted(out=None))


def test_segmentation_needs_a_folder(predictor, tmp_path):
    photo(tmp_path / "a.png")
    with pytest.raises(TrainError, match="found no --out"):
        predict.predict(predictor, [str(tmp_path / "a.png")], Wanted(out=None))


@pytest.mark.parametrize("size", [(44, 60), (600, 375), (513, 513), (1, 2000)])
def test_sizes_equal_deeplabs(size):
    ratio = 513 / max(size)
    assert predict.fitted(size, 513) == tuple(max(1, int(ratio * length)) for length in size)


def test_the_model_of_the_demo_sees_what_viewers_show(run):
    model = dsbuild.DeepLabModel(run, 65)
    grey = np.random.default_rng(1).integers(0, 256, (44, 60)).astype(np.uint8)
    wide = Image.fromarray(grey.astype(np.uint16) << 8)
    resized, classes = model.run(wide)
    expected, same = model.run(Image.fromarray(grey))
    np.testing.assert_array_equal(np.asarray(resized), np.asarray(expected))
    np.testing.assert_array_equal(classes, same)
    turned = Image.fromarray(grey)
    turned.getexif()[0x0112] = 6
    assert model.run(turned)[0].size == (47, 65)
    with pytest.raises(ImageError, match="found pixels of mode F"):
        model.run(Image.fromarray(grey.astype(np.float32)))


def test_a_single_logit_is_written_as_two_probabilities(tmp_path, out):
    data = str(tmp_path / "data")
    make(fakes.matting(tmp_path, 2, 1), data, layout=Matting())
    binary = Predictor(runs.load(trained.run(tmp_path, data, sigmoid=True, loss="bce")))
    pixels = photo(tmp_path / "a.png")
    predict.predict(binary, [str(tmp_path / "a.png")], Wanted(out=out, probabilities=True))
    with np.load(os.path.join(out, "a.npz")) as found:
        assert found["probabilities"].shape == (*pixels.shape[:2], len(found["classes"]))
        np.testing.assert_array_equal(found["probabilities"].argmax(-1), binary.classes(pixels))
        np.testing.assert_allclose(found["probabilities"].sum(-1), 1, rtol=1e-6)


def test_the_model_of_the_demo(run, predictor, tmp_path):
    model = dsbuild.DeepLabModel(run, 65)
    pixels = photo(tmp_path / "a.png", 60, 44)
    resized, classes = model.run(Image.fromarray(pixels).convert("RGBA"))
    assert isinstance(resized, Image.Image)
    assert resized.size == (65, 47)
    np.testing.assert_array_equal(classes, predictor.classes(np.asarray(resized)))
    array, same = model.run(pixels)
    np.testing.assert_array_equal(array, np.asarray(resized))
    np.testing.assert_array_equal(same, classes)
    assert model.label_names[15] == "person"
    assert model.full_color_map.shape == (21, 1, 3)
    assert model.colours(classes).shape == (47, 65, 3)
    assert model.colormap[15].tolist() == [192, 128, 128]
    assert dsbuild.DeepLabModel(run).size == 513
    for wrong in (pixels.astype(float), pixels[..., 0]):
        with pytest.raises(TrainError, match="image: found"):
            model.run(wrong)
