"""Drawn scenes on disk, each in the form of a layout."""

import json
import os
import pickle
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from dsbuild.demo import exports, scenes
from dsbuild.demo.exports import SIZE, THINGS
from dsbuild.demo.files import place, save, write
from dsbuild.errors import PlanError, StorageError
from dsbuild.layouts import LAYOUTS
from dsbuild.layouts.ade_index import INDEXES
from dsbuild.layouts.ade_labels import FROM_FULL
from dsbuild.layouts.ade_labels import NAMES as ADE
from dsbuild.layouts.city_labels import IDS
from dsbuild.storage.urls import is_url

CITY = (512, 256)  # those of Cityscapes are twice as wide as high
NAMES = ("sky", "building", "tree", "road", "sidewalk", "car", "person")
_FULL = {value: ADE[index] for value, index in FROM_FULL.items()}  # value in the full ADE20K
AS_CITYSCAPES = {"tree": "vegetation"}  # the same, by the name that Cityscapes has for it


def draw(layout: str, folder: str, samples: int = 40, seed: int = 0) -> str:
    """Draw a small data set in the form of a layout into a folder; return how to build it.

    The same arguments draw the same pictures. Raises PlanError if the folder holds anything.
    """
    if is_url(folder):
        raise PlanError(f"{folder}: found a URL; expected a local folder, such as data")
    folder = os.path.normpath(folder)
    if os.path.lexists(folder) and not (os.path.isdir(folder) and not os.listdir(folder)):
        raise PlanError(f"{folder}: exists already; name another folder, or remove it")
    try:
        options = DEMOS[layout](folder, samples, np.random.default_rng(seed))
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror}; name another folder") from None
    return " ".join(["dsbuild", "build", folder, *(option.format(folder) for option in options)])


