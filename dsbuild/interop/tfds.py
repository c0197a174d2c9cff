"""Side files that let TFDS open an output folder, with class names.

    dataset_info.json               splits with their shards
    features.json                   the features of a record, and how to decode them
    image-...-label.labels.txt      class names, one per line

Source: tensorflow_datasets 4.9, core/proto/{dataset_info,feature}.proto, and for the class
names core/features/{class_label_feature,features_dict}.py: the file is named by the path of the
feature, with dashes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from dsbuild.format import planes
from dsbuild.format.manifest import dump
from dsbuild.format.schema import Feature, Schema
from dsbuild.interop.terms import Terms

INFO, FEATURES = "dataset_info.json", "features.json"
_LABELS = ("label", "class")  # roles of features that contain classes
# Channels of the images that TFDS decodes; other encoded features stay bytes.
_DECODED = {"image": 3, "label": 1}
_PACKAGE = "tensorflow_datasets.core.features"


def files(schema: Schema, document: Mapping[str, Any], terms: Terms) -> dict[str, bytes]:
    """Return name -> bytes of TFDS's files for a folder with this schema and manifest.

    TFDS has one set of features for all splits, so splits without labels are left out if
    others have labels.
    """
    splits, classes = document["splits"], document["classes"]
    depth = document["recipe"].get("images", {}).get("depth", 8)
    labelled = {k: v for k, v in splits.items() if v["labels"] == v["records"]}
    schema = schema.select(schema.roles if labelled else ())
    info = dataset_info(document, labelled or splits, terms)
    found = {
        FEATURES: dump(features(schema, len(classes), document["ignore"], depth), 2).encode(),
        INFO: dump(info, 2).encode(),
    }
    for feature in schema.features:
        name = names_file(feature)
        # A reader of `<split>-*` would take the class names for a shard.
        clear = not any(name.startswith(f"{split}-") for split in splits)
        named = feature.role in _LABELS and not schema.is_panoptic
        if named and clear and _can_be_named(classes):
            found[name] = "".join(f"{one}\n" for one in classes).encode()
    return found


def names_file(feature: Feature) -> str:
    """Return the name of the file in which TFDS looks for a feature's class names."""
    return feature.name.replace("/", "-") + ".labels.txt"


def names_files(schema: Schema) -> tuple[str, ...]:
    """Return the names of all such files that a folder with this schema may contain."""
    return tuple(names_file(feature) for feature in schema.features if feature.role in _LABELS)


def _can_be_named(classes: Sequence[str]) -> bool:
    """Return whether TFDS, which strips the lines of a file, reads these names back unchanged."""
    whole = all(name and name == name.strip() and "\n" not in name for name in classes)
    return bool(classes) and whole and len(set(classes)) == len(classes)


def dataset_info(
    document: Mapping[str, Any], splits: Mapping[str, Mapping[str, Any]], terms: Terms
) -> dict[str, Any]:
    """Return TFDS's dataset_info.json for splits from the manifest."""
    return {
        "name": document["recipe"]["layout"],
        "version": "1.0.0",
        "description": terms.description or f"{document['title']}, built by dsbuild",
        **({"citation": terms.citation} if terms.citation else {}),
        **({"redistributionInfo": {"license": terms.license}} if terms.license else {}),
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


def features(
    schema: Schema, classes: int, ignore: int | None = None, depth: int = 8
) -> dict[str, Any]:
    """Return TFDS's features.json: keys on disk become dictionaries, nested at each slash.

    Labels are a LabeledImage or a ClassLabel with this number of classes, and an ignore value.
    Images of 16 bits per channel stay bytes, since TFDS would decode them to 8.
    """
    tree: dict[str, Any] = {}
    for feature in schema.features:
        *folders, leaf = feature.name.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        encoded = (feature.role == "label" and schema.is_panoptic) or (
            feature.role == "image" and depth > 8
        )
        node[leaf] = _leaf(feature, classes, planes.bits(classes, ignore), encoded)
    return {
        "type": f"{_PACKAGE}.features_dict.FeaturesDict",
        "content": _nest(tree)["featuresDict"],
        "proto_cls": "tensorflow_datasets.FeaturesDict",
    }


def _nest(tree: Mapping[str, Any]) -> dict[str, Any]:
    nodes = {
        name: node if "pythonClassName" in node else _nest(node) for name, node in tree.items()
    }
    return {
        "pythonClassName": f"{_PACKAGE}.features_dict.FeaturesDict",
        "featuresDict": {"features": nodes},
    }


def _leaf(feature: Feature, classes: int, bits: int, encoded: bool) -> dict[str, Any]:
    """Return a feature of TFDS, with label planes of so many bits; bytes if it stays `encoded`."""
    if feature.role in _DECODED and not encoded:
        shape = {"dimensions": ["-1", "-1", str(_DECODED[feature.role])]}
        kind = f"uint{bits if feature.role in _LABELS else 8}"
        image: dict[str, Any] = {"shape": shape, "dtype": kind, "encodingFormat": "png"}
        if feature.role in _LABELS and classes:
            image["label"] = {"numClasses": str(classes)}
            return {"pythonClassName": f"{_PACKAGE}.labeled_image.LabeledImage", "image": image}
        return {"pythonClassName": f"{_PACKAGE}.image_feature.Image", "image": image}
    if feature.role in _LABELS and classes and not encoded:
        name = f"{_PACKAGE}.class_label_feature.ClassLabel"
        return {"pythonClassName": name, "classLabel": {"numClasses": str(classes)}}
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
