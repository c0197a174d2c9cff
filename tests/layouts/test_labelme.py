"""LabelMe: shapes, classes, trees, and mistakes that are named."""

import base64
import io
import json
import math
import pathlib

import numpy as np
import pytest
from PIL import Image

from dsbuild.errors import ImageError, LayoutError, PlanError
from dsbuild.layouts.labelme import LabelMe, read_labels
from tests.support import fakes
from tests.support.objects import SHARED, planes

LAYOUT = LabelMe(names=("_background_", "cat", "dog"))


def document(*shapes, **more):
    made = [{"label": label, "shape_type": kind, "points": p} for label, kind, p in shapes]
    return {"shapes": made, "imagePath": "a.jpg", "imageHeight": 40, "imageWidth": 60, **more}


def picture(width, height, orientation=None):
    """Return the JPEG of a picture as LabelMe keeps it in a JSON file."""
    exif, file = Image.Exif(), io.BytesIO()
    if orientation:
        exif[274] = orientation
    Image.new("RGB", (width, height)).save(file, "jpeg", exif=exif)
    return base64.b64encode(file.getvalue()).decode()


def plane_of(given, size=(40, 60)):
    return LAYOUT.plane(json.dumps(given).encode(), "a.json", size)


@pytest.mark.shared
def test_real_files_are_drawn_as_labelme_draws_them(out, run):
    root = SHARED / "labelme"
    assert run("build", root / "semantic", out).exit_code == 0
    found = planes(out)
    # Another version of Pillow drew the expected planes: a pixel of the second differs.
    for key, most in (("2011_000003", 0), ("2011_000006", 1)):
        expected = np.asarray(Image.open(root / "expected" / f"{key}.png"))
        assert np.count_nonzero(found[key] != expected) <= most


@pytest.mark.shared
def test_every_type_of_shape_is_drawn(tmp_path, out, run):
    names = ["rectangle", "circle", "polygon", "line", "point", "line_strip", "octagon"]
    (tmp_path / "c.txt").write_text("\n".join(["__ignore__", "_background_", *names]))
    root = SHARED / "labelme" / "primitives"
    assert run("build", root, out, "--classes", tmp_path / "c.txt").exit_code == 0
    plane = planes(out)["primitives"]
    areas = np.bincount(plane.ravel(), minlength=8)
    assert areas[1] == 101 * 101 + 152 * 103
    assert areas[2] == pytest.approx(math.pi * math.dist((195, 84), (225, 125)) ** 2, rel=0.02)
    assert areas[5] == pytest.approx(math.pi * 25, rel=0.3)
    assert all(areas[1:])


def test_later_shapes_are_on_top_and_ignored_ones_too():
    square = [[0, 0], [10, 0], [10, 10], [0, 10]]
    small = [[2, 2], [5, 5]]
    plane = plane_of(document(("cat", "polygon", square), ("__ignore__", "rectangle", small)))
    assert (plane[1, 1], plane[3, 3], plane[20, 20]) == (1, 255, 0)
    plane = plane_of(document(("__ignore__", "rectangle", small), ("dog", None, square)))
    assert plane[3, 3] == 2


