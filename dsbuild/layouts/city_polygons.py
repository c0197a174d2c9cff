"""Draw the polygons of a Cityscapes annotation as json2labelImg.py does.

Source: cityscapesScripts 2.2 (preparation/json2labelImg.py).
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dsbuild.errors import ImageError
from dsbuild.layouts.city_labels import UNDRAWN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
