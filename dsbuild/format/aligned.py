"""Planes of any name beside the image, such as a depth: their kinds, names and features."""

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
    "of get keys items values object class source tile filename segmentation".split()
)
_ENDING = ".encoded"


def joined(known: Schema, planes: tuple[tuple[str, str], ...]) -> Schema:
    """Return a schema with the features of planes, given by name and kind, after its own."""
    found = _made.get((id(known), planes))
    if found is None:
        text = schema.load("plane").text()
        features = list(known.json["feature"])
        for name, kind in planes:
            mine = text.replace("{name}", name).replace("{kind}", KINDS[kind])
            features += json.loads(mine)["feature"]
        made = schema.parse({**known.json, "feature": features}, "planes")
        found = _made[id(known), planes] = known, made
    return found[1]


# By the schema's id, which stays its own while it is kept here; schemas are made once.
_made: dict[tuple[int, tuple[tuple[str, str], ...]], tuple[Schema, Schema]] = {}


def names(roles: Iterable[str], others: Sequence[str]) -> tuple[str, ...]:
    """Return the names of planes among the roles of a record; `others` are those of extras."""
    stems = (role.removesuffix(_ENDING) for role in roles if role.endswith(_ENDING))
    return tuple(stem for stem in stems if stem not in others)
