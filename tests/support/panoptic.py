"""Drawn trees with panoptic labels, and the maps that a build made of them."""

import json
import pathlib

import numpy as np
from PIL import Image

from dsbuild.format import example, tfrecord

LABEL = "image/segmentation/class/encoded"
CATEGORIES = (
    {"id": 2, "name": "cat", "isthing": 1},
    {"id": 5, "name": "dog", "isthing": 1},
    {"id": 9, "name": "sky", "isthing": 0},
)
# Segments of the first image, in the order of the file: id, category, whether it is a crowd.
SEGMENTS = ((300, 5, 0), (7, 2, 0), (70000, 5, 0), (8, 9, 0), (9, 2, 0), (11, 2, 1))
WIDTH = 4  # columns of a segment


def tree(folder, segments=SEGMENTS, images=3, categories=CATEGORIES):
    """Draw images whose segments are stripes, in the order of their ids, void last."""
    root = pathlib.Path(folder)
    rng = np.random.default_rng(1)
    maps = root / "annotations" / "panoptic_train"
    maps.mkdir(parents=True)
    (root / "train").mkdir()
    document = {"images": [], "annotations": [], "categories": list(categories)}
    for number in range(images):
        mine = segments[: len(segments) - number] if number else segments
        ids = np.repeat([*sorted(id_ for id_, *_ in mine), 0], WIDTH)[None].repeat(9 + number, 0)
        name = f"img{number}"
        height, width = ids.shape
        pixels = rng.integers(0, 255, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(root / "train" / f"{name}.png")
        channels = [ids % 256, ids // 256 % 256, ids // 65536]
        Image.fromarray(np.stack(channels, -1).astype(np.uint8)).save(maps / f"{name}.png")
        document["images"].append(
            {"id": number, "file_name": f"{name}.png", "height": height, "width": width}
        )
        infos = [{"id": id_, "category_id": of, "iscrowd": crowd} for id_, of, crowd in mine]
        document["annotations"].append(
            {"image_id": number, "file_name": f"{name}.png", "segments_info": infos}
        )
    (root / "annotations" / "panoptic_train.json").write_text(json.dumps(document))
    return str(root)


def records(out):
    """Return key -> features of all records in a folder."""
    found = {}
    for path in sorted(pathlib.Path(out).glob("*.tfrecord")):
        for record in tfrecord.read(str(path)):
            one = example.parse(record.data)
            found[one["image/filename"][0].decode()] = one
    return found


def maps(out):
    """Return key -> panoptic map, int32 (h, w), of all records in a folder."""
    return {
        key: np.frombuffer(one[LABEL][0], "<i4").reshape(
            int(one["image/height"][0]), int(one["image/width"][0])
        )
        for key, one in records(out).items()
    }
