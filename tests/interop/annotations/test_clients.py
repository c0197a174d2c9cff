"""Exports, opened by the tools that they are for."""

import json
import pathlib

import cv2
import numpy as np
import pytest
from PIL import Image

from dsbuild.interop.annotations import run
from dsbuild.layouts.voc import Voc
from tests.support import masks
from tests.support.exported import built, loaded, records


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """TFRecords of planes that are hard to hold, in two splits."""
    folder = tmp_path_factory.mktemp("clients")
    hard = list(masks.hard().items())
    divided = {"train": dict(hard[:5]), "val": dict(hard[3:])}
    return built(masks.tree(folder / "tree", divided), folder / "out")


def planes(folder, split):
    """Return key -> plane of a split, ignored pixels as background."""
    return {
        key: np.where(plane == 255, 0, plane) for key, (_, plane) in records(folder)[split].items()
    }


@pytest.mark.parametrize("shapes", ["masks", "polygons"])
@pytest.mark.parametrize("objects", ["components", "class"])
def test_pycocotools_draws_the_same_pixels(drawn, tmp_path, shapes, objects, capsys):
    coco = pytest.importorskip("pycocotools.coco")
    run.export(drawn, str(tmp_path / "made"), "coco", shapes=shapes, objects=objects)
    for split in ("train", "val"):
        known = coco.COCO(str(tmp_path / f"made/annotations/instances_{split}.json"))
        wanted = planes(drawn, split)
        assert [one["name"] for one in known.loadCats(known.getCatIds())] == [*masks.NAMES[1:]]
        assert len(known.getImgIds()) == len(wanted)
        for image in known.loadImgs(known.getImgIds()):
            plane = np.zeros((image["height"], image["width"]), np.uint8)
            for one in known.loadAnns(known.getAnnIds(image["id"])):
                mask = known.annToMask(one).astype(bool)
                assert one["area"] == mask.sum()
                y, x = np.nonzero(mask)
                box = [x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1]
                assert one["bbox"] == box
                plane[mask] = one["category_id"]
            key = image["file_name"].rpartition(".")[0]
            np.testing.assert_array_equal(plane, wanted[key])
            assert (tmp_path / "made" / split / image["file_name"]).exists()


def test_panoptic_pngs_and_segments_agree(drawn, tmp_path):
    """By the rules of panopticapi: every id of the PNG in the list, every area as it is."""
    run.export(drawn, str(tmp_path / "made"), "coco-panoptic")
    for split, rows in records(drawn).items():
        document = json.loads((tmp_path / f"made/annotations/panoptic_{split}.json").read_text())
        assert [one["isthing"] for one in document["categories"]] == [0, 1, 1, 1]
        keys = {one["id"]: one["file_name"].rpartition(".")[0] for one in document["images"]}
        for one in document["annotations"]:
            path = tmp_path / f"made/annotations/panoptic_{split}" / one["file_name"]
            with Image.open(path) as image:
                assert image.mode == "RGB"
                ids = np.asarray(image).astype(int) @ [1, 256, 65536]
            found = dict(zip(*np.unique(ids, return_counts=True), strict=True))
            void = found.pop(0, 0)
            plane = rows[keys[one["image_id"]]][1]
            assert void == np.count_nonzero(plane == 255)
            assert found == {s["id"]: s["area"] for s in one["segments_info"]}
            for segment in one["segments_info"]:
                values = np.unique(plane[ids == segment["id"]])
                assert values.tolist() == [segment["category_id"] - 1]


def test_yolo_by_the_rules_of_ultralytics(drawn, tmp_path):
    """The checks of verify_image_label, and the drawing of polygons2masks, largest first."""
    yaml = pytest.importorskip("yaml")
    run.export(drawn, str(tmp_path / "made"), "yolo")
    known = yaml.safe_load((tmp_path / "made/data.yaml").read_text())
    assert known["names"] == dict(enumerate(masks.NAMES[1:]))
    assert known["nc"] == 3
    for split in ("train", "val"):
        wanted = planes(drawn, split)
        paths = sorted((tmp_path / "made" / known[split]).iterdir())
        assert len(paths) == len(wanted)
        for path in paths:
            text = pathlib.Path(
                str(path).replace("/images/", "/labels/").rpartition(".")[0] + ".txt"
            ).read_text()
            height, width = wanted[path.stem].shape
            drawn_masks = []
            for line in text.splitlines():
                value, *points = line.split()
                segment = np.array(points, np.float32).reshape(-1, 2)
                assert len(segment) >= 3
                assert segment.min() >= 0
                assert segment.max() <= 1
                plane = np.zeros((height, width), np.uint8)
                corners = (segment * (width, height)).astype(np.int32)
                drawn_masks.append((cv2.fillPoly(plane, [corners], 1), int(value) + 1))
            plane = np.zeros((height, width), np.uint8)
            for mask, value in sorted(drawn_masks, key=lambda pair: -int(pair[0].sum())):
                plane[mask > 0] = value
            np.testing.assert_array_equal(plane, wanted[path.stem])


