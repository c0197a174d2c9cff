"""Damage to finished folders, by seed and by hand."""

import os
import pathlib

import numpy as np

from dsbuild import images
from dsbuild.format import example, manifest, tfrecord
from tests.support.texts import EVIL


def invert_byte(path, record, at):
    """Invert every bit of one byte of a record."""
    folder, name = os.path.split(path)
    with open(path, "r+b") as file:
        file.seek(manifest.offsets(folder, name)[record] + at)
        octet = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([octet ^ 255]))


def flip(data, rng):
    at = rng.randrange(len(data))
    data[at] ^= 1 << rng.randrange(8)
    return at


def cut(data, rng):
    at = rng.randrange(len(data))
    del data[at:]
    return at


def cut_out(data, rng):
    at = rng.randrange(len(data) - 1)
    del data[at : at + rng.randrange(1, 400)]
    return at


def insert(data, rng):
    at = rng.randrange(len(data))
    data[at:at] = rng.randbytes(rng.randrange(1, 400))
    return at


def blank(data, rng):
    at = rng.randrange(len(data) - 40)
    while not any(data[at : at + 40]):
        at = rng.randrange(len(data) - 40)
    data[at : at + 40] = bytes(40)
    return at


def damaged_records(built):
    """Damage records of a built VOC; return (file name, record) -> kinds of problems."""

    def label(plane):
        return [images.encode(np.asarray(plane, np.uint8))]

    image, mask, form = (
        f"image/{name}" for name in ("encoded", "segmentation/class/encoded", "format")
    )
    first, other = "train-00000-of-00002.tfrecord", "val-00001-of-00002.tfrecord"
    path = pathlib.Path(built, first)
    records = [example.parse(record.data) for record in tfrecord.read(str(path))]
    records[0][image] = [records[0][image][0][:700]]
    records[1][mask] = [b"<b>no label</b>"]
    records[2][mask] = label(np.zeros((2, 3)))
    records[3][mask] = label(np.full(images.plane(records[3][mask][0]).shape, 77))
    records[4][form] = [EVIL.encode()]
    with open(path, "wb") as file:
        writer = tfrecord.Writer(file)
        for values in records[:5]:
            writer.write(example.serialize(values))
        writer.write(b"no example")
    data = bytearray(pathlib.Path(built, other).read_bytes())
    data[300] ^= 1
    pathlib.Path(built, other).write_bytes(data)
    kinds = [["image"], ["label"], ["label"], ["values"], ["feature", "header"], ["example"]]
    return {**{(first, i): found for i, found in enumerate(kinds)}, (other, 0): ["frame"]}
