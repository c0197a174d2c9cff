"""Builds made with the library, and the files that they write."""

import pathlib

from dsbuild import images
from dsbuild.build.audit import audit
from dsbuild.build.class_weights import divided
from dsbuild.build.image_policy import Policy
from dsbuild.build.recipe import Recipe
from dsbuild.build.request import Request
from dsbuild.build.run import build
from dsbuild.engines import Local
from dsbuild.format import example, manifest, tfrecord
from dsbuild.layouts.voc import Voc


def requested(root, out, *, layout=None, extras=(), verify="full", policy=None, **asked):
    """Return the request for building a tree, VOC by default."""
    layout = (layout or Voc()).bind(str(root))
    extras, weights = divided(extras)
    recipe = Recipe(layout=layout, extras=extras, verify=verify, policy=policy or Policy())
    return Request(recipe=recipe, root=str(root), out=str(out), weights=weights, **asked)


def make(root, out, workers=1, note=lambda _: None, engine=None, **asked):
    """Build a tree, VOC by default, with the library; return the summary."""
    request = requested(root, out, **asked)
    return build(request, audit(request), engine or Local(workers), note)


def content(out):
    """Return file -> bytes for everything a build wrote except receipts and the lock."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(pathlib.Path(out).rglob("*"))
        if path.is_file() and "receipts" not in path.parts and path.name != "lock"
    }


def masks(out):
    """Return key -> mask for all records of a folder."""
    found = {}
    for path in pathlib.Path(out).glob("*.tfrecord"):
        for record in tfrecord.read(str(path)):
            values = example.parse(record.data)
            label = values["image/segmentation/class/encoded"][0]
            found[values["image/filename"][0].decode()] = images.plane(label)
    return found


def counts(out):
    known = manifest.load(out)
    return {s["name"]: s["records"] for e in known["splits"].values() for s in e["shards"]}


def nothing(samples, size):
    pass


def plans(voc, out, **asked):
    """Return the plans of the train shards, and their request."""
    request = Request(
        recipe=Recipe(layout=Voc(labels="class")), root=voc, out=out, splits=("train",), **asked
    )
    return list(audit(request).splits[0].plans()), request
