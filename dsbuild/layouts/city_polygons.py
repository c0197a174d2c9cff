"""Draw the polygons of a Cityscapes annotation as json2labelImg.py does.

Source: cityscapesScripts 2.2 (preparation/json2labelImg.py).
"""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from dsbuild import storage
from dsbuild.errors import ImageError, StorageError
from dsbuild.layouts.base import Sample
from dsbuild.layouts.city_labels import UNDRAWN
from dsbuild.layouts.finding import Finding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsbuild.images.labels import Label


def rasterise(data: bytes, values: Mapping[str, int]) -> "NDArray[np.uint8]":
    """Draw the polygons of an annotation, later ones over earlier ones: uint8 (h, w).

    They are drawn with Pillow, as in json2labelImg.py: unknown `*group` labels fall back to
    their class, deleted polygons and licence plates are skipped, and pixels outside all polygons
    are `unlabeled`. Raises ImageError for unknown labels.
    """
    from dsbuild import images

    try:
        annotation = json.loads(data)
        size = (annotation["imgWidth"], annotation["imgHeight"])
        shapes = [
            (str(shape["label"]), [tuple(point) for point in shape["polygon"]])
            for shape in annotation["objects"]
            if not shape.get("deleted")
        ]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ImageError(
            f"found no Cityscapes annotation ({error!r}), expected imgWidth, imgHeight, objects"
        ) from error
    drawn = []
    for label, polygon in shapes:
        name = label
        if name not in values and name != UNDRAWN and name.endswith("group"):
            name = name.removesuffix("group")
        if name == UNDRAWN:
            continue
        if name not in values:
            raise ImageError(f"found the label {label!r}, which Cityscapes does not have")
        drawn.append((polygon, values[name]))
    return images.draw(size, drawn, values["unlabeled"])


def sampled(label: "Label", size: tuple[int, int]) -> "Label":
    """Return a drawn label for an image of another size, (h, w): the class at each pixel's centre.

    A label whose sides have another ratio, to within a pixel, is returned as it is.
    """
    height, width = label.plane.shape
    alike = abs(size[0] * width - size[1] * height) <= max(width, height)
    if (height, width) == size or not all(size) or not alike:
        return label
    from dsbuild import images
    from dsbuild.images import labels

    return labels.of(images.pick(label.plane, size))


def other_size(root: str, split: str, sample: Sample) -> Iterator[Finding]:
    """Find that the images of a split have another size than their annotations, by the first."""
    from dsbuild import images

    if not str(sample.label).endswith(".json"):
        return
    try:
        data, document = (
            storage.read(storage.join(root, str(path)))[0] for path in (sample.image, sample.label)
        )
        head, size = images.header(data), json.loads(document)
        drawn, own = (size["imgWidth"], size["imgHeight"]), (head.width, head.height)
    except (ImageError, StorageError, ValueError, TypeError, KeyError, RecursionError):
        return  # the build names it
    if drawn != own:
        text = (
            f"polygons drawn for {drawn[0]} x {drawn[1]} pixels become labels of the images' "
            f"{own[0]} x {own[1]}, by the class at each pixel's centre"
        )
        yield Finding("source", split, text)
