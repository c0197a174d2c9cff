"""Store a panoptic label: its map as raw numbers, and its classes for extras and statistics."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dsbuild import images
from dsbuild.build.image_policy import Admitted
from dsbuild.format import panoptic
from dsbuild.layouts import Layout

if TYPE_CHECKING:
    from dsbuild.images.labels import Label


def stored(
    label: "Label", image: Admitted, divisor: int, header_only: bool
) -> tuple[dict[str, Any], dict[str, np.ndarray], Mapping[int, int]]:
    """Return role -> value of a panoptic label, its planes, and the pixels of its classes.

    The planes are `label`, the class of every pixel, and `panoptic`, the map itself. Pixels are not
    counted if `header_only`.
    """
    plane = image.fit(label.plane)
    classes = panoptic.semantic(plane, divisor)
    counts = label.counts if plane is label.plane else images.histogram(classes)
    planes = {"label": classes, "panoptic": plane}
    return values(plane, divisor), planes, {} if header_only else counts


def values(plane: np.ndarray, divisor: int) -> dict[str, bytes | int]:
    """Return role -> value of a map, int32 (h, w)."""
    return {
        "label": panoptic.encode(plane),
        "label.format": panoptic.RAW,
        "label.divisor": divisor,
    }


def counted(planes: Mapping[str, np.ndarray], layout: Layout) -> Mapping[int, int]:
    """Return class -> segments of a sample's planes; nothing if its label is not panoptic."""
    if layout.divisor is None or "panoptic" not in planes:
        return {}
    return panoptic.counted(planes["panoptic"], layout.divisor, layout.ignore)
