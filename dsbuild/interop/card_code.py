"""The code of a card that loads a folder: with dsbuild, TensorFlow, TFDS, PyTorch, and exports.

A line for one kind of label ends with its role, such as `#: class`; cards with other labels do not
have it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from dsbuild.format import planes
from dsbuild.format.manifest import dump
from dsbuild.format.schema import Schema

_ROLES = ("label", "class", "panoptic", "none")


def blocks(schema: Schema, document: Mapping[str, Any], label: str | None) -> Iterable[str]:
    """Yield the code for each tool; `label` is the role of the labels, None without."""
    labelled = [k for k, v in document["splits"].items() if v["labels"] == v["records"] and label]
    splits = labelled or list(document["splits"])
    role = label if labelled and label else "none"
    role = "panoptic" if role == "label" and schema.is_panoptic else role
    image = schema["image"].name
    name = schema[label].name if label and role != "none" else None
    words = {
        "image": image,
        "label": name,
        "split": "train" if "train" in splits else next(iter(splits), "train"),
        "part": _part(name, image) if name and role == "panoptic" else None,
    }
    wide = planes.bits(len(document["classes"]), document["ignore"]) == 16
    kinds = (", dtype=tf.uint16", ".astype(np.int32)") if wide else ("", "")
    deep = document["recipe"].get("images", {}).get("depth", 8) > 8
    said = {key: _literal(text) for key, text in words.items()}
    for tool, template in _TEMPLATES.items():
        if role == "panoptic":
            tool = tool.replace("image and label, and knows the names of the classes", "the image")
        for old, new in _DEEP.items() if deep else ():
            template = template.replace(old, new)
        lines = template.format(
            **said, divisor=document.get("divisor"), deep=kinds[0], whole=kinds[1]
        ).splitlines()
        others = tuple(f" #: {one}" for one in _ROLES if one != role)
        kept = [line.removesuffix(f" #: {role}") for line in lines if not line.endswith(others)]
        yield f"{tool}:\n\n```python\n" + "\n".join(kept) + "\n```"


def _part(name: str, image: str) -> str:
    """Return the name that WebDataset has for a panoptic map."""
    from dsbuild.interop.export.webdataset import part  # here, since NumPy is slow to load

    return f"{part(name.removeprefix(image[: image.rfind('/') + 1]))}.bin"


def _literal(text: str | None) -> str:
    """Return text as a Python literal, in double quotes if it is ASCII."""
    return dump(text) if text and text.isascii() else repr(text)


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

_PARSE = """\
def parse(record):
    features = Example.FromString(record).features.feature
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
"""

_TEMPLATES = {
    "dsbuild, as NumPy arrays": """\
import dsbuild

data = dsbuild.open(".", {split})
sample = data[0]
sample.key, sample.image, sample.label #: label
sample.key, sample.image, sample.label, data.classes[sample.label] #: class
sample.key, sample.image, sample.panoptic, sample.label_divisor #: panoptic
sample.key, sample.image #: none
""",
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
    "process: both register the same messages)": f"""\
import io
import pathlib

import numpy as np
from PIL import Image
from tfrecord.example_pb2 import Example


class Records:  # torch.utils.data.DataLoader takes it as it is
    def __init__(self, folder, split):
        self.rows = []
        for path in sorted(pathlib.Path(folder).glob(f"{{{{split}}}}-*")):
            lines = (path.parent / "index" / f"{{{{path.name}}}}.idx").read_text().splitlines()
            self.rows += [(path, *map(int, line.split())) for line in lines]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, number):
        path, offset, size = self.rows[number]
        with open(path, "rb") as file:
            file.seek(offset + 12)
            return parse(file.read(size - 16))


{_PARSE}

data = Records(".", {{split}})
""",
    "WebDataset, after `dsbuild export . ../tars --to webdataset`": """\
import glob
import io

import numpy as np
import webdataset as wds
from PIL import Image


def parse(sample):
    image = sample.get("jpg", sample.get("png"))
    image = np.array(Image.open(io.BytesIO(image)).convert("RGB"))
    label = np.array(Image.open(io.BytesIO(sample["seg.png"]))){whole} #: label
    return image, label #: label
    panoptic = np.frombuffer(sample[{part}], "<i4").reshape(image.shape[:2]) #: panoptic
    return image, panoptic // {divisor}, panoptic % {divisor}  # class, instance #: panoptic
    return image, int(sample["cls"]) #: class
    return image #: none


files = sorted(glob.glob("../tars/" + {split} + "-*"))
data = wds.WebDataset(files, shardshuffle=False).map(parse)
""",
    "Grain, after `dsbuild export . ../arrays --to array_record`; messages as for PyTorch": f"""\
import glob
import io

import grain
import numpy as np
from PIL import Image
from tfrecord.example_pb2 import Example


{_PARSE}

files = sorted(glob.glob("../arrays/" + {{split}} + "-*"))
data = grain.MapDataset.source(grain.sources.ArrayRecordDataSource(files)).map(parse)
""",
}
