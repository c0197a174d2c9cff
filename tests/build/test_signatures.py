"""A corpus of the mistakes that labels are known for: each is found under its own name.

Each defect is made of right data by a few lines; right data, drawn and real, have none.
"""

import io
import json
import pathlib
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dsbuild.build import signatures, split_signatures
from dsbuild.layouts.pairs import Pairs
from dsbuild.layouts.voc import Voc
from tests.support import fakes
from tests.support.pictures import save

CLASSES = ("background", "cat", "dog")


@pytest.fixture
def kinds(run, tmp_path):
    """Return the kinds that a dry run finds: kind -> the findings' texts."""

    def call(*arguments):
        result = run(*arguments[:2], tmp_path / "never", *arguments[2:], "--dry-run", "--json")
        found = {}
        for finding in json.loads(result.stdout)["findings"]:
            found.setdefault(finding["kind"], []).append(finding["text"])
            fatal = finding["fatal"]
            assert result.exit_code == 1 or not fatal
        found.pop("published", None)
        return found

    return call


@pytest.fixture
def names(tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(CLASSES))
    return tmp_path / "names.txt"


def each(root, pattern, change):
    """Replace every picture of a pattern by what `change` makes of it."""
    paths = sorted(pathlib.Path(root).glob(pattern))
    assert paths
    for path in paths:
        made = change(Image.open(path))
        path.write_bytes(made if isinstance(made, bytes) else save(made))


def planes(change):
    """Return a change of a Pillow image by a function of its plane."""
    return lambda image: Image.fromarray(change(np.asarray(image)))


def resized(factor, how):
    """Return a change that resizes: images always by area, planes by `how`."""

    def change(image):
        size = tuple(max(1, round(side * factor)) for side in image.size)
        if image.mode == "RGB":
            return save(image.resize(size, Image.Resampling.BOX), "JPEG")
        return Image.fromarray(np.asarray(image)).resize(size, how)

    return change


def jpeg(image, quality=90):
    """Return the bytes of a plane as a JPEG."""
    return save(Image.fromarray(np.asarray(image)), "JPEG", quality=quality)


def through_jpeg(image):
    return Image.open(io.BytesIO(jpeg(image)))


def swap(root, one, other):
    """Change the places of two folders, the files' names kept."""
    one, other = pathlib.Path(root, one), pathlib.Path(root, other)
    endings = [next(folder.glob("**/*.*")).suffix for folder in (one, other)]
    one.rename(f"{one}-x")
    other.rename(one)
    pathlib.Path(f"{one}-x").rename(other)
    for folder, ending in zip((one, other), endings, strict=True):
        for path in folder.glob("**/*.*"):
            path.rename(path.with_suffix(ending))


VOC = {
    "luma": planes(lambda p: np.asarray(fakes.with_palette(Image.fromarray(p)).convert("L"))),
    "colours": lambda image: image.convert("RGB"),
    "binary-255": planes(lambda p: np.where(p > 0, 255, 0).astype(np.uint8)),
    "one-based": planes(lambda p: np.where(p < 21, p + 1, p)),
    "jpeg": jpeg,
    "all-background": planes(np.zeros_like),
    "all-ignore": planes(lambda p: np.full_like(p, 255)),
    "values": planes(lambda p: np.where(p == 255, 254, p).astype(np.uint8)),
    "size": lambda image: image.resize((31, 17), Image.Resampling.NEAREST),
}


@pytest.mark.parametrize("kind", VOC)
def test_mistakes_in_voc(kind, tmp_path, kinds):
    root = fakes.voc(tmp_path, width=90, height=70)
    each(root, "SegmentationClass/*.png", VOC[kind])
    assert kinds("voc", root, "--split", "train").keys() == {kind}


@pytest.mark.shared
@pytest.mark.parametrize("kind", VOC)
def test_mistakes_in_real_voc(kind, tmp_path, shared, kinds):
    root = tmp_path / "VOC2012"
    shutil.copytree(shared / "voc/VOCdevkit/VOC2012", root)
    each(root, "SegmentationClass/*.png", VOC[kind])
    found = kinds("voc", root, "--split", "val", "--labels", "class")
    assert found.keys() == {kind}


@pytest.mark.parametrize("factor", [0.6, 0.8, 1.3, 2])
@pytest.mark.parametrize("how", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC])
def test_masks_resized_by_interpolation(how, factor, tmp_path, kinds):
    root = fakes.voc(tmp_path, width=180, height=140)
    each(root, "SegmentationClass/*.png", resized(factor, how))
    each(root, "JPEGImages/*.jpg", resized(factor, how))
    assert kinds("voc", root, "--split", "train").keys() == {"interpolated"}


