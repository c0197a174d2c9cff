"""Groups that stay in one split, classes that are in both, and groups that cross."""

import pathlib
import re

import numpy as np
import pytest
from PIL import Image

from dsbuild.errors import LayoutError, PlanError
from dsbuild.layouts.classes import Classes
from dsbuild.layouts.division import crossing, groups
from dsbuild.layouts.matting import Matting
from dsbuild.layouts.pairs import Pairs
from tests.support import fakes
from tests.support.trees import NAMES, touch


def divided(layout, root):
    """Return key -> split."""
    root = layout.find(str(root))
    return {s.key: split for split in layout.splits(root) for s in layout.samples(root, split)}


def pairs_of(root, *keys):
    touch(root, *(f"{part}/{key}.png" for part in ("images", "labels") for key in keys))
    return root


KEYS = {
    "folder": ([f"clip{c}/{i}" for c in range(12) for i in range(4)], r"(.*)/"),
    "rf": ([f"p{c}_jpg.rf.{i}a" for c in range(12) for i in range(4)], r"(.*)\.rf"),
    r"^(\w+?)_": ([f"site{c}_{i}" for c in range(12) for i in range(4)], r"(.*)_"),
}


@pytest.mark.parametrize("group", KEYS)
def test_groups_stay_together_and_where_they_are(group, tmp_path):
    keys, expression = KEYS[group]
    layout = Pairs(names=NAMES, val_fraction=0.4, group=group)
    few = divided(layout, pairs_of(tmp_path / "few", *keys[:24]))
    many = divided(layout, pairs_of(tmp_path / "many", *keys))
    assert {*many.values()} == {"train", "val"}
    assert few.items() <= many.items()
    splits = {}
    for key, split in many.items():
        assert splits.setdefault(re.match(expression, key)[1], split) == split
    single = divided(Pairs(names=NAMES, val_fraction=0.4), tmp_path / "many")
    assert single != many


def test_a_key_that_a_pattern_does_not_fit_is_named(tmp_path):
    pairs_of(tmp_path, "a_1", "b")
    layout = Pairs(names=NAMES, val_fraction=0.4, group="(.*)_")
    with pytest.raises(LayoutError, match="found no group in 'b'"):
        divided(layout, tmp_path)


