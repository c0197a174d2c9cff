import itertools
import json
import os
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from dsbuild import images
from dsbuild.errors import DsbuildError, ImageError, LayoutError, PlanError
from dsbuild.format import manifest
from dsbuild.layouts.pairs import Pairs
from tests.support import fakes
from tests.support.pictures import save
from tests.support.runs import make, masks

NAMES = ("sky", "road", "tree")
COLOURS = (("sky", 70, 130, 180), ("road", 128, 64, 128), ("tree", 0, 0, 1))
PLANE = np.random.default_rng(2).integers(0, 3, (30, 40), np.uint8)


@pytest.fixture
def root(tmp_path):
    return fakes.pairs(tmp_path)


def keys(layout, root):
    return {s: [x.key for x in layout.samples(root, s)] for s in layout.splits(root)}


def single(folder, label, name="x.png", **folders):
    """Write one pair; return its root."""
    for part in ("images", "labels"):
        os.makedirs(folder / folders.get(part, part), exist_ok=True)
    fakes.photo(np.random.default_rng(1), 40, 30).save(folder / "images" / "x.jpg")
    (folder / "labels" / name).write_bytes(label)
    return str(folder)


def test_labels_pair_by_stem_at_any_depth(root, out):
    make(root, out, layout=Pairs(names=NAMES))
    found = masks(out)
    assert sorted(found) == sorted(f"{'ab'[i % 2]}/{i:03d}" for i in range(12))
    for key, mask in found.items():
        expected = np.asarray(Image.open(os.path.join(root, "labels", f"{key}.png")))
        np.testing.assert_array_equal(mask, expected)
    assert manifest.load(out)["classes"] == list(NAMES)


def test_a_suffix_of_labels(tmp_path, out):
    root = single(tmp_path / "s", save(Image.fromarray(PLANE)), "x_mask.png")
    make(root, out, layout=Pairs(names=NAMES, suffix="_mask"))
    np.testing.assert_array_equal(masks(out)["x"], PLANE)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_labels_by_colour(tmp_path, out, mode):
    palette = np.array([rgb for _, *rgb in COLOURS], np.uint8)
    image = Image.fromarray(palette[PLANE])
    image = image.quantize(3) if mode == "P" else image.convert(mode)
    root = single(tmp_path / "c", save(image))
    make(root, out, layout=Pairs(colours=COLOURS))
    np.testing.assert_array_equal(masks(out)["x"], PLANE)
    document = manifest.load(out)
    assert document["classes"] == ["sky", "road", "tree"]
    assert document["palette"]["1"] == [128, 64, 128]
    assert document["ignore"] is None


def test_a_colour_missing_from_the_colormap_is_named():
    pixels = np.array([rgb for _, *rgb in COLOURS], np.uint8)[PLANE].copy()
    pixels[3, 4] = (9, 8, 7)
    with pytest.raises(ImageError, match=r"colour \(9, 8, 7\) among 1 pixels"):
        Pairs(colours=COLOURS).plane(save(Image.fromarray(pixels)), "x.png")


@pytest.mark.parametrize("threshold", [0, 127, 254])
def test_labels_with_two_values(tmp_path, out, threshold):
    grey = (PLANE * 127).astype(np.uint8)
    root = single(tmp_path / "b", save(Image.fromarray(grey)))
    make(root, out, layout=Pairs(binary=threshold), accept=("all-background",))
    np.testing.assert_array_equal(masks(out)["x"], grey > threshold)
    assert manifest.load(out)["classes"] == ["background", "foreground"]


@pytest.mark.parametrize(("ignore", "good"), [(255, False), (3, True), (-1, False)])
def test_the_user_chooses_the_ignore_value(tmp_path, out, ignore, good):
    plane = PLANE.copy()
    plane[0] = 3
    root = single(tmp_path / "i", save(Image.fromarray(plane)))
    layout = Pairs(names=NAMES, ignore_value=ignore)
    if good:
        make(root, out, layout=layout)
        assert manifest.load(out)["splits"]["train"]["ignore"]["pixels"] == 40
    else:
        with pytest.raises(Exception, match=r"found label values 3 \(40 pixels\)"):
            make(root, out, layout=layout)


