"""ADE20K's challenge: values less 1, and what is taken for it."""

import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from dsbuild.errors import LayoutError
from dsbuild.layouts.ade20k import Ade20k
from tests.support import fakes
from tests.support.objects import SHARED, planes


@pytest.mark.shared
def test_real_labels_have_their_values_less_1(out, run):
    root = SHARED / "ade20k"
    assert run("build", root, out).exit_code == 0
    found = planes(out)
    assert len(found) == 3
    for path in (root / "ADEChallengeData2016" / "annotations").rglob("*.png"):
        stored = np.asarray(Image.open(path)).astype(int)
        np.testing.assert_array_equal(found[path.stem], np.where(stored == 0, 255, stored - 1))


def test_a_shift_that_was_made_before_is_named(tmp_path, run, out):
    root = fakes.ade20k(tmp_path)
    for path in pathlib.Path(root, "annotations").rglob("*.png"):
        plane = np.asarray(Image.open(path))
        Image.fromarray((plane - 1).astype(np.uint8)).save(path)
    result = run("ade20k", root, out)
    assert result.exit_code in (1, 2)
    assert "found the value 255; expected 0 to 150" in result.stderr
    assert "0 may have been made 255 already" in result.stderr


def test_the_full_data_set_is_named(tmp_path):
    (tmp_path / "images" / "ADE").mkdir(parents=True)
    with pytest.raises(LayoutError, match="found the full ADE20K"):
        Ade20k().find(str(tmp_path))


def test_a_split_without_annotations_and_pictures_of_no_split_are_named(tmp_path, run, out):
    root = pathlib.Path(fakes.ade20k(tmp_path))
    shutil.copytree(root / "images" / "training", root / "images" / "test")
    shutil.rmtree(root / "annotations" / "validation")
    result = run("ade20k", root, out)
    assert result.exit_code == 2
    assert "annotations/validation/ADE_val_00000001.png" in " ".join(result.stderr.split())
    result = run("ade20k", root, out, "--split", "train")
    assert result.exit_code == 0
    shutil.rmtree(root / "images" / "validation")
    (root / "images" / "test" / "more.jpg").touch()
    result = run("ade20k", root, f"{out}2")
    assert "images/test: no split has its pictures" in " ".join(result.stderr.split())
