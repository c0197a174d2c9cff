"""Every layout with a tree drawn for it, and a decoder of its labels that is not dsbuild's."""

import base64
import json
import os
import zlib
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from cityscapesscripts.helpers.annotation import Annotation
from cityscapesscripts.preparation.json2labelImg import createLabelImage
from PIL import Image, ImageDraw

from dsbuild.layouts.ade20k import Ade20k
from dsbuild.layouts.ade20k_full import Ade20kFull
from dsbuild.layouts.bdd100k import Bdd100k
from dsbuild.layouts.cityscapes import Cityscapes
from dsbuild.layouts.classes import Classes
from dsbuild.layouts.coco import Coco
from dsbuild.layouts.cvat import Cvat
from dsbuild.layouts.labelme import LabelMe
from dsbuild.layouts.mapillary import Mapillary
from dsbuild.layouts.matting import Matting
from dsbuild.layouts.oxford_pets import OxfordPets
from dsbuild.layouts.pairs import Pairs
from dsbuild.layouts.pascal_context import PascalContext
from dsbuild.layouts.supervisely import Supervisely
from dsbuild.layouts.voc import Voc
from dsbuild.layouts.yolo import Yolo
from tests.support import fakes


def stored(path):
    """Decode a label by Pillow alone: its stored values."""
    return np.asarray(Image.open(path))


def drawn(encoding):
    """Return a decoder of polygons by cityscapesScripts."""

    def decode(path):
        annotation = Annotation()
        annotation.fromJsonFile(path)
        return np.asarray(createLabelImage(annotation, encoding))

    return decode


def objects(label):
    """Decode the objects of an image of COCO by Pillow and pycocotools: later ones on top."""
    tool = pytest.importorskip("pycocotools.mask")
    path, _, number = label.rpartition("#")
    with open(path) as file:
        known = json.load(file)
    (image,) = (one for one in known["images"] if str(one["id"]) == number)
    ids = sorted(one["id"] for one in known["categories"])
    plane = np.zeros((image["height"], image["width"]), np.uint8)
    for one in known["annotations"]:
        if one["image_id"] == image["id"]:
            runs = tool.frPyObjects(one["segmentation"], *plane.shape)
            runs = tool.merge(runs) if isinstance(runs, list) else runs
            plane[tool.decode(runs) > 0] = 1 + ids.index(one["category_id"])
    return plane


def shapes(path):
    """Decode the shapes of LabelMe by Pillow, one over the other."""
    with open(path) as file:
        document = json.load(file)
    image = Image.new("L", (document["imageWidth"], document["imageHeight"]))
    pen = ImageDraw.Draw(image)
    for shape in document["shapes"]:
        value = {"cat": 1, "dog": 2, "__ignore__": 255}[shape["label"]]
        points = [tuple(point) for point in shape["points"]]
        if shape["shape_type"] == "rectangle":
            low, high = np.min(points, 0).tolist(), np.max(points, 0).tolist()
            pen.rectangle((*low, *high), outline=value, fill=value)
        else:
            pen.polygon(points, outline=value, fill=value)
    return np.asarray(image)


def grouped(path):
    """Decode the shapes of LabelMe, without groups, as class * 1000 + number within the class."""
    with open(path) as file:
        document = json.load(file)
    plane = np.zeros((document["imageHeight"], document["imageWidth"]), np.int32)
    image, seen = Image.fromarray(plane), []
    for shape in document["shapes"]:
        seen.append(shape["label"])
        value = {"cat": 1000, "dog": 2000, "__ignore__": 255000}[shape["label"]]
        value += seen.count(shape["label"]) * (value < 255000)
        points = [tuple(point) for point in shape["points"]]
        if shape["shape_type"] == "rectangle":
            low, high = np.min(points, 0).tolist(), np.max(points, 0).tolist()
            ImageDraw.Draw(image).rectangle((*low, *high), outline=value, fill=value)
        else:
            ImageDraw.Draw(image).polygon(points, outline=value, fill=value)
    return np.asarray(image)


def polygons(path):
    """Decode the polygons of YOLO by OpenCV, the largest first, on a background of 3."""
    masks = []
    with open(path) as file:
        for line in file:
            value, *points = map(float, line.split())
            one = np.zeros((40, 50), np.uint8)
            corners = np.array(points).reshape(-1, 2) * (50, 40)
            masks.append((cv2.fillPoly(one, [corners.astype(np.int32)], 1), int(value)))
    plane = np.full((40, 50), 3, np.uint8)
    for one, value in sorted(masks, key=lambda pair: -int(pair[0].sum())):
        plane[one > 0] = value
    return plane


