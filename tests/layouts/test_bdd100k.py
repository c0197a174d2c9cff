"""BDD100K: two trees, and drivable maps whose values mean other things in them."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from dsbuild.errors import LayoutError
from dsbuild.layouts.bdd100k import Bdd100k
from tests.support import fakes
from tests.support.objects import planes


@pytest.fixture
def root(tmp_path):
    return pathlib.Path(fakes.bdd100k(tmp_path))


def as_old(root, new, old, suffix):
    """Move labels, or images, of the new tree to where the old one has them."""
    for split in ("train", "val"):
        (root / old / split).mkdir(parents=True)
        for path in sorted((root / new / split).iterdir()):
            path.rename(root / old / split / f"{path.stem}{suffix}{path.suffix}")
        (root / new / split).rmdir()


def test_the_old_tree_has_the_same_pixels(root, tmp_path, run):
    assert run("build", root, tmp_path / "new").exit_code == 0
    as_old(root, "images/10k", "seg/images", "")
    as_old(root, "labels/sem_seg/masks", "seg/labels", "_train_id")
    assert Bdd100k().bind(str(root)).tree == "old"
    assert run("build", root, tmp_path / "old").exit_code == 0
    new, old = planes(tmp_path / "new"), planes(tmp_path / "old")
    assert len(new) == 10
    assert all(np.array_equal(new[key], old[key]) for key in new | old)


def test_both_trees_are_for_the_user_to_choose(root):
    for name in ("images", "labels"):
        (root / "seg" / name / "train").mkdir(parents=True)
    with pytest.raises(LayoutError, match="choose one with --tree new or --tree old"):
        Bdd100k().bind(str(root))
    assert Bdd100k(tree="new").bind(str(root)).splits(str(root)) == ("train", "val")
    assert "--tree new or old" in Bdd100k.recognise(str(root), {}).needs


def test_drivable_classes_follow_the_tree(root, out, run):
    assert Bdd100k(labels="drivable").bind(str(root)).classes[2] == "background"
    as_old(root, "labels/drivable/masks", "drivable_maps/labels", "_drivable_id")
    bound = Bdd100k(labels="drivable").bind(str(root))
    assert bound.classes == ("background", "direct", "alternative")
    result = run("bdd100k", root, out, "--labels", "drivable")  # new values in the old tree
    assert result.exit_code == 2
    assert "found 2 as the most frequent value" in " ".join(result.stderr.split())
    assert "--values new" in result.stderr


def test_old_drivable_maps_in_the_new_tree_are_named(root, out, run):
    for path in (root / "labels/drivable/masks").glob("*/*.png"):
        plane = np.asarray(Image.open(path))
        Image.fromarray(((plane + 1) % 3).astype(np.uint8)).save(path)
    result = run("bdd100k", root, out, "--labels", "drivable")
    assert result.exit_code == 2
    said = " ".join(result.stderr.split())
    assert "found 0 as the most frequent value, which is the background in old drivable" in said
    assert run("bdd100k", root, out, "--labels", "drivable", "--values", "old").exit_code == 0
    assert len(planes(out)) == 10


def test_a_value_without_a_class_is_named_and_can_be_skipped(root, out, run):
    path = root / "labels/sem_seg/masks/train/trainsem_seg-0.png"
    Image.fromarray(np.full((40, 50), 19, np.uint8)).save(path)
    result = run("bdd100k", root, out)
    assert result.exit_code == 2
    assert "trainsem_seg-0" in result.stderr
    assert "19" in result.stderr
    assert run("bdd100k", root, out, "--on-error", "skip").exit_code == 0
    assert len(planes(out)) == 9


def test_labels_without_an_image_are_reported(root, out, run):
    Image.new("L", (50, 40)).save(root / "labels/sem_seg/masks/val/z.png")
    assert "val/z.png" in run("bdd100k", root, out).stderr


def test_a_folder_without_either_tree_is_named(tmp_path):
    with pytest.raises(LayoutError, match="found no images/10k with labels/sem_seg/masks or seg"):
        Bdd100k().find(str(tmp_path))
