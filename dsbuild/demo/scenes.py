"""Drawn scenes: things with a class and a polygon, painted into a picture and into a label.

A polygon is an array of points (n, 2) of x and y in pixels, which may lie outside the picture.
Things come back to front: a later one covers an earlier one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Points = NDArray[np.float64]
Outline = tuple[tuple[float, float], ...]

# Outlines in a square: x from 0 to 1, y from 0 (top) to 1.
OUTLINES: dict[str, Outline] = {
    "aeroplane": ((0, .45), (.1, .4), (.36, .42), (.28, .1), (.38, .1), (.58, .42), (.84, .42),
                  (.9, .22), (.98, .22), (1, .55), (.58, .58), (.38, .9), (.28, .9), (.36, .58)),
    "bird": ((0, .1), (.25, .2), (.45, .5), (.6, .15), (.85, 0), (.7, .5), (1, .6), (.62, .75),
             (.4, .7)),
    "boat": ((0, .68), (.44, .68), (.44, 0), (.52, 0), (.9, .62), (.52, .62), (.52, .68),
             (1, .68), (.84, 1), (.16, 1)),
    "bottle": ((.4, 0), (.6, 0), (.6, .28), (.72, .42), (.72, 1), (.28, 1), (.28, .42), (.4, .28)),
    "bus": ((0, .1), (.06, .04), (.94, .04), (1, .1), (1, .84), (.88, .84), (.84, .96), (.74, .96),
            (.7, .84), (.3, .84), (.26, .96), (.16, .96), (.12, .84), (0, .84)),
    "car": ((0, .55), (.16, .48), (.3, .2), (.68, .2), (.82, .48), (1, .56), (1, .8), (.88, .8),
            (.82, .95), (.72, .95), (.66, .8), (.34, .8), (.28, .95), (.18, .95), (.12, .8),
            (0, .8)),
    "cat": ((.3, .02), (.4, .14), (.6, .14), (.7, .02), (.74, .3), (.66, .42), (.82, .7),
            (.96, .62), (1, .8), (.82, 1), (.18, 1), (.18, .7), (.34, .42), (.26, .3)),
    "person": ((.42, 0), (.58, 0), (.64, .1), (.58, .2), (.78, .26), (.84, .56), (.74, .58),
               (.68, .4), (.66, .6), (.68, 1), (.54, 1), (.5, .68), (.46, 1), (.32, 1), (.34, .6),
               (.32, .4), (.26, .58), (.16, .56), (.22, .26), (.42, .2), (.36, .1)),
    "pottedplant": ((.5, .1), (.62, .3), (.8, .08), (.74, .36), (1, .36), (.66, .58), (.76, .6),
                    (.68, 1), (.32, 1), (.24, .6), (.34, .58), (0, .36), (.26, .36), (.2, .08),
                    (.38, .3)),
    "sofa": ((.08, .1), (.92, .1), (.92, .35), (1, .38), (1, .9), (0, .9), (0, .38), (.08, .35)),
    "tvmonitor": ((0, 0), (1, 0), (1, .75), (.58, .75), (.6, .92), (.75, .92), (.75, 1), (.25, 1),
                  (.25, .92), (.4, .92), (.42, .75), (0, .75)),
}  # fmt: skip
COLOURS: dict[str, tuple[int, int, int]] = {
    "aeroplane": (205, 210, 220), "bird": (110, 75, 60), "boat": (225, 235, 240),
    "bottle": (40, 120, 80), "bus": (215, 160, 35), "car": (190, 45, 45), "cat": (205, 135, 70),
    "person": (215, 160, 130), "pottedplant": (60, 140, 60), "sofa": (140, 70, 120),
    "tvmonitor": (35, 38, 48), "building": (150, 120, 105), "road": (92, 92, 98),
    "sky": (140, 185, 225), "sidewalk": (165, 160, 155), "tree": (62, 105, 55),
}  # fmt: skip
WIDE = {"aeroplane": 1.9, "bus": 1.9, "car": 1.7, "sofa": 1.7, "bottle": 0.7, "person": 0.55}


@dataclass(frozen=True)
class Thing:
    """One thing in a scene: its class and its polygon."""

    name: str
    points: Points


def thing(name: str, x: float, bottom: float, height: float) -> Thing:
    """Return a thing of a height in pixels that stands at a bottom line, centred on x."""
    width = height * WIDE.get(name, 1.0)
    corner = (x - width / 2, bottom - height)
    return Thing(name, np.array(OUTLINES[name], float) * (width, height) + corner)


def street(rng: np.random.Generator, width: int, height: int) -> list[Thing]:
    """Draw up a street: sky, houses, trees and a road with cars and people."""
    horizon = height * rng.uniform(0.45, 0.55)
    middle = width * rng.uniform(0.35, 0.65)
    things = [Thing("sky", _box(0, 0, width, height))]
    left = -0.1 * width
    while left < width:
        right = left + width * rng.uniform(0.12, 0.3)
        top = horizon * rng.uniform(0.15, 0.75)
        things.append(Thing("building", _box(left, top, right, height)))
        left = right + width * rng.choice([0.0, 0.06])
    for _ in range(rng.integers(1, 4)):
        centre = (width * rng.uniform(0, 1), horizon - height * 0.08)
        things.append(Thing("tree", _crown(rng, centre, height * rng.uniform(0.12, 0.2))))
    things.append(Thing("sidewalk", _box(0, horizon, width, height)))
    near, far = 0.55 * width, 0.05 * width
    road = [(middle - far, horizon), (middle + far, horizon)]
    road += [(middle + near, height), (middle - near, height)]
    things.append(Thing("road", np.array(road, float)))
    depths = np.sort(rng.uniform(0.15, 0.9, rng.integers(2, 5)))
    for depth in depths.tolist():  # the nearest last
        bottom = horizon + (height - horizon) * depth
        if rng.random() < 0.6:
            place = middle + (rng.choice([-1, 1]) * 0.25 * depth * width)
            things.append(thing("car", place, bottom, height * (0.06 + 0.22 * depth)))
        else:
            place = middle + rng.choice([-1, 1]) * width * (0.12 + 0.35 * depth)
            things.append(thing("person", place, bottom, height * (0.1 + 0.35 * depth)))
    return things


def still(rng: np.random.Generator, names: Sequence[str], width: int, height: int) -> list[Thing]:
    """Draw up things of the given classes side by side, on no ground of their own."""
    things = []
    for i, name in enumerate(names):
        tall = height * rng.uniform(0.35, 0.6) / max(1, len(names) * WIDE.get(name, 1.0) / 3)
        x = width * (i + rng.uniform(0.35, 0.65)) / len(names)
        things.append(thing(name, x, height * rng.uniform(0.7, 0.95), tall))
    return things


def picture(
    rng: np.random.Generator, things: Sequence[Thing], width: int, height: int
) -> Image.Image:
    """Paint a scene in RGB: every thing in a shade of its class's colour, lit from above."""
    pixels = np.linspace((150, 180, 205), (120, 125, 95), height)[:, None].repeat(width, axis=1)
    pixels = pixels + rng.uniform(-25, 25, 3)
    for one in things:
        shade = np.array(COLOURS[one.name]) + rng.uniform(-22, 22, 3)
        low = one.points[:, 1].clip(0, height)
        light = 1.12 - 0.28 * (np.arange(height) - low.min()) / max(1.0, np.ptp(low))
        cover = coverage(one, width, height)[..., None]
        pixels = pixels * (1 - cover) + cover * shade * light[:, None, None]
    grain = rng.normal(0, 1, (height // 4 + 1, width // 4 + 1)) * 5
    coarse = Image.fromarray(grain.astype(np.float32)).resize((width, height))
    pixels = pixels + np.asarray(coarse)[..., None] + rng.normal(0, 4, (height, width, 1))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def label(
    things: Sequence[Thing], values: Sequence[int], width: int, height: int, border: int | None
) -> Image.Image:
    """Paint the values of things into a grey plane, on 0; `border` outlines each of them."""
    plane = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(plane)
    for one, value in zip(things, values, strict=True):
        corners = [(x, y) for x, y in one.points.tolist()]
        draw.polygon(corners, fill=value)
        if border is not None:
            draw.line([*corners, corners[0]], fill=border, width=3)
    return plane


def coverage(one: Thing, width: int, height: int, blur: float = 0.0) -> NDArray[np.float64]:
    """Return how much of each pixel a thing covers, 0 to 1 (h, w); `blur` softens its edge."""
    plane = Image.new("L", (2 * width, 2 * height))
    corners = [(2 * x, 2 * y) for x, y in one.points.tolist()]
    ImageDraw.Draw(plane).polygon(corners, fill=255)
    small = plane.resize((width, height), Image.Resampling.BOX)
    if blur:
        small = small.filter(ImageFilter.GaussianBlur(blur))
    return np.asarray(small) / 255


def _box(left: float, top: float, right: float, bottom: float) -> Points:
    """Return the corners of a box."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)


def _crown(rng: np.random.Generator, centre: tuple[float, float], radius: float) -> Points:
    """Return the outline of a tree: a round crown with bumps, on a trunk."""
    angles = np.linspace(0.6 * np.pi, 2.4 * np.pi, 22)
    reach = radius * rng.uniform(0.82, 1.1, angles.size)
    round_ = np.stack([np.cos(angles) * reach, np.sin(angles) * reach], axis=1)
    trunk = [(radius * 0.15, radius * 2.2), (-radius * 0.15, radius * 2.2)]
    return np.concatenate([round_, trunk]) + centre
