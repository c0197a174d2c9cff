"""YOLO: polygons, masks, trees, data.yaml, and mistakes that are named."""

import os
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

import dsbuild
from dsbuild.errors import LayoutError, PlanError
from dsbuild.layouts import yolo_yaml
from dsbuild.layouts.yolo import Yolo
from tests.support import fakes
from tests.support.objects import SHARED, planes
from tests.support.runs import content


@pytest.mark.shared
def test_real_polygons_are_drawn_as_ultralytics_draws_them(out, run):
    root = SHARED / "yolo_seg"
    assert run("build", root, out).exit_code == 0
    found = planes(out)
    assert len(found) == 6
    for key, plane in found.items():
        expected = np.asarray(Image.open(root / "expected" / f"{key}.png"))
        np.testing.assert_array_equal(plane, expected)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0 .1 .1 .2 .2", "line 1: found a box, which is no polygon"),
        ("3 0 0 0 1 1 1", "line 1: found the class 3; expected 0 to 2 (classes count from 0)"),
        ("-1 0 0 0 1 1 1", "found the class -1; expected 0 to 2"),
        ("0.5 0 0 0 1 1 1", "found the class 0.5"),
        ("0 0 0 1 1 1", "found 5 coordinates"),
        ("0 0 0 0 1 1 640", "found the coordinate 640; expected 0 to 1"),
        ("0 0 0 0 1 1 nan", "found the coordinate nan"),
        ("cat 0 0 0 1 1 1", "line 1: found 'cat 0 0"),
    ],
)
def test_mistakes_are_named_and_can_be_skipped(line, said, tmp_path, run, out):
    root = fakes.yolo(tmp_path)
    pathlib.Path(root, "labels", "train", "train0.txt").write_text(line + "\n")
    result = run("yolo", root, out)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert "train0.txt" in result.stderr
    assert run("yolo", root, out, "--on-error", "skip").exit_code == 0
    assert len(planes(out)) == 11


def test_a_picture_without_polygons_is_background(tmp_path, run, out):
    root = fakes.yolo(tmp_path)
    os.remove(f"{root}/labels/train/train0.txt")
    pathlib.Path(root, "labels", "train", "train1.txt").write_bytes(b"")
    pathlib.Path(root, "labels", "train", "train2.txt").write_bytes(b"\xef\xbb\xbf1 0 0 0 1 1 1\n")
    result = run("yolo", root, out)
    assert result.exit_code == 0, result.output
    assert "train0, have no text file: all background" in result.stderr
    found = planes(out)
    assert set(found["train0"].flat) == set(found["train1"].flat) == {3}
    assert 1 in found["train2"]
    result = run("yolo", root, out)
    assert "nothing to do" in result.output


def test_the_tree_of_roboflow(tmp_path, run, out):
    root = pathlib.Path(fakes.yolo(tmp_path / "d"))
    (tmp_path / "r").mkdir()
    for split, name in (("train", "train"), ("val", "valid")):
        for kind in ("images", "labels"):
            shutil.move(root / kind / split, tmp_path / "r" / name / kind)
    (tmp_path / "r" / "data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\n\nnc: 3\nnames: ['cat', 'dog', 'cow']\n\n"
        "roboflow:\n  workspace: me\n  version: 1\n"
    )
    result = run("build", tmp_path / "r", out)
    assert result.exit_code == 0
    assert "YOLO segmentation of Roboflow: data.yaml, train and val" in result.output
    assert os.path.exists(f"{out}/val-00000-of-00001.tfrecord")


def test_masks_are_taken_as_they_are(tmp_path, run, out):
    root = fakes.yolo(tmp_path)
    rng = np.random.default_rng(0)
    wanted = {}
    for path in pathlib.Path(root, "images").rglob("*.jpg"):
        place = pathlib.Path(root, "masks", path.parent.name, f"{path.stem}.png")
        place.parent.mkdir(parents=True, exist_ok=True)
        plane = rng.choice([0, 1, 2, 255], (5, 5)).astype(np.uint8).repeat(8, 0).repeat(10, 1)
        Image.fromarray(plane).save(place)
        wanted[path.stem] = plane
    assert run("build", root, out).exit_code == 0
    assert Yolo().bind(root).classes == ("cat", "dog", "cow")
    assert Yolo(labels="polygons").bind(root).classes == ("cat", "dog", "cow", "background")
    for key, plane in planes(out).items():
        np.testing.assert_array_equal(plane, wanted[key])


