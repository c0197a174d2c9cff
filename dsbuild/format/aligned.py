"""Planes of any name beside the image, such as a depth: their kinds, names and features."""

import functools
import json
import re
from collections.abc import Iterable, Sequence

from dsbuild.format import schema
from dsbuild.format.schema import Schema

# Kind -> what a plane of it holds.
KINDS = {
    "png8": "a grey PNG of 8 bits",
    "png16": "a grey PNG of 16 bits",
    "rgb": "an RGB PNG of 8 bits per channel",
}
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
# What samples and their methods are called already.
TAKEN = frozenset(
    "key image label height width format channels encoded roles stored name load pair aligned kept "
    "of get keys items values object class source tile filename segmentation panoptic instances "
    "label_format tile_y tile_x source_height source_width source_key label_divisor class_text "
    "image_name".split()
)
_ENDING = ".encoded"


@functools.cache
def joined(
    base: tuple[str, ...],
    planes: tuple[tuple[str, str], ...],
    bits: int = 8,
    divisor: int | None = None,
) -> Schema:
    """Return schemas that dsbuild ships, joined, with the features of planes by name and kind.

    Labels have so many bits, or are panoptic with a divisor.
    """
    known = schema.load(*base, bits=bits)
    if divisor is not None:
        known = schema.panoptic(divisor, *base[1:])
    text = schema.load("plane").text()
    features = [
        feature
        for name, kind in planes
        for feature in json.loads(text.replace("{name}", name).replace("{kind}", KINDS[kind]))[
            "feature"
        ]
    ]
    return schema.parse({**known.json, "feature": [*known.json["feature"], *features]}, "planes")


def names(roles: Iterable[str], others: Sequence[str]) -> tuple[str, ...]:
    """Return the names of planes among the roles of a record; `others` are those of extras."""
    stems = (role.removesuffix(_ENDING) for role in roles if role.endswith(_ENDING))
    return tuple(stem for stem in stems if stem not in others)