def test_pictures_that_look_alike_stay_together(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(8):
        photo = fakes.photo(rng, 64, 48)
        for size in (1, 2):
            path = tmp_path / f"images/{i}_{size}.jpg"
            path.parent.mkdir(exist_ok=True)
            photo.resize((64 * size, 48 * size)).save(path, quality=85)
            touch(tmp_path, f"labels/{i}_{size}.png")
    layout = Pairs(names=NAMES, val_fraction=0.5, group="duplicates")
    found = divided(layout, tmp_path)
    assert {*found.values()} == {"train", "val"}
    assert all(found[f"{i}_1"] == found[f"{i}_2"] for i in range(8))


def test_every_class_is_in_both_splits(tmp_path):
    rare = {3: 1, 7: 1, 11: 2, 20: 2}  # class 1 and 2 are in two labels each
    for i in range(30):
        plane = np.zeros((8, 8), np.uint8)
        plane[2:4] = rare.get(i, 0)
        for part in ("images", "labels"):
            (tmp_path / part).mkdir(exist_ok=True)
            Image.fromarray(plane).save(tmp_path / part / f"{i}.png")
    for seed in range(6):
        options = {"names": NAMES, "val_fraction": 0.2, "split_seed": seed}
        plain, found = (divided(Pairs(**options, stratify=s), tmp_path) for s in (False, True))
        for value in (1, 2):
            assert {found[str(i)] for i, v in rare.items() if v == value} == {"train", "val"}
        assert sum(plain[key] != found[key] for key in plain) <= 2


def test_one_group_of_a_class_cannot_be_in_both(tmp_path):
    root = fakes.classes(tmp_path, {"cat": 6, "dog": 1})
    found = divided(Classes(val_fraction=0.3, stratify=True), root)
    assert sum(key.startswith("dog") for key in found) == 1
    assert {split for key, split in found.items() if key.startswith("cat")} == {"train", "val"}


def test_folders_within_classes_are_groups(tmp_path):
    touch(tmp_path, *(f"{c}/p{p}/{i}.png" for c in ("cat", "dog") for p in range(9) for i in "12"))
    touch(tmp_path, "cat/0.png", "dog/0.png")
    found = divided(Classes(val_fraction=0.4, group="folder"), tmp_path)
    for p in range(9):
        assert len({split for key, split in found.items() if f"/p{p}/" in key}) == 1
    assert {*found.values()} == {"train", "val"}


def test_mattes_are_grouped_by_a_pattern(tmp_path):
    touch(tmp_path, *(f"{part}/{c}-{i}.png" for part in ("a", "b") for c in range(9) for i in "12"))
    layout = Matting(images="a", alphas="b", val_fraction=0.5, group=r"(\d+)-")
    found = divided(layout, tmp_path)
    assert all(found[f"{c}-1"] == found[f"{c}-2"] for c in range(9))
    assert {*found.values()} == {"train", "val"}


def test_groups_stay_together_beside_a_split_that_is_refused(tmp_path):
    keys, _ = KEYS["folder"]
    pairs_of(tmp_path, *keys)
    (tmp_path / "test.txt").write_text("nothing that is there\n")
    layout = Pairs(names=NAMES, val_fraction=0.4, group="folder")
    root = layout.find(str(tmp_path))
    train, val = ({s.key for s in layout.samples(root, split)} for split in ("train", "val"))
    assert len(train) + len(val) == len(keys)
    assert not {key.partition("/")[0] for key in train} & {key.partition("/")[0] for key in val}


def undivided(layout, root):
    root = layout.find(str(root))
    return [(one.kind, one.split, one.text) for one in layout.undivided(root, layout.splits(root))]


@pytest.mark.parametrize(
    ("fraction", "there", "lacking"), [(1e-9, "train", "val"), (1 - 1e-9, "val", "train")]
)
@pytest.mark.parametrize("options", [{}, {"group": "folder"}, {"stratify": True}])
def test_a_fraction_that_leaves_a_split_empty_is_named(fraction, there, lacking, options, tmp_path):
    options = {"names": NAMES, **options}
    root = fakes.pairs(tmp_path, count=1)
    ((kind, split, text),) = undivided(Pairs(val_fraction=fraction, **options), root)
    assert (kind, split) == ("undivided", there)
    assert text.startswith(f"{lacking} has no sample: by --val-fraction {fraction:g}, ")
    assert text.endswith(f"puts all into {there}; change the fraction or --split-seed")
    assert undivided(Pairs(**options | {"stratify": False}), root) == []


def test_a_fraction_that_divides_has_no_finding(tmp_path):
    pairs_of(tmp_path, *map(str, range(30)))
    assert undivided(Pairs(names=NAMES, val_fraction=0.5), tmp_path) == []


def test_a_fraction_of_what_folders_divide_is_named_if_someone_gave_it(tmp_path):
    touch(tmp_path, *(f"train/{part}/{key}.png" for part in ("images", "labels") for key in "ab"))
    ((kind, split, text),) = undivided(Pairs(names=NAMES, val_fraction=0.25), tmp_path)
    assert (kind, split) == ("undivided", "train")
    assert text.startswith(
        "--val-fraction 0.25 divides nothing, since folders or lists do, into train; "
    )
    root = tmp_path / "clips"
    touch(root, "train/a/1.jpg", "train/b/1.png")
    folders = {"images": "{split}/a", "alphas": "{split}/b"}
    assert undivided(Matting(**folders), root) == []
    assert len(undivided(Matting(**folders, val_fraction=0.3), root)) == 1


@pytest.mark.parametrize("group", ["", "rf", r"(.*)_jpg"])
def test_groups_that_cross_published_splits_are_found(tmp_path, group):
    rows = {"train": ["a_jpg.rf.1", "a_jpg.rf.2", "b_jpg.rf.3"], "valid": ["a_jpg.rf.4"]}
    for split, keys in rows.items():
        touch(
            tmp_path,
            *(f"{split}/{part}/{key}.png" for part in ("images", "labels") for key in keys),
        )
    layout = Pairs(names=NAMES, group=group)
    root = layout.find(str(tmp_path))
    found = [
        one.text
        for split in layout.splits(root)
        for one in layout.findings(root, split, list(layout.samples(root, split)))
        if one.kind == "group-crosses"
    ]
    name = "a" if "_" in group else "a_jpg"
    assert found == [
        f"the group {name} is in train (2) and valid (1), so these splits are not independent"
    ]


@pytest.mark.parametrize(
    ("layout", "options", "message"),
    [
        (Pairs, {"names": NAMES, "stratify": True}, "--stratify: found no --val-fraction"),
        (Pairs, {"names": NAMES, "group": "("}, r"--group \(: found no pattern"),
        (Matting, {"stratify": True}, "--stratify: mattes hold no classes"),
    ],
)
def test_options_that_divide_nothing_are_refused(layout, options, message):
    with pytest.raises(PlanError, match=message):
        layout(**options)


def test_groups_of_keys():
    keys = dict.fromkeys(("a/b/1", "2"), "")
    assert groups("", keys, "folder") == {"a/b/1": "a/b", "2": "2"}
    assert groups("", keys, "folder", top=1) == {"a/b/1": "b", "2": "2"}
    assert crossing({"train": {"1": "x"}, "val": {"2": "y"}}) == {}


def test_the_options_reach_the_command(tmp_path, run, out):
    root = pathlib.Path(fakes.pairs(tmp_path))
    arguments = ("--classes", "a,b,c", "--val-fraction", 0.4, "--group", "folder", "--workers", 1)
    assert run("pairs", root, out, *arguments, "--stratify", "--dry-run").exit_code in (0, 1)
