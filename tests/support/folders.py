"""A small folder with every kind of file, and its files as bytes."""

import contextlib
import os
import pathlib
import shutil
import tempfile

import numpy as np
from PIL import Image

from dsbuild.build.side_files import describe
from dsbuild.interop import Terms
from tests.support import fakes
from tests.support.runs import make


def built(folder):
    """Build a small folder with all kinds of files; return its source and it."""
    root = fakes.voc(folder, train=5, val=3, width=20, height=16)
    bad = pathlib.Path(root, "SegmentationClass/2007_000002.png")
    Image.fromarray(np.full((9, 9), 3, np.uint8)).save(bad)
    out = pathlib.Path(folder, "out")
    options = {"extras": ("weights:beta=0.9",), "on_error": "skip"}
    make(root, out, shards=2, splits=("train", "val"), **options)
    describe(str(out), Terms(license="CC0", description="Drawn."), pbtxt=True)
    return root, out


def state(out):
    """Return file -> bytes for every file in a folder except the lock."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != "lock"
    }


def put(out, files):
    """Make a folder hold these files and no others."""
    there = state(out)
    for name in there.keys() - files.keys():
        (out / name).unlink()
    for name, data in files.items():
        if there.get(name) != data:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(data)


@contextlib.contextmanager
def in_memory():
    shm = pathlib.Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else None) as folder:
        yield pathlib.Path(folder)


def restore(before, out):
    shutil.rmtree(out, ignore_errors=True)
    if os.path.isdir(before):
        shutil.copytree(before, out)


def everything(folder):
    """Return path -> bytes for every file below a folder, including state and temporary files."""
    paths = pathlib.Path(folder).rglob("*")
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.is_file()}