def test_splits_from_folders(tmp_path, out):
    for split in ("train", "val"):
        for part, image in (("src", fakes.photo), ("label", fakes.mask)):
            (tmp_path / "f" / split / part).mkdir(parents=True)
            for i in range(2):
                drawn = image(np.random.default_rng(i), 20, 10)
                drawn.save(tmp_path / "f" / split / part / f"{split}{i}.png")
    layout = Pairs(names=tuple(map(str, range(21))), images="src", labels="label")
    root = layout.find(str(tmp_path / "f"))
    assert keys(layout, root) == {"train": ["train0", "train1"], "val": ["val0", "val1"]}
    make(root, out, layout=layout)
    assert set(masks(out)) == {"train0", "train1", "val0", "val1"}


def test_splits_from_lists(root):
    pathlib.Path(root, "small.txt").write_text("b/001\r\na/000\n")
    pathlib.Path(root, "readme.txt").write_text("some words\n")
    assert keys(Pairs(names=NAMES), root) == {"small": ["b/001", "a/000"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a/000\na/000\n", "split small lists 'a/000' twice"),
        ("a/000\n../others/a/002\n", "expected a plain name"),
        ("a/000\na/../../002\n", "expected a plain name"),
        ("a/000\nnothing\n", "nothing.jpg: there is no such file"),
    ],
)
def test_bad_lists(root, out, text, message):
    pathlib.Path(root, "small.txt").write_text(text)
    with pytest.raises(DsbuildError, match=message):
        make(root, out, layout=Pairs(names=NAMES))


@pytest.mark.parametrize("folder", ["images", "labels"])
def test_two_pictures_with_one_name_are_refused(root, folder):
    for ending in ("jpg", "png"):
        pathlib.Path(root, folder, f"a/000.{ending}").touch()
    with pytest.raises(LayoutError, match=r"a/000.png: found .*a/000.jpg with the same name"):
        keys(Pairs(names=NAMES), root)


def test_splits_by_a_fraction(root, tmp_path):
    assert keys(Pairs(names=NAMES), root).keys() == {"train"}
    few = keys(Pairs(names=NAMES, val_fraction=0.5), root)
    many = keys(Pairs(names=NAMES, val_fraction=0.5), fakes.pairs(tmp_path / "more", count=40))
    for split, names in few.items():
        assert set(names) <= set(many[split])


def test_files_without_a_partner_are_reported(root, out, run, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("sky\nroad\ntree\n")
    os.remove(os.path.join(root, "images/a/000.jpg"))
    pathlib.Path(root, "labels/.DS_Store").touch()
    result = run("pairs", root, out, "--classes", names)
    assert result.exit_code == 0
    lines = [line.strip() for line in result.stderr.splitlines()]
    assert "files that belong to no sample (1)" in lines
    assert {"train: labels/.DS_Store", "train: labels/a/000.png"} <= set(lines)
    os.remove(os.path.join(root, "labels/b/001.png"))
    result = run("pairs", root, out, "--classes", names)
    assert result.exit_code == 2
    assert f"sample b/001: {root}/labels/b/001.png: there is no such file" in result.stderr


def test_the_recipe_holds_the_content_of_a_file_not_its_name(root, out, run, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).write_text("sky\nroad\ntree\n")
    assert run("pairs", root, out, "--classes", tmp_path / "one").exit_code == 0
    assert "nothing to do" in run("pairs", root, out, "--classes", tmp_path / "two").stdout
    (tmp_path / "two").write_text("sky\nroad\nbush\n")
    result = run("pairs", root, out, "--classes", tmp_path / "two")
    assert "classes was" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--classes FILE for class indices, --colormap FILE for colours, or --binary T"),
        ({"binary": 255}, "binary: found 255"),
        ({"binary": 1, "colours": COLOURS}, "found both"),
        ({"names": NAMES, "val_fraction": 1.5}, r"val_fraction: found 1\.5"),
    ],
)
def test_options_that_contradict_are_refused(options, message):
    with pytest.raises(PlanError, match=message):
        Pairs(**options)


def test_missing_folders(tmp_path):
    with pytest.raises(LayoutError, match="found no folder images"):
        Pairs(names=NAMES).find(str(tmp_path))
    (tmp_path / "images").mkdir()
    with pytest.raises(LayoutError, match="found no image"):
        Pairs(names=NAMES).splits(str(tmp_path))