def with_masks(root, folder, values, choices):
    """Put masks of random values beside the pictures of a tree; return key -> plane."""
    rng = np.random.default_rng(0)
    wanted = {}
    for path in pathlib.Path(root, "images").rglob("*.jpg"):
        place = pathlib.Path(root, folder, path.parent.name, f"{path.stem}.png")
        place.parent.mkdir(parents=True, exist_ok=True)
        raw = rng.choice(choices, (5, 5)).repeat(8, 0).repeat(10, 1)
        Image.fromarray(raw.astype(np.uint8)).save(place)
        wanted[path.stem] = np.array(values, np.uint8)[raw]
    return wanted


def test_values_of_masks_are_mapped_and_their_folder_has_any_name(tmp_path, run, out):
    root = fakes.yolo(tmp_path)
    values = [255, 0, 1, 2, 99, *[99] * 250, 255]
    wanted = with_masks(root, "semantic/fine", values, [0, 1, 2, 3, 255])
    with open(f"{root}/data.yaml", "a") as file:
        file.write("masks_dir: semantic/fine\nlabel_mapping:\n  0: ignore_label\n")
        file.write("  1: 0\n  2: 1\n  3: 2\n")
    result = run("build", root, out)
    assert result.exit_code == 0, result.stderr
    assert "YOLO segmentation: data.yaml" in result.stdout
    for key, plane in planes(out).items():
        np.testing.assert_array_equal(plane, wanted[key])
    assert not dsbuild.validate(out, root, level="source").problems
    assert "nothing to do" in run("yolo", root, out).stdout


def test_values_that_are_not_mapped_are_named(tmp_path, run, out):
    root = fakes.yolo(tmp_path)
    with_masks(root, "masks", list(range(256)), [1, 2])
    (tmp_path / "map.yaml").write_text("label_mapping: {1: 0}\n")
    result = run("yolo", root, out, "--label-mapping", tmp_path / "map.yaml")
    assert result.exit_code == 2
    assert "which label_mapping does not have; add it, as in 2: ignore_label" in result.stderr
    for text, said in (
        ("label_mapping: {1: 9}\n", "found the class 9; expected 0 to 2"),
        ("label_mapping: {1: cat}\n", "label_mapping: found 1: cat; expected values 0 to 255"),
    ):
        (tmp_path / "map.yaml").write_text(text)
        assert said in run("yolo", root, out, "--label-mapping", tmp_path / "map.yaml").stderr
    (tmp_path / "map.yaml").write_text("label_mapping: {1: 0, 2: ignore_label}\n")
    words = ("--labels", "polygons", "--label-mapping", tmp_path / "map.yaml")
    assert "found polygons, expected masks" in run("yolo", root, out, *words).stderr


def test_a_text_file_that_is_added_later_rewrites_its_shard_alone(tmp_path, run, out):
    root = pathlib.Path(fakes.yolo(tmp_path))
    texts = sorted((root / "labels/train").glob("*.txt"))
    added, lines = texts[0], texts[0].read_text()
    added.unlink()
    words = ("yolo", root, out, "--shards", 2, "--split", "train")
    assert run(*words).exit_code == 0
    before = {path.name: path.read_bytes() for path in pathlib.Path(out).glob("*.tfrecord")}
    added.write_text(lines)
    result = run(*words)
    assert result.exit_code == 0, result.stderr
    assert "writing train-00000-of-00002.tfrecord again" in result.stderr
    assert "1 shard kept" in result.stdout
    after = {path.name: path.read_bytes() for path in pathlib.Path(out).glob("*.tfrecord")}
    assert [name for name in after if after[name] != before[name]] == [min(after)]
    fresh = f"{out}2"
    assert run(*words[:2], fresh, *words[3:]).exit_code == 0
    assert content(out) == content(fresh)
    added.unlink()  # a label that is lost is another thing
    result = run(*words)
    assert result.exit_code == 2
    assert "with other samples" in result.stderr


