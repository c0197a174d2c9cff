"""Drawn planes of classes that are hard to hold: holes, single pixels, touching parts, borders."""

import numpy as np
from hypothesis import strategies as st
from PIL import Image

NAMES = ("background", "cat", "dog", "traffic light")
IGNORE = 255


@st.composite
def planes(draw, values=(0, 1, 2, 3, IGNORE), most=24):
    """Draw a plane, uint8 (h, w): rectangles over each other, then noise, or nothing at all."""
    height, width = draw(st.tuples(st.integers(1, most), st.integers(1, most)))
    plane = np.full((height, width), draw(st.sampled_from(values)), np.uint8)
    for _ in range(draw(st.integers(0, 6))):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        bottom, right = draw(st.integers(top, height)), draw(st.integers(left, width))
        plane[top : bottom + 1, left : right + 1] = draw(st.sampled_from(values))
    if draw(st.booleans()):
        rng = np.random.default_rng(draw(st.integers(0, 1 << 16)))
        noisy = rng.random(plane.shape) < draw(st.sampled_from([0.05, 0.3, 0.9]))
        plane[noisy] = rng.choice(values, noisy.sum())
    return plane


def hard():
    """Return planes, by name, that show one difficulty each: uint8 (24, 32)."""
    made = {name: np.zeros((24, 32), np.uint8) for name in _DRAWN}
    for name, draw in _DRAWN.items():
        draw(made[name])
    return made


def _ring(plane):
    plane[2:20, 3:28] = 1
    plane[5:9, 6:12] = 0
    plane[12:17, 8:20] = 2
    plane[13:16, 10:18] = 1  # an object in a hole


def _pixels(plane):
    plane[3, 4] = plane[3, 30] = plane[23, 31] = 1
    plane[10, 2:9] = 2
    plane[12:20, 15] = 3
    plane[5, 5] = plane[6, 6] = plane[7, 5] = 2  # connected at corners alone


def _touching(plane):
    plane[4:20, 4:12], plane[4:20, 12:20], plane[10:14, 20:28] = 1, 2, 3


def _borders(plane):
    plane[4:20, 4:20] = 255
    plane[6:18, 6:18] = 1
    plane[9:12, 9:12] = 255


def _whole(plane):
    plane[:] = 3


def _chequered(plane):
    plane[(np.indices(plane.shape).sum(0) % 2) == 0] = 2


def _empty(_):
    pass


_DRAWN = {
    "ring": _ring,
    "pixels": _pixels,
    "touching": _touching,
    "borders": _borders,
    "whole": _whole,
    "chequered": _chequered,
    "empty": _empty,
}


def tree(root, divided, names=NAMES):
    """Draw images and labels of planes, split -> key -> plane, as `dsbuild pairs` reads them."""
    rng = np.random.default_rng(0)
    for split, found in divided.items():
        for number, (key, plane) in enumerate(found.items()):
            image = root / "images" / split / f"{key}.{('jpg', 'png')[number % 2]}"
            label = root / "labels" / split / f"{key}.png"
            for path in (image, label):
                path.parent.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (*plane.shape, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(image)
            Image.fromarray(plane).save(label)
    (root / "classes.txt").write_text("\n".join(names))
    return str(root)
