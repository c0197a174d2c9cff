"""Draw tiny data sets as they are published.

Photos are smooth with some noise, so that they compress like photos; masks are ellipses
of a class with a void border, as VOC's annotators drew them.
"""

import base64
import io
import json
import os
import pickle
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from dsbuild.layouts.voc import Voc


def photo(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Draw a smooth RGB picture with noise."""
    coarse = rng.integers(0, 256, (4, 5, 3), np.uint8)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    noise = rng.normal(0, 6, (height, width, 3))
    return Image.fromarray((np.asarray(smooth) + noise).clip(0, 255).astype(np.uint8))


def mask(
    rng: np.random.Generator, width: int, height: int, classes: int = 21, border: int = 255
) -> Image.Image:
    """Draw a plane of class indices, mode L, with one to three objects."""
    image = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(1, 4)):
        x, y = rng.integers(0, width), rng.integers(0, height)
        a, b = rng.integers(width // 8 + 2, width // 3 + 3), rng.integers(3, height // 3 + 4)
        box = [int(x - a), int(y - b), int(x + a), int(y + b)]
        draw.ellipse(box, fill=int(rng.integers(1, classes)), outline=border, width=2)
    return image


def with_palette(plane: Image.Image) -> Image.Image:
    """Return a plane as a palette image in VOC's colours."""
    image = plane.copy()
    image.putpalette([channel for colour in Voc.palette for channel in colour])
    return image


def voc(
    folder: str | os.PathLike,
    train: int = 12,
    val: int = 6,
    width: int = 60,
    height: int = 44,
    seed: int = 0,
) -> str:
    """Draw a VOCdevkit with lists train, val and trainval; return the folder VOC2012."""
    root = os.path.join(folder, "VOCdevkit", "VOC2012")
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        os.makedirs(os.path.join(root, name), exist_ok=True)
    rng = np.random.default_rng(seed)
    keys = [f"2007_{i:06d}" for i in range(train + val)]
    for i, key in enumerate(keys):
        # Every third picture stands upright, as in the original.
        size = (height, width) if i % 3 == 2 else (width, height)
        photo(rng, *size).save(os.path.join(root, "JPEGImages", f"{key}.jpg"), quality=90)
        label = with_palette(mask(rng, *size))
        label.save(os.path.join(root, "SegmentationClass", f"{key}.png"))
    for split, names in {"train": keys[:train], "val": keys[train:], "trainval": keys}.items():
        write_list(root, split, names)
    return root


def sbd(folder: str | os.PathLike, train: list[str], val: list[str], seed: int = 0) -> str:
    """Draw SBD's folder beside a VOC tree, which gets images that it lacks; return it.

    Its labels have no void border, as its annotators drew them.
    """
    from scipy.io import savemat

    root = os.path.join(folder, "benchmark_RELEASE", "dataset")
    os.makedirs(os.path.join(root, "cls"))
    rng = np.random.default_rng(seed)
    for split, keys in {"train": train, "val": val}.items():
        with open(os.path.join(root, f"{split}.txt"), "w") as file:
            file.writelines(f"{key}\n" for key in keys)
        for key in keys:
            image = os.path.join(folder, "VOCdevkit", "VOC2012", "JPEGImages", f"{key}.jpg")
            if not os.path.exists(image):
                photo(rng, 60, 44).save(image, quality=90)
            with Image.open(image) as opened:
                plane = np.asarray(mask(rng, *opened.size, border=0))
            savemat(
                os.path.join(root, "cls", f"{key}.mat"),
                {"GTcls": {"Segmentation": plane, "Boundaries": 0}},
            )
    return root


def cityscapes(
    folder: str | os.PathLike, train: int = 4, val: int = 2, test: int = 1, seed: int = 0
) -> str:
    """Draw a Cityscapes tree of small pictures with polygons; return its root."""
    root = os.path.join(folder, "cityscapes")
    rng = np.random.default_rng(seed)
    number = 0
    for split, count in {"train": train, "val": val, "test": test}.items():
        for i in range(count):
            city = ("zurich", "aachen")[i % 2]
            key = f"{city}_{number:06d}_000019"
            number += 1
            for part in ("leftImg8bit", "gtFine"):
                os.makedirs(os.path.join(root, part, split, city), exist_ok=True)
            image = os.path.join(root, "leftImg8bit", split, city, f"{key}_leftImg8bit.png")
            photo(rng, 64, 32).save(image)
            path = os.path.join(root, "gtFine", split, city, f"{key}_gtFine_polygons.json")
            with open(path, "w") as file:
                json.dump(annotation(rng, 64, 32), file)
    return root


def annotation(rng: np.random.Generator, width: int, height: int) -> dict:
    """Draw up an annotation with polygons of every kind, also over the border."""
    names = ["road", "car", "cargroup", "polegroup", "license plate", "sky", "person", "caravan"]
    names += ["persongroup", "out of roi", "rider", "unlabeled"]
    shapes = []
    for name in rng.permutation(names).tolist():
        corners = rng.integers(1, 9) + 2
        points = rng.integers((-9, -9), (width + 9, height + 9), (corners, 2)).tolist()
        shapes.append({"label": name, "polygon": points})
        if name == "sky":
            shapes[-1]["deleted"] = 1
    return {"imgHeight": height, "imgWidth": width, "objects": shapes}


def coco(folder: str | os.PathLike, train: int = 8, val: int = 4, seed: int = 0) -> str:
    """Draw a tree of COCO: polygons, both forms of run lengths and crowds; ids have gaps."""
    root = os.path.join(folder, "coco")
    rng = np.random.default_rng(seed)
    categories = [{"id": id_, "name": name} for id_, name in ((1, "cat"), (4, "dog"), (9, "cow"))]
    os.makedirs(os.path.join(root, "annotations"))
    for split, count, first in (("train", train, 0), ("val", val, train)):
        os.makedirs(os.path.join(root, split))
        images, annotations = [], []
        for i in range(first, first + count):
            width, height = (40, 56) if i % 3 == 2 else (56, 40)
            photo(rng, width, height).save(os.path.join(root, split, f"{i:012d}.jpg"), quality=90)
            named = {"id": i + 100, "file_name": f"{i:012d}.jpg"}
            images.append({**named, "height": height, "width": width})
            for number in range(1 if i == first else rng.integers(0, 5)):
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": i + 100,
                        "category_id": int(rng.choice([1, 4, 9])),
                        "segmentation": segmentation(rng, height, width, number % 3),
                        "iscrowd": int(number == 1),
                    }
                )
        document = {"categories": categories, "annotations": annotations, "images": images}
        path = os.path.join(root, "annotations", f"instances_{split}.json")
        with open(path, "w") as file:
            json.dump(document, file)
    return root


