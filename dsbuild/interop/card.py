"""README.md: the dataset card, for people and, in its front matter, for Hugging Face.

Source of the front matter: huggingface.co/docs/hub/datasets-cards.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dsbuild.format import planes
from dsbuild.format.manifest import dump
from dsbuild.format.schema import Schema
from dsbuild.interop.terms import Terms
from dsbuild.storage import safe_text

NAME = "README.md"
# Licences for datasets that Hugging Face knows by name; it calls the others `other`.
_LICENSES = (
    "apache-2.0 mit cc0-1.0 cc-by-2.0 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-4.0 "
    "cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-nc-nd-4.0 odbl odc-by pddl gpl-3.0"
).split()
_TASKS = {"label": "image-segmentation", "class": "image-classification"}  # by role of the label
_SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
_NAMES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M")


def files(schema: Schema, document: Mapping[str, Any], terms: Terms) -> dict[str, bytes]:
    """Return README.md for a folder with this schema and manifest."""
    label = next((role for role in ("label", "class") if role in schema.roles), None)
    parts = [
        _front(document, terms, label),
        f"# {document['title']}",
        terms.description or f"{document['title']}, as sharded TFRecords, built by dsbuild.",
        "## Splits",
        _table(
            ("split", "records", "with label", "shards", "MB"),
            (
                (name, e["records"], e["labels"], len(e["shards"]), f"{e['bytes'] / 1e6:.1f}")
                for name, e in document["splits"].items()
            ),
        ),
        "Each split is `<split>-<i>-of-<n>.tfrecord`; their sha256 stand in `manifest.json`, "
        f"offset and size of every record{_listed(document)} in `index/`.",
        "## Records",
        "Every record is a `tf.train.Example`:",
        _table(
            ("key", "kind", "what it is"),
            (
                (f"`{f.name}`", f.type.lower() + ("" if f.scalar else " list"), f.comment)
                for f in schema.features
            ),
        ),
        *_classes(document, label),
        "## Load it",
        "Run in this folder.",
        *_code(schema, document, label),
        "## How it was made",
        f"By dsbuild {document.get('dsbuild', '')}"
        + "".join(f", {k} {v}" for k, v in document.get("versions", {}).items())
        + ", by this recipe:",
        f"```json\n{dump(_recipe(document), 2)}\n```",
        "The same sources and the same recipe give the same bytes.",
        *_terms(terms),
    ]
    return {NAME: ("\n\n".join(parts) + "\n").encode()}


def _listed(document: Mapping[str, Any]) -> str:
    shards = [shard for entry in document["splits"].values() for shard in entry["shards"]]
    return ", and the label values in it," if all("values" in one for one in shards) else ""


def _front(document: Mapping[str, Any], terms: Terms, label: str | None) -> str:
    total = sum(entry["records"] for entry in document["splits"].values())
    size = _NAMES[sum(total >= size for size in _SIZES)]
    task = _TASKS[label] if label else None
    lines = [f"pretty_name: {dump(document['title'])}", f"size_categories: [{dump(size)}]"]
    lines += [f"task_categories: [{task}]"] if task else []
    lines += ["tags: [tfrecord, croissant]", "viewer: false", *licence(terms)]
    return "\n".join(["---", *lines, "---"])


def licence(terms: Terms) -> list[str]:
    """Return the lines of a card's head that name the licence; none if it is not known."""
    if not terms.license:
        return []
    if terms.license.lower() in _LICENSES:
        return [f"license: {terms.license.lower()}"]
    kind = "link" if "://" in terms.license else "name"
    return ["license: other", f"license_{kind}: {dump(terms.license)}"]


def _classes(document: Mapping[str, Any], label: str | None) -> Iterable[str]:
    counted = {k: v for k, v in document["splits"].items() if "classes" in v}
    if not document["classes"] or label is None:
        return []
    palette = document.get("palette", {})
    rows = [
        (i, name, *_colour(palette, i), *(v["classes"][i]["images"] for v in counted.values()))
        for i, name in enumerate(document["classes"])
        if "divisor" not in document or i != document["ignore"]  # void is no class
    ]
    ignore = document.get("ignore")
    if ignore is not None:
        counts = ((v.get("ignore") or {}).get("images", "") for v in counted.values())
        rows.append((ignore, "(no class: ignore)", *_colour(palette, ignore), *counts))
    colour = ("colour",) if palette else ()
    heads = ("value", "name", *colour, *(f"images in {name}" for name in counted))
    return ["## Classes", _table(heads, rows)]


def _colour(palette: Mapping[str, Sequence[int]], value: int) -> tuple[str, ...]:
    found = palette.get(str(value))
    return (("#{:02x}{:02x}{:02x}".format(*found) if found else ""),) if palette else ()


def _recipe(document: Mapping[str, Any]) -> dict[str, Any]:
    # Classes and features have their own tables.
    return {k: v for k, v in document["recipe"].items() if k not in ("classes", "features")}


def _terms(terms: Terms) -> Iterable[str]:
    yield "## Licence and citation"
    yield (
        f"Licence: {terms.license}"
        if terms.license
        else (
            "The terms of the data set that these records were made of hold for them too. "
            "`dsbuild interop --license NAME` writes them here."
        )
    )
    if terms.citation:
        yield f"```\n{terms.citation.strip()}\n```"


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: Any) -> str:
    line = safe_text.text(re.sub(r"\s+", " ", str(value)))
    return line.replace("<", "&lt;").replace("|", "\\|")


