"""Every layout with a tree drawn for it, and a decoder of its labels that is not dsbuild's."""

import json

import numpy as np
import pytest
from cityscapesscripts.helpers.annotation import Annotation
from cityscapesscripts.preparation.json2labelImg import createLabelImage
from PIL import Image

from dsbuild.layouts.cityscapes import Cityscapes
from dsbuild.layouts.classes import Classes
from dsbuild.layouts.coco import Coco
from dsbuild.layouts.matting import Matting
from dsbuild.layouts.pairs import Pairs
from dsbuild.layouts.voc import Voc
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


# Layout -> how it is drawn, and how a label is decoded without dsbuild.
DRAWN = {
    Voc(): (fakes.voc, stored),
    Cityscapes(): (fakes.cityscapes, drawn("trainIds")),
    Cityscapes(encoding="ids"): (fakes.cityscapes, drawn("ids")),
    Coco(): (fakes.coco, objects),
    Matting(): (fakes.matting, lambda path: stored(path)[..., 3] > 50),
    Pairs(names=("a", "b", "c"), val_fraction=0.4): (fakes.pairs, stored),
    Pairs(binary=1, val_fraction=0.4, split_seed=5): (fakes.pairs, lambda path: stored(path) > 1),
    Classes(val_fraction=0.4): (fakes.classes, None),
    Classes(names=("horse", "dog", "cat"), val_fraction=0.4): (fakes.classes, None),
}
