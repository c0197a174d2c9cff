"""Images of 16 bits are stored whole, scaled by a stated range, or refused; never dark."""

import json
import pathlib

import cv2
import numpy as np
import pytest
from PIL import Image

import dsbuild
from dsbuild import images
from dsbuild.build.image_policy import Policy
from dsbuild.errors import PlanError
from dsbuild.format import manifest
from dsbuild.images import deep
from dsbuild.validate.run import validate

NAMES = {"classes": "a,b,c", "workers": 1}


def draw(folder, bands, ending="png", top=4095, count=5):
    """Draw pairs whose images have 16 bits; return the folder and key -> pixels (h, w, bands)."""
    rng = np.random.default_rng(bands)
    root, found = pathlib.Path(folder) / "deep", {}
    for part in ("images", "labels"):
        (root / part).mkdir(parents=True)
    for i in range(count):
        coarse = rng.integers(0, top + 1, (4, 5, bands)).astype(np.float32)
        pixels = cv2.resize(coarse, (40, 30)).reshape(30, 40, bands).astype(np.uint16)
        data = cv2.imencode(
            f".{ending}", pixels[..., [2, 1, 0, 3][:bands]] if bands > 1 else pixels
        )
        (root / "images" / f"{i}.{ending}").write_bytes(data[1].tobytes())
        mask = rng.integers(0, 3, (30, 40), np.uint8)
        Image.fromarray(mask).save(root / "labels" / f"{i}.png")
        found[str(i)] = pixels
    return root, found


@pytest.fixture(params=[(1, "png"), (3, "png"), (4, "png"), (1, "tif"), (3, "tif"), (4, "tif")])
def drawn(request, tmp_path):
    return draw(tmp_path, *request.param)


def test_all_bits_and_bands_are_stored(drawn, out):
    root, pixels = drawn
    built = dsbuild.build("pairs", root, out, depth=16, **NAMES)
    assert built.manifest["recipe"]["images"]["depth"] == 16
    for one in dsbuild.open(out):
        assert one.image.dtype == np.uint16
        np.testing.assert_array_equal(one.image, pixels[one.key])
        source = root / "images" / f"{one.key}.png"
        if source.exists():
            assert one.encoded == source.read_bytes()
    assert not validate(out, "source", str(root)).problems
    again = dsbuild.build("pairs", root, out, depth=16, **NAMES)
    assert (again.written, again.kept) == (0, 1)


@pytest.mark.parametrize(
    "bands", [3, *(pytest.param(one, marks=pytest.mark.slow) for one in (1, 4))]
)
def test_every_reader_gives_them(bands, tmp_path, out):
    tf = pytest.importorskip("tensorflow")
    torch = pytest.importorskip("torch")
    root, pixels = draw(tmp_path, bands)
    dsbuild.build("pairs", root, out, depth=16, **NAMES)
    for _ in range(2):
        for one in dsbuild.open(out, cache="decoded"):
            np.testing.assert_array_equal(one.image, pixels[one.key])
    samples = dsbuild.tf_dataset(out)
    assert samples.element_spec["image"].shape.as_list() == [30, 40, bands]
    for one in samples:
        assert one["image"].dtype == tf.uint16
        np.testing.assert_array_equal(one["image"], pixels[one["key"].numpy().decode()])
    for one in dsbuild.torch_dataset(out):
        assert one["image"].dtype == torch.int32
        np.testing.assert_array_equal(one["image"].permute(1, 2, 0), pixels[one["key"]])
    settings = dsbuild.Augmentation(crop=None, scales=(1.0, 1.0), flip=0)
    if bands == 4:
        with pytest.raises(PlanError, match="image: found 4 bands, expected 1 or 3"):
            dsbuild.augmented(samples, settings, seed=1)
        return
    for one in dsbuild.augmented(samples, settings, seed=1):
        expected = np.broadcast_to(pixels[one["key"].numpy().decode()] / 257, (30, 40, 3))
        np.testing.assert_allclose(one["image"], expected, rtol=1e-5)


def test_a_range_becomes_8_bits(tmp_path, out):
    root, pixels = draw(tmp_path, 3, "tif")
    dsbuild.build("pairs", root, out, scale="100:3000", **NAMES)
    for one in dsbuild.open(out):
        np.testing.assert_array_equal(one.image, deep.scaled(pixels[one.key], 100, 3000))
        assert one.image.max() == 255
    entry = manifest.load(out)
    assert entry["recipe"]["images"]["scale"] == "100:3000"
    assert sum(split["changes"]["scaled"] for split in entry["splits"].values()) == 5
    assert not validate(out, "source", str(root)).problems


def test_images_of_8_bits_stay_when_others_are_scaled(tmp_path, out):
    root, _ = draw(tmp_path, 3)
    photo = root / "images" / "0.png"
    Image.fromarray(np.full((30, 40, 3), 99, np.uint8)).save(photo)
    dsbuild.build("pairs", root, out, scale="0:4095", **NAMES)
    assert {one.key: one.encoded for one in dsbuild.open(out)}["0"] == photo.read_bytes()


def test_tiles_keep_16_bits(tmp_path, out):
    root, pixels = draw(tmp_path, 4, "tif")
    dsbuild.build("pairs", root, out, depth=16, tile=16, tile_overlap=4, **NAMES)
    for one in dsbuild.open(out):
        rows = slice(one.tile_y, one.tile_y + one.height)
        columns = slice(one.tile_x, one.tile_x + one.width)
        np.testing.assert_array_equal(one.image, pixels[one.source_key][rows, columns])
    assert not validate(out, "source", str(root)).problems


