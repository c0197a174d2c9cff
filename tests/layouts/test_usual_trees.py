"""Usual trees of images and labels: each is recognised, and built as it is recognised."""

import pathlib
import unicodedata

import numpy as np
import pytest

from dsbuild.errors import LayoutError, PlanError
from dsbuild.layouts import naming
from dsbuild.layouts.naming import Naming
from dsbuild.layouts.pairs import Pairs
from tests.support import fakes
from tests.support.trees import NAMES, listed, recognised, touch

SPLITS = ["train val test", "training validation testing", "train2017 val2017", "Train Val extra"]
SPLITS += ["tr dev eval", "train valid"]


@pytest.mark.parametrize("splits", SPLITS)
@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/{s}/{k}.jpg", "labels/{s}/{k}.png"),
        ("{s}/images/{k}.jpg", "{s}/masks/{k}.png"),
        ("{s}/{k}.png", "{s}annot/{k}.png"),
        ("{s}/{k}.jpg", "{s}_masks/{k}_mask.gif"),
        ("{s}_images/{k}.jpg", "{s}_labels/{k}.png"),
        ("images_{s}/{k}.jpg", "labels_{s}/{k}.png"),
        ("{s}/{k}.jpg", "{s}/{k}_mask.png"),
        ("{s}/{k}_sat.jpg", "{s}/{k}_mask.png"),
    ],
)
def test_folders_of_splits_under_the_usual_names(tmp_path, splits, image, label):
    expected = {
        s: [(k, image.format(s=s, k=k), label.format(s=s, k=k)) for k in (f"{s}1", f"{s}2")]
        for s in splits.split()
    }
    touch(tmp_path, *(path for rows in expected.values() for _, *both in rows for path in both))
    _, found = recognised(tmp_path)
    plain = {
        s: [(key, image.removeprefix("./"), label.removeprefix("./")) for key, image, label in rows]
        for s, rows in found.items()
    }
    assert plain == expected


def test_names_in_which_the_split_comes_last(tmp_path):
    touch(tmp_path, "imagesTr/1.png", "labelsTr/1.png")
    found, samples = recognised(tmp_path)
    assert found.options == {"images": "images{split}", "labels": "labels{split}"}
    assert samples == {"Tr": [("1", "imagesTr/1.png", "labelsTr/1.png")]}


def test_camvid_with_its_lists(tmp_path):
    for s in ("train", "val"):
        touch(tmp_path, *(f"{s}{part}/{s}{i}.png" for part in ("", "annot") for i in range(3)))
        lines = (
            f"/SegNet/CamVid/{s}/{s}{i}.png /SegNet/CamVid/{s}annot/{s}{i}.png" for i in (2, 0, 1)
        )
        (tmp_path / f"{s}.txt").write_text("\n".join(lines))
    found, samples = recognised(tmp_path)
    assert found.options == {"images": "{split}", "labels": "{split}annot"}
    assert {s: len(rows) for s, rows in samples.items()} == {"train": 3, "val": 3}
    (tmp_path / "val.txt").write_text(
        "/SegNet/CamVid/val/val0.png /SegNet/CamVid/valannot/val0.png"
    )
    with pytest.raises(LayoutError, match=r"val\.txt"):
        listed(tmp_path, **found.options)


@pytest.mark.parametrize(
    ("paths", "options", "keys"),
    [
        (("data/1.jpg", "data/1.png"), {"image_glob": "*.jpg", "label_glob": "*.png"}, ["1"]),
        (("data/1.jpg", "data/1_m.png"), {"suffix": "_m"}, ["1"]),
        (("data/1_rgb.png", "data/1_m.png"), {"image_glob": "*_rgb", "label_glob": "*_m"}, ["1"]),
        (("data/a/1.JPG", "data/a/m_1.png"), {"label_glob": "m_*"}, ["a/1"]),
        (("data/1/x.jpg", "data/1/y.png"), {"image_glob": "*/x.*", "label_glob": "*/y.png"}, ["1"]),
    ],
)
def test_both_in_one_folder_by_patterns(tmp_path, paths, options, keys):
    touch(tmp_path, *paths)
    found = listed(tmp_path, images="data", labels="data", **options)
    assert found == {"train": [(key, *paths) for key in keys]}


def test_prefixes_are_found_if_nothing_matches_without_them(tmp_path):
    touch(
        tmp_path,
        *(
            f"{part}/{p}_{i}.png"
            for part, p in (("images", "img"), ("labels", "mask"))
            for i in (1, 2)
        ),
    )
    assert recognised(tmp_path)[1]["train"] == [
        (str(i), f"images/img_{i}.png", f"labels/mask_{i}.png") for i in (1, 2)
    ]
    touch(tmp_path, "images/other.png")  # no longer what all images have
    assert next(label for *_, label in listed(tmp_path)["train"]) == "labels/img_1.png"


def test_two_ways_to_match_are_for_the_user_to_choose(tmp_path):
    touch(
        tmp_path,
        *(f"{s}{part}/1.png" for s in ("train", "val") for part in ("", "annot", "_masks")),
    )
    found = Pairs.recognise(str(tmp_path), {"classes": "n"})
    assert "--images {split} --labels {split}annot" in found.needs
    assert ", or --images {split}" in found.needs