def test_bits_of_binary_labels_are_stored_values():
    data = save(Image.fromarray(PLANE > 0))
    assert images.header(data).bits == 1
    np.testing.assert_array_equal(Pairs(binary=0).plane(data, "x.png"), PLANE > 0)


@pytest.mark.shared
def test_camvid(shared, out):
    """There are eleven classes; 11 is void, not 255."""
    layout = Pairs(
        names=tuple(f"c{i}" for i in range(11)), images="src", labels="label", ignore_value=11
    )
    root = shared / "pairs" / "camvid"
    make(root, out, layout=layout)
    found = masks(out)
    assert len(found) == 8
    for key, mask in found.items():
        np.testing.assert_array_equal(mask, np.asarray(Image.open(root / f"label/{key}.png")))
    with pytest.raises(Exception, match="found label values 11"):
        wrong = Pairs(names=layout.names, images="src", labels="label")
        make(root, out, layout=wrong, overwrite=True)


@pytest.fixture
def names(tmp_path):
    (tmp_path / "names.txt").write_text("background\ncat\ndog")
    return tmp_path / "names.txt"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"names": ("a", "b"), "ignore_value": 70000},
            "ignore: found 70000, expected a whole",
        ),
        (
            {"names": ("a", "b"), "ignore_value": -5},
            "ignore: found -5, expected a whole",
        ),
        ({"binary": 4, "names": ("a",)}, "found 1 names in --classes, expected 2"),
        ({"binary": 4, "ignore_value": 7}, "leave nothing to ignore"),
        ({"colours": (("a", 0, 0, 0),), "ignore_value": 7}, "leave nothing to ignore"),
        ({"colours": (("a", 0, 0, 0),), "names": ("a",)}, "--colormap and --classes"),
    ],
)
def test_options_that_contradict(options, message):
    with pytest.raises(PlanError, match=message):
        Pairs(**options)


def split_within(tmp_path, **called):
    """Move the folders a and b of both parts to others, such as a="train"; return root."""
    root = pathlib.Path(fakes.pairs(tmp_path))
    for part in ("images", "labels"):
        for name, split in called.items():
            (root / part / name).rename(root / part / split)
    return root


def test_lists_override_folders_of_splits(tmp_path, run, names):
    root = split_within(tmp_path, a="train", b="val")
    for split in ("train", "val"):
        stems = sorted(path.stem for path in (root / "images" / split).iterdir())
        (root / f"{split}.txt").write_text("".join(f"{split}/{n}\n" for n in stems))
    assert run("pairs", root, tmp_path / "out", "--classes", names, "--strict").exit_code == 0
    assert keys(Pairs(names=NAMES), str(root))["val"][0] == "val/001"


def test_nothing_is_left_out_in_silence(tmp_path, run, names):
    root = pathlib.Path(fakes.pairs(tmp_path))
    (root / "train.txt").write_text("nothing\n")
    (root / "val.txt").write_text("a/002\n")
    (root / "README.txt").write_text("about\n")
    result = run("pairs", root, tmp_path / "out", "--classes", names, "--json")
    assert f"{root}/train.txt, line 1: found 'nothing'; expected images in images" in result.stderr
    options = ("--classes", names, "--split", "val", "--json")
    result = run("pairs", root, tmp_path / "out", *options)
    texts = [finding["text"] for finding in json.loads(result.stdout)["findings"]]
    assert texts[0] == f"{root}/images/a/000.jpg: no list has it"
    assert len(texts) == 11
    for name in ("train.txt", "val.txt"):
        (root / name).unlink()
    for split, inner in {"train": "images", "val": "pictures"}.items():
        shutil.copytree(root / "images", tmp_path / "s" / split / inner)
        shutil.copytree(root / "labels", tmp_path / "s" / split / "labels")
    result = run("pairs", tmp_path / "s", tmp_path / "out2", "--classes", names)
    assert f"{tmp_path}/s/val: expected images in it" in result.stderr
    assert result.exit_code == 2
    options = ("--classes", names, "--split", "train")
    assert run("pairs", tmp_path / "s", tmp_path / "out2", *options).exit_code == 0


