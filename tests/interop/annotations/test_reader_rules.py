"""What tools do with a target that its layout does not: turned images, swapped folders, splits."""

import functools
import io
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from dsbuild import images
from dsbuild.errors import PlanError, ShardError
from dsbuild.interop.annotations import run
from dsbuild.interop.annotations.about import About
from dsbuild.interop.annotations.formats import TARGETS
from dsbuild.interop.annotations.masks import Png
from dsbuild.interop.annotations.picture import Picture
from dsbuild.interop.annotations.yolo import YoloTree
from dsbuild.layouts.pairs import Pairs
from tests.support import fakes, masks
from tests.support.exported import loaded
from tests.support.runs import make

PLANE = masks.hard()["ring"]
ORIENTATION = 0x0112  # EXIF tag


def folder(tmp_path, divided):
    """Build a tree of planes; return the folder of TFRecords."""
    root = masks.tree(tmp_path / "tree", divided)
    make(root, tmp_path / "out", layout=Pairs(names=masks.NAMES), shards=1)
    return str(tmp_path / "out")


def turned(tmp_path):
    """Build a record whose image viewers turn by 180 degrees, beside its label."""
    root = pathlib.Path(masks.tree(tmp_path / "tree", {"train": {"a": PLANE}}))
    photo, exif = root / "images/train/a.jpg", Image.Exif()
    exif[ORIENTATION] = 3
    with Image.open(photo) as image:
        image.save(photo, exif=exif)
    make(str(root), tmp_path / "out", layout=Pairs(names=masks.NAMES), shards=1)
    return str(tmp_path / "out")


@pytest.mark.parametrize("name", ["yolo", "ultralytics-semantic", "mmseg", "hf", "labelme", "cvat"])
def test_images_that_readers_turn_are_refused(tmp_path, name):
    with pytest.raises(ShardError, match=r"'a': the image has EXIF orientation 3, .* --exif apply"):
        run.export(turned(tmp_path), str(tmp_path / "made"), name)


@pytest.mark.parametrize(
    ("name", "labels", "ending"),
    [("yolo", "labels", "txt"), ("ultralytics-semantic", "masks", "png")],
)
def test_ultralytics_finds_labels_of_keys_with_a_folder_of_images(tmp_path, name, labels, ending):
    keys = ("a/images/b", "images/c", "a/images", "images/images/d")
    out = folder(tmp_path, {"train": dict.fromkeys(keys, PLANE)})
    receipt = run.export(out, str(tmp_path / "made"), name)
    assert receipt.complete
    assert receipt.loss.renamed == 3  # keys that files cannot have are named by the receipt
    photos = [path for path in (tmp_path / "made/images").rglob("*") if path.is_file()]
    assert len(photos) == 4
    for photo in photos:  # as ultralytics.data.utils.img2label_paths does it
        label = f"/{labels}/".join(str(photo).rsplit("/images/", 1))
        assert pathlib.Path(label).with_suffix(f".{ending}").exists()


def test_datasets_has_all_splits_apart(tmp_path):
    pytest.importorskip("datasets")
    names = ("train", "train_aug", "trainval", "val", "test-dev")
    out = folder(tmp_path, {name: {name[::-1]: PLANE} for name in names})
    run.export(out, str(tmp_path / "made"), "hf")
    code = (
        "import datasets, sys\n"
        "for split, rows in datasets.load_dataset(sys.argv[1]).items():\n"
        "    print(split, *rows['key'])\n"
    )
    lines = loaded(code, tmp_path / "made", tmp_path / "home")
    found = dict(line.split(" ", 1) for line in lines)
    called = {"val": "validation", "test-dev": "test_dev"}
    assert found == {called.get(name, name): name[::-1] for name in names}


def test_an_image_of_two_splits_stays_when_one_of_them_changes(tmp_path):
    photo = io.BytesIO()
    Image.new("RGB", PLANE.shape[::-1]).save(photo, "PNG")

    def built(divided):
        shutil.rmtree(tmp_path / "tree", ignore_errors=True)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        root = pathlib.Path(masks.tree(tmp_path / "tree", divided))
        for old in [*root.glob("images/*/*")]:  # one key, one image in both splits
            old.unlink()
            old.with_suffix(".png").write_bytes(photo.getvalue())
        make(str(root), tmp_path / "out", layout=Pairs(names=masks.NAMES), shards=1)
        return str(tmp_path / "out")

    both = built({"train": {"a": PLANE}, "val": {"a": PLANE, "b": PLANE}})
    assert run.export(both, str(tmp_path / "made"), "voc").complete
    less = built({"train": {"a": PLANE}, "val": {"b": PLANE}})
    receipt = run.export(less, str(tmp_path / "made"), "voc")
    assert receipt.complete
    assert receipt.loss.images == 2


@pytest.mark.parametrize("name", ["coco", "coco-panoptic", "yolo", "labelme", "cvat"])
def test_a_background_alone_has_no_objects(tmp_path, name):
    root = masks.tree(tmp_path / "tree", {"train": {"a": PLANE * 0}}, ("background",))
    make(root, tmp_path / "out", layout=Pairs(names=("background",)), shards=1)
    with pytest.raises(PlanError, match="found no class besides the background"):
        run.export(str(tmp_path / "out"), str(tmp_path / "made"), name)
    assert not (tmp_path / "made").exists()


