"""Records of TFRecord files by number: serialised, each read alone, checksums checked.

Nothing is held open: a value that can be copied to any process and used by any number of
threads. Opening a file costs some microseconds.
"""

import bisect
import functools
import itertools
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dsbuild import harmless, manifest, scan, storage, tfrecord
from dsbuild.errors import PlanError, ShardError

CHECKS = ("crc", "none")


@dataclass(frozen=True)
class Records(Sequence[tfrecord.Record]):
    """The records of some files, in order.

    Attributes:
      paths: of the files.
      counts: how many records each has.
      check: `crc` for both checksums of each record, or `none`.
    """

    paths: tuple[str, ...]
    counts: tuple[int, ...]
    check: str = "crc"

    def __post_init__(self):
        if self.check not in CHECKS:
            raise PlanError(f"check {self.check!r}: expected one of {', '.join(CHECKS)}")

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, number: int) -> tfrecord.Record:
        """Return a record; raise ShardError with file, number and offset where it is damaged."""
        path, inner = self.place(number)
        offset, size = index(path)[inner].tolist()
        return tfrecord.one(path, inner, offset, size, self.check == "crc")

    def place(self, number: int) -> tuple[str, int]:
        """Return the file of a record, and its number there."""
        number = range(len(self))[number]
        at = bisect.bisect_right(self._starts, number) - 1
        return self.paths[at], number - self._starts[at]

    @functools.cached_property
    def _starts(self) -> list[int]:
        return [0, *itertools.accumulate(self.counts)]

    def __getstate__(self) -> dict[str, Any]:
        return {name: vars(self)[name] for name in self.__dataclass_fields__}


def find(path: str, known: Mapping[str, Any] | None) -> dict[str, dict[str, int]]:
    """Return split -> file -> number of its records, of a folder or a file.

    `known`, its manifest, tells, else indexes; of what has neither all frames are walked.
    """
    if known is not None:
        return {
            split: {storage.join(path, one["name"]): one["records"] for one in entry["shards"]}
            for split, entry in known["splits"].items()
        }
    if storage.stamp(storage.join(path, manifest.STATE, "recipe.json")):
        raise ShardError(f"{path}: its build is unfinished; run the same command again")
    found: dict[str, dict[str, int]] = {}
    for file in scan.files(path):
        found.setdefault(scan.split_of(file), {})[file] = len(index(file))
    return found


@functools.lru_cache(1 << 12)
def index(path: str) -> np.ndarray:
    """Return offset and size of each record of a file, frames included: int64 (records, 2).

    By the file's index; where that is missing or does not fit, by walking the frames.
    """
    stamp = storage.stamp(path)
    if stamp is None:
        raise ShardError(f"{path}: there is no such file; build or fetch it again")
    found = np.array(scan.bounds(path), np.int64).reshape(-1, 2)
    if len(found):
        found[:, 1] -= found[:, 0]
        return found
    if stamp.size:
        folder = harmless.text(os.path.dirname(path))
        warnings.warn(
            f"{folder}: found no index of a file, or one that does not fit it; "
            "frames were walked, which takes a moment each time",
            stacklevel=2,
        )
    return np.array(tfrecord.walk(path), np.int64).reshape(-1, 2)