def _code(schema: Schema, document: Mapping[str, Any], label: str | None) -> Iterable[str]:
    labelled = [k for k, v in document["splits"].items() if v["labels"] == v["records"] and label]
    splits = labelled or list(document["splits"])
    role = label if labelled and label else "none"
    role = "panoptic" if role == "label" and schema.is_panoptic else role
    names = {
        "image": schema["image"].name,
        "label": schema[label].name if label and role != "none" else None,
        "divisor": document.get("divisor"),
        "split": "train" if "train" in splits else next(iter(splits), "train"),
    }
    wide = planes.bits(len(document["classes"]), document["ignore"]) == 16
    kinds = (", dtype=tf.uint16", ".astype(np.int32)") if wide else ("", "")
    deep = document["recipe"].get("images", {}).get("depth", 8) > 8
    words = {key: _literal(name) for key, name in names.items() if key != "divisor"}
    for tool, template in _TEMPLATES.items():
        if role == "panoptic":
            tool = tool.replace("image and label, and knows the names of the classes", "the image")
        for old, new in _DEEP.items() if deep else ():
            template = template.replace(old, new)
        said = words | {"divisor": names["divisor"]}
        lines = template.format(**said, deep=kinds[0], whole=kinds[1]).splitlines()
        # A line for one kind of label ends with its role; lines for other kinds are dropped.
        ends = {role: f" #: {role}" for role in ("label", "class", "panoptic", "none")}
        mine = ends[role]
        kept = [
            x.removesuffix(mine) for x in lines if not x.endswith(tuple({*ends.values()} - {mine}))
        ]
        yield f"{tool}:\n\n```python\n" + "\n".join(kept) + "\n```"


# What decodes images of 16 bits per channel, which other decoders reduce to 8.
_DEEP = {
    "tf.io.decode_image(found[{image}], channels=3, expand_animations=False)": (
        "tf.io.decode_png(found[{image}], dtype=tf.uint16)"
    ),
    'np.array(Image.open(io.BytesIO(image)).convert("RGB"))': (
        "cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_UNCHANGED)  # BGR"
    ),
    "import numpy as np\n": "import cv2\nimport numpy as np\n",
}


def _literal(text: str | None) -> str:
    """Return text as a Python literal, in double quotes if it is ASCII."""
    return dump(text) if text and text.isascii() else repr(text)


_TEMPLATES = {
    "TensorFlow": """\
import tensorflow as tf

features = {{
    {image}: tf.io.FixedLenFeature((), tf.string),
    {label}: tf.io.FixedLenFeature((), tf.string), #: label
    {label}: tf.io.FixedLenFeature((), tf.int64), #: class
    {label}: tf.io.FixedLenFeature((), tf.string), #: panoptic
}}


def parse(record):
    found = tf.io.parse_single_example(record, features)
    image = tf.io.decode_image(found[{image}], channels=3, expand_animations=False)
    label = tf.io.decode_png(found[{label}], channels=1{deep}) #: label
    return image, label #: label
    panoptic = tf.io.decode_raw(found[{label}], tf.int32) #: panoptic
    panoptic = tf.reshape(panoptic, tf.shape(image)[:2]) #: panoptic
    return image, panoptic // {divisor}, panoptic % {divisor}  # class, instance #: panoptic
    return image, found[{label}] #: class
    return image #: none


files = sorted(tf.io.gfile.glob({split} + "-*"))
data = tf.data.TFRecordDataset(files).map(parse)
""",
    "TFDS (it decodes image and label, and knows the names of the classes)": """\
import tensorflow_datasets as tfds

builder = tfds.builder_from_directory(".")
data = builder.as_dataset(split={split})
""",
    "PyTorch, by the index; messages by `pip install tfrecord` (not beside TensorFlow in one "
    "process: both register the same messages)": """\
import io
import pathlib

import numpy as np
from PIL import Image
from tfrecord.example_pb2 import Example


class Records:  # torch.utils.data.DataLoader takes it as it is
    def __init__(self, folder, split):
        self.rows = []
        for path in sorted(pathlib.Path(folder).glob(f"{{split}}-*")):
            lines = (path.parent / "index" / f"{{path.name}}.idx").read_text().splitlines()
            self.rows += [(path, *map(int, line.split())) for line in lines]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, number):
        path, offset, size = self.rows[number]
        with open(path, "rb") as file:
            file.seek(offset + 12)
            features = Example.FromString(file.read(size - 16)).features.feature
        image = features[{image}].bytes_list.value[0]
        image = np.array(Image.open(io.BytesIO(image)).convert("RGB"))
        label = features[{label}].bytes_list.value[0] #: label
        label = np.array(Image.open(io.BytesIO(label))){whole} #: label
        return image, label #: label
        panoptic = np.frombuffer(features[{label}].bytes_list.value[0], "<i4") #: panoptic
        panoptic = panoptic.reshape(image.shape[:2]) #: panoptic
        return image, panoptic // {divisor}, panoptic % {divisor}  # class, instance #: panoptic
        return image, features[{label}].int64_list.value[0] #: class
        return image #: none


data = Records(".", {split})
""",
}