def test_names_that_labelme_needs_are_refused(tmp_path):
    names = ("cat", "__ignore__", "dog")
    root = masks.tree(tmp_path / "tree", {"train": {"a": PLANE % 3}}, names)
    make(root, tmp_path / "out", layout=Pairs(names=names), shards=1)
    with pytest.raises(PlanError, match="found a class named __ignore__, which has a meaning"):
        run.export(str(tmp_path / "out"), str(tmp_path / "made"), "labelme")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["coco-panoptic", "labelme", "png"])
def test_a_background_may_be_the_ignored_value(tmp_path, name):
    root = masks.tree(tmp_path / "tree", {"train": {"a": PLANE}})
    make(root, tmp_path / "out", layout=Pairs(names=masks.NAMES, ignore_value=0), shards=1)
    receipt = run.export(str(tmp_path / "out"), str(tmp_path / "made"), name)
    assert receipt.complete
    assert receipt.loss.total.lost == 0


def test_a_key_that_begins_with_a_blank_is_found_by_lists(tmp_path):
    out = folder(tmp_path, {"train": {" a": PLANE, "a": PLANE}})
    receipt = run.export(out, str(tmp_path / "made"), "voc")
    assert receipt.complete
    assert receipt.loss.names == ((" a", "%20a"),)


@pytest.mark.parametrize("then", ["png", "coco"])
def test_an_export_that_was_stopped_in_its_first_shard_continues(tmp_path, monkeypatch, then):
    keys = [f"{i:02}" for i in range(34)]  # more than appear together
    out, made = folder(tmp_path, {"train": dict.fromkeys(keys, PLANE)}), tmp_path / "made"
    with monkeypatch.context() as patch:
        patch.setattr(TARGETS["png"], "draw", functools.partialmethod(_stopping, Png.draw))
        with pytest.raises(KeyboardInterrupt):
            run.export(out, str(made), "png")
    assert (made / "UNFINISHED.txt").exists()
    assert (made / "images/train/31.png").exists()
    assert run.export(out, str(made), then).complete
    assert (made / "images/train/31.png").exists() == (then == "png")
    assert not list(made.rglob("*.begun"))


def _stopping(self, draw, picture):
    if picture.key == "33":
        raise KeyboardInterrupt
    return draw(self, picture)


def test_objects_of_one_box_stay_two_in_ultralytics():
    numbers = np.zeros((8, 9), np.uint8)
    numbers[0, 0:8] = numbers[7, 1:9] = 1
    numbers[0, 8] = numbers[7, 0] = numbers[3, 3] = 2  # behind the first one, with the same box
    plane = (numbers > 0).astype(np.uint8)
    mask = images.write(plane)
    picture = Picture("train", "a", mask, images.header(mask), mask, plane, numbers)
    about = About(("background", "cow"), None, {}, ("train",), counted=(1,))
    (text,) = YoloTree(about=about).draw(picture).files.values()
    rows = [np.array(line.split(), np.float32) for line in text.decode().splitlines()]
    points = [row[1:].reshape(-1, 2) for row in rows]
    boxes = {(row[0], *each.min(0), *each.max(0)) for row, each in zip(rows, points, strict=True)}
    assert len(boxes) == 2  # verify_image_label keeps one object per class and box
    pixels = [(each * (9, 8)).astype(np.int32) for each in points]
    assert [each.min(0).tolist() for each in pixels] == [[0, 0], [0, 0]]
    assert [each.max(0).tolist() for each in pixels] == [[8, 7], [8, 7]]


@pytest.mark.parametrize("name", ["voc", "mmseg"])
@pytest.mark.parametrize(("kept", "ending"), [("*", "png"), ("*.png", "png"), ("*.jpg", "jpg")])
def test_readers_of_one_extension_find_all_images(tmp_path, name, kept, ending):
    root = pathlib.Path(fakes.pairs(tmp_path, count=6))
    for path in root.glob("images/*/*"):
        if not path.match(kept):
            path.unlink()
            (root / "labels" / path.parent.name / f"{path.stem}.png").unlink()
    make(str(root), tmp_path / "out", layout=Pairs(names=("a", "b", "c")))
    receipt = run.export(str(tmp_path / "out"), str(tmp_path / "made"), name)
    assert receipt.complete
    folder = {"voc": "JPEGImages", "mmseg": "img_dir"}[name]
    images = [path for path in (tmp_path / "made" / folder).rglob("*") if path.is_file()]
    assert {path.suffix for path in images} == {f".{ending}"}
    magic = {"png": b"\x89PNG", "jpg": b"\xff\xd8\xff"}[ending]
    others = sum(not path.read_bytes().startswith(magic) for path in images)
    assert others == (2 if kept == "*" else 0)
    assert receipt.facts == ({"extension": others} if others else {})
    for path in (tmp_path / "out").glob("manifest.json"):
        path.unlink()  # then the records say which extension most images have
    again = run.export(str(tmp_path / "out"), str(tmp_path / "bare"), name, classes=("a", "b", "c"))
    assert again.facts == receipt.facts