def segmentation(rng: np.random.Generator, height: int, width: int, form: int) -> object:
    """Draw an object as COCO has it: polygons, or the run lengths of a box."""
    if form < 2:
        corners = rng.uniform(-5, 60, (form + 1, 5, 2)).round(2)
        return [part.ravel().tolist() for part in corners]
    top, left = int(rng.integers(0, height - 8)), int(rng.integers(0, width - 8))
    counts = [left * height + top, *[6, height - 6] * 5]
    return {"size": [height, width], "counts": [*counts, height * width - sum(counts)]}


def ade20k(folder: str | os.PathLike, train: int = 6, val: int = 4, seed: int = 0) -> str:
    """Draw a tree of ADE20K's challenge: grey values 0 to 150."""
    root = os.path.join(folder, "ADEChallengeData2016")
    rng = np.random.default_rng(seed)
    for name, short, count in (("training", "train", train), ("validation", "val", val)):
        for kind in ("images", "annotations"):
            os.makedirs(os.path.join(root, kind, name))
        for i in range(1, count + 1):
            key = f"ADE_{short}_{i:08d}"
            photo(rng, 50, 40).save(os.path.join(root, "images", name, f"{key}.jpg"), quality=90)
            plane = mask(rng, 50, 40, classes=151, border=150)
            plane.save(os.path.join(root, "annotations", name, f"{key}.png"))
    return root