@pytest.mark.shared
@pytest.mark.parametrize("factor", [0.5, 0.75, 1.5])
@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (Image.Resampling.NEAREST, set()),
        (Image.Resampling.BILINEAR, {"interpolated"}),
        (Image.Resampling.BICUBIC, {"interpolated"}),
    ],
)
def test_real_masks_resized(how, expected, factor, tmp_path, shared, kinds):
    root = tmp_path / "camvid"
    shutil.copytree(shared / "pairs/camvid", root)
    each(root, "label/*.png", resized(factor, how))
    each(root, "src/*.png", resized(factor, how))
    (tmp_path / "n.txt").write_text("\n".join(map(str, range(30))))
    arguments = ("--images", "src", "--labels", "label", "--classes", tmp_path / "n.txt")
    assert kinds("pairs", root, *arguments).keys() == expected


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_masks_that_were_jpegs(quality, tmp_path, kinds):
    root = fakes.voc(tmp_path, width=180, height=140)
    each(
        root,
        "SegmentationClass/*.png",
        lambda image: Image.open(io.BytesIO(jpeg(image, quality))),
    )
    assert kinds("voc", root, "--split", "train").keys() == {"jpeg"}


@pytest.mark.shared
def test_real_masks_that_were_jpegs(tmp_path, shared, kinds):
    root = tmp_path / "VOC2012"
    shutil.copytree(shared / "voc/VOCdevkit/VOC2012", root)
    each(root, "SegmentationClass/*.png", through_jpeg)
    assert kinds("voc", root, "--split", "val", "--labels", "class").keys() == {"jpeg"}


def test_label_ids_in_cityscapes(tmp_path, kinds):
    root = fakes.cityscapes(tmp_path)
    rng = np.random.default_rng(1)
    for path in pathlib.Path(root).glob("gtFine/*/*/*polygons.json"):
        plane = Image.fromarray(rng.integers(0, 34, (4, 8), np.uint8)).resize((64, 32), 0)
        plane.save(str(path).replace("polygons.json", "labelTrainIds.png"))
    assert kinds("cityscapes", root).keys() == {"label-ids"}


@pytest.mark.shared
def test_label_ids_in_real_cityscapes(tmp_path, shared, kinds):
    shutil.copytree(shared / "cityscapes", tmp_path / "c")
    for path in (tmp_path / "c").glob("gtFine/*/*/*labelIds.png"):
        path.replace(str(path).replace("labelIds", "labelTrainIds"))
    assert kinds("cityscapes", tmp_path / "c").keys() == {"label-ids"}


PAIRS = {
    "binary-255": planes(lambda p: np.where(p == 1, 255, 0).astype(np.uint8)),
    "one-based": planes(lambda p: np.where(p < 3, np.where(p == 1, 3, p + 1), p)),
    "all-background": planes(np.zeros_like),
    "jpeg": jpeg,
    "interpolated": lambda image: image.resize((20, 15)).resize((40, 30), 2),
}


@pytest.mark.parametrize("ignore", [255, -1])
@pytest.mark.parametrize("kind", PAIRS)
def test_mistakes_in_pairs(kind, ignore, tmp_path, kinds, names):
    root = fakes.pairs(tmp_path)
    if ignore == -1:  # masks without a border
        each(root, "labels/*/*.png", planes(lambda p: np.where(p == 255, 0, p).astype(np.uint8)))
    each(root, "labels/*/*.png", PAIRS[kind])
    found = kinds("pairs", root, "--classes", names, "--ignore", ignore)
    assert kind in found
    # A mask may have no pixel of the class that is left: that it is all background is right.
    assert found.keys() <= {kind, "all-background"}


def test_one_label_among_many(tmp_path, kinds, names):
    root = fakes.pairs(tmp_path, count=40)
    for name, kind in {"a/004": "jpeg", "b/021": "interpolated", "a/038": "all-ignore"}.items():
        change = {**PAIRS, **VOC}[kind]
        each(root, f"labels/{name}.png", change)
    found = kinds("pairs", root, "--classes", names)
    assert {kind: len(texts) for kind, texts in found.items()} == {
        "jpeg": 1,
        "interpolated": 1,
        "all-ignore": 1,
    }
    assert found["jpeg"][0].startswith("sample a/004: ")
    assert found["interpolated"][0].startswith("sample b/021: ")


