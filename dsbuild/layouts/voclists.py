"""The lists of a VOC tree: one id a line, or the paths of image and label."""

import os
from collections.abc import Iterator

from dsbuild import storage
from dsbuild.errors import LayoutError
from dsbuild.layouts.base import Sample

IMAGES = "JPEGImages"


def entries(path: str) -> Iterator[Sample]:
    """Yield a list's lines: an id, or `/JPEGImages/x.jpg /SegmentationClassAug/x.png`."""
    try:
        lines = storage.read(path)[0].decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise LayoutError(f"{path}: found bytes that are no text (UTF-8)") from error
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words:
            continue
        where = f"{path}, line {number}"
        image, *label = words
        if len(label) > 1 or (label and "/" not in label[0]):
            raise LayoutError(
                f"{where}: found {line.strip()!r}, expected an id, or the paths of image and label"
            )
        if "/" in image and os.path.splitext(image)[1]:
            image, label = image.lstrip("/"), [name.lstrip("/") for name in label]
            key = os.path.splitext(os.path.basename(image))[0]
            if label and os.path.splitext(os.path.basename(label[0]))[0] != key:
                raise LayoutError(
                    f"{where}: found the label {label[0]!r} beside the image {image!r}, expected "
                    "one of the same name"
                )
        else:
            key, image = image, f"{IMAGES}/{image}.jpg"
        for name in (key, image, *label):
            if name.startswith("/") or ".." in name.split("/") or not name.isprintable():
                raise LayoutError(
                    f"{where}: found {line.strip()!r}, which leads out of the data set; expected "
                    "plain ids, without '..', a leading '/' or control characters"
                )
        if key in seen:
            raise LayoutError(
                f"{where}: found {key!r} again, which line {seen[key]} lists already; remove one"
            )
        seen[key] = number
        yield Sample(key, image, label[0] if label else None)