@pytest.mark.parametrize("paths", [("x/1.png", "x/2.png"), ("x/1.jpg", "x/2.png"), ("x/1.jpg",)])
def test_one_folder_without_a_rule_is_refused(tmp_path, paths):
    touch(tmp_path, *paths)
    with pytest.raises(LayoutError, match="found images and labels in one folder, and no rule"):
        listed(tmp_path, images="x", labels="x")


def test_a_folder_can_be_named_as_a_split(tmp_path):
    touch(
        tmp_path, *(f"{part}/{s}/1.png" for s in ("day", "night") for part in ("images", "labels"))
    )
    touch(tmp_path, "images/train/1.png", "labels/train/1.png")
    with pytest.raises(LayoutError, match="beside images/day, which belongs to no split"):
        listed(tmp_path)
    found = listed(tmp_path, split_folder=("day=val", "night=test"))
    assert sorted(found) == ["test", "train", "val"]
    assert found["test"] == [("1", "images/night/1.png", "labels/night/1.png")]
    with pytest.raises(LayoutError, match="found day and night as split val, expected one"):
        listed(tmp_path, split_folder=("day=val", "night=val"))
    with pytest.raises(LayoutError, match=r"found no folder or list of a split nigth.*night"):
        listed(tmp_path, split_folder=("day=val", "nigth=test", "night=x"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_glob": "x"}, "--image-glob: found 'x', expected a pattern with one star"),
        ({"label_glob": "*_*.png"}, "--label-glob: found"),
        ({"label_glob": "*_m", "suffix": "_m"}, "--label-glob and --suffix"),
        ({"split_folder": ("day",)}, "--split-folder day: expected the name"),
        ({"split_folder": ("a=b", "a=c")}, "found b and c for a"),
    ],
)
def test_wrong_patterns_and_names_are_refused(options, message):
    with pytest.raises(PlanError, match=message):
        Pairs(names=NAMES, **options)


def test_labels_of_a_split_without_images_are_refused(tmp_path):
    touch(tmp_path, "train/1.png", "train_masks/1.png", "val_masks/1.png", "test/1.png")
    layout = Pairs(names=NAMES, images="{split}", labels="{split}_masks")
    root = layout.find(str(tmp_path))
    assert layout.splits(root) == ("test", "train", "val")
    for split, message in (("val", "expected its images in val"), ("test", "test_masks: there is")):
        with pytest.raises(LayoutError, match=message):
            list(layout.samples(root, split))
    assert len(list(layout.samples(root, "train"))) == 1


def test_composed_and_decomposed_names_are_one_name(tmp_path):
    nfc, nfd = (unicodedata.normalize(form, "Bäume") for form in ("NFC", "NFD"))
    touch(tmp_path, f"data/{nfd}_sat.jpg", f"data/{nfc}_mask.png")
    found = listed(
        tmp_path, images="data", labels="data", image_glob="*_sat.jpg", label_glob="*_mask.png"
    )
    assert [key for key, *_ in found["train"]] == [nfc]


def test_names_alone_do_not_match_by_chance():
    assert naming.shared(["a.jpg", "b.jpg"], ["x.png", "y.png"]) is None
    assert naming.shared(
        ["alpha_img.jpg", "beta_img.jpg"], ["alpha_m.png", "beta_m.png"]
    ) == Naming("*_img", "*_m")
    assert naming.together(["1.png", "2.png"]) is None


def test_a_tree_by_patterns_is_built(tmp_path, run, out):
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for part in ("", "annot"):
            (tmp_path / "d" / (split + part)).mkdir(parents=True)
        for i in range(2):
            fakes.photo(rng, 40, 30).save(tmp_path / "d" / split / f"{split}{i}.png")
            fakes.mask(rng, 40, 30, classes=3).save(tmp_path / "d" / f"{split}annot/{split}{i}.png")
    names = tmp_path / "names.txt"
    names.write_text("\n".join(NAMES))
    result = run("build", tmp_path / "d", out, "--classes", names, "--workers", 1)
    assert result.exit_code == 0, result.stderr
    assert "train (2 pictures) and trainannot (2 pictures), and likewise val" in result.stdout
    assert len(list(pathlib.Path(out).glob("*.tfrecord"))) == 2


def test_what_tools_say_about_data_is_not_stray(tmp_path, run, out):
    root = pathlib.Path(fakes.pairs(tmp_path, count=4))
    for name in ("_classes.csv", "README.dataset.txt", "LICENSE"):
        (root / "labels" / name).write_text("Pixel Value, Class\n0, ground\n1, cat\n2, dog\n")
    asked = ("pairs", root, out, "--classes", root / "labels/_classes.csv", "--strict")
    result = run(*asked, "--workers", 1)
    assert result.exit_code == 0, result.stderr
    (root / "labels" / "notes.txt").write_text("")
    result = run(*asked, "--workers", 1, "--overwrite")
    assert result.exit_code
    assert "notes.txt" in result.stderr
