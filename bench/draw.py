"""Draw datasets in their published sizes for benchmarks: photos and realistic annotations."""

import json
import os

import numpy as np
from PIL import Image

from dsbuild import images
from dsbuild.layouts.cityscapes import TRAIN_IDS, rasterise
from tests.support import fakes

NAMES = ("building", "vegetation", "sidewalk", "car", "person", "pole", "traffic sign", "fence")


def cityscapes(folder: str, count: int, width: int = 2048, height: int = 1024) -> str:
    """Draw Cityscapes with polygons and their labelTrainIds; return its root."""
    root, rng = f"{folder}/cityscapes", np.random.default_rng(0)
    for part in ("leftImg8bit", "gtFine"):
        os.makedirs(f"{root}/{part}/train/aachen")
    for i in range(count):
        key = f"train/aachen/aachen_{i:06d}_000019"
        # Drawn at half size, because pixels of a camera are less noisy than drawn ones.
        photo = fakes.photo(rng, width // 2, height // 2).resize((width, height))
        photo.save(f"{root}/leftImg8bit/{key}_leftImg8bit.png")
        text = json.dumps(annotation(rng, width, height))
        with open(f"{root}/gtFine/{key}_gtFine_polygons.json", "w") as file:
            file.write(text)
        plane = rasterise(text.encode(), TRAIN_IDS)
        with open(f"{root}/gtFine/{key}_gtFine_labelTrainIds.png", "wb") as file:
            file.write(images.encode(plane))  # with filtered rows, as cityscapesScripts writes them
    return root


def annotation(rng: np.random.Generator, width: int, height: int) -> dict:
    """Return road, sky and 40 to 100 smooth outlines, larger ones first."""
    horizon = height // 2
    shapes = [
        ("sky", [[0, 0], [width, 0], [width, horizon], [0, horizon]]),
        ("road", [[0, horizon], [width, horizon], [width, height], [0, height]]),
    ]
    for size in np.sort(rng.uniform(0.01, 0.2, rng.integers(40, 101)))[::-1]:
        turn = np.linspace(0, 2 * np.pi, int(rng.integers(15, 90)), endpoint=False)
        radius = size * height * (1 + 0.3 * np.sin(3 * turn + rng.uniform(0, 6)))
        middle = rng.uniform((0, 0.2 * height), (width, 0.9 * height))
        outline = middle + np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1)
        points = outline.clip(0, (width - 1, height - 1)).astype(int).tolist()
        shapes.append((str(rng.choice(NAMES)), points))
    objects = [{"label": label, "polygon": points} for label, points in shapes]
    return {"imgHeight": height, "imgWidth": width, "objects": objects}


def matting(folder: str, count: int, width: int = 600, height: int = 800) -> str:
    """Draw photos and RGBA cut-outs with a soft border in aisegment's folders; return the root."""
    root, rng = f"{folder}/matting_human_half", np.random.default_rng(1)
    photos, mattes = f"{root}/clip_img/1/clip_00000000", f"{root}/matting/1/matting_00000000"
    os.makedirs(photos)
    os.makedirs(mattes)
    for i in range(count):
        image = fakes.photo(rng, width, height)
        image.save(f"{photos}/1-{i:08d}.jpg", quality=90)
        y, x = np.mgrid[:height, :width]
        inside = 1 - np.hypot((x - width / 2) / (width / 3), (y - height) / (height * 0.8))
        alpha = Image.fromarray((inside * 2000).clip(0, 255).astype(np.uint8))
        cut_out = Image.composite(image, Image.new("RGB", image.size), alpha)
        cut_out.putalpha(alpha)
        cut_out.save(f"{mattes}/1-{i:08d}.png")
    return root


def textures(folder: str, count: int, side: int = 96) -> str:
    """Draw pairs with three classes that differ in texture, but not in mean and deviation.

    Ground is coarse noise, class 1 fine noise, class 2 stripes. Returns the folder with images,
    labels and `classes.txt`.
    """
    root, rng = f"{folder}/textures", np.random.default_rng(0)
    rows, columns = np.mgrid[:side, :side]
    for part in ("images", "labels"):
        os.makedirs(f"{root}/{part}")
    for i in range(count):
        coarse = rng.normal(size=(side // 4, side // 4)).repeat(4, 0).repeat(4, 1)
        stripes = np.sign(np.sin((rows + rng.integers(6)) * np.pi / 2 + 0.1))
        planes = np.stack([coarse, rng.normal(size=(side, side)), stripes])
        planes = (planes - planes.mean((1, 2), keepdims=True)) / planes.std((1, 2), keepdims=True)
        label = np.zeros((side, side), np.uint8)
        for value in (1, 2):
            y, x = rng.integers(side // 5, side - side // 5, 2)
            label[np.hypot(rows - y, columns - x) < rng.integers(side // 8, side // 4)] = value
        grey = np.take_along_axis(planes, label[None].astype(int), 0)[0] * 25 + 127
        image = np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, 2)
        for part, pixels in (("images", image), ("labels", label)):
            Image.fromarray(pixels).save(f"{root}/{part}/{i:03d}.png")
    with open(f"{root}/classes.txt", "w") as file:
        file.write("ground\ngrain\nstripes\n")
    return root
