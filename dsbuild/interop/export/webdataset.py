"""WebDataset: one tar per shard, with the files of a sample next to each other under its key.

    <key>.jpg|png|...      the image's bytes; all images have one extension
    <key>.seg.png          the mask's bytes
    <key>.cls              the class, as digits
    <key>.json             key, class text, format, height, width, ...
    <key>.<feature>.png    extra features, such as gradient_encoded; arrays as .npy

Keys and feature names come from outside: each becomes a path that cannot leave the folder where
the tar is unpacked. Owner, mode and time are the same in all entries, so equal records give equal
bytes.

Source: github.com/webdataset/webdataset, webdataset/tariterators.py: a name is cut at the first
dot after its last slash. Hugging Face's reader makes a column of each extension and finds a
sample's image only by that; the decoders of both go by the bytes.
"""

import functools
import io
import json
import tarfile
from collections.abc import Iterable
from typing import Any, BinaryIO

import numpy as np

from dsbuild.errors import ShardError
from dsbuild.interop.export.sample import Sample, ending
from dsbuild.storage import safe_text

ENDING = "tar"
_BLOCK = tarfile.BLOCKSIZE
_MOST = 0o77777777777  # bytes that 11 digits can say


def write(samples: Iterable[Sample], file: BinaryIO, image: str | None = None) -> int:
    """Write samples as a tar; return their number. `image` is the extension of all images."""
    taken: set[str] = set()
    size = 0
    for sample in samples:
        name = _unique(stem(sample.key), taken)
        for suffix, data in _parts(sample, image or sample.ending).items():
            for part in (_header(f"{name}.{suffix}", len(data)), data, _padding(len(data), _BLOCK)):
                file.write(part)
                size += len(part)
    end = bytes(2 * _BLOCK)
    file.write(end + _padding(size + len(end), tarfile.RECORDSIZE))
    return len(taken)


def _header(name: str, size: int) -> bytes:
    """Return what a tar has before the content of a file.

    Headers differ in few bytes, so those with short names are made from one: tarfile takes longer
    for a header than all else for a file.
    """
    text = name.encode(errors="replace")
    if not name.isascii() or len(text) > tarfile.LENGTH_NAME or size > _MOST:
        entry = tarfile.TarInfo(name)
        entry.size = size
        return entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    head = bytearray(_plain())
    head[: len(text)] = text
    head[124:135] = b"%011o" % size
    head[148:154] = b"%06o" % (8 * ord(" ") + sum(head[:148]) + sum(head[156:]))
    return bytes(head)


@functools.cache
def _plain() -> bytes:
    """Return the header of a file without name and content."""
    return tarfile.TarInfo("").tobuf(tarfile.PAX_FORMAT)


def _padding(size: int, block: int) -> bytes:
    return bytes(-size % block)


def stem(key: str) -> str:
    """Return the path of a sample's files without extension; its last part has no dot.

    >>> stem("town/a.b/c.d")
    'town/a.b/c%2Ed'
    """
    folder, slash, name = safe_text.path(key).rpartition("/")
    return folder + slash + name.replace(".", "%2E")


def part(feature: str) -> str:
    """Return what the file of a feature is called after its key, without extension."""
    return safe_text.stem(feature.replace("/", "_").replace(".", "_"))


def _unique(name: str, taken: set[str]) -> str:
    """Return the name, with a number if a sample with the same key already has it."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    taken.add(found)
    return found


def _parts(sample: Sample, image: str) -> dict[str, bytes]:
    """Return extension -> content of a sample's files; raise ShardError if two are the same."""
    parts = {image: sample.image}
    if isinstance(sample.label, bytes):
        parts[f"seg.{ending(sample.label)}"] = sample.label
    elif sample.label is not None:
        parts["cls"] = str(sample.label).encode()
    small: dict[str, Any] = {"key": sample.key}
    for name, value in sample.rest.items():
        place = part(name)
        if isinstance(value, bytes):
            _put(parts, f"{place}.{ending(value) or 'bin'}", value, name)
        elif isinstance(value, np.ndarray):
            array = io.BytesIO()
            np.save(array, value)
            _put(parts, f"{place}.npy", array.getvalue(), name)
        elif not isinstance(value, list) or all(isinstance(one, str) for one in value):
            _put(small, place if place != "key" else "key_", value, name)
    return {**parts, "json": json.dumps(small).encode()}


def _put(parts: dict[str, Any], place: str, value: Any, name: str) -> None:
    # webdataset lowercases all extensions.
    if place.lower() in map(str.lower, parts):
        raise ShardError(f"feature {name!r} would become a second {place}; rename it")
    parts[place] = value
