"""Files about all records that several targets write: classes, lists of names."""

import json
from collections.abc import Iterator

from dsbuild.interop.annotations.about import About
from dsbuild.interop.annotations.base import Rows

CLASSES = "classes.json"


def classes(about: About, ignore: int | None) -> Iterator[bytes]:
    """Return the content of classes.json: names and colours by index, and the ignored value."""
    rows = [
        {"id": i, "name": name} | ({"color": list(about.palette[i])} if i in about.palette else {})
        for i, name in enumerate(about.classes)
    ]
    yield (json.dumps({"classes": rows, "ignore": ignore}, indent=1) + "\n").encode()


def stems(rows: Rows, split: str, folder: str) -> Iterator[bytes]:
    """Yield the lines of a list: the images of a split, without folder and extension."""
    for row in rows(split):
        stem = row.image.removeprefix(f"{folder}/").rpartition(".")[0]
        yield f"{stem}\n".encode()