def voc(folder: str, samples: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Draw a Pascal VOC tree: a quarter is val, the classes come in turn."""
    known = LAYOUTS["voc"]()
    keys = [f"2007_{i:06d}" for i in range(samples)]
    for i, key in enumerate(keys):
        size = SIZE[::-1] if i % 5 == 4 else SIZE  # some stand upright, as in the original
        count = rng.integers(1, 4)
        names = [THINGS[i % len(THINGS)], *rng.choice(["person", "car", "sofa"], count - 1)]
        things = scenes.still(rng, names, *size)
        label = scenes.label(things, [known.classes.index(name) for name in names], *size, 255)
        label.putpalette([channel for colour in known.palette for channel in colour])
        save(label, folder, "SegmentationClass", f"{key}.png")
        save(scenes.picture(rng, things, *size), folder, "JPEGImages", f"{key}.jpg")
    _lists(keys, folder, "Segmentation")
    return ()


def _lists(keys: Sequence[str], folder: str, name: str) -> None:
    """Write VOC's lists of train and val below ImageSets; a quarter is val."""
    val = max(1, len(keys) // 4)
    for split, names in {"train": keys[val:], "val": keys[:val]}.items():
        write("\n".join(names), folder, "ImageSets", name, f"{split}.txt")


def cityscapes(folder: str, samples: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Draw a Cityscapes tree: pictures, polygons and instances of two towns; a quarter is val."""
    for i in range(samples):
        split, city = "val" if i % 4 == 1 else "train", ("aachen", "zurich")[i // 4 % 2]
        key = f"{city}_{i:06d}_000019"
        things = scenes.street(rng, *CITY)
        objects = [
            {
                "label": AS_CITYSCAPES.get(one.name, one.name),
                "polygon": one.points.round().astype(int).tolist(),
            }
            for one in things
        ]
        annotation = {"imgHeight": CITY[1], "imgWidth": CITY[0], "objects": objects}
        write(json.dumps(annotation), folder, "gtFine", split, city, f"{key}_gtFine_polygons.json")
        ids = _instances(things)
        save(ids, folder, "gtFine", split, city, f"{key}_gtFine_instanceIds.png")
        image = scenes.picture(rng, things, *CITY)
        save(image, folder, "leftImg8bit", split, city, f"{key}_leftImg8bit.png")
    return ()


def _instances(things: Sequence[scenes.Thing]) -> Image.Image:
    """Paint the ids of things with 16 bits; cars and people are numbered, too."""
    values, counts = [], dict.fromkeys(("car", "person"), 0)
    for one in things:
        value = IDS[AS_CITYSCAPES.get(one.name, one.name)]
        if one.name in counts:
            value = 1000 * value + counts[one.name]
            counts[one.name] += 1
        values.append(value)
    plane = Image.new("I", CITY)
    for one, value in zip(things, values, strict=True):
        corners = [(x, y) for x, y in one.points.round().tolist()]
        ImageDraw.Draw(plane).polygon(corners, fill=value, outline=value)
    return Image.fromarray(np.asarray(plane).astype(np.uint16))


def ade20k(folder: str, samples: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Draw streets as ADE20K's challenge publishes them: values count from 1."""
    known = LAYOUTS["ade20k"]().classes
    for i in range(samples):
        split, short = ("validation", "val") if i % 4 == 1 else ("training", "train")
        key = f"ADE_{short}_{i:08d}"
        things = scenes.street(rng, *SIZE)
        values = [1 + known.index(one.name) for one in things]
        label = scenes.label(things, values, *SIZE, None)
        save(label, folder, "annotations", split, f"{key}.png")
        save(scenes.picture(rng, things, *SIZE), folder, "images", split, f"{key}.jpg")
    return ()


def ade20k_full(folder: str, samples: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Draw streets as the full ADE20K publishes them, with an index of 3,109 classes."""
    values = {name: value for value, name in _FULL.items()}
    for i in range(samples):
        split, short = ("validation", "val") if i % 4 == 1 else ("training", "train")
        stem = f"images/ADE/{split}/urban/street/ADE_{short}_{i:08d}"
        things = scenes.street(rng, *SIZE)
        stored = np.array([0, *(values[one.name] for one in things)])
        plane = stored[np.asarray(scenes.label(things, range(1, len(things) + 1), *SIZE, None))]
        rgb = np.stack([plane // 256 * 10, plane % 256, 0 * plane], 2).astype(np.uint8)
        save(Image.fromarray(rgb), folder, f"{stem}_seg.png")
        save(scenes.picture(rng, things, *SIZE), folder, f"{stem}.jpg")
    names = [_FULL.get(value, f"object {value}") for value in range(1, max(_FULL) + 1)]
    with open(place(folder, INDEXES[0]), "wb") as file:
        pickle.dump({"objectnames": names}, file)
    return ()


def pascal_context(folder: str, samples: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Draw streets as Pascal Context's 60 classes: a quarter is val."""
    known = LAYOUTS["pascal-context"]().classes
    keys = [f"2008_{i:06d}" for i in range(samples)]
    for key in keys:
        things = scenes.street(rng, *SIZE)
        # The sidewalk is background.
        values = [known.index(one.name) * (one.name != "sidewalk") for one in things]
        label = scenes.label(things, values, *SIZE, None)
        save(label, folder, "SegmentationClassContext", f"{key}.png")
        save(scenes.picture(rng, things, *SIZE), folder, "JPEGImages", f"{key}.jpg")
    _lists(keys, folder, "SegmentationContext")
    return ()


def oxford_pets(folder: str, samples: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Draw cats and their trimaps as Oxford-IIIT Pet, with lists train and val of its own."""
    rows = []
    for i in range(samples):
        number, breed = divmod(i, 2)
        key = f"{('Abyssinian', 'Bengal')[breed]}_{number + 1}"
        things = scenes.still(rng, ["cat"], *SIZE)
        border, pet = (scenes.label(things, [1], *SIZE, wide) for wide in (2, None))
        values = np.select([np.asarray(border) == 2, np.asarray(pet) == 1], [3, 1], 2)
        trimap = Image.fromarray(values.astype(np.uint8))
        save(trimap, folder, "annotations", "trimaps", f"{key}.png")
        save(scenes.picture(rng, things, *SIZE), folder, "images", f"{key}.jpg")
        rows.append(f"{key} {(1, 6)[breed]} 1 {breed + 1}")
    val = max(1, samples // 4)
    for split, lines in {"train": rows[val:], "val": rows[:val]}.items():
        write("\n".join(lines), folder, "annotations", f"{split}.txt")
    return ()


def mapillary(folder: str, samples: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Draw streets as Mapillary Vistas 1.2 publishes them, with a short config."""
    colours = [(30 * i, 90, 200 - 20 * i) for i in range(len(NAMES))]
    known = [
        {"name": name, "readable": name, "color": colour, "evaluate": True}
        for name, colour in zip(NAMES, colours, strict=True)
    ]
    for i in range(samples):
        split, key = "validation" if i % 4 == 1 else "training", f"{i:022d}"
        things = scenes.street(rng, *SIZE)
        label = scenes.label(things, [NAMES.index(one.name) for one in things], *SIZE, None)
        label.putpalette([channel for colour in colours for channel in colour])
        save(label, folder, split, "v1.2", "labels", f"{key}.png")
        save(scenes.picture(rng, things, *SIZE), folder, split, "images", f"{key}.jpg")
    write(json.dumps({"labels": known}), folder, "config_v1.2.json")
    return ()


def bdd100k(folder: str, samples: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Draw streets as BDD100K publishes its semantic masks."""
    known = LAYOUTS["bdd100k"]().classes
    for i in range(samples):
        split, key = "val" if i % 4 == 1 else "train", f"{i:08x}-{i:08x}"
        things = scenes.street(rng, *SIZE)
        values = [known.index(AS_CITYSCAPES.get(one.name, one.name)) for one in things]
        label = scenes.label(things, values, *SIZE, None)
        save(label, folder, "labels", "sem_seg", "masks", split, f"{key}.png")
        save(scenes.picture(rng, things, *SIZE), folder, "images", "10k", split, f"{key}.jpg")
    return ()


def matting(folder: str, samples: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Draw photos of people and their cut-outs, as aisegment publishes them, two per session."""
    width, height = SIZE[::-1]
    for i in range(samples):
        group, name = f"{1803151818 + i // 2}", f"{1803151818 + i // 2}-{i % 2:08d}"
        person = scenes.thing(
            "person", width * rng.uniform(0.4, 0.6), 1.3 * height, height * rng.uniform(1, 1.2)
        )
        image = scenes.picture(rng, [person], width, height)
        alpha = scenes.coverage(person, width, height, blur=2.5)
        rgba = np.dstack([np.asarray(image), (alpha * 255).round().astype(np.uint8)])
        save(image, folder, "clip_img", group, "clip_00000000", f"{name}.jpg")
        save(Image.fromarray(rgba), folder, "matting", group, "matting_00000000", f"{name}.png")
    return ()


def pairs(folder: str, samples: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Draw folders `images` and `labels` of streets, and the names of their classes."""
    for i in range(samples):
        things = scenes.street(rng, *SIZE)
        label = scenes.label(things, [NAMES.index(one.name) for one in things], *SIZE, None)
        save(label, folder, "labels", f"{i:03d}.png")
        save(scenes.picture(rng, things, *SIZE), folder, "images", f"{i:03d}.jpg")
    write("\n".join(NAMES), folder, "classes.txt")
    return "--classes", "{}/classes.txt", "--val-fraction", "0.25"


def classes(folder: str, samples: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Draw one folder of pictures per class."""
    for i in range(samples):
        name = ("boat", "bird", "car", "pottedplant")[i % 4]
        image = scenes.picture(rng, scenes.still(rng, [name], *SIZE), *SIZE)
        save(image, folder, name, f"{i // 4 + 1}.jpg")
    return "--val-fraction", "0.25"


# Layout -> how its data set is drawn; returns the options that its build needs.
DEMOS: dict[str, Callable[[str, int, np.random.Generator], tuple[str, ...]]] = {
    "voc": voc,
    "cityscapes": cityscapes,
    "coco": exports.coco,
    "ade20k": ade20k,
    "ade20k-full": ade20k_full,
    "pascal-context": pascal_context,
    "mapillary": mapillary,
    "bdd100k": bdd100k,
    "oxford-pets": oxford_pets,
    "labelme": exports.labelme,
    "yolo": exports.yolo,
    "cvat": exports.cvat,
    "supervisely": exports.supervisely,
    "matting": matting,
    "pairs": pairs,
    "classes": classes,
}
