"""Parquet for Hugging Face `datasets`: image and mask are its Image feature.

    key     text
    image   {bytes, path}; the path is the key with an extension
    label   the same for a mask; a class is an int64, with names
    ...     the other features of the records' schema

Source: huggingface.co/docs/datasets, Image and ClassLabel; the features are JSON under
`huggingface` in the metadata of the file's schema.
"""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from dsbuild.errors import PlanError, ShardError
from dsbuild.format.schema import Feature
from dsbuild.interop.export.sample import Sample, ending
from dsbuild.storage import safe_text

ENDING = "parquet"
_ROWS = 100  # per row group, which a reader loads as a whole
_KINDS = {"BYTES": "binary", "INT": "int64", "FLOAT": "float32"}


def columns(features: Iterable[Feature], folder: str) -> dict[str, tuple[str, bool]]:
    """Return name -> (kind, whether it is a list) for features other than key, image, label.

    Names lose the folder that they share, and slashes. Raises PlanError if two become the same.
    """
    made = {
        feature.name.removeprefix(folder): (
            "string" if feature.domain or feature.role.endswith(".text") else _KINDS[feature.type],
            not feature.scalar,
        )
        for feature in features
    }
    names = ["key", "image", "label", *map(_column, made)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise PlanError(f"two features would become the column {twice!r}; rename one of them")
    return made


def write(
    samples: Iterable[Sample],
    file: BinaryIO,
    rest: Mapping[str, tuple[str, bool]],
    label: str | None,
    classes: Sequence[str],
) -> int:
    """Write samples as a Parquet file; return their number.

    `label` is the kind of the labels in all shards: `mask`, `class`, or None.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    fields: dict[str, Any] = {"key": pa.string(), "image": image}
    features: dict[str, Any] = {"key": _value("string"), "image": {"_type": "Image"}}
    if label:
        fields["label"] = image if label == "mask" else pa.int64()
        features["label"] = {"_type": "Image"} if label == "mask" else _class_label(classes)
    for name, (kind, many) in rest.items():
        plain = getattr(pa, kind)()
        fields[_column(name)] = pa.list_(plain) if many else plain
        one = _value(kind)
        features[_column(name)] = {"feature": one, "_type": "List"} if many else one
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    schema = pa.schema(fields, metadata)
    samples, count = iter(samples), 0
    # JPEG and PNG do not get smaller, and readers that seek need not decompress.
    with pq.ParquetWriter(file, schema, compression="none", use_dictionary=False) as writer:
        while rows := [_row(one, label, rest) for one in itertools.islice(samples, _ROWS)]:
            try:
                writer.write_table(pa.Table.from_pylist(rows, schema))
            except pa.ArrowException as error:
                raise ShardError(
                    f"records {count:,} to {count + len(rows) - 1:,}: found values that do "
                    f"not fit a column: {error}; run dsbuild validate on the folder"
                ) from error
            count += len(rows)
    return count


def _column(name: str) -> str:
    return safe_text.stem(name.replace("/", "_").replace(".", "_"))


def _value(kind: str) -> dict[str, Any]:
    return {"dtype": kind, "_type": "Value"}


def _class_label(classes: Sequence[str]) -> dict[str, Any]:
    named = bool(classes) and len(set(classes)) == len(classes)
    return {"names": list(classes), "_type": "ClassLabel"} if named else _value("int64")


def _row(sample: Sample, label: str | None, rest: Mapping[str, tuple[str, bool]]) -> dict[str, Any]:
    row: dict[str, Any] = {"key": sample.key, "image": _image(sample.image, sample.key)}
    if label == "mask":
        mask = sample.label
        row["label"] = _image(mask, sample.key) if isinstance(mask, bytes) else None
    elif label:
        row["label"] = sample.label if isinstance(sample.label, int) else None
    for name, (kind, many) in rest.items():
        row[_column(name)] = _typed(sample.rest.get(name), kind, many)
    return row


def _image(data: bytes, key: str) -> dict[str, Any]:
    return {"bytes": data, "path": f"{safe_text.path(key)}.{ending(data)}"}


def _typed(value: Any, kind: str, many: bool) -> Any:
    """Return a value in the form of its column; None if it is of another kind."""
    if value is None:
        return None
    if many:
        if isinstance(value, np.ndarray):
            return value if value.dtype == kind else None
        made = [_typed(one, kind, many=False) for one in ([value], value)[isinstance(value, list)]]
        return None if None in made else made
    if kind == "binary" and isinstance(value, str):
        return value.encode()
    kinds = {"string": str, "binary": bytes, "int64": int, "float32": float}
    return value if isinstance(value, kinds[kind]) else None
