"""Measure on real datasets the numbers that the pages quote about them.

    python bench/facts.py --voc DATA/VOCdevkit/VOC2012 --cityscapes DATA/cityscapes

- docs/tensorflow.md, docs/interop.md: how far TensorFlow's default decoding of JPEGs is from
  OpenCV, Pillow and `dct_method="INTEGER_ACCURATE"`.
- docs/cityscapes.md: in how many pixels mapped labelIds differ from labelTrainIds.
- docs/images.md: how far `--max-side` is from exact means over areas, and how far a filter that
  counts whole pixels is.
"""

import argparse
import glob
import os
import sys
from collections.abc import Sequence

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

SIDES = (450, 320, 100)  # of shrunk images


def read(path: str) -> bytes:
    """Return a file's bytes."""
    with open(path, "rb") as file:
        return file.read()


def photos(root: str) -> list[str]:
    """Return the paths of a VOC tree's images."""
    return sorted(glob.glob(os.path.join(root, "JPEGImages", "*.jpg")))


def default_decoding(paths: Sequence[str]) -> str:
    """Return how far TensorFlow's default decoding of JPEGs is off."""
    import tensorflow as tf

    from dsbuild import images

    most, far = [], 0
    for path in paths:
        data = read(path)
        exact = images.decode(data, images.header(data)).astype(int)
        assert np.array_equal(
            exact, tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")
        )
        off = np.abs(exact - tf.io.decode_jpeg(data, channels=3).numpy())
        most.append(int(off.max()))
        far += np.count_nonzero(off > 1)
    share = sum(one > 8 for one in most)
    return (
        f"TensorFlow's default decoding of {len(most)} JPEGs: at most {min(most)} to {max(most)} "
        f"levels off, median {int(np.median(most))}, more than 8 in {share}; {far:,} values more "
        "than 1"
    )


def mapped_ids(root: str) -> str:
    """Return in how many pixels mapped labelIds differ from labelTrainIds."""
    from dsbuild.layouts.cityscapes import Cityscapes

    layout = Cityscapes(labels="ids")
    paths = sorted(glob.glob(os.path.join(root, "gtFine", "*", "*", "*_gtFine_labelIds.png")))
    other = Cityscapes(labels="trainids")
    found = []
    for path in paths:
        official = path.replace("labelIds", "labelTrainIds")
        if os.path.exists(official):
            one, two = layout.plane(read(path), path), other.plane(read(official), official)
            found.append(int(np.count_nonzero(one != two)))
    return f"labelIds mapped differ from labelTrainIds in {sorted(found)} pixels of images"


def shrinking(paths: Sequence[str]) -> str:
    """Return how far shrunk photos are from exact means over areas."""
    from PIL import Image

    from dsbuild import images
    from dsbuild.build.image_policy import Policy, admit

    ours, whole, values = 0.0, 0, 0
    for path in paths:
        data = read(path)
        pixels = images.decode(data, images.header(data))
        for side in SIDES:
            stored = admit(data, Policy(max_side=side))
            size = (stored.head.height, stored.head.width)
            exact = means(means(pixels, size[0]).swapaxes(0, 1), size[1]).swapaxes(0, 1)
            ours = max(ours, np.abs(images.own(stored.data, stored.head) - exact).max())
            box = np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BOX))
            whole += np.count_nonzero(np.abs(box - exact) > 1)
            values += exact.size
    return (
        f"--max-side of {len(paths)} photos to {SIDES}: at most {ours:.3f} off the exact means; "
        f"a filter of whole pixels {100 * whole / values:.0f} % of values more than 1"
    )


def means(pixels: np.ndarray, count: int) -> np.ndarray:
    """Return exact means over equal areas of the first axis, as floats."""
    edges = np.arange(count + 1) * len(pixels) / count
    at = np.arange(len(pixels))
    inside = np.minimum(edges[1:, None], at + 1) - np.maximum(edges[:-1, None], at)
    return np.tensordot(np.clip(inside, 0, None) * count / len(pixels), pixels.astype(float), 1)


def main() -> None:
    """Print one line for each fact about the given datasets."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--voc", help="a VOC tree, such as VOCdevkit/VOC2012")
    parser.add_argument("--cityscapes", help="the folder with gtFine")
    parser.add_argument(
        "--photos", type=int, help="number of photos of the VOC tree; all by default"
    )
    options = parser.parse_args()
    if options.voc:
        found = photos(options.voc)[: options.photos]
        print(default_decoding(found))
        print(shrinking(found[:40]))
    if options.cityscapes:
        print(mapped_ids(options.cityscapes))


if __name__ == "__main__":
    main()