def ade20k_full(
    folder: str | os.PathLike,
    train: int = 6,
    val: int = 4,
    seed: int = 0,
    names: int = 700,
    pool: Sequence[int] = (),
) -> str:
    """Draw a tree of the full ADE20K: classes in R and G, instances in B, and the index.

    Values are from 1 to the number of `names`, or from `pool`.
    """
    root = os.path.join(folder, "ADE20K_2021_17_01")
    rng = np.random.default_rng(seed)
    for name, short, count in (("training", "train", train), ("validation", "val", val)):
        place = os.path.join(root, "images", "ADE", name, "urban", "street")
        os.makedirs(place)
        for i in range(1, count + 1):
            key = os.path.join(place, f"ADE_{short}_{i:08d}")
            photo(rng, 50, 40).save(f"{key}.jpg", quality=90)
            objects = np.asarray(mask(rng, 50, 40, classes=9, border=9))
            some = rng.choice(pool or range(1, names + 1), 9)
            values = np.concatenate([[0], some])[objects]
            # floor(R / 10) is the class: its last digit may be anything.
            red = values // 256 * 10 + rng.integers(0, 6, values.shape)
            rgb = np.stack([red, values % 256, objects], 2).astype(np.uint8)
            Image.fromarray(rgb).save(f"{key}_seg.png")
            Image.fromarray(rgb).save(f"{key}_parts_1.png")
    with open(os.path.join(root, "index_ade20k.pkl"), "wb") as file:
        presence = np.zeros((3, names), np.uint8)
        known = {"objectnames": [f"object, no. {i}" for i in range(names)], "present": presence}
        pickle.dump(known, file)
    return root


def pascal_context(
    folder: str | os.PathLike, train: int = 6, val: int = 4, seed: int = 0, highest: int = 59
) -> str:
    """Draw a tree of Pascal Context: grey values 0 to 59, or of 16 bits if they are higher."""
    root = os.path.join(folder, "VOCdevkit", "VOC2010")
    for name in ("JPEGImages", "SegmentationClassContext", "ImageSets/SegmentationContext"):
        os.makedirs(os.path.join(root, name))
    rng = np.random.default_rng(seed)
    for split, count in (("train", train), ("val", val)):
        keys = [f"2008_{split}{i}" for i in range(count)]
        for key in keys:
            photo(rng, 50, 40).save(os.path.join(root, "JPEGImages", f"{key}.jpg"), quality=90)
            objects = np.asarray(mask(rng, 50, 40, classes=9, border=9))
            values = np.concatenate([[0], rng.integers(1, highest + 1, 9)])[objects]
            plane = values.astype(np.uint8 if highest < 256 else np.uint16)
            label = os.path.join(root, "SegmentationClassContext", f"{key}.png")
            Image.fromarray(plane).save(label)
        with open(os.path.join(root, f"ImageSets/SegmentationContext/{split}.txt"), "w") as file:
            file.write("\n".join(keys))
    return root


def oxford_pets(folder: str | os.PathLike, trainval: int = 6, test: int = 4, seed: int = 0) -> str:
    """Draw a tree of Oxford-IIIT Pet: trimaps of 1 to 3, lists of four columns."""
    root = os.path.join(folder, "oxford-iiit-pet")
    for name in ("images", "annotations/trimaps"):
        os.makedirs(os.path.join(root, name))
    rng = np.random.default_rng(seed)
    for split, count in (("trainval", trainval), ("test", test)):
        rows = []
        for i in range(count):
            breed, species = (("Bengal", 1), ("pug", 2))[i % 2]
            key = f"{breed}_{len(split)}{i}"
            photo(rng, 50, 40).save(os.path.join(root, "images", f"{key}.jpg"), quality=90)
            trimap = np.array([2, 1, 3], np.uint8)[np.asarray(mask(rng, 50, 40, 2, border=2))]
            Image.fromarray(trimap).save(os.path.join(root, f"annotations/trimaps/{key}.png"))
            rows.append(f"{key} 6 {species} 2")
        with open(os.path.join(root, "annotations", f"{split}.txt"), "w") as file:
            file.write("\n".join(rows))
    with open(os.path.join(root, "annotations", "list.txt"), "w") as file:
        file.write("#Image CLASS-ID SPECIES BREED ID\n")
    open(os.path.join(root, "annotations", "README"), "w").close()
    open(os.path.join(root, "annotations", "trimaps", "._pug_41.png"), "w").close()
    return root


def mapillary(folder: str | os.PathLike, train: int = 6, val: int = 4, seed: int = 0) -> str:
    """Draw a tree of Mapillary Vistas 1.2: palettes, and a class that is not evaluated."""
    root = os.path.join(folder, "vistas")
    rng = np.random.default_rng(seed)
    known = [
        {"name": name, "readable": name, "color": [9 * i, 99, 0], "evaluate": name != "void"}
        for i, name in enumerate(("road", "car", "sky", "void"))
    ]
    for split, count in (("training", train), ("validation", val)):
        for kind in ("images", "v1.2/labels"):
            os.makedirs(os.path.join(root, split, kind))
        for i in range(count):
            photo(rng, 50, 40).save(os.path.join(root, split, "images", f"{split}{i}.jpg"))
            plane = mask(rng, 50, 40, classes=3, border=3)
            plane.putpalette([channel for one in known for channel in one["color"]])
            plane.save(os.path.join(root, split, "v1.2/labels", f"{split}{i}.png"))
    with open(os.path.join(root, "config_v1.2.json"), "w") as file:
        json.dump({"labels": known, "version": 1.2}, file)
    return root