def areas(label):
    """Decode the shapes of an image of CVAT by pycocotools and NumPy, the highest z_order last."""
    tool = pytest.importorskip("pycocotools.mask")
    path, _, number = label.rpartition("#")
    (image,) = ElementTree.parse(path).findall(f"image[@id='{number}']")
    plane = np.zeros((int(image.get("height")), int(image.get("width"))), np.uint8)
    for shape in sorted(image, key=lambda one: int(one.get("z_order"))):
        value = {"cat": 1, "dog": 2}.get(shape.get("label"))
        if shape.tag == "polygon":
            points = [float(n) for pair in shape.get("points").split(";") for n in pair.split(",")]
            (runs,) = tool.frPyObjects([points], *plane.shape)
            plane[tool.decode(runs) > 0] = value
        elif shape.tag == "mask":
            left, top, width, height = (
                int(shape.get(side)) for side in ("left", "top", "width", "height")
            )
            counts = list(map(int, shape.get("rle").split(",")))
            inner = np.repeat(np.arange(len(counts)) % 2, counts).reshape(height, width)
            plane[top : top + height, left : left + width][inner > 0] = value
    return plane


def bitmaps(path):
    """Decode the objects of Supervisely by OpenCV, one over the other."""
    with open(path) as file:
        document = json.load(file)
    plane = np.zeros((document["size"]["height"], document["size"]["width"]), np.uint8)
    for one in document["objects"]:
        value = {"cat": 1, "dog": 2}[one["classTitle"]]
        if one["geometryType"] == "bitmap":
            data = zlib.decompress(base64.b64decode(one["bitmap"]["data"]))
            inner = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
            left, top = one["bitmap"]["origin"]
            plane[top : top + inner.shape[0], left : left + inner.shape[1]][inner > 0] = value
        else:
            mask = np.zeros_like(plane)
            cv2.fillPoly(mask, [np.array(one["points"]["exterior"], np.int32)], 1)
            for hole in one["points"]["interior"]:
                cv2.fillPoly(mask, [np.array(hole, np.int32)], 0)
            plane[mask > 0] = value
    return plane


def full(path):
    """Decode a label of the full ADE20K by its rule: R and G give the class, from 1."""
    rgb = stored(path).astype(int)
    value = rgb[..., 0] // 10 * 256 + rgb[..., 1]
    return np.where(value == 0, 65535, value - 1)


def species(path):
    """Decode a trimap of a cat, whose name begins with a capital letter, or of a dog."""
    animal = 1 if os.path.basename(path)[0].isupper() else 2
    return np.array([9, animal, 0, 3])[stored(path)]


# Layout -> how it is drawn, and how a label is decoded without dsbuild.
DRAWN = {
    Voc(): (fakes.voc, stored),
    Cityscapes(): (fakes.cityscapes, drawn("trainIds")),
    Cityscapes(encoding="ids"): (fakes.cityscapes, drawn("ids")),
    Coco(): (fakes.coco, objects),
    Ade20k(): (fakes.ade20k, lambda path: stored(path) - 1),
    Ade20kFull(): (fakes.ade20k_full, full),
    PascalContext(): (fakes.pascal_context, stored),
    PascalContext(number="59"): (fakes.pascal_context, lambda path: stored(path) - 1),
    Mapillary(): (fakes.mapillary, lambda path: np.array([0, 1, 2, 255])[stored(path)]),
    Bdd100k(): (fakes.bdd100k, stored),
    Bdd100k(labels="drivable"): (fakes.bdd100k, stored),
    OxfordPets(): (fakes.oxford_pets, lambda path: np.array([9, 1, 0, 255])[stored(path)]),
    OxfordPets(animals="species", border="class"): (fakes.oxford_pets, species),
    LabelMe(val_fraction=0.4): (fakes.labelme, shapes),
    Yolo(): (fakes.yolo, polygons),
    Cvat(): (fakes.cvat, areas),
    Supervisely(): (fakes.supervisely, bitmaps),
    Matting(): (fakes.matting, lambda path: stored(path)[..., 3] > 50),
    Pairs(names=("a", "b", "c"), val_fraction=0.4): (fakes.pairs, stored),
    Pairs(binary=1, val_fraction=0.4, split_seed=5): (fakes.pairs, lambda path: stored(path) > 1),
    Classes(val_fraction=0.4): (fakes.classes, None),
    Classes(names=("horse", "dog", "cat"), val_fraction=0.4): (fakes.classes, None),
}
# The same for layouts with panoptic labels, whose maps are decoded.
PANOPTIC = {
    LabelMe(val_fraction=0.4, target="panoptic"): (fakes.labelme, grouped),
}