def luma_of_cut_out(image):
    return image.convert("RGB").convert("L")


MATTES = {"alpha-luma": luma_of_cut_out, "no-alpha": lambda image: image.convert("RGB")}


@pytest.mark.parametrize("kind", MATTES)
def test_mistakes_in_mattes(kind, tmp_path, kinds):
    root = fakes.matting(tmp_path)
    each(root, "matting/*/*/[0-9]*.png", MATTES[kind])
    found = kinds("matting", root)
    assert found.pop("stray")
    assert found.keys() == {kind}


@pytest.mark.shared
@pytest.mark.parametrize("kind", MATTES)
def test_mistakes_in_real_mattes(kind, tmp_path, kinds, shared):
    shutil.copytree(shared / "matting", tmp_path / "m")
    each(tmp_path / "m", "matting_human_half/matting/*/*/*.png", MATTES[kind])
    assert kinds("matting", tmp_path / "m").keys() == {kind}
    each(tmp_path / "m", "p3m/color_rgba/*.png", MATTES[kind])
    flat = ("--images", "original", "--alphas", "color_rgba")
    assert kinds("matting", tmp_path / "m/p3m", *flat).keys() == {kind}


def test_swapped_folders(tmp_path, kinds, names):
    root = fakes.voc(tmp_path)
    swap(root, "JPEGImages", "SegmentationClass")
    assert kinds("voc", root, "--split", "train").keys() == {"swapped"}
    root = fakes.pairs(tmp_path)
    for options in (("--classes", names), ("--binary", 0)):
        arguments = ("--images", "labels", "--labels", "images", *options)
        assert kinds("pairs", root, *arguments).keys() == {"swapped"}
    root = fakes.matting(tmp_path)
    found = kinds("matting", root, "--images", "matting", "--alphas", "clip_img")
    assert found.pop("stray")
    assert found.keys() == {"swapped"}


def test_swapped_folders_of_colours(tmp_path, kinds):
    root = fakes.pairs(tmp_path)
    each(root, "labels/*/*.png", lambda image: fakes.with_palette(image).convert("RGB"))
    lines = [f"{i}, {r}, {g}, {b}" for i, (r, g, b) in enumerate(Voc.palette)]
    (tmp_path / "map.txt").write_text("\n".join(lines))
    colours = ("--colormap", tmp_path / "map.txt")
    assert not kinds("pairs", root, *colours)
    swapped = ("--images", "labels", "--labels", "images")
    assert kinds("pairs", root, *colours, *swapped).keys() == {"swapped"}


@pytest.mark.shared
def test_real_folders_swapped(tmp_path, shared, kinds):
    shutil.copytree(shared / "voc/VOCdevkit/VOC2012", tmp_path / "VOC2012")
    shutil.rmtree(tmp_path / "VOC2012/SegmentationClassAug")
    swap(tmp_path / "VOC2012", "JPEGImages", "SegmentationClass")
    found = kinds("voc", tmp_path / "VOC2012", "--split", "val")
    assert found.keys() == {"swapped"}
    (tmp_path / "n").write_text("\n".join("abcdefghijk"))
    arguments = ("--images", "label", "--labels", "src", "--classes", tmp_path / "n")
    found = kinds("pairs", shared / "pairs/camvid", *arguments, "--ignore", 11)
    assert found.keys() == {"swapped"}
    flat = ("--images", "color_rgba", "--alphas", "original")
    assert kinds("matting", shared / "matting/p3m", *flat).keys() == {"swapped"}


# what is right


@pytest.mark.parametrize("name", ["voc", "cityscapes", "matting", "pairs", "classes"])
@pytest.mark.parametrize("seed", range(5))
def test_drawn_data_have_no_mistake(name, seed, tmp_path, kinds, names):
    root = getattr(fakes, name)(tmp_path, seed=seed)
    options = ("--classes", names) if name == "pairs" else ()
    found = kinds(name, root, *options)
    found.pop("stray", None)
    assert not found