def bdd100k(folder: str | os.PathLike, train: int = 6, val: int = 4, seed: int = 0) -> str:
    """Draw BDD100K's tree: semantic masks of the 10k images, drivable areas of the 100k."""
    root = os.path.join(folder, "bdd100k")
    rng = np.random.default_rng(seed)
    for images, kind in (("10k", "sem_seg"), ("100k", "drivable")):
        for split, count in (("train", train), ("val", val)):
            folders = f"images/{images}/{split}", f"labels/{kind}/masks/{split}"
            for one in folders:
                os.makedirs(os.path.join(root, one))
            for i in range(count):
                key = f"{split}{kind}-{i}"
                photo(rng, 50, 40).save(os.path.join(root, folders[0], f"{key}.jpg"))
                plane = mask(rng, 50, 40, classes=19)
                if kind == "drivable":
                    plane = Image.new("L", (50, 40), 2)
                    plane.paste(i % 2, (9, 9, 30, 20))
                plane.save(os.path.join(root, folders[1], f"{key}.png"))
    return root


def labelme(folder: str | os.PathLike, count: int = 12, seed: int = 0) -> str:
    """Draw a tree of LabelMe: polygons and rectangles, some of them ignored."""
    root = os.path.join(folder, "data")
    os.makedirs(os.path.join(root, "a"))
    rng = np.random.default_rng(seed)
    for i in range(count):
        shapes = []
        for label in rng.choice(["cat", "dog", "__ignore__"], rng.integers(1, 4)).tolist():
            points = rng.uniform(0, 44, (6, 2)).round(1).tolist()
            shape = {"label": label, "group_id": None, "flags": {}}
            kind = "rectangle" if i % 4 == 3 else "polygon"
            points = points[:2] if kind == "rectangle" else points
            shapes.append({**shape, "shape_type": kind, "points": points})
        document = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imageData": None}
        document |= {"imagePath": f"{i}.jpg", "imageHeight": 40, "imageWidth": 50}
        stem = os.path.join(root, "a" if i % 3 else "", str(i))
        with open(f"{stem}.json", "w") as file:
            json.dump(document, file)
        photo(rng, 50, 40).save(f"{stem}.jpg", quality=90)
    with open(os.path.join(root, "labels.txt"), "w") as file:
        file.write("__ignore__\n_background_\ncat\ndog\n")
    return root


def yolo(folder: str | os.PathLike, train: int = 8, val: int = 4, seed: int = 0) -> str:
    """Draw a tree of YOLO: polygons relative to width and height."""
    root = os.path.join(folder, "data")
    rng = np.random.default_rng(seed)
    for split, count in (("train", train), ("val", val)):
        for kind in ("images", "labels"):
            os.makedirs(os.path.join(root, kind, split))
        for i in range(count):
            path = os.path.join(root, "images", split, f"{split}{i}.jpg")
            photo(rng, 50, 40).save(path, quality=90)
            rows = [
                [int(rng.integers(0, 3)), *rng.uniform(0, 1, 10).round(6).tolist()]
                for _ in range(rng.integers(1, 4))
            ]
            with open(os.path.join(root, "labels", split, f"{split}{i}.txt"), "w") as file:
                file.write("\n".join(" ".join(map(str, row)) for row in rows))
    with open(os.path.join(root, "data.yaml"), "w") as file:
        file.write("train: images/train\nval: images/val\nnc: 3\nnames: ['cat', dog, \"cow\"]\n")
    return root


