"""Side files by which other tools open an output folder: TFDS.

`tfds.builder_from_directory(folder)` reads dataset_info.json and features.json.
Source: tensorflow_datasets 4.9, core/proto/{dataset_info,feature}.proto.
"""

from collections.abc import Mapping
from typing import Any

from dsbuild import storage
from dsbuild.manifest import dump
from dsbuild.schema import Feature, Schema

INFO, FEATURES = "dataset_info.json", "features.json"
FILES = (INFO, FEATURES)
# Channels of the images that TFDS decodes; other encoded features stay bytes.
_DECODED = {"image": 3, "label": 1}
_PACKAGE = "tensorflow_datasets.core.features"


def dataset_info(name: str, title: str, splits: Mapping[str, Mapping[str, Any]]) -> dict:
    """Return TFDS's dataset_info.json for splits as the manifest holds them."""
    return {
        "name": name,
        "version": "1.0.0",
        "description": f"{title}, built by dsbuild",
        "fileFormat": "tfrecord",
        "splits": [
            {
                "name": split,
                "filepathTemplate": "{SPLIT}-{SHARD_X_OF_Y}.{FILEFORMAT}",
                "shardLengths": [str(shard["records"]) for shard in entry["shards"]],
                "numBytes": str(entry["bytes"]),
            }
            for split, entry in splits.items()
        ],
    }


def features(schema: Schema) -> dict:
    """Return TFDS's features.json: keys on disk become nested dictionaries at each slash."""
    tree: dict[str, Any] = {}
    for feature in schema.features:
        *folders, leaf = feature.name.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[leaf] = _leaf(feature)
    return {
        "type": f"{_PACKAGE}.features_dict.FeaturesDict",
        "content": _nest(tree)["featuresDict"],
        "proto_cls": "tensorflow_datasets.FeaturesDict",
    }


def _nest(tree: Mapping[str, Any]) -> dict:
    nodes = {
        name: node if "pythonClassName" in node else _nest(node) for name, node in tree.items()
    }
    return {
        "pythonClassName": f"{_PACKAGE}.features_dict.FeaturesDict",
        "featuresDict": {"features": nodes},
    }


def _leaf(feature: Feature) -> dict:
    if feature.role in _DECODED:
        shape = {"dimensions": ["-1", "-1", str(_DECODED[feature.role])]}
        return {
            "pythonClassName": f"{_PACKAGE}.image_feature.Image",
            "image": {"shape": shape, "dtype": "uint8", "encodingFormat": "png"},
        }
    if feature.type == "BYTES" and (feature.domain or feature.role == "key"):
        return {"pythonClassName": f"{_PACKAGE}.text_feature.Text", "text": {}}
    dtype = {"INT": "int64", "FLOAT": "float32", "BYTES": "string"}[feature.type]
    if feature.scalar and feature.type != "BYTES":
        kind, shape = "scalar.Scalar", {}
    else:
        kind, shape = (
            "tensor_feature.Tensor",
            {} if feature.scalar else {"dimensions": ["-1"]},
        )
    return {
        "pythonClassName": f"{_PACKAGE}.{kind}",
        "tensor": {"shape": shape, "dtype": dtype, "encoding": "none"},
    }


def write(out: str, name: str, schema: Schema, document: Mapping[str, Any]) -> None:
    """Write the side files that describe a manifest's splits.

    TFDS knows one set of features for all splits, so those without labels are left out
    where others have them.
    """
    splits = document["splits"]
    labelled = {k: v for k, v in splits.items() if v["labels"] == v["records"]}
    schema = schema.select(schema.roles if labelled else ())
    info = dataset_info(name, document["title"], labelled or splits)
    storage.write(storage.join(out, FEATURES), dump(features(schema), 2).encode())
    storage.write(storage.join(out, INFO), dump(info, 2).encode())
