"""Real samples of annotated objects, and the planes that a build made of them."""

import pathlib

from dsbuild import images
from dsbuild.format import example, tfrecord

SHARED = pathlib.Path(__file__).parents[2].parent / "shared" / "data" / "objects"


def planes(out):
    """Return key -> plane of all records in a folder."""
    found = {}
    for path in sorted(pathlib.Path(out).glob("*.tfrecord")):
        for record in tfrecord.read(str(path)):
            one = example.parse(record.data)
            plane = images.plane(one["image/segmentation/class/encoded"][0])
            found[one["image/filename"][0].decode()] = plane
    return found
