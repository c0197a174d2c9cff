"""Croissant 1.0: the folder's contents as JSON-LD, for search engines and mlcroissant.

    distribution     every shard with its sha256, one set of files per split
    recordSet        splits, classes, and the records of each split by their features

It describes the records; mlcroissant 1.1 cannot read TFRecords, so it does not load them.

Source: docs.mlcommons.org/croissant/docs/croissant-spec-1.0.html.
"""

import glob
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from dsbuild.format.manifest import dump
from dsbuild.format.schema import Feature, Schema
from dsbuild.interop.terms import Terms

NAME = "croissant.json"
Node = dict[str, Any]  # of JSON-LD
# TFRecord has no registered media type; in that case schema.org wants the URL of the format.
TFRECORD = "https://www.tensorflow.org/tutorials/load_data/tfrecord"
_TYPES = {"BYTES": "sc:Text", "INT": "cr:Int64", "FLOAT": "cr:Float32"}
_TEXTS = ("key", "class.text")
# The context from the specification, verbatim.
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def files(schema: Schema, document: Mapping[str, Any], terms: Terms) -> dict[str, bytes]:
    """Return croissant.json for a folder with this schema and manifest."""
    splits = document["splits"]
    found = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": document["recipe"]["layout"],
        "description": terms.description or f"{document['title']}, built by dsbuild",
        "version": "1.0.0",
        **({"license": terms.license} if terms.license else {}),
        **({"citeAs": terms.citation} if terms.citation else {}),
        "distribution": [
            *(_file(shard) for entry in splits.values() for shard in entry["shards"]),
            *(_file_set(split) for split in splits),
        ],
        "recordSet": [
            *_values("splits", "cr:Split", [{"name": split} for split in splits]),
            *_values(
                "classes",
                "sc:Enumeration",
                [{"index": i, "name": name} for i, name in enumerate(document["classes"])],
            ),
            *(_records(schema, split, entry) for split, entry in splits.items()),
        ],
    }
    return {NAME: (dump(found, 2) + "\n").encode()}


def _file(shard: Mapping[str, Any]) -> Node:
    return {
        "@type": "cr:FileObject",
        "@id": quote(shard["name"]),
        "name": shard["name"],
        "contentUrl": quote(shard["name"]),
        "contentSize": f"{shard['bytes']} B",
        "encodingFormat": TFRECORD,
        "sha256": shard["sha256"],
    }


def _file_set(split: str) -> Node:
    return {
        "@type": "cr:FileSet",
        "@id": f"{quote(split)}-shards",
        "name": f"{split}-shards",
        "description": f"The shards of the split {split}.",
        "encodingFormat": TFRECORD,
        "includes": f"{glob.escape(split)}-*.tfrecord",
    }


def _values(name: str, kind: str, rows: Sequence[Mapping[str, str | int]]) -> Iterator[Node]:
    """Yield a record set whose data is in the document itself; nothing without rows."""
    if not rows:
        return
    types = {
        key: "cr:Int64" if isinstance(value, int) else "sc:Text" for key, value in rows[0].items()
    }
    yield {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "dataType": kind,
        "key": {"@id": f"{name}/{next(iter(rows[0]))}"},
        "field": [
            {"@type": "cr:Field", "@id": f"{name}/{key}", "name": key, "dataType": kind}
            for key, kind in types.items()
        ],
        "data": [{f"{name}/{key}": value for key, value in row.items()} for row in rows],
    }


def _records(schema: Schema, split: str, entry: Mapping[str, Any]) -> Node:
    place = f"{quote(split)}-records"
    # A split without labels has no features that are computed from labels.
    always = [one for one in schema.features if one.required or entry["labels"]]
    return {
        "@type": "cr:RecordSet",
        "@id": place,
        "name": f"{split}-records",
        "description": f"The {entry['records']} records of the split {split}.",
        "key": {"@id": f"{place}/{schema['key'].name}"},
        "field": [
            *(_field(one, split, place, schema.is_panoptic) for one in always),
            _split_field(split, place),
        ],
    }


def _field(feature: Feature, split: str, place: str, is_panoptic: bool) -> Node:
    pixels = feature.type == "BYTES" and not feature.domain and feature.role not in _TEXTS
    pixels = pixels and not (is_panoptic and feature.role == "label")  # which is no image file
    return {
        "@type": "cr:Field",
        "@id": f"{place}/{feature.name}",
        "name": feature.name,
        "description": feature.comment,
        "dataType": "sc:ImageObject" if pixels else _TYPES[feature.type],
        **({} if feature.scalar else {"repeated": True}),
        "source": {
            "fileSet": {"@id": f"{quote(split)}-shards"},
            "extract": {"column": feature.name},
        },
    }


def _split_field(split: str, place: str) -> Node:
    return {
        "@type": "cr:Field",
        "@id": f"{place}/split",
        "name": "split",
        "description": "The split, as the file's name tells it.",
        "dataType": "sc:Text",
        "references": {"field": {"@id": "splits/name"}},
        "source": {
            "fileSet": {"@id": f"{quote(split)}-shards"},
            "extract": {"fileProperty": "filename"},
            "transform": {"regex": f"^({re.escape(split)})-.*$"},
        },
    }