@pytest.mark.shared
@pytest.mark.parametrize(
    "arguments",
    [
        "voc voc --labels class --split train --split val",
        "voc voc --labels aug",
        "cityscapes cityscapes",
        "cityscapes cityscapes --class-set ids",
        "cityscapes cityscapes --labels polygons",
        "matting matting/matting_human_half",
        "matting matting/p3m --images original --alphas alpha",
        "matting matting/p3m --images original --alphas color_rgba",
        "pairs pairs/camvid --images src --labels label --classes NAMES --ignore 11",
        "pairs pairs/camvid --images src --labels label --binary 5",
        "classes classification/animals",
    ],
)
def test_real_data_have_no_mistake(arguments, shared, tmp_path, kinds):
    (tmp_path / "names").write_text("\n".join("abcdefghijk"))
    command, folder, *options = arguments.replace("NAMES", str(tmp_path / "names")).split()
    assert not kinds(command, shared / folder, *options, "--check-duplicates")


@settings(max_examples=50, deadline=None)
@given(st.integers(20, 300), st.integers(20, 300), st.integers(0, 2**32), st.integers(2, 40))
def test_drawn_planes_have_no_ripple(width, height, seed, classes):
    rng = np.random.default_rng(seed)
    plane = np.asarray(fakes.mask(rng, width, height, classes))
    assert signatures.of_plane(plane) is None


def test_thin_planes_are_handled():
    for shape in ((1, 1), (1, 500), (500, 1), (2, 3), (7, 400)):
        assert signatures.of_plane(np.zeros(shape, np.uint8)) is None


def test_an_overexposed_matte_is_not_taken_for_luma():
    """A white shirt: alpha and brightness are both 255 nearly everywhere."""
    alpha = np.zeros((60, 60), np.uint8)
    alpha[10:50, 10:50] = 255
    image = np.full((60, 60, 3), 250, np.uint8)
    assert signatures.of_alpha(alpha, image) is None


def nested(width, layers):
    """Return a disc in a ring of one pixel for each of some layers."""
    rows, columns = np.mgrid[:width, :width] - width // 2
    return np.clip(width / 3 - np.hypot(rows, columns), 0, layers).astype(np.uint8)


@pytest.mark.parametrize("layers", [2, 3, 4, 7])
def test_one_pixel_layers_are_not_taken_for_interpolation(layers):
    """Cells with a border around their inside, layers of tissue: each between its neighbours."""
    assert signatures.of_plane(nested(200, layers)) is None


@pytest.mark.parametrize("levels", [16, 64, 100])
def test_ordinal_classes_are_not_taken_for_interpolation(levels):
    rng = np.random.default_rng(0)
    depth = Image.fromarray(rng.random((2, 3), np.float32)).resize((300, 200), 2)
    depth = np.asarray(depth).clip(0, 0.999)
    assert signatures.of_plane((depth * levels).astype(np.uint8)) is None


@pytest.mark.parametrize("classes", [3, 8, 21, 60])
def test_noise_is_not_taken_for_a_jpeg(classes):
    """Land cover that was classified pixel by pixel, and what a test draws in a hurry."""
    rng = np.random.default_rng(0)
    assert signatures.of_plane(rng.integers(0, classes, (90, 120), np.uint8)) is None
    assert signatures.of_plane((np.indices((90, 120)).sum(0) % 3).astype(np.uint8)) is None


def test_classes_of_a_dark_picture_are_not_taken_for_luma():
    ids = np.random.default_rng(0).integers(0, 34, (8, 8), np.uint8).repeat(9, 0).repeat(9, 1)
    assert signatures.of_alpha(ids, np.full((72, 72, 3), 15, np.uint8)) is None


def test_void_pixels_are_optional():
    layout = Pairs(names=("void", "sky", "road", "car"))
    assert split_signatures.of_split([frozenset({1, 2})] * 9, layout) is None


def test_values_outside_the_classes_may_be_the_ignore_value(tmp_path, kinds, names):
    root = fakes.pairs(tmp_path)
    each(root, "labels/*/*.png", planes(lambda p: np.where(p == 255, 3, p).astype(np.uint8)))
    found = kinds("pairs", root, "--classes", names)
    assert (
        "if 3 marks pixels to ignore, build it with dsbuild pairs --ignore 3" in found["values"][0]
    )
    assert not kinds("pairs", root, "--classes", names, "--ignore", 3)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("unreadable", lambda image: save(image)[:-20]),
        ("size", lambda image: image.resize((9, 9), 0)),
        ("values", planes(lambda p: p + 99)),
    ],
)
def test_a_bad_label_of_a_scan_is_not_swapped(kind, change, tmp_path, kinds, names):
    """Images of two values, as of pages, may be taken for masks."""
    root = fakes.pairs(tmp_path)
    each(root, "images/*/*.png", lambda image: image.convert("1"))
    each(root, "labels/*/*.png", change)
    assert kinds("pairs", root, "--classes", names).keys() == {kind}


