"""A spoilt corpus: each mistake that people make with folders of pairs is named."""

import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.support import fakes

LUT = np.array([(0, 0, 0), (48, 112, 32), (176, 112, 32)], np.uint8)
LABELMAP = (
    "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:48,112,32::\ndog:176,112,32::\n"
)


def paths(root, pattern="labels/**/*.png"):
    return sorted(pathlib.Path(root).glob(pattern))


def rewrite(root, change):
    """Replace the planes of all labels by what `change` makes of them."""
    for path in paths(root):
        Image.fromarray(change(np.asarray(Image.open(path)))).save(path)


def lost_label(root):
    paths(root)[0].unlink()


def lost_image(root):
    paths(root, "images/**/*.*g")[0].unlink()


def jpeg(root):
    for path in paths(root):
        Image.open(path).save(path.with_suffix(".jpg"))
        path.unlink()


def swapped(root):
    (root / "images").rename(root / "x")
    (root / "labels").rename(root / "images")
    (root / "x").rename(root / "labels")


def no_labels_of_a_split(root):
    for part in ("images", "labels"):
        for name, split in (("a", "train"), ("b", "val")):
            (root / part / name).rename(root / part / split)
    shutil.rmtree(root / "labels/val")


def untouched(_):
    pass


def one_with_0(root):
    rewrite(root, lambda plane: np.where(plane == 255, 255, plane + 1).astype("u1"))
    plane = np.array(Image.open(paths(root)[-1]))
    plane[:5, :5] = 0
    Image.fromarray(plane).save(paths(root)[-1])


def cut_npy(root):
    path = paths(root)[0]
    path.with_suffix(".npy").write_bytes(b"\x93NUMPY\1\0")
    path.unlink()


def other_colours(root):
    rewrite(root, lambda plane: LUT[plane % 3] ^ 1)
    (root / "labelmap.txt").write_text(LABELMAP)


def old_names(root):
    (root / "map.csv").write_text("cat,animal\ndgo,animal\n")


NAMES = ("--classes", "background,cat,dog")
SPOILT = {
    "a label is missing": (lost_label, NAMES, "there is no such file"),
    "an image is missing": (lost_image, (*NAMES, "--strict"), "label"),
    "masks are JPEGs": (jpeg, NAMES, "found a JPEG label, expected a PNG of class indices"),
    "folders are swapped": (swapped, NAMES, "the image is a mask and the label a picture"),
    "a split has no labels": (no_labels_of_a_split, NAMES, "labels/val: there is no such folder"),
    "an array is cut": (cut_npy, NAMES, "found a .npy file that cannot be read"),
    "colours are others": (other_colours, (), "colours that the colormap does not have"),
    "a map names no class": (old_names, (*NAMES, "--map", "{root}/map.csv"), "did you mean dog?"),
    "labels count from 1, but for one": (one_with_0, NAMES, "classes seem to be counted from 1"),
    "0 is ignored already": (
        lambda root: rewrite(root, lambda plane: np.where(plane > 2, 255, plane).astype("u1")),
        ("--classes", "cat,dog,cow", "--zero", "ignore"),
        "0 seems to be ignored in them already",
    ),
    "one value more": (untouched, ("--classes", "background,cat"), "found label values 2"),
    "masks of 0 and 255": (
        lambda root: rewrite(root, lambda plane: np.where(plane, 255, 0).astype("u1")),
        NAMES,
        "--binary 127",
    ),
}


@pytest.mark.parametrize("mistake", SPOILT)
def test_a_mistake_is_named(mistake, tmp_path, run, out):
    spoil, options, words = SPOILT[mistake]
    root = pathlib.Path(fakes.pairs(tmp_path, count=6))
    spoil(root)
    given = (option.format(root=root) for option in options)
    result = run("build", root, out, *given, "--workers", 1)
    assert result.exit_code in (1, 2)
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(pathlib.Path(out).glob("*.tfrecord"))


def test_what_is_not_spoilt_is_built(tmp_path, run, out):
    root = fakes.pairs(tmp_path, count=6)
    assert run("build", root, out, *NAMES, "--workers", 1).exit_code == 0
