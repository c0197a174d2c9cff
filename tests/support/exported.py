"""Folders that are exported as annotations, and built again from what was written."""

import os
import pathlib
import subprocess
import sys

import numpy as np

from dsbuild import images
from dsbuild.format import example, tfrecord
from dsbuild.interop.annotations.formats import TARGETS
from dsbuild.layouts.pairs import Pairs
from tests.support import masks
from tests.support.runs import make

IMAGE, LABEL = "image/encoded", "image/segmentation/class/encoded"
HOLDING = {"ultralytics-semantic", "mmseg", "voc", "hf", "labelme", "png", "coco-panoptic"}
FREE = [name for name in TARGETS if name != "cityscapes"]  # targets of any classes


def records(folder):
    """Return split -> key -> image and plane of the records of a folder."""
    found = {}
    for path in sorted(pathlib.Path(folder).glob("*.tfrecord")):
        split = found.setdefault(path.name.partition("-")[0], {})
        for record in tfrecord.read(str(path)):
            values = example.parse(record.data)
            mask = values.get(LABEL)
            plane = None if mask is None else images.plane(mask[0])
            split[values["image/filename"][0].decode()] = values[IMAGE][0], plane
    return found


def loaded(code, folder, home):
    """Run code that loads a folder with Hugging Face's datasets, offline; return what it prints."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(folder)],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def built(root, out, names=masks.NAMES, **asked):
    make(root, out, layout=Pairs(names=names), shards=2, **asked)
    return str(out)


def reread(made, receipt, out, **asked):
    """Build the folder of an export by its own layout; return its records and layout."""
    about = receipt.about
    target = TARGETS[receipt.target](about=about)
    layout = target.layout(str(made))
    make(str(made), out, layout=layout, **asked)
    return records(out), target, layout


def by_name(plane, target, layout):
    """Return a plane with every value replaced by the name that a layout has for it."""
    names = np.array([*layout.classes, *["?"] * 256][:256], object)
    names[255 if layout.ignore is None else layout.ignore] = "ignored"
    return names[plane]


def seen(folder):
    """Return path -> bytes of a folder, without its lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in pathlib.Path(folder).rglob("*")
        if path.is_file() and path.name != "lock"
    }