def test_a_mask_is_placed_at_its_corner_and_cut_off_at_the_border():
    file = io.BytesIO()
    Image.fromarray(np.full((10, 10), 255, np.uint8)).save(file, "png")
    shape = {"label": "cat", "shape_type": "mask", "points": [[-4, 35], [5, 44]]}
    shape["mask"] = base64.b64encode(file.getvalue()).decode()
    plane = plane_of({**document(), "shapes": [shape]})
    assert np.argwhere(plane == 1).min(0).tolist() == [35, 0]
    assert np.argwhere(plane == 1).max(0).tolist() == [39, 5]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (document(("cow", "polygon", [[0, 0]] * 3)), "(cow): the classes do not have it"),
        (document(("Cat", "polygon", [[0, 0]] * 3)), "did you mean cat?"),
        (document(("cat", "polygon", [[0, 0], [1, 1]])), "a polygon of 2 points; expected 3 or"),
        (document(("cat", "circle", [[0, 0]])), "a circle of 1 points; expected 2"),
        (document(("cat", "cube", [[0, 0]] * 3)), "a shape of type 'cube'; expected one of"),
        (document(("cat", "polygon", [[0, 0]] * 2 + [[0, 1e9]])), "far outside the image"),
        (document(("cat", "polygon", [[0, 0]] * 2 + [["x", 1]])), "found no points or mask"),
        (document(("cat", "mask", [[0, 0]] * 2)), "found no points or mask"),
        (document(imageHeight=60, imageWidth=40), "found a label of 40 x 60 pixels"),
        (document(imageData=picture(30, 40)), "its imageData is a picture of 30 x 40 pixels, not"),
        ({"boxes": []}, "no JSON of LabelMe"),
        ([1], "no JSON of LabelMe"),
    ],
)
def test_mistakes_are_named_and_can_be_skipped(change, said, tmp_path, run, out):
    root = fakes.labelme(tmp_path)
    pathlib.Path(root, "0.json").write_text(json.dumps(change))
    Image.new("RGB", (60, 40)).save(f"{root}/0.jpg")
    result = run("labelme", root, out)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert "0.json" in result.stderr
    assert run("labelme", root, out, "--on-error", "skip").exit_code == 0
    assert len(planes(out)) == 11


def test_the_picture_in_a_file_may_be_that_of_the_image():
    assert not plane_of(document(imageData=picture(60, 40))).any()
    assert not plane_of(document(imageData=picture(40, 60, orientation=6))).any()
    assert not plane_of(document(imageData="bm90IGEgcGljdHVyZQ==")).any()
    with pytest.raises(ImageError, match="so the image was replaced after its shapes were drawn"):
        plane_of(document(imageData=picture(40, 60)))


def test_keys_that_occur_twice_are_named():
    text = json.dumps(document(("cat", "rectangle", [[0, 0], [5, 5]])))
    text = text.replace('"label": "cat"', '"label": "cat", "label": "dog"')
    with pytest.raises(ImageError, match="found the key 'label' twice in an object"):
        LAYOUT.plane(text.encode(), "a.json", (40, 60))


def test_classes_are_asked_for(tmp_path, run, out):
    root = fakes.labelme(tmp_path)
    pathlib.Path(root, "labels.txt").unlink()
    result = run("build", root, out)
    assert result.exit_code == 2
    assert "--classes FILE" in result.stderr
    with pytest.raises(LayoutError, match=r"labels\.txt: there is no such file"):
        LabelMe().bind(root)


@pytest.mark.parametrize("text", ["", "a\n__ignore__", "a\n_background_", "a\na"])
def test_odd_lists_of_classes_are_refused(text, tmp_path):
    (tmp_path / "labels.txt").write_text(text)
    with pytest.raises(PlanError, match="__ignore__ in line 1"):
        read_labels(str(tmp_path / "labels.txt"))


def test_an_image_elsewhere_is_found_by_its_path(tmp_path):
    (tmp_path / "json").mkdir()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "json" / "a.json").write_text(json.dumps(document(imagePath="..\\pictures\\b.png")))
    Image.new("RGB", (60, 40)).save(tmp_path / "pictures" / "b.png")
    (sample,) = LAYOUT.samples(str(tmp_path), "train")
    assert sample.image == "pictures/b.png"


def test_folders_named_after_splits_are_splits(tmp_path):
    for name in ("train", "valid"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.json").write_text("{}")
    assert LAYOUT.splits(str(tmp_path)) == ("train", "val")
    assert [sample.key for sample in LAYOUT.samples(str(tmp_path), "val")] == ["a"]


def png(*size):
    file = io.BytesIO()
    Image.new("L", size, 255).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ([], "found a mask of 10 x 10 pixels in the box"),
        ([[0, 0]], "found no points or mask"),
        ([[0, 0], [29, 29]], "found a mask of 10 x 10 pixels in the box"),
        ([[9, 9], [0, 0]], ".*expected it to fill the box"),
        ([[math.inf, 0], [9, 9]], "found no points or mask"),
        ([[10**400, 0], [9, 9]], "found no points or mask"),
    ],
)
def test_masks_that_do_not_fill_their_box_are_named(points, said):
    shape = {"label": "cat", "shape_type": "mask", "points": points, "mask": png(10, 10)}
    with pytest.raises(ImageError, match=f"shape 1 \\(cat\\): {said}"):
        plane_of({**document(), "shapes": [shape]})


