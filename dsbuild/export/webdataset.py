"""WebDataset: a tar a shard, the files of a sample side by side under its key.

    <key>.jpg|png|...      the image's bytes
    <key>.seg.png          the mask's bytes
    <key>.cls              the class, as digits
    <key>.json             key, class text, format, height, width, ...
    <key>.<feature>.png    extra features, such as gradient_encoded; arrays as .npy

Owner, mode and time are the same in all entries, so equal records are equal bytes.

Source: github.com/webdataset/webdataset, webdataset/tariterators.py: a name is cut at
the first dot after its last slash.
"""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np

from dsbuild.export.sample import Sample, ending

ENDING = "tar"


def write(samples: Iterable[Sample], file: BinaryIO) -> int:
    """Write samples as a tar; return how many."""
    taken: set[str] = set()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for sample in samples:
            name = _unique(stem(sample.key), taken)
            for suffix, data in _parts(sample):
                entry = tarfile.TarInfo(f"{name}.{suffix}")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    return len(taken)


def stem(key: str) -> str:
    """Return the name of a sample's files, without ending: slashes stay, dots cannot.

    >>> stem("/town/a.b/c.d")
    'town/a.b/c_d'
    """
    folder, slash, name = key.lstrip("/").rpartition("/")
    return folder + slash + (name.replace(".", "_") or "_")


def _unique(name: str, taken: set[str]) -> str:
    """Return the name, with a number where another sample of the shard has it already."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    taken.add(found)
    return found


def _parts(sample: Sample) -> Iterator[tuple[str, bytes]]:
    yield ending(sample.image), sample.image
    if isinstance(sample.label, bytes):
        yield f"seg.{ending(sample.label)}", sample.label
    elif sample.label is not None:
        yield "cls", str(sample.label).encode()
    small: dict[str, Any] = {"key": sample.key}
    for name, value in sample.rest.items():
        place = name.replace("/", "_").replace(".", "_")
        if isinstance(value, bytes):
            yield f"{place}.{ending(value) or 'bin'}", value
        elif isinstance(value, np.ndarray):
            array = io.BytesIO()
            np.save(array, value)
            yield f"{place}.npy", array.getvalue()
        elif not isinstance(value, list) or all(isinstance(one, str) for one in value):
            small[place] = value
    yield "json", json.dumps(small).encode()
