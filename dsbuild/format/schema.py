"""Schemas: which features a record has, by role, and what they are called on disk.

Read from `tensorflow.metadata.v0.Schema` in protobuf's JSON form. Code uses roles (`image`,
`label`, `height`, ...); only the schema has the names on disk.
"""

import functools
import json
import pkgutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from dsbuild.errors import SchemaError
from dsbuild.format.documents import fits

_TAG = "role:"
_TYPES = ("BYTES", "INT", "FLOAT")
_ENTRY = {
    "name": str,
    "type": str,
    "presence?": {"minFraction?": int | float},
    "annotation?": {"tag?": [str], "comment?": [str]},
    "stringDomain?": {"value?": [str]},
}


@dataclass(frozen=True)
class Feature:
    """One feature of a record.

    Attributes:
      name: key on disk, such as `image/encoded`.
      role: what it means, such as `image`.
      type: `BYTES`, `INT` or `FLOAT`.
      required: whether every record has it.
      scalar: whether it holds exactly one value.
      domain: the values that a bytes feature may have; empty if any will do.
      bounds: the smallest and the largest number it may hold, None if any will do.
      comment: the schema's description of it.
    """

    name: str
    role: str
    type: str
    required: bool
    scalar: bool
    domain: tuple[str, ...] = ()
    bounds: tuple[int | None, int | None] = (None, None)
    comment: str = ""


@dataclass(frozen=True)
class Schema:
    """The features of one kind of record, and the JSON they were read from."""

    features: tuple[Feature, ...]
    json: Mapping[str, Any]

    def __getitem__(self, role: str) -> Feature:
        for feature in self.features:
            if feature.role == role:
                return feature
        raise SchemaError(f"no feature has the role {role!r}; there are {', '.join(self.roles)}")

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles, in the schema's order."""
        return tuple(feature.role for feature in self.features)

    @property
    def is_panoptic(self) -> bool:
        """Whether labels are panoptic maps."""
        return "label.divisor" in self.roles

    def named(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return name on disk -> value from role -> value.

        Raises SchemaError if a role is unknown or a required one is missing.
        """
        missing = [f.role for f in self.features if f.required and f.role not in values]
        if missing:
            raise SchemaError(f"the record has no {', '.join(missing)}")
        return {self[role].name: value for role, value in values.items()}

    def select(self, always: Collection[str], sometimes: Collection[str] = ()) -> "Schema":
        """Return the schema with the required roles and those that occur always or sometimes."""
        features = []
        for feature, source in zip(self.features, self.json["feature"], strict=True):
            if feature.required or feature.role in always:
                presence = {"minFraction": 1.0, "minCount": "1"}
            elif feature.role in sometimes:
                presence = {"minFraction": 0.0}
            else:
                continue
            features.append({**source, "presence": presence})
        return parse({**self.json, "feature": features}, "selection")

    def text(self) -> str:
        """Return the schema as the JSON text that travels with the data."""
        return json.dumps(self.json, indent=2) + "\n"


@functools.cache
def load(name: str, *more: str, bits: int = 8) -> Schema:
    """Return a schema that dsbuild ships, such as `segmentation`, joined with `more` of them.

    Its labels have so many bits.
    """
    # pkgutil, since importlib.resources takes longer to import than reading all schemas takes.
    data = pkgutil.get_data("dsbuild.schemas", f"{name}.json") or b""
    if bits != 8:
        data = data.replace(b"as a grey 8-bit PNG", b"as a grey %d-bit PNG" % bits)
    document = json.loads(data)
    features = [
        *document["feature"],
        *(one for other in more for one in load(other).json["feature"]),
    ]
    return parse({**document, "feature": features}, f"{name}.json")


@functools.cache
def panoptic(divisor: int, *more: str) -> Schema:
    """Return the schema of records with panoptic labels of this divisor, joined with `more`."""
    found = load("panoptic", *more)
    bounds = {"min": str(divisor), "max": str(divisor)}
    features = [
        {**source, "intDomain": bounds} if feature.role == "label.divisor" else source
        for feature, source in zip(found.features, found.json["feature"], strict=True)
    ]
    return parse({**found.json, "feature": features}, "panoptic.json")


def parse(document: Mapping[str, Any], where: str) -> Schema:
    """Return the schema of a parsed JSON document; raise SchemaError naming `where`."""
    try:
        features = tuple(_feature(entry) for entry in document["feature"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SchemaError(
            f"{where}: found no tensorflow.metadata Schema in JSON form ({error!r})"
        ) from error
    return Schema(features, document)


def _feature(entry: Mapping[str, Any]) -> Feature:
    if not fits(entry, _ENTRY) or entry["type"] not in _TYPES:
        raise ValueError(f"found no feature in {str(entry)[:80]}")
    tags = entry.get("annotation", {}).get("tag", [])
    roles = [tag.removeprefix(_TAG) for tag in tags if tag.startswith(_TAG)]
    bounds = entry.get("intDomain", {})
    return Feature(
        name=entry["name"],
        role=roles[0] if roles else entry["name"],
        type=entry["type"],
        required=entry.get("presence", {}).get("minFraction", 0) == 1,
        scalar="shape" in entry,
        domain=tuple(entry.get("stringDomain", {}).get("value", ())),
        bounds=(_bound(bounds.get("min")), _bound(bounds.get("max"))),
        comment=" ".join(entry.get("annotation", {}).get("comment", [])),
    )


def _bound(text: Any) -> int | None:
    return None if text is None else int(text)
