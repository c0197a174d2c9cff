"""One record checked against the schema: features, kinds, presence, shapes, domains."""

from collections.abc import Iterator, Mapping

import numpy as np

from dsbuild.format.example import Parsed, first
from dsbuild.format.features import kind
from dsbuild.format.schema import Feature, Schema

_KINDS = {"BYTES": "bytes", "INT": "int64", "FLOAT": "float32"}


def problems(values: Mapping[str, Parsed], schema: Schema, closed: bool) -> Iterator[str]:
    """Yield how a record's features differ from a schema.

    `closed` is whether features that the schema does not have are wrong.
    """
    for feature in schema.features:
        if feature.name not in values:
            if feature.required:
                yield f"feature {feature.name!r} is missing; the schema requires it"
            continue
        problem = _of_feature(feature, values[feature.name])
        if problem:
            yield f"feature {feature.name!r}: {problem}"
    if closed:
        names = {feature.name for feature in schema.features}
        for name in values:
            if name not in names:
                yield f"found feature {name!r}, which the schema does not have"


def _of_feature(feature: Feature, value: Parsed) -> str | None:
    if value is None:
        return f"found nothing, expected {_KINDS[feature.type]}"
    if kind(value) != _KINDS[feature.type]:
        return f"found {kind(value)}, expected {_KINDS[feature.type]}"
    if feature.scalar and len(value) != 1:
        return f"found {len(value):,} values, expected one"
    if feature.required and not len(value):
        return "found no value, expected at least one"
    text = first(value)
    if feature.domain and len(value) and text.decode(errors="replace") not in feature.domain:
        return f"found {text[:20]!r}, expected one of {', '.join(feature.domain)}"
    low, high = feature.bounds
    if isinstance(value, np.ndarray) and len(value) and (low, high) != (None, None):
        least, most = value.min(), value.max()
        if (low is not None and least < low) or (high is not None and most > high):
            expected = f"{low} to {high}" if high is not None else f"{low} or more"
            return f"found values from {least} to {most}, expected {expected}"
    return None
