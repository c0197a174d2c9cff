"""Drawn scenes as tools for annotation export them: objects as polygons with names of classes."""

import json

import numpy as np

from dsbuild.demo import scenes
from dsbuild.demo.files import save, write

SIZE = (320, 240)  # width and height of every picture
THINGS = tuple(scenes.OUTLINES)


def coco(folder: str, samples: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Draw pictures, and their objects as polygons in one JSON file per split; a quarter is val.

    As in COCO, the ids of the categories have gaps.
    """
    categories = [{"id": 1 + 3 * i, "name": name} for i, name in enumerate(THINGS)]
    lists: dict[str, dict[str, list[object]]] = {}
    for i in range(samples):
        split, file = "val" if i % 4 == 1 else "train", f"{i:012d}.jpg"
        names = [THINGS[i % len(THINGS)], *rng.choice(["person", "car", "sofa"], 2)]
        things = scenes.still(rng, names, *SIZE)
        known = lists.setdefault(split, {"images": [], "annotations": []})
        known["images"].append({"id": i, "file_name": file, "width": SIZE[0], "height": SIZE[1]})
        for one in things:
            known["annotations"].append(
                {
                    "id": 10 * i + len(known["annotations"]),
                    "image_id": i,
                    "category_id": 1 + 3 * THINGS.index(one.name),
                    "segmentation": [one.points.round(1).ravel().tolist()],
                    "iscrowd": 0,
                }
            )
        save(scenes.picture(rng, things, *SIZE), folder, split, file)
    for split, known in lists.items():
        text = json.dumps({**known, "categories": categories})
        write(text, folder, "annotations", f"instances_{split}.json")
    return ()


def labelme(folder: str, samples: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Draw pictures, and their objects as LabelMe's polygons; `labels.txt` names the classes."""
    for i in range(samples):
        names = [THINGS[i % len(THINGS)], *rng.choice(["person", "car", "sofa"], 2)]
        things = scenes.still(rng, names, *SIZE)
        shapes = [
            {"label": one.name, "shape_type": "polygon", "points": one.points.round(2).tolist()}
            for one in things
        ]
        annotation: dict[str, object] = {
            "version": "5.5.0",
            "flags": {},
            "shapes": [{**shape, "group_id": None, "flags": {}} for shape in shapes],
            "imagePath": f"{i:03d}.jpg",
            "imageData": None,
            "imageHeight": SIZE[1],
            "imageWidth": SIZE[0],
        }
        write(json.dumps(annotation), folder, f"{i:03d}.json")
        save(scenes.picture(rng, things, *SIZE), folder, f"{i:03d}.jpg")
    write("\n".join(["__ignore__", "_background_", *THINGS]), folder, "labels.txt")
    return "--val-fraction", "0.25"


def yolo(folder: str, samples: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Draw pictures, and their objects as YOLO's polygons; `data.yaml` names the classes."""
    for i in range(samples):
        split = "val" if i % 4 == 1 else "train"
        names = [THINGS[i % len(THINGS)], *rng.choice(["person", "car", "sofa"], 2)]
        things = scenes.still(rng, names, *SIZE)
        rows = [
            [THINGS.index(one.name), *(one.points / SIZE).clip(0, 1).round(6).ravel().tolist()]
            for one in things
        ]
        text = "\n".join(" ".join(map(str, row)) for row in rows)
        write(text, folder, "labels", split, f"{i:03d}.txt")
        save(scenes.picture(rng, things, *SIZE), folder, "images", split, f"{i:03d}.jpg")
    lines = ["path: .", "train: images/train", "val: images/val", "names:"]
    lines += [f"  {i}: {name}" for i, name in enumerate(THINGS)]
    write("\n".join(lines), folder, "data.yaml")
    return ()


def cvat(folder: str, samples: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Draw pictures, and their objects as CVAT's polygons in one XML file; a quarter is val."""
    labels = "".join(f"<label><name>{name}</name></label>" for name in THINGS)
    rows = ['<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "<version>1.1</version>"]
    rows.append(f"<meta><project><labels>{labels}</labels></project></meta>")
    for i in range(samples):
        subset, file = "Validation" if i % 4 == 1 else "Train", f"{i:03d}.jpg"
        names = [THINGS[i % len(THINGS)], *rng.choice(["person", "car", "sofa"], 2)]
        things = scenes.still(rng, names, *SIZE)
        size = f'width="{SIZE[0]}" height="{SIZE[1]}"'
        rows.append(f'<image id="{i}" name="{file}" subset="{subset}" {size}>')
        for one in things:
            points = ";".join(f"{x},{y}" for x, y in one.points.round(2).tolist())
            rows.append(f'<polygon label="{one.name}" points="{points}" z_order="0"/>')
        rows.append("</image>")
        save(scenes.picture(rng, things, *SIZE), folder, "images", subset, file)
    write("\n".join([*rows, "</annotations>"]), folder, "annotations.xml")
    return ()


def supervisely(folder: str, samples: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Draw pictures, and their objects as Supervisely's polygons, in datasets train and val."""
    for i in range(samples):
        dataset, file = "val" if i % 4 == 1 else "train", f"{i:03d}.jpg"
        names = [THINGS[i % len(THINGS)], *rng.choice(["person", "car", "sofa"], 2)]
        things = scenes.still(rng, names, *SIZE)
        objects = [
            {
                "classTitle": one.name,
                "geometryType": "polygon",
                "points": {"exterior": one.points.round().astype(int).tolist(), "interior": []},
                "tags": [],
            }
            for one in things
        ]
        annotation = {"size": {"height": SIZE[1], "width": SIZE[0]}, "objects": objects}
        write(json.dumps(annotation), folder, dataset, "ann", f"{file}.json")
        save(scenes.picture(rng, things, *SIZE), folder, dataset, "img", file)
    known = [{"title": name, "shape": "polygon"} for name in THINGS]
    write(json.dumps({"classes": known, "tags": []}), folder, "meta.json")
    return ()
