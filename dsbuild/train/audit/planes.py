"""What a model saw in each record: four small planes, whatever the number of classes.

    given         the label
    model         the most probable class
    own           the model's confidence in the given class, in units of 1/65535
    confidence    its confidence in its own class

No other probability is needed to find label errors, so none is kept. A file holds the records of
a fold: a line that says what they are of, then for each record a line and its compressed planes.
It is read one record at a time.
"""

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dsbuild import storage
from dsbuild.errors import TrainError

WHOLE = 65535  # the confidence 1
_LEVEL = 1  # of zlib: confidences hardly compress better at others

Plane = NDArray[Any]  # of classes: uint8 or uint16 (h, w)
Units = NDArray[np.uint16]  # (h, w)


@dataclass(frozen=True)
class Seen:
    """A record as a model saw it, all planes (h, w).

    Attributes:
      split, number: its place.
      key: of the record.
      size: height and width of its label, in pixels; the planes may be smaller.
      given, model: classes.
      own, confidence: the confidence in them, 0 to 65535.
      judged: pixels with a class that the model was trained on, bool.
    """

    split: str
    number: int
    key: str
    size: tuple[int, int]
    given: Plane
    model: Plane
    own: Units
    confidence: Units
    judged: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        place: tuple[str, int, str],
        size: tuple[int, int],
        given: Plane,
        probabilities: NDArray[np.float32],
        unknown: Iterable[int],
    ) -> "Seen":
        """Return the record at a place (split, number, key).

        `probabilities` are (h, w, c); `unknown` are the label values that are not judged.
        """
        judged = _judged(given, unknown)
        inside = np.where(judged, given, 0).astype(np.intp)
        model = probabilities.argmax(-1)
        found = [
            np.take_along_axis(probabilities, plane[..., None], -1)[..., 0]
            for plane in (inside, model)
        ]
        own, confidence = ((one * WHOLE).round().clip(0, WHOLE).astype(np.uint16) for one in found)
        return cls(*place, size, given, model.astype(given.dtype), own, confidence, judged)


def _judged(given: Plane, unknown: Iterable[int]) -> NDArray[np.bool_]:
    return ~np.isin(given, np.array([*unknown], np.int64))


def write(path: str, about: Mapping[str, Any], records: Iterable[Seen]) -> None:
    """Write the records of a fold; the file appears when all are in it.

    `about` says what they are of; its "unknown" lists the label values that are not judged, its
    "records" how many there are, if that is known.
    """
    with storage.writing(path) as file:
        file.write(_line(about))
        for one in records:
            planes = one.given, one.model, one.own, one.confidence
            data = zlib.compress(
                b"".join(np.ascontiguousarray(p).tobytes() for p in planes), _LEVEL
            )
            head = {
                "place": [one.split, one.number, one.key],
                "size": one.size,
                "shape": one.given.shape,
                "bits": 8 * one.given.itemsize,
                "bytes": len(data),
            }
            file.write(_line(head))
            file.write(data)


def _line(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def about(path: str) -> dict[str, Any] | None:
    """Return what the records of a file are of; None if there is no such file, or a damaged one."""
    if storage.stamp(path) is None:
        return None
    with storage.reading(path) as (file, _):
        try:
            found = json.loads(file.readline())
        except ValueError:
            return None
    return found if isinstance(found, dict) else None


def read(path: str) -> Iterator[Seen]:
    """Yield the records of a file; raise TrainError if it is damaged."""
    with storage.reading(path) as (file, _):
        try:
            header, found = json.loads(file.readline()), 0
            while line := file.readline():
                yield _seen(json.loads(line), file, header["unknown"])
                found += 1
            if found != header.get("records", found):
                raise ValueError(f"{found:,} records, expected {header['records']:,}")
        except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
            raise TrainError(
                f"{path}: found damaged confidences ({error}); remove the file and run the audit "
                "again, which predicts them again"
            ) from error


def _seen(head: Mapping[str, Any], file: BinaryIO, unknown: Iterable[int]) -> Seen:
    data = zlib.decompress(file.read(head["bytes"]))
    height, width = head["shape"]
    kind, pixels = np.dtype(f"uint{head['bits']}"), height * width
    cut = pixels * kind.itemsize
    classes = np.frombuffer(data[: 2 * cut], kind).reshape(2, height, width)
    units = np.frombuffer(data[2 * cut :], np.uint16).reshape(2, height, width)
    split, number, key = head["place"]
    size = head["size"][0], head["size"][1]
    judged = _judged(classes[0], unknown)
    return Seen(split, number, key, size, classes[0], classes[1], units[0], units[1], judged)
