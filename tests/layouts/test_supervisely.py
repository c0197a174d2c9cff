"""Supervisely: bitmaps, polygons, classes, datasets, and mistakes that are named."""

import base64
import io
import json
import pathlib
import zlib

import numpy as np
import pytest
from PIL import Image

from dsbuild.errors import ImageError, LayoutError
from dsbuild.layouts.supervisely import Supervisely
from tests.support import fakes
from tests.support.objects import planes

LAYOUT = Supervisely(names=("cat", "dog"))
RING = [[2, 2], [12, 2], [12, 12], [2, 12]]
HOLE = [[5, 5], [9, 5], [9, 9], [5, 9]]


def polygon(exterior, *interior, label="cat"):
    points = {"exterior": exterior, "interior": list(interior)}
    return {"classTitle": label, "geometryType": "polygon", "points": points}


def bitmap(data, origin=(3, 4)):
    given = {"data": data, "origin": list(origin)}
    return {"classTitle": "dog", "geometryType": "bitmap", "bitmap": given}


def document(*objects, height=40, width=50):
    return {"size": {"height": height, "width": width}, "objects": list(objects)}


def plane_of(*objects):
    return LAYOUT.plane(json.dumps(document(*objects)).encode(), "a.json", (40, 50))


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def test_holes_stay_what_is_below_and_later_objects_are_on_top():
    plane = plane_of(polygon(RING, HOLE))
    assert (plane[2, 2], plane[7, 7], plane[12, 12], plane[13, 13]) == (1, 0, 1, 0)
    plane = plane_of(polygon(RING, label="dog"), polygon(RING, HOLE))
    assert (plane[3, 3], plane[7, 7]) == (1, 2)


def test_coordinates_that_are_not_whole_are_rounded():
    ring = [[x - 0.4, y + 0.4] for x, y in RING]
    np.testing.assert_array_equal(plane_of(polygon(ring)), plane_of(polygon(RING)))


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_bitmap_is_placed_at_its_origin(alpha, compressed):
    inside = np.eye(3, 5, dtype=np.uint8) * 255
    pixels = np.dstack([255 - inside] * 3 + [inside]) if alpha else inside
    data = zlib.compress(png(pixels)) if compressed else png(pixels)
    plane = plane_of(bitmap(base64.b64encode(data).decode()))
    assert np.argwhere(plane == 2).tolist() == [[4, 3], [5, 4], [6, 5]]


def test_objects_without_a_mask_are_left_out_only_if_asked():
    line = {**polygon(RING), "geometryType": "line"}
    layout = Supervisely(names=("cat",), others="leave-out")
    data = json.dumps(document(line)).encode()
    assert not layout.plane(data, "a.json", (40, 50)).any()


SMALL = fakes.packed(np.ones((6, 10), bool))
BOMB = base64.b64encode(zlib.compress(bytes(1 << 27))).decode()
CUT = base64.b64encode(zlib.compress(b"abc" * 999)[:-9]).decode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (document(polygon(RING, label="Cat")), "object 1 (Cat): the classes do not have it"),
        (document(polygon(RING, label="Cat")), "did you mean cat?"),
        (document(polygon(RING[:2])), "found a polygon of 2 points; expected 3 or more"),
        (document(polygon(RING, HOLE[:2])), "found a polygon of 2 points; expected 3 or more"),
        (document(polygon([[0, 0], [1, 1], [1e9, 0]])), "far outside the image"),
        (document(polygon([[0, 0], [1, 1], [2]])), "found no points or bitmap"),
        (document({**polygon(RING), "geometryType": "line"}), "'line', which gives no mask"),
        (document({"classTitle": "cat", "geometryType": "bitmap"}), "found no points or bitmap"),
        (document(bitmap(SMALL, (45, 4))), "10 x 6 pixels at 45, 4, which is not inside"),
        (document(bitmap(SMALL, (-1, 4))), "which is not inside the image of 50 x 40"),
        (document(bitmap(SMALL, (1.5, 4))), "a whole origin"),
        (document(bitmap(fakes.packed(np.ones((50, 9), bool)))), "larger than the image"),
        (document(bitmap("§")), "is not base64"),
        (document(bitmap("aaaa")), "object 1 (dog): found a bitmap that is no PNG"),
        (document(bitmap(BOMB)), "larger than 64 MiB"),
        (document(bitmap(CUT)), "cut off"),
        (document(height="40"), "found the size ['40', 50]"),
        (document(height=50, width=40), "found a label of 40 x 50 pixels"),
        ({"objects": []}, "no JSON of Supervisely"),
        ([1], "no JSON of Supervisely"),
    ],
)
def test_mistakes_are_named_and_can_be_skipped(change, said, tmp_path, run, out):
    root = fakes.supervisely(tmp_path)
    pathlib.Path(root, "train/ann/0.jpg.json").write_text(json.dumps(change))
    result = run("supervisely", root, out)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert "train/ann/0.jpg.json" in result.stderr
    assert run("supervisely", root, out, "--on-error", "skip").exit_code == 0
    assert len(planes(out)) == 11


@pytest.mark.parametrize("end", [-12, 40])
def test_a_damaged_png_is_refused(end):
    data = png(np.random.default_rng(0).integers(0, 2, (30, 30), np.uint8))[:end]
    with pytest.raises(ImageError, match="whose PNG is damaged"):
        plane_of(bitmap(base64.b64encode(zlib.compress(data)).decode()))


def test_a_bitmap_of_three_channels_is_refused():
    data = base64.b64encode(png(np.zeros((3, 3, 3), np.uint8))).decode()
    with pytest.raises(ImageError, match="three channels; expected one, or four with alpha"):
        plane_of(bitmap(data))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "found no classes"),
        ("{}", "found no classes"),
        ('{"classes": []}', "found 0 classes"),
        ('{"classes": [{"title": "a"}, {"title": "a"}]}', "expected different titles"),
    ],
)
def test_an_odd_meta_is_named(text, said, tmp_path):
    root = fakes.supervisely(tmp_path)
    pathlib.Path(root, "meta.json").write_text(text)
    with pytest.raises(LayoutError, match=said):
        Supervisely().bind(root)


def test_annotations_without_an_image_are_reported(tmp_path, run, out):
    root = fakes.supervisely(tmp_path)
    pathlib.Path(root, "val/ann/z.jpg.json").write_text("{}")
    assert "val/ann/z.jpg.json" in run("supervisely", root, out).stderr


def test_datasets_are_splits_if_one_is_named_after_a_split(tmp_path):
    root = pathlib.Path(fakes.supervisely(tmp_path))
    (root / "train").rename(root / "night 1")
    assert Supervisely().splits(str(root)) == ("night_1", "val")
    (root / "val").rename(root / "day")
    assert Supervisely().splits(str(root)) == ("train",)
    layout = Supervisely(val_fraction=0.4)
    assert layout.splits(str(root)) == ("train", "val")
    keys = {sample.key for split in ("train", "val") for sample in layout.samples(str(root), split)}
    assert len(keys) == 12
    assert "day/0" in keys


def test_datasets_below_others_are_read(tmp_path):
    root = pathlib.Path(fakes.supervisely(tmp_path))
    (root / "val" / "datasets").mkdir()
    (root / "train").rename(root / "val" / "datasets" / "inner")
    keys = [sample.key for sample in Supervisely().samples(str(root), "val")]
    assert len(keys) == 12
    assert "val/inner/0" in keys
