"""Drawn photos and videos as files."""

import pathlib

import cv2
import numpy as np

from tests.support import fakes


def photo(path, width=60, height=44, seed=0):
    """Draw a photo as a PNG; return its pixels."""
    image = fakes.photo(np.random.default_rng(seed), width, height)
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return np.asarray(image)


def clip(path, count=6, width=64, height=48, seed=0):
    """Draw a video; return its frames as OpenCV reads them."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 12.5, (width, height))
    for number in range(count):
        drawn = fakes.photo(np.random.default_rng(seed + number), width, height)
        writer.write(np.asarray(drawn)[..., ::-1].copy())
    writer.release()
    return frames(path)


def frames(path):
    """Return the frames of a video, RGB."""
    capture = cv2.VideoCapture(str(path))
    found = []
    while (frame := capture.read())[0]:
        found.append(frame[1][..., ::-1])
    return found