def test_labels_are_checked_before_they_are_shrunk(tmp_path, kinds):
    root = fakes.voc(tmp_path)
    assert not kinds("voc", root, "--max-side", 1, "--jpeg-quality", 5)


def test_a_dead_link_is_found_once(tmp_path, kinds):
    root = fakes.classes(tmp_path)
    (tmp_path / "animals/cat/x.jpg").symlink_to("x.jpg")
    assert {kind: len(texts) for kind, texts in kinds("classes", root).items()} == {
        "image-missing": 1
    }


CONSTANT = {
    "all-background": np.zeros_like,
    "all-ignore": lambda p: np.full_like(p, 255),
    "one-value": lambda p: np.full_like(p, 2),
    "binary-255": lambda p: np.where(np.arange(p.size).reshape(p.shape) % 400 < 99, 255, 0).astype(
        np.uint8
    ),
}


@pytest.mark.parametrize(
    ("count", "skip"),
    [
        (5, ()),
        (40, ("--on-error", "skip")),
        pytest.param(5, ("--on-error", "skip"), marks=pytest.mark.slow),
        pytest.param(40, (), marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("kind", CONSTANT)
def test_splits_of_one_value_are_not_built(kind, count, skip, tmp_path, out, run, names):
    root = fakes.pairs(tmp_path, count=count)
    each(root, "labels/*/*.png", planes(CONSTANT[kind]))
    command = ("pairs", root, out, "--classes", names, "--workers", 1, *skip)
    result = run(*command)
    assert result.exit_code == 2
    line = result.stderr.splitlines()[-1]
    assert line.startswith("error: split train: ")
    assert f"--accept {kind}" in line
    assert not pathlib.Path(out, "manifest.json").exists()
    result = run(*command, "--accept", kind, "--strict")
    assert result.exit_code == 0, result.output
    assert pathlib.Path(out, "manifest.json").exists()
    assert run(*command).exit_code == 0  # a finished build is not judged again


def test_a_split_of_one_value_is_known_by_all_its_labels(tmp_path, out, run, names):
    """The labels that the audit opens are all background, and the others are not."""
    root = fakes.pairs(tmp_path, count=40)
    files = sorted(pathlib.Path(root).glob("labels/*/*.png"))
    for i, file in enumerate(files):
        plane = np.zeros((30, 40), np.uint8)
        plane[5:9] = i % 2
        file.write_bytes(save(Image.fromarray(plane)))
    result = run("pairs", root, out, "--classes", names, "--workers", 1)
    assert result.exit_code == 0, result.output
    assert "labels that were opened hold background (0) and nothing else" in result.stderr


@pytest.mark.parametrize("count", [5, 40])
def test_one_picture_alone_proves_nothing_about_labels(count, tmp_path, out, run, names):
    root = fakes.pairs(tmp_path, count=count)
    each(root, "labels/*/*.png", planes(np.ones_like))
    files = sorted(pathlib.Path(root).glob("images/*/*"))
    for file in files[1:]:
        file.write_bytes(files[0].read_bytes())
    result = run("pairs", root, out, "--classes", names, "--workers", 1)
    assert result.exit_code == 0, result.output
    files[-1].write_bytes(save(Image.new("RGB", (40, 30))))
    result = run("pairs", root, out, "--classes", names, "--workers", 1, "--overwrite")
    assert result.exit_code == 2
    assert "--accept one-value" in result.stderr


def test_luma_that_a_tool_saved_in_equal_channels(tmp_path, kinds):
    root = fakes.matting(tmp_path)
    each(root, "matting/*/*/[0-9]*.png", lambda image: luma_of_cut_out(image).convert("RGBA"))
    found = kinds("matting", root)
    assert found.pop("stray")
    assert found.keys() == {"alpha-luma"}


def test_mattes_that_are_all_human(tmp_path, out, run):
    root = fakes.matting(tmp_path)

    def opaque(image):
        image.putalpha(255)
        return image

    each(root, "matting/*/*/[0-9]*.png", opaque)
    result = run("matting", root, out)
    assert result.exit_code == 2
    assert "whose alpha is opaque everywhere" in result.stderr
    each(
        root, "matting/*/*/[0-9]*.png", lambda image: Image.new("RGBA", image.copy().size, "white")
    )
    result = run("matting", root, out)
    assert result.exit_code == 2
    assert "all labels hold human (1) and nothing else" in result.stderr