@pytest.mark.parametrize(
    "text",
    [
        "names: [cat, 'traffic light', \"a, b\"]",
        "names:\n  0: cat  # the first\n  1: traffic light\n  2: 'a, b'",
        "names:\n- cat\n- traffic light\n- 'a, b'\nnc: 3",
        "# a comment\nnc: 3\nnames: {0: cat, 1: traffic light, 2: 'a, b'}\n",
        "---\npath: ../x # y\nnames:\n  - cat\n  - traffic light\n  - a, b\n\ntrain: images",
    ],
)
def test_names_are_read_in_every_form(text, tmp_path):
    (tmp_path / "data.yaml").write_text(text)
    assert yolo_yaml.classes(str(tmp_path / "data.yaml")) == ("cat", "traffic light", "a, b")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nc: 2", "found no names"),
        ("names: [a, b]\nnc: 3", "nc is 3, but there are 2 names"),
        ("names: [a, a]", "a name twice"),
        ("names:\n  0: a\n  2: b", "the indices 0, 2; expected 0, 1, 2"),
        ("names", "line 1: found 'names'; expected `key: value`"),
    ],
)
def test_odd_names_are_refused(text, said, tmp_path):
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(PlanError, match=said):
        yolo_yaml.classes(str(tmp_path / "data.yaml"))


def rename(root, old, new):
    os.rename(os.path.join(root, old), os.path.join(root, new))


def test_capital_endings_and_twins(tmp_path, run, out):
    root = fakes.yolo(tmp_path)
    assert run("yolo", root, out).exit_code == 0
    before = planes(out)
    rename(root, "labels/train/train0.txt", "labels/train/train0.TXT")
    assert run("yolo", root, f"{out}2").exit_code == 0
    np.testing.assert_array_equal(planes(f"{out}2")["train0"], before["train0"])
    shutil.copy(f"{root}/labels/train/train1.txt", f"{root}/labels/train/train0.txt")
    result = run("yolo", root, f"{out}3")
    assert result.exit_code == 2
    assert "with the same name" in " ".join(result.stderr.split())


def test_val_and_valid_are_two_splits(tmp_path, run, out):
    root = fakes.yolo(tmp_path)
    for kind in ("images", "labels"):
        shutil.copytree(f"{root}/{kind}/val", f"{root}/{kind}/valid")
    assert Yolo().bind(root).splits(root) == ("train", "val", "valid")
    assert run("yolo", root, out).exit_code == 0
    assert len(list(pathlib.Path(out).glob("*.tfrecord"))) == 3


def test_a_split_without_a_folder_of_labels_is_named(tmp_path, run, out):
    root = fakes.yolo(tmp_path)
    rename(root, "labels/val", "labels/valid")
    result = run("yolo", root, out)
    assert result.exit_code == 2
    assert "labels/val: there is no such folder" in " ".join(result.stderr.split())
    assert run("yolo", root, out, "--split", "train").exit_code == 0


def test_a_split_of_roboflow_without_labels_is_named(tmp_path, run, out):
    root = fakes.yolo(tmp_path / "d")
    for split in ("train", "val"):
        os.makedirs(f"{root}/{split}")
        rename(root, f"images/{split}", f"{split}/images")
    rename(root, "labels/train", "train/labels")
    shutil.rmtree(f"{root}/images")
    shutil.rmtree(f"{root}/labels")
    result = run("yolo", root, out)
    assert result.exit_code == 2
    assert "val/labels: there is no such folder" in " ".join(result.stderr.split())


def test_pictures_of_no_split_are_reported(tmp_path, run, out):
    root = fakes.yolo(tmp_path)
    os.makedirs(f"{root}/images/night")
    for name in ("night/n.jpg", "loose.jpg"):
        shutil.copy(f"{root}/images/train/train0.jpg", f"{root}/images/{name}")
    result = run("yolo", root, out)
    assert result.exit_code == 0
    said = " ".join(result.stderr.split())
    assert "images/loose.jpg" in said
    assert "images/night: no split has its pictures" in said


