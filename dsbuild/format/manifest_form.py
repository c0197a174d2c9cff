"""The form of a manifest: what its readers rely on."""

import re
from collections.abc import Mapping
from typing import Any

from dsbuild.format.documents import fits, fits_values, is_count, is_digest, is_name
from dsbuild.format.names import SHARD, siblings, split_of

_LEAST = 16  # bytes of a record: those of its frame


def _is_shard_name(value: Any) -> bool:
    return is_name(value) and value.isprintable() and "/" not in value and bool(split_of(value))


def _is_range(value: Any) -> bool:
    return value == [] or (fits(value, (is_count, is_count)) and value[0] <= value[1])


def _is_byte(value: Any) -> bool:
    return is_count(value) and value < 256


_SHARD = {
    "name": _is_shard_name,
    "records": is_count,
    "bytes": is_count,
    "sha256": is_digest,
    "values?": is_digest,
    "index?": is_digest,
    "plan?": is_digest,
    "receipt?": is_digest,
}
_COUNTED = {"images": is_count, "pixels?": is_count, "segments?": is_count}
_SPLIT = {
    "plan": str,
    "records": is_count,
    "bytes": is_count,
    "rejects": is_count,
    "labels": is_count,
    "heights": _is_range,
    "widths": _is_range,
    "rotated?": is_count,
    "formats?": lambda value: fits_values(value, is_count),
    "changes?": lambda value: fits_values(value, is_count),
    "classes?": [{"name": is_name, **_COUNTED}],
    "ignore?": lambda value: value is None or fits(value, _COUNTED),
    "weights?": {
        "beta": float,
        "frequency?": [float],
        "median_frequency?": [float],
        "effective_number?": [float],
    },
    "shards": [_SHARD],
}
_MANIFEST = {
    "dsbuild": is_name,
    "title": is_name,
    "classes": [is_name],
    "recipe": {"layout": is_name},
    "ignore": lambda value: value is None or is_count(value),
    "versions": lambda value: fits_values(value, is_name),
    "palette": lambda value: (
        fits_values(value, (_is_byte, _is_byte, _is_byte))
        and all(re.fullmatch(r"\d{1,5}", key) for key in value)
    ),
    "splits": lambda value: fits_values(value, _SPLIT),
    "target?": lambda value: value == "panoptic",
    "divisor?": lambda value: is_count(value) and value > 1,
    "things?": [is_count],
    "files?": lambda value: fits_values(value, is_digest),
    "digest?": is_digest,
}


def is_manifest(document: Any) -> bool:
    """Tell whether a document has what readers of a manifest rely on, without contradictions."""
    return fits(document, _MANIFEST) and all(
        _is_split(name, entry, len(document["classes"]))
        for name, entry in document["splits"].items()
    )


def _is_split(name: str, entry: Mapping[str, Any], classes: int) -> bool:
    shards = entry["shards"]
    names = [shard["name"] for shard in shards]
    match = SHARD.fullmatch(names[0]) if names else None
    lists = [entry["classes"]] if "classes" in entry else []
    lists += [value for key, value in entry.get("weights", {}).items() if key != "beta"]
    counts = [*entry.get("classes", ()), *([entry["ignore"]] if entry.get("ignore") else [])]
    return (
        match is not None
        and match["split"] == name
        and int(match["count"]) == len(names)
        and names == siblings(names[0])
        and all(shard["records"] * _LEAST <= shard["bytes"] for shard in shards)
        and all(entry[key] == sum(shard[key] for shard in shards) for key in ("records", "bytes"))
        and all(len(one) == classes for one in lists)
        and len({"pixels" in one for one in counts}) <= 1  # all by pixels, or all by images alone
    )
