"""What each layout recognises, and what it takes for something else."""

import os

import pytest

from dsbuild import storage
from dsbuild.layouts import LAYOUTS
from dsbuild.layouts.recognition import FORMED, NAMED, PUBLISHED
from tests.support import fakes

DRAWN = {
    "voc": (fakes.voc, PUBLISHED),
    "cityscapes": (fakes.cityscapes, PUBLISHED),
    "coco": (fakes.coco, PUBLISHED),
    "ade20k": (fakes.ade20k, PUBLISHED),
    "ade20k-full": (fakes.ade20k_full, PUBLISHED),
    "pascal-context": (fakes.pascal_context, PUBLISHED),
    "mapillary": (fakes.mapillary, PUBLISHED),
    "bdd100k": (fakes.bdd100k, PUBLISHED),
    "oxford-pets": (fakes.oxford_pets, PUBLISHED),
    "labelme": (fakes.labelme, PUBLISHED),
    "yolo": (fakes.yolo, PUBLISHED),
    "cvat": (fakes.cvat, PUBLISHED),
    "supervisely": (fakes.supervisely, PUBLISHED),
    "matting": (fakes.matting, PUBLISHED),
    "pairs": (fakes.pairs, NAMED),
    "classes": (fakes.classes, FORMED),
}


def touch(root, *paths):
    for path in paths:
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        open(full, "x").close()
    return str(root)


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def seen(root, **given):
    return {name: one.recognise(str(root), given) for name, one in LAYOUTS.items()}


def best(root, **given):
    found = [one for one in seen(root, **given).values() if one]
    most = max((one.certainty for one in found), default=0)
    return [one.layout for one in found if one.certainty == most]


@pytest.mark.parametrize("name", DRAWN)
def test_each_layout_recognises_its_own_and_no_other_does(name, tmp_path):
    draw, certainty = DRAWN[name]
    root = draw(tmp_path / "data")
    assert best(root) == [name]
    found = seen(root)[name]
    assert found.certainty == certainty
    assert found.text
    assert not found.text.endswith(".")


@pytest.mark.parametrize("name", [name for name in DRAWN if name != "pairs"])
def test_what_is_recognised_is_found(name, tmp_path):
    root = DRAWN[name][0](tmp_path / "data")
    layout = LAYOUTS[name](**seen(root)[name].options)
    assert layout.splits(layout.find(str(root)))


def test_every_layout_recognises_something():
    assert DRAWN.keys() == LAYOUTS.keys()


def test_voc_counts_what_its_lists_name(tmp_path):
    lists = {"train": "a\nb\n", "val": "c\n", "trainval": "a\nb\nc\n"}
    root = touch(tmp_path, "VOCdevkit/VOC2012/JPEGImages/a.jpg")
    for name, text in lists.items():
        write(f"{root}/VOCdevkit/VOC2012/ImageSets/Segmentation/{name}.txt", text)
    for path in (root, f"{root}/VOCdevkit", f"{root}/VOCdevkit/VOC2012"):
        found = LAYOUTS["voc"].recognise(path, {})
        assert (
            found.text == "Pascal VOC 2012: 3 listed images in 3 splits (train, trainval and val)"
        )


def test_a_tree_like_voc_with_other_classes_is_a_pair_of_folders(tmp_path):
    root = touch(tmp_path, "JPEGImages/a.jpg", "SegmentationClass/a.png")
    write(f"{root}/ImageSets/Segmentation/train.txt", "a\n")
    (tmp_path / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nroad:1,2,3::\n")
    assert best(root) == ["pairs"]
    found = seen(root)["pairs"]
    folders = {"images": "JPEGImages", "labels": "SegmentationClass"}
    assert found.options == {**folders, "colormap": f"{root}/labelmap.txt"}
    assert found.text.endswith(f", classes from {root}/labelmap.txt")
    assert not found.needs
    (tmp_path / "classes.txt").write_text("road\nsky\n")
    found = seen(root)["pairs"]  # two files that fit: the user chooses
    assert found.options == folders
    for words in ("labelmap.txt fits --colormap", "classes.txt fits --classes"):
        assert words in found.needs


@pytest.mark.parametrize(
    ("files", "options"),
    [
        (("src/a.jpg", "label/a.png"), {"images": "src", "labels": "label"}),
        (("images/a.jpg", "masks/a_m.png"), {"labels": "masks", "suffix": "_m"}),
        (("images/train/a.jpg", "labels/train/a.png"), {}),
        (("train/imgs/a.jpg", "train/gt/a.png"), {"images": "imgs", "labels": "gt"}),
    ],
)
def test_pairs_are_recognised_by_names_and_stems(files, options, tmp_path):
    found = LAYOUTS["pairs"].recognise(touch(tmp_path, *files), {})
    assert found
    assert found.options == options
    assert "--classes FILE" in found.needs
    assert not LAYOUTS["pairs"].recognise(str(tmp_path), {"classes": "n.txt"}).needs


def test_several_pairs_are_for_the_user_to_choose(tmp_path):
    root = touch(tmp_path, "images/a.jpg", "masks/a.png", "labels/a.png")
    found = LAYOUTS["pairs"].recognise(root, {"binary": "1"})
    assert "--images images --labels labels, or --images images --labels masks" in found.needs
    assert not LAYOUTS["pairs"].recognise(root, {"binary": "1", "labels": "masks"}).needs


def test_photos_and_alphas_are_matting(tmp_path):
    root = touch(tmp_path, "original/a.jpg", "alpha/a.png")
    assert best(root) == ["matting"]
    assert seen(root)["matting"].options == {"images": "original", "alphas": "alpha"}


@pytest.mark.parametrize(
    "files",
    [
        (),
        ("a.jpg", "b.jpg"),
        ("one/a.jpg", "two/a.png"),  # classes, or images and labels under other names
        ("images/a.jpg", "labels/a.txt"),  # YOLO
        ("annotations/instances_val.json", "val2017/a.jpg"),  # COCO
        ("train/a.jpg", "val/b.jpg"),
        ("train/cat/a.jpg", "other/cat/b.jpg"),
        ("one/deep/a.jpg", "two/deep/b.jpg"),
    ],
)
def test_what_may_be_something_else_is_not_recognised(files, tmp_path):
    assert best(touch(tmp_path, *files)) == []


def test_folders_of_splits_hold_classes(tmp_path):
    root = touch(tmp_path, "train/cat/a.jpg", "train/dog/b.jpg", "val/cat/c.jpg", "val/dog/d.jpg")
    assert best(root) == ["classes"]
    assert "2 classes (cat and dog), in train and val" in seen(root)["classes"].text


def test_recognition_looks_at_few_names(tmp_path, monkeypatch):
    root = touch(tmp_path, *(f"images/{i}.jpg" for i in range(3000)), "labels/7.png")
    looked = []
    monkeypatch.setattr("dsbuild.layouts.folders.walk", lambda *_: pytest.fail("a whole walk"))
    whole = storage.entries
    monkeypatch.setattr(storage, "entries", lambda folder: looked.append(folder) or whole(folder))
    assert best(root) == ["pairs"]
    assert f"{root}/images" not in looked


def test_recognition_works_on_a_store():
    for name in ("images/a.jpg", "labels/a.png"):
        storage.write(f"memory://recognised/set/{name}", b"x")
    assert best("memory://recognised/set") == ["pairs"]