def test_a_split_without_images_is_an_error(tmp_path, run, names):
    shutil.copytree(fakes.pairs(tmp_path), tmp_path / "s/train")
    (tmp_path / "s/val/images").mkdir(parents=True)
    result = run("pairs", tmp_path / "s", tmp_path / "out", "--classes", names)
    assert f"{tmp_path}/s/val/labels: there is no such folder" in result.stderr
    (tmp_path / "s/val/labels").mkdir(parents=True)
    result = run("pairs", tmp_path / "s", tmp_path / "out", "--classes", names)
    assert "split val has no samples, expected images in it" in result.stderr
    options = ("--classes", names, "--split", "train")
    assert run("pairs", tmp_path / "s", tmp_path / "out", *options).exit_code == 0
    assert "labels/*.png" in run("pairs", tmp_path / "s", tmp_path / "out", *options).stdout


@pytest.mark.parametrize("folder", ["", "."])
def test_images_and_labels_in_one_folder(tmp_path, out, folder):
    for split, i in itertools.product(("train", "valid"), range(3)):
        (tmp_path / "s" / split).mkdir(parents=True, exist_ok=True)
        for name, image in (("", fakes.photo), ("_mask", fakes.mask)):
            drawn = image(np.random.default_rng(i), 20, 10)
            drawn.save(tmp_path / f"s/{split}/{split}{i}{name}.png")
    layout = Pairs(names=tuple("abc"), images=folder, labels=folder, suffix="_mask")
    root = layout.find(str(tmp_path / "s"))
    assert keys(layout, root) == {k: [f"{k}{i}" for i in range(3)] for k in ("train", "valid")}
    layout = Pairs(names=tuple(map(str, range(21))), images=folder, labels=folder, suffix="_mask")
    make(root, out, layout=layout)
    assert len(masks(out)) == 6


def test_a_label_in_another_format_is_refused_by_name(tmp_path, run, names):
    root = pathlib.Path(fakes.pairs(tmp_path))
    (root / "labels/a/000.png").rename(root / "labels/a/000.npy")
    assert run("pairs", root, tmp_path / "out", "--classes", names, "--strict").exit_code == 0
    (root / "labels/a/000.npy").write_bytes(b"\x93NUMPY\1\0")
    result = run("pairs", root, tmp_path / "out", "--classes", names, "--overwrite")
    assert f"sample a/000: {root}/labels/a/000.npy: " in result.stderr
    assert "there is no such file" not in result.stderr


def test_a_link_to_a_folder_above_is_an_error(tmp_path, run, names):
    root = pathlib.Path(fakes.pairs(tmp_path))
    (root / "images/a/loop").symlink_to("..")
    result = run("pairs", root, tmp_path / "out", "--classes", names)
    assert "images/a/loop: found a link to a folder above it" in result.stderr


def test_splits_one_after_another_are_one_recipe(root, out, run, names):
    stems = sorted(
        str(path.relative_to(f"{root}/images").with_suffix(""))
        for path in pathlib.Path(root, "images").rglob("*.*")
    )
    for split, some in (("train", stems[:8]), ("val", stems[8:])):
        pathlib.Path(root, f"{split}.txt").write_text("".join(f"{one}\n" for one in some))
    for split in ("train", "val", "train"):
        result = run("pairs", root, out, "--classes", names, "--split", split)
        assert result.exit_code == 0, result.stderr
        assert "recipe" not in result.stderr
    assert list(manifest.load(out)["splits"]) == ["train", "val"]
    os.remove(os.path.join(out, "val-00000-of-00001.tfrecord"))
    result = run("pairs", root, out, "--classes", names, "--split", "val")
    assert result.exit_code == 0
    assert "the recipe changed" not in result.stderr


def test_images_that_no_pattern_fits_are_reported(tmp_path):
    for path in ("images/1_sat.jpg", "images/2.jpg", "labels/1_mask.png"):
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        file.touch()
    layout = Pairs(names=("a", "b"), image_glob="*_sat.jpg", label_glob="*_mask.png")
    samples = [*layout.samples(str(tmp_path), "train")]
    (found,) = layout.findings(str(tmp_path), "train", samples)
    assert found.kind == "stray"
    assert found.text == f"{tmp_path}/images/2.jpg: no pattern fits it"