def test_ultralytics_semantic_has_a_mask_of_the_size_of_each_image(drawn, tmp_path):
    yaml = pytest.importorskip("yaml")
    run.export(drawn, str(tmp_path / "made"), "ultralytics-semantic")
    known = yaml.safe_load((tmp_path / "made/data.yaml").read_text())
    assert known["masks_dir"] == "masks"
    assert known["names"] == dict(enumerate(masks.NAMES))
    for split, rows in records(drawn).items():
        for path in (tmp_path / "made" / known[split]).iterdir():
            mask = cv2.imread(
                str(tmp_path / "made/masks" / split / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED
            )
            np.testing.assert_array_equal(mask, rows[path.stem][1])


def test_mmsegmentation_finds_a_mask_for_each_image_by_suffix(drawn, tmp_path):
    run.export(drawn, str(tmp_path / "made"), "mmseg")
    known = json.loads((tmp_path / "made/classes.json").read_text())
    assert [one["name"] for one in known["classes"]] == [*masks.NAMES]
    for split, rows in records(drawn).items():
        images = {path.name for path in (tmp_path / f"made/img_dir/{split}").iterdir()}
        (suffix,) = {name.rpartition(".")[2] for name in images}
        assert images == {f"{key}.{suffix}" for key in rows}
        for name in images:
            path = tmp_path / f"made/ann_dir/{split}" / name.replace(f".{suffix}", ".png")
            mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(mask, rows[path.stem][1])
            assert cv2.imread(str(tmp_path / f"made/img_dir/{split}" / name)) is not None


def test_voc_masks_show_the_palette(voc, out, tmp_path):
    from tests.support.runs import make

    make(voc, out, splits=("train",))
    run.export(out, str(tmp_path / "made"), "voc")
    ids = (tmp_path / "made/ImageSets/Segmentation/train.txt").read_text().split()
    rows = records(out)["train"]
    assert ids == [*rows]
    for key in ids:
        with Image.open(tmp_path / f"made/SegmentationClass/{key}.png") as image:
            assert image.mode == "P"
            assert tuple(image.getpalette()) == tuple(v for rgb in Voc.palette for v in rgb)
            np.testing.assert_array_equal(np.asarray(image), rows[key][1])


def test_datasets_decodes_image_and_mask(drawn, tmp_path):
    pytest.importorskip("datasets")
    run.export(drawn, str(tmp_path / "made"), "hf")
    code = (
        "import datasets, json, sys, numpy as np\n"
        "data = datasets.load_dataset('imagefolder', data_dir=sys.argv[1])\n"
        "print(json.dumps({split: {row['key']: [np.asarray(row['mask']).tolist(), "
        "list(row['image'].size)] for row in rows} for split, rows in data.items()}))\n"
    )
    lines = loaded(code, tmp_path / "made", tmp_path / "home")
    found = json.loads(lines[-1])
    for split, rows in records(drawn).items():
        split = {"val": "validation"}.get(split, split)
        assert {*found[split]} == {*rows}
        for key, (_, plane) in rows.items():
            mask, size = found[split][key]
            np.testing.assert_array_equal(mask, plane)
            assert size == [*plane.shape[::-1]]


def test_labelme_shapes_by_its_own_rules(drawn, tmp_path):
    """A mask fills its box; labels are in labels.txt; the image lies beside."""
    run.export(drawn, str(tmp_path / "made"), "labelme")
    labels = (tmp_path / "made/labels.txt").read_text().splitlines()
    assert labels == ["__ignore__", "_background_", *masks.NAMES[1:]]
    for path in (tmp_path / "made/train").glob("*.json"):
        document = json.loads(path.read_text())
        assert document.keys() >= {"version", "imageData", "imagePath", "shapes", "flags"}
        with Image.open(path.parent / document["imagePath"]) as image:
            assert image.size == (document["imageWidth"], document["imageHeight"])
        assert {shape["label"] for shape in document["shapes"]} <= {*labels}
        for shape in document["shapes"]:
            (left, top), (right, bottom) = shape["points"]
            import base64

            data = np.frombuffer(base64.b64decode(shape["mask"]), np.uint8)
            mask = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
            assert mask.shape == (bottom - top + 1, right - left + 1)
            assert set(np.unique(mask).tolist()) <= {0, 1}
