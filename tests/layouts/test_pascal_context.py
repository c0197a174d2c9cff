"""Pascal Context with 60, 59 and 459 classes, and what is taken for them."""

import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from dsbuild.layouts.pascal_context import CLASSES, PascalContext
from tests.support import fakes
from tests.support.objects import planes


def stored(root, key):
    path = os.path.join(root, "SegmentationClassContext", f"{key}.png")
    return np.asarray(Image.open(path)).astype(int)


def test_the_classes_are_in_the_order_of_their_numbers():
    assert len(CLASSES) == 60
    assert list(CLASSES[1:]) == sorted(CLASSES[1:])
    assert PascalContext(number="59").classes == CLASSES[1:]


@pytest.mark.parametrize("classes", ["60", "59"])
def test_the_background_is_a_class_or_ignored(tmp_path, run, out, classes):
    root = fakes.pascal_context(tmp_path)
    assert run("build", root, out, "--classes", classes).exit_code == 0
    for key, plane in planes(out).items():
        expected = stored(root, key)
        if classes == "59":
            expected = np.where(expected == 0, 255, expected - 1)
        np.testing.assert_array_equal(plane, expected)


def names(root):
    rows = [f"{i}: class {i}" for i in range(1, 460)]
    pathlib.Path(root, "labels.txt").write_text("\n".join(["0: empty", *rows]))


def test_459_classes_of_png(tmp_path, run, out):
    root = fakes.pascal_context(tmp_path, highest=459)
    names(root)
    result = run("pascal-context", root, out, "--classes", "459")
    assert result.exit_code == 0, result.output
    found = planes(out)
    assert len(found) == 10
    for key, plane in found.items():
        assert plane.dtype == np.uint16
        expected = stored(root, key)
        np.testing.assert_array_equal(plane, np.where(expected == 0, 65535, expected - 1))
    assert run("validate", out, root, "--level", "source").exit_code == 0


def test_459_classes_of_matlab(tmp_path, run, out):
    io = pytest.importorskip("scipy.io")
    root = fakes.pascal_context(tmp_path, highest=459)
    names(root)
    wanted = {}
    os.makedirs(os.path.join(root, "trainval"))
    for path in pathlib.Path(root, "SegmentationClassContext").iterdir():
        wanted[path.stem] = plane = stored(root, path.stem)
        io.savemat(os.path.join(root, "trainval", f"{path.stem}.mat"), {"LabelMap": plane})
        path.unlink()
    os.rmdir(os.path.join(root, "SegmentationClassContext"))
    result = run("build", root, out)
    assert result.exit_code == 0, result.output
    for key, plane in planes(out).items():
        np.testing.assert_array_equal(plane, np.where(wanted[key] == 0, 65535, wanted[key] - 1))


def relabelled(change):
    def spoil(root):
        for path in pathlib.Path(root, "SegmentationClassContext").iterdir():
            Image.fromarray(change(np.asarray(Image.open(path)))).save(path)

    return spoil


def without_names(root):
    pathlib.Path(root, "labels.txt").unlink()


def few_names(root):
    pathlib.Path(root, "labels.txt").write_text("1: accordion\n3: aerial\n")


def again(root):
    path = pathlib.Path(root, "ImageSets/SegmentationContext/train.txt")
    path.write_text(f"{path.read_text()}\n2008_train0\n")


SHIFTED = relabelled(lambda plane: (plane - 1).astype(np.uint8))


@pytest.mark.parametrize(
    ("highest", "classes", "spoil", "message"),
    [
        (459, "60", names, "values up to"),
        (200, "60", names, "build with --classes 459"),
        (59, "59", SHIFTED, "0 may have been made the ignore value already"),
        (59, "459", without_names, "labels.txt: there is no such file"),
        (59, "459", few_names, "found 2 names, expected 1 to 459"),
        (59, "60", relabelled(lambda plane: plane[:-1]), "expected the image's"),
        (59, "60", again, "found '2008_train0' again"),
        (59, "61", names, "60, 59, 459"),
    ],
)
def test_spoilt_trees_are_named(tmp_path, run, out, highest, classes, spoil, message):
    root = fakes.pascal_context(tmp_path, highest=highest)
    names(root)
    spoil(root)
    result = run("pascal-context", root, out, "--classes", classes)
    assert result.exit_code in (1, 2)
    assert message in " ".join(result.stderr.split())


def test_a_label_without_an_image_and_a_stray_file_are_named(tmp_path, run, out):
    root = pathlib.Path(fakes.pascal_context(tmp_path))
    folder = root / "SegmentationClassContext"
    (folder / "2008_alone.png").write_bytes(next(folder.iterdir()).read_bytes())
    (folder / "notes.txt").touch()
    result = run("pascal-context", root, out)
    assert result.exit_code == 0
    words = " ".join(result.stderr.split())
    assert "2008_alone.png" in words
    assert "notes.txt" in words


def test_a_tree_with_the_lists_of_voc_too_is_for_the_user_to_choose(tmp_path, run, out):
    root = pathlib.Path(fakes.pascal_context(tmp_path))
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir()
    (lists / "train.txt").write_text("2008_train0\n")
    result = run("build", root, out)
    assert result.exit_code == 2
    assert "voc" in result.stderr
    assert run("build", root, out, "--layout", "pascal-context").exit_code == 0
