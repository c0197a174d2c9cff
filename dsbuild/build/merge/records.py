"""One record of a build as a record of the merge: a mapped label, everything else as it was."""

import collections
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from dsbuild import extras, images
from dsbuild.build.image_policy import Policy, admit
from dsbuild.build.merge.builds import Source
from dsbuild.build.recipe import Recipe
from dsbuild.errors import ImageError, ShardError
from dsbuild.format import example, features, tiles
from dsbuild.format.manifest import Statistics

# What every record has; all else is an extra.
CORE = frozenset(
    "image key format height width channels label label.format class class.text".split()
)


class Made(NamedTuple):
    """A record of the merge with its statistics."""

    record: bytes
    statistics: Statistics


def made(
    data: bytes, key: str, source: Source, table: Mapping[int, int], recipe: Recipe, trusted: bool
) -> Made:
    """Return a record under another key, its label mapped; raise ShardError if it is damaged.

    The image keeps its bytes, and so does a label that the table leaves as it is. Unless the
    build is `trusted`, images are decoded, as a build does.
    """
    parsed = example.parse(data)
    kept = CORE | {role for one in recipe.chosen for role in one.roles}
    if recipe.policy.tile is not None:
        kept |= {*tiles.ROLES}
    given = {role: features.value(parsed, source.roles, role) for role in sorted(kept)}
    values: dict[str, Any] = {role: value for role, value in given.items() if value is not None}
    image = example.first(values.get("image"))
    head = _head(image, trusted)
    values |= {
        "key": key.encode(),
        "format": head.format.encode(),
        "height": head.height,
        "width": head.width,
        "channels": head.channels,
    }
    if "source_key" in values:
        values["source_key"] = tiles.source_of(key).encode()
    counts: dict[int, int] = {}
    pixels: dict[int, int] = {}
    ignore = recipe.layout.ignore
    if "label" in values:
        stored, counts, plane = _label(
            example.first(values["label"]), head, table, recipe.layout.bits
        )
        values |= {"label": stored, "label.format": b"png"}
        pixels = counts
        values |= _again(recipe, plane)
    elif (number := features.number(values.get("class"))) is not None:
        new = _mapped([number], table)[number]
        values |= {"class": new, "class.text": recipe.layout.classes[new].encode()}
        counts = {new: 1}
    around = sum(pixels.values()) - pixels.get(-1 if ignore is None else ignore, 0)
    statistics = Statistics(
        pixels=pixels,
        images=dict.fromkeys(counts, 1),
        around=dict.fromkeys(pixels, around),
        heights=(head.height, head.height),
        widths=(head.width, head.width),
        formats={head.format: 1},
        rotated=int(head.orientation != 1),
        labels=int(bool(counts)),
    )
    return Made(example.serialize(recipe.schema.named(values)), statistics)


def _head(data: bytes, trusted: bool) -> images.Header:
    try:
        if not trusted:
            head = admit(data, Policy()).head
            images.check(data, head)
            return head
        return images.header(data)
    except ImageError as error:
        raise ShardError(f"image: {error}") from error


def _label(
    data: bytes, head: images.Header, table: Mapping[int, int], bits: int
) -> tuple[bytes, dict[int, int], np.ndarray]:
    """Return the PNG of a mapped label, its pixels by value, and its plane of 8 or 16 bits."""
    try:
        plane = images.plane(data)
        own = images.header(data)
    except ImageError as error:
        raise ShardError(f"label: {error}") from error
    if plane.shape != (head.height, head.width):
        raise ShardError(
            f"found a label of {plane.shape[1]} x {plane.shape[0]} pixels, expected the image's "
            f"{head.width} x {head.height}"
        )
    before = images.histogram(plane)
    new = _mapped([*before], table)
    counts: collections.Counter[int] = collections.Counter()
    for value, count in before.items():
        counts[new[value]] += count
    same = all(value == place for value, place in new.items())
    if same and own.model == "grey" and own.bits == bits:
        return data, dict(counts), plane
    lut: images.Plane = np.zeros(max(before) + 1, np.uint16 if bits == 16 else np.uint8)
    lut[list(new)] = list(new.values())
    plane = lut[plane]
    return images.write(plane), dict(counts), plane


def _mapped(values: list[int], table: Mapping[int, int]) -> dict[int, int]:
    lost = [value for value in values if value not in table]
    if lost:
        raise ShardError(
            f"found label value {lost[0]}, which was not there when the builds were looked "
            "through; run the same command again"
        )
    return {value: table[value] for value in values}


def _again(recipe: Recipe, plane: np.ndarray) -> dict[str, Any]:
    """Return the extras of a label, computed from the mapped one."""
    chosen = [one for one in recipe.chosen if one.extra.of == "label"]
    return dict(extras.features(chosen, {"label": plane}))