def cvat(folder: str | os.PathLike, train: int = 8, val: int = 4, seed: int = 0) -> str:
    """Draw an export of CVAT: polygons, masks and polylines of two subsets, in any z_order."""
    root = os.path.join(folder, "data")
    rng = np.random.default_rng(seed)
    labels = "".join(f"<label><name>{name}</name></label>" for name in ("cat", "dog"))
    rows = ["<annotations><version>1.1</version>"]
    rows.append(f"<meta><project><labels>{labels}</labels></project></meta>")
    for subset, count in (("Train", train), ("Validation", val)):
        os.makedirs(os.path.join(root, "images", subset, "a"))
        for i in range(count):
            name = f"a/{i}.jpg"
            photo(rng, 50, 40).save(os.path.join(root, "images", subset, name), quality=90)
            id_ = f'id="{len(rows)}" name="{name}" subset="{subset}"'
            shapes = [area(rng, 40, 50, number) for number in range(i % 4 + 1)]
            rows.append(f'<image {id_} width="50" height="40">{"".join(shapes)}</image>')
    with open(os.path.join(root, "annotations.xml"), "w") as file:
        file.write("\n".join(['<?xml version="1.0" encoding="utf-8"?>', *rows, "</annotations>"]))
    return root


def area(rng: np.random.Generator, height: int, width: int, form: int) -> str:
    """Draw a shape of CVAT: a polygon, a mask or a polyline."""
    given = f'label="{rng.choice(["cat", "dog"])}" z_order="{rng.integers(-1, 2)}" occluded="0"'
    if form % 3 == 1:
        left, top = int(rng.integers(0, width - 8)), int(rng.integers(0, height - 6))
        box = f'left="{left}" top="{top}" width="8" height="6"'
        return f'<mask {given} rle="3, 5, 4, 20, 1, 15" {box}></mask>'
    points = rng.uniform(0, height, (5, 2)).round(2).tolist()
    text = ";".join(f"{x},{y}" for x, y in points)
    return f'<{"polyline" if form % 3 else "polygon"} {given} points="{text}"/>'


def supervisely(folder: str | os.PathLike, train: int = 8, val: int = 4, seed: int = 0) -> str:
    """Draw a project of Supervisely: bitmaps, and polygons with holes, in two datasets."""
    root = os.path.join(folder, "project")
    rng = np.random.default_rng(seed)
    for dataset, count in (("train", train), ("val", val)):
        for kind in ("img", "ann"):
            os.makedirs(os.path.join(root, dataset, kind))
        for i in range(count):
            path = os.path.join(root, dataset, "img", f"{i}.jpg")
            photo(rng, 50, 40).save(path, quality=90)
            objects = []
            for number in range(i % 3 + 1):
                one = {"classTitle": str(rng.choice(["cat", "dog"])), "tags": []}
                if number % 2:
                    origin = [int(rng.integers(0, 40)), int(rng.integers(0, 34))]
                    bitmap = {"data": packed(rng.random((6, 10)) < 0.7), "origin": origin}
                    objects.append({**one, "geometryType": "bitmap", "bitmap": bitmap})
                else:
                    rings = rng.integers(0, 45, (2, 6, 2)).tolist()
                    points = {"exterior": rings[0], "interior": rings[1:][: i % 2]}
                    objects.append({**one, "geometryType": "polygon", "points": points})
            document = {"size": {"height": 40, "width": 50}, "objects": objects, "tags": []}
            with open(os.path.join(root, dataset, "ann", f"{i}.jpg.json"), "w") as file:
                json.dump(document, file)
    known = [{"title": name, "shape": "any", "color": "#102030"} for name in ("cat", "dog")]
    with open(os.path.join(root, "meta.json"), "w") as file:
        json.dump({"classes": known, "tags": []}, file)
    return root


def packed(mask: np.ndarray) -> str:
    """Return a mask as Supervisely keeps it."""
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(file, "png")
    return base64.b64encode(zlib.compress(file.getvalue())).decode()