def test_16_bits_are_shrunk_by_area(tmp_path, out):
    root, pixels = draw(tmp_path, 3)
    dsbuild.build("pairs", root, out, depth=16, max_side=20, **NAMES)
    for one in dsbuild.open(out):
        means = pixels[one.key].reshape(15, 2, 20, 2, 3).mean((1, 3))
        assert np.abs(one.image - means).max() <= 0.5


@pytest.mark.parametrize("options", [(), ("--unreadable", "reencode")])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_without_an_option_they_are_refused_with_the_remedy(options, ending, tmp_path, out, run):
    root, _ = draw(tmp_path, 3, ending)
    result = run("pairs", root, out, "--classes", "a,b,c", *options)
    assert result.exit_code == 2
    assert "--depth 16" in result.output
    assert "--scale" in result.output
    assert not pathlib.Path(out).exists()


def test_other_images_are_refused_by_name(tmp_path, out, run):
    root, _ = draw(tmp_path, 3)
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(root / "images" / "2.png")
    words = ("pairs", root, out, "--classes", "a,b,c", "--depth", 16)
    result = run(*words)
    assert "sample 2: " in result.output
    assert "found an image with fewer than 16 bits per channel, expected 16" in result.output
    assert run(*words, "--on-error", "skip").exit_code == 0
    assert [one.key for one in dsbuild.open(out)] == ["0", "1", "3", "4"]
    (root / "images" / "1.png").write_bytes(b"junk")
    assert run(*words, "--on-error", "skip").exit_code == 0
    reasons = pathlib.Path(out, "rejects.jsonl").read_text()
    assert "found bytes that start with" in reasons


def test_a_fourth_band_is_not_scaled_away(tmp_path, out, run):
    root, _ = draw(tmp_path, 4)
    result = run("pairs", root, out, "--classes", "a,b,c", "--scale", "0:4095")
    assert "found 4 bands of 16 bits, expected 1 or 3 for --scale" in result.output


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ({"scale": "5"}, "scale: found '5', expected LOW:HIGH within 0 to 65535"),
        ({"scale": "9:9"}, "expected LOW:HIGH"),
        ({"scale": "0:65536"}, "expected LOW:HIGH"),
        ({"depth": 16, "scale": "0:9"}, "scale: found 0:9 with --depth 16"),
        ({"depth": 16, "max_side": 9, "jpeg_quality": 90}, "jpeg_quality: found 90 with --depth"),
        ({"depth": 12}, "depth: found 12, expected one of 8, 16"),
    ],
)
def test_wrong_options_are_refused(policy, text):
    with pytest.raises(PlanError, match=text):
        Policy(**policy)


def test_consumers_take_16_bits_or_say_so(tmp_path, out, run):
    root, _ = draw(tmp_path, 3)
    with pytest.raises(PlanError, match="--extra laplacian: it is computed from images of 8 bits"):
        dsbuild.build("pairs", root, out, depth=16, extra="laplacian", **NAMES)
    dsbuild.build("pairs", root, out, depth=16, **NAMES)
    for words in (("inspect", out), ("statistics", out), ("validate", out)):
        result = run(*words)
        assert result.exit_code == 0, result.output
    page = tmp_path / "page.html"
    assert run("inspect", out, "--html", page).exit_code == 0
    sample = dsbuild.open(out)[0]
    assert "<img" in sample._repr_html_()
    head = images.header(sample.encoded)
    assert (head.bits, head.channels) == (16, 3)
    card = pathlib.Path(out, "README.md").read_text()
    assert "decode_png(found[" in card
    assert "cv2.IMREAD_UNCHANGED" in card
    assert "decode_image" not in card
    features = json.loads(pathlib.Path(out, "features.json").read_text())
    image = features["content"]["features"]["image"]["featuresDict"]["features"]["encoded"]
    assert image["tensor"]["dtype"] == "string"


def test_exported_annotations_say_that_images_keep_16_bits(tmp_path, out, run):
    root, _ = draw(tmp_path, 3)
    dsbuild.build("pairs", root, out, depth=16, **NAMES)
    done = run("export", out, tmp_path / "made", "--to", "voc")
    assert done.exit_code == 0, done.stderr
    assert "images keep 16 bits per channel" in done.stderr


def test_builds_of_one_depth_are_merged(tmp_path):
    found = {}
    for name, bands, options in (
        ("a", 3, {"depth": 16}),
        ("b", 1, {"depth": 16}),
        ("c", 3, {"scale": "0:9"}),
    ):
        root, _ = draw(tmp_path / name, bands)
        found[name] = str(tmp_path / f"{name}-built")
        dsbuild.build("pairs", root, found[name], **options, **NAMES)
    merged = str(tmp_path / "merged")
    dsbuild.merge([found["a"], found["b"]], merged)
    assert {one.image.shape[2] for one in dsbuild.open(merged)} == {1, 3}
    assert not validate(merged).problems
    with pytest.raises(PlanError, match=r"16 bits per channel and .* of 8; expected one depth"):
        dsbuild.merge([found["a"], found["c"]], str(tmp_path / "other"))
