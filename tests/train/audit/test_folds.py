import numpy as np
import pytest
from PIL import Image

import dsbuild
from dsbuild.errors import TrainError
from dsbuild.format.folder import Folder
from dsbuild.layouts.pairs import Pairs
from dsbuild.train.audit import folds
from dsbuild.train.audit.folds import divide, fold_of
from tests.support.runs import make


def all_of(data, *splits):
    return {split: np.ones(len(dsbuild.open(data, split)), bool) for split in splits}


def test_a_fold_and_the_rest_are_the_whole(shapes):
    made = divide(Folder(shapes), all_of(shapes, "train"), 4, 3)
    keys = [sample.key for sample in dsbuild.open(shapes, "train")]
    for fold in range(3):
        mine = {keys[number] for _, number in made.of(fold)}
        rest = {sample.key for sample in dsbuild.open(shapes, made.rest(fold))}
        assert mine | rest == set(keys)
        assert not mine & rest
        assert mine == {key for key in keys if fold_of(key, 3, 0) == fold}
    assert sum(made.sizes()) == len(keys)
    assert (made.held.sum(0) <= len(keys)).all()


def test_folds_depend_on_key_and_seed_alone(shapes):
    every = all_of(shapes, "train")
    whole = divide(Folder(shapes), every, 4, 3).folds["train"]
    few = {"train": np.arange(len(every["train"])) % 3 > 0}
    part = divide(Folder(shapes), few, 4, 3).folds["train"]
    assert (part[few["train"]] == whole[few["train"]]).all()
    assert (part[~few["train"]] == folds.LEFT).all()
    assert (divide(Folder(shapes), every, 4, 3, seed=1).folds["train"] != whole).any()


def test_a_group_is_in_one_fold(shapes):
    made = divide(Folder(shapes), all_of(shapes, "train"), 4, 2, group=r"^\d\d")
    keys = [sample.key for sample in dsbuild.open(shapes, "train")]
    of = dict(zip(keys, made.folds["train"].tolist(), strict=True))
    for key in keys:
        assert of[key] == fold_of(key[:2], 2, 0)


def test_records_that_two_splits_share_are_audited_once(voc_data):
    folder, every = Folder(voc_data), all_of(voc_data, "train", "trainval", "val")
    made = divide(folder, every, 21, 2)
    assert (sum(made.sizes()), made.repeated(), made.unlabelled()) == (18, 18, 0)
    barred = folds.twins(folder, all_of(voc_data, "train"))
    made = divide(folder, every, 21, 2, barred=barred)
    assert (sum(made.sizes()), made.trained()) == (6, 24)


def test_other_images_with_the_same_key_and_label_are_audited(tmp_path):
    for split in ("train", "val"):
        for name in ("images", "labels"):
            (tmp_path / split / name).mkdir(parents=True)
        for key in range(4):
            shade = 10 * key + (split == "val")
            image = Image.new("RGB", (48, 40), (shade, 100, 200))
            image.save(tmp_path / split / "images" / f"{key}.png")
            label = Image.new("L", (48, 40), 0)
            label.putpixel((9, 9), 1)
            label.save(tmp_path / split / "labels" / f"{key}.png")
    data = str(tmp_path / "data")
    make(tmp_path, data, layout=Pairs(names=("ground", "disc")), splits=("train", "val"))
    made = divide(Folder(data), all_of(data, "train", "val"), 2, 2)
    assert (sum(made.sizes()), made.repeated()) == (8, 0)


@pytest.mark.parametrize(
    ("count", "group", "text"),
    [
        (25, "", "24 labelled records, of which none is in fold"),
        (2, "(", "which is no pattern"),
        (2, "x", "found no group in '0"),
        (2, "^.", "24 labelled records in 1 groups"),
    ],
)
def test_what_cannot_be_divided_is_named(shapes, count, group, text):
    with pytest.raises(TrainError, match=text):
        divide(Folder(shapes), all_of(shapes, "train"), 4, count, group=group)


def test_classes_that_one_fold_alone_has():
    held = np.array([[3, 0, 1, 0], [2, 2, 0, 0]])
    made = folds.Division({}, held)
    assert (made.unseen(0), made.unseen(1)) == ([2], [1])