def matting(folder: str | os.PathLike, groups: int = 8, photos: int = 2, seed: int = 0) -> str:
    """Draw a tree like aisegment's, with its stray files; return its root."""
    root = os.path.join(folder, "matting_human_half")
    rng = np.random.default_rng(seed)
    for group in (str(1803151818 + i) for i in range(groups)):
        photo_folder = os.path.join(root, "clip_img", group, "clip_00000000")
        matte_folder = os.path.join(root, "matting", group, "matting_00000000")
        os.makedirs(photo_folder)
        os.makedirs(matte_folder)
        for i in range(photos):
            name = f"{group}-{i:08d}"
            image = photo(rng, 30, 40)
            image.save(os.path.join(photo_folder, f"{name}.jpg"))
            # Most pixels are wholly opaque or wholly transparent, as in the original.
            ramp = rng.integers(0, 256, (5, 4), np.uint8)
            soft = Image.fromarray(ramp).resize((30, 40), Image.Resampling.BICUBIC)
            alpha = soft.point(lambda value: 6 * (value - 128) + 128)
            cut_out = Image.composite(image, Image.new("RGB", image.size), alpha)
            cut_out.putalpha(alpha)
            cut_out.save(os.path.join(matte_folder, f"{name}.png"))
    for stray in (f"{photo_folder}/._{name}.jpg", f"{root}/matting/{group}/._matting_00000000"):
        with open(stray, "wb") as file:
            file.write(b"\0\5\x16\7\0\2\0\0Mac OS X")
    with open(os.path.join(root, "clip_img", ".DS_Store"), "wb") as file:
        file.write(b"\0\0\0\1Bud1")
    return root


def pairs(folder: str | os.PathLike, count: int = 12, seed: int = 0) -> str:
    """Draw folders images and labels, one below the other, of three classes and 255."""
    root = os.path.join(folder, "pairs")
    rng = np.random.default_rng(seed)
    for i in range(count):
        name = f"{'ab'[i % 2]}/{i:03d}"
        for part in ("images", "labels"):
            os.makedirs(os.path.join(root, part, name[0]), exist_ok=True)
        ending = "png" if i % 3 else "jpg"
        photo(rng, 40, 30).save(os.path.join(root, "images", f"{name}.{ending}"))
        mask(rng, 40, 30, classes=3).save(os.path.join(root, "labels", f"{name}.png"))
    return root


def shapes(folder: str | os.PathLike, count: int = 24, side: int = 96, seed: int = 0) -> str:
    """Draw pairs that a model can learn: discs, boxes and bars on textured ground, borders 255."""
    root = os.path.join(folder, "shapes")
    rng = np.random.default_rng(seed)
    colours = np.array([(90, 120, 60), (200, 60, 50), (60, 80, 200), (220, 200, 70)])
    rows, columns = np.mgrid[:side, :side]
    for part in ("images", "labels"):
        os.makedirs(os.path.join(root, part))
    for i in range(count):
        label = np.zeros((side, side), np.uint8)
        wide = np.zeros((side, side), bool)
        for value in rng.permutation([1, 2, 3])[: rng.integers(2, 4)].tolist():
            y, x = rng.integers(side // 5, side - side // 5, 2)
            half = rng.integers(side // 10, side // 5)
            far = {
                1: np.hypot(rows - y, columns - x) - half,
                2: np.maximum(abs(rows - y), abs(columns - x)) - half,
                3: np.maximum(abs(rows - y) - half / 3, abs(columns - x) - 2 * half),
            }[value]
            label[far <= 0] = value
            wide |= abs(far) < 1
        image = colours[label] + rng.normal(0, 18, (side, side, 1))
        label[wide] = 255
        for part, pixels in (("images", np.clip(image, 0, 255)), ("labels", label)):
            file = os.path.join(root, part, f"{i:03d}.png")
            Image.fromarray(pixels.astype(np.uint8)).save(file)
    names = os.path.join(root, "classes.txt")
    with open(names, "w") as file:
        file.write("ground\ndisc\nbox\nbar\n")
    return root


def classes(
    folder: str | os.PathLike,
    counts: dict[str, int] | None = None,
    splits: tuple[str, ...] = (),
    seed: int = 0,
) -> str:
    """Draw one folder per class, inside split folders or not; return the folder that holds them.

    Every third picture is a PNG, every other one lies a folder deeper.
    """
    root = os.path.join(folder, "animals")
    rng = np.random.default_rng(seed)
    for split in splits or ("",):
        for name, count in (counts or {"cat": 6, "dog": 4, "horse": 3}).items():
            os.makedirs(os.path.join(root, split, name, "deeper"), exist_ok=True)
            for i in range(count):
                path = f"{'deeper/' if i % 2 else ''}{split[:1]}{i:03d}.{'jpg' if i % 3 else 'png'}"
                photo(rng, 30 + i, 24).save(os.path.join(root, split, name, path))
    return root


def write_list(root: str, split: str, lines: list[str]) -> None:
    """Write a list of a VOC tree, one line per entry."""
    with open(os.path.join(root, "ImageSets", "Segmentation", f"{split}.txt"), "w") as file:
        file.writelines(f"{line}\n" for line in lines)