def test_of_two_pictures_of_one_name_the_named_one_is_taken(tmp_path, run, out):
    root = fakes.labelme(tmp_path)
    Image.new("RGB", (60, 40)).save(f"{root}/0.png")
    samples = {s.key: s.image for s in LAYOUT.samples(root, "train")}
    assert samples["0"] == "0.jpg"
    path = pathlib.Path(root, "0.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "imagePath": "x.jpg"}))
    result = run("labelme", root, out)
    assert result.exit_code == 2
    assert "found 0.jpg with the same name" in " ".join(result.stderr.split())


@pytest.mark.parametrize("named", ["\ud800.png", "\0", "", "/etc/x.png", "../../x.png", 7])
def test_odd_paths_of_images_are_named(named, tmp_path, run, out):
    root = fakes.labelme(tmp_path)
    path = pathlib.Path(root, "0.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "imagePath": named}))
    pathlib.Path(root, "0.jpg").unlink()
    result = run("labelme", root, out)
    assert result.exit_code == 2
    assert "sample 0" in " ".join(result.stderr.split())


def divide(root, **parts):
    for split, stems in parts.items():
        pathlib.Path(root, split).mkdir()
        for path in [*pathlib.Path(root).rglob("*.json"), *pathlib.Path(root).rglob("*.jpg")]:
            if path.stem in stems:
                path.rename(pathlib.Path(root, split, path.name))


def test_files_beside_folders_of_splits_are_named(tmp_path, run, out):
    root = fakes.labelme(tmp_path)
    divide(root, train=("0", "1", "2"), val=("3", "4"))
    result = run("labelme", root, out)
    assert result.exit_code == 2
    assert "found it beside train and val, which have names of splits" in result.stderr


def test_val_and_valid_are_two_splits_and_others_are_reported(tmp_path, run, out):
    root = fakes.labelme(tmp_path)
    divide(root, train=[*map(str, range(6))], val="678", valid=("9", "10", "11"), test=())
    Image.new("RGB", (60, 40)).save(f"{root}/test/t.jpg")
    assert LAYOUT.splits(root) == ("train", "val", "valid")
    result = run("labelme", root, out)
    assert result.exit_code == 0
    assert "test/t.jpg: it has no JSON file" in result.stderr
    assert len(planes(out)) == 12


def test_capital_endings(tmp_path, run, out):
    root = fakes.labelme(tmp_path)
    pathlib.Path(root, "0.json").rename(f"{root}/0.JSON")
    assert run("labelme", root, out).exit_code == 0
    assert len(planes(out)) == 12


def test_groups_stay_together_and_are_reported_where_they_cross(tmp_path):
    for i in range(36):
        for place in (tmp_path / "a", tmp_path / "b" / ("train" if i % 2 else "val")):
            place.mkdir(parents=True, exist_ok=True)
            (place / f"clip{i % 9}_{i}.jpg").touch()
            (place / f"clip{i % 9}_{i}.json").write_text("{}")
    layout = LabelMe(names=LAYOUT.names, val_fraction=0.5, group=r"(.*)_")
    root = str(tmp_path / "a")
    rows = {split: [*layout.samples(root, split)] for split in layout.splits(root)}
    units = {s: {one.key.partition("_")[0] for one in found} for s, found in rows.items()}
    assert sum(map(len, rows.values())) == 36
    assert all(units.values())
    assert not units["train"] & units["val"]
    root = str(tmp_path / "b")
    layout = LabelMe(names=LAYOUT.names, group=r"(.*)_")
    found = layout.findings(root, "train", [*layout.samples(root, "train")])
    assert [one.kind for one in found] == ["group-crosses"] * 9


def test_shapes_on_a_picture_that_viewers_turn_around_are_named(tmp_path, run, out):
    root = fakes.labelme(tmp_path)
    exif = Image.Exif()
    exif[0x112] = 3
    with Image.open(f"{root}/0.jpg") as image:
        image.save(f"{root}/0.jpg", exif=exif)
    result = run("labelme", root, out)
    assert result.exit_code == 2
    assert "EXIF orientation 3" in result.stderr
    assert run("labelme", root, out, "--exif", "apply").exit_code == 0