def test_a_class_called_background_is_not_what_no_polygon_covers(tmp_path):
    root = fakes.yolo(tmp_path)
    pathlib.Path(root, "data.yaml").write_text("names: [background, dog, cow]\n")
    assert Yolo().bind(root).classes == ("background", "dog", "cow", "background (3)")


def test_key_points_are_not_drawn_as_polygons(tmp_path):
    root = fakes.yolo(tmp_path)
    with open(f"{root}/data.yaml", "a") as file:
        file.write("kpt_shape: [17, 2]\n")
    with pytest.raises(LayoutError, match="boxes with key points"):
        Yolo().bind(root)


def test_groups_stay_together_and_are_reported_where_they_cross(tmp_path):
    for i in range(36):
        for kind, ending in (("images", "jpg"), ("labels", "txt")):
            path = tmp_path / kind / f"p{i % 9}_jpg.rf.{i}.{ending}"
            path.parent.mkdir(exist_ok=True)
            path.write_text("0 0 0 0 1 1 1\n")
    (tmp_path / "data.yaml").write_text("names: [cat]\n")
    layout = Yolo(val_fraction=0.5, group="rf").bind(str(tmp_path))
    rows = {s: [*layout.samples(str(tmp_path), s)] for s in layout.splits(str(tmp_path))}
    units = {s: {one.key.partition("_")[0] for one in found} for s, found in rows.items()}
    assert sum(map(len, rows.values())) == 36
    assert all(units.values())
    assert not units["train"] & units["val"]
    for kind in ("images", "labels"):
        for i, path in enumerate(sorted((tmp_path / kind).iterdir())):
            place = tmp_path / kind / ("train" if i % 2 else "val") / path.name
            place.parent.mkdir(exist_ok=True)
            path.rename(place)
    layout = Yolo().bind(str(tmp_path))
    found = layout.findings(str(tmp_path), "train", [*layout.samples(str(tmp_path), "train")])
    assert {one.kind for one in found} == {"group-crosses"}


def turned(path, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    with Image.open(path) as image:
        image.save(path, exif=exif, quality=95)


@pytest.mark.parametrize("orientation", [3, 6])
@pytest.mark.parametrize("options", [(), ("--max-side", "30")])
def test_polygons_lie_on_the_rotated_view(orientation, options, tmp_path, run, out):
    root = fakes.yolo(tmp_path)
    turned(f"{root}/images/train/train0.jpg", orientation)
    pathlib.Path(root, "labels/train/train0.txt").write_text("1 0 0 .5 0 .5 .5 0 .5\n")
    result = run("yolo", root, out, *options)
    assert result.exit_code == 2
    assert f"EXIF orientation {orientation}" in result.stderr
    assert "build with --exif apply" in " ".join(result.stderr.split())
    assert run("yolo", root, f"{out}2", "--exif", "apply", *options).exit_code == 0
    plane = planes(f"{out}2")["train0"]
    height, width = plane.shape
    assert (height > width) == (orientation == 6)
    assert set(np.unique(plane[: height // 2 - 1, : width // 2 - 1])) == {1}
    assert set(np.unique(plane[height // 2 + 2 :])) == {3}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train: images/train\nval: images/val\ntest:", None),
        ("train: /data/cats/images/train/\nval: [images/val]", None),
        ("train: images/train\nval: images/train", "val is images/train, which is the split train"),
        ("train:\n- images/train\n- images/val", "train is images/val, which is the split val"),
        ("train: train2017.txt", "train is the list train2017.txt, which is not read"),
    ],
)
def test_a_division_that_folders_contradict_is_reported(text, said, tmp_path):
    root = fakes.yolo(tmp_path)
    pathlib.Path(root, "data.yaml").write_text(f"{text}\nnames: [cat, dog, cow]\n")
    layout = Yolo().bind(root)
    found = layout.findings(root, "train", [*layout.samples(root, "train")])
    assert len(found) == (said is not None)
    assert all(said in one.text for one in found)
