"""Records of TFRecord files by number: serialised, each read on its own, checksums checked.

No file is held open, so the value can be copied to any process and used by any number of
threads. Opening a file takes some microseconds.
"""

import bisect
import functools
import itertools
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dsbuild import storage
from dsbuild.errors import PlanError, ShardError
from dsbuild.format import names, tfrecord
from dsbuild.format.folder import Folder, remedy, split_of
from dsbuild.format.index import bounds
from dsbuild.reader import unpacked
from dsbuild.reader.ahead import Ahead
from dsbuild.storage import Stamp, safe_text

CHECKS = ("crc", "none")


@dataclass(frozen=True)
class Records:
    """The records of some files, in order.

    Attributes:
      paths: of the files.
      counts: how many records each has.
      check: `crc` for both checksums of each record, or `none`.
      stamps: of the files when they were opened, which reveal a file that was written again.
    """

    paths: tuple[str, ...]
    counts: tuple[int, ...]
    check: str = "crc"
    stamps: tuple[Stamp | None, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stamps", tuple(storage.stamps(self.paths)))
        if self.check not in CHECKS:
            raise PlanError(f"check {self.check!r}: expected one of {', '.join(CHECKS)}")

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, number: int) -> tfrecord.Record:
        """Return a record; raise ShardError with file, number and offset if it is damaged."""
        file, inner, offset, size = self.bounds(number)
        path, check = self.paths[file], self.check == "crc"
        copy = unpacked.held(path, self.stamps[file])
        if copy is None:
            return tfrecord.one(path, inner, offset, size, check)
        return tfrecord.framed(copy.part(offset, size), path, inner, offset, size, check)

    def part(self, file: int, offset: int, size: int) -> bytes:
        """Return some bytes of a file whose index was read; decompressed if it is compressed."""
        path = self.paths[file]
        copy = unpacked.held(path, self.stamps[file])
        return storage.read_part(path, offset, size) if copy is None else copy.part(offset, size)

    def bounds(self, number: int) -> tuple[int, int, int, int]:
        """Return which file has a record, which it is there, its offset and its size."""
        file, inner = self._place(number)
        offset, size = self.index(file)[inner].tolist()
        return file, inner, offset, size

    def ahead(
        self, numbers: Iterable[int], pool: ThreadPoolExecutor | None = None
    ) -> Iterator[Callable[[], tfrecord.Record]]:
        """Yield a function for each record, which returns it or raises as `[]` does.

        From a store the next records are fetched in advance, neighbours in one request, by threads
        of `pool` or new ones.
        """
        if self.remote:
            return Ahead(self, numbers, pool)
        return (functools.partial(self.__getitem__, number) for number in numbers)

    @property
    def remote(self) -> bool:
        """Whether the files are objects of a store."""
        return bool(self.paths) and storage.is_remote(self.paths[0])

    @property
    def compressed(self) -> bool:
        """Whether some file is compressed, once the indexes were read."""
        return any(map(unpacked.held, self.paths, self.stamps))

    def index(self, file: int) -> np.ndarray:
        """Return offset and size of each record of a file, as the function `index` does.

        Raises ShardError if the file no longer has the number of records it was opened with.
        """
        found = _index(self.paths[file], self.stamps[file])
        if len(found) != self.counts[file]:
            raise ShardError(
                f"{self.paths[file]}: found {len(found):,} records, expected "
                f"{self.counts[file]:,}; open it again if it has been built again since, otherwise "
                "validate it"
            )
        return found

    def indexes(self) -> list[np.ndarray]:
        """Return what `index` does for all files; a store is asked for many at a time."""
        place = next(iter(self.paths), "")
        return list(storage.at_once(place, self.index, range(len(self.paths))))

    def place(self, number: int) -> tuple[str, int]:
        """Return the file of a record, and its number there."""
        file, inner = self._place(number)
        return self.paths[file], inner

    def file(self, number: int) -> int:
        """Return which file has a record."""
        return self._place(number)[0]

    def _place(self, number: int) -> tuple[int, int]:
        number = range(len(self))[number]
        file = bisect.bisect_right(self._starts, number) - 1
        return file, number - self._starts[file]

    @functools.cached_property
    def _starts(self) -> list[int]:
        return [0, *itertools.accumulate(self.counts)]

    def __getstate__(self) -> dict[str, Any]:
        return {name: vars(self)[name] for name in self.__dataclass_fields__}


def find(folder: Folder) -> dict[str, dict[str, int]]:
    """Return split -> file -> number of its records.

    By the manifest, or else by indexes; the frames of files without an index are walked.
    """
    path = folder.path
    if folder.manifest is not None:
        return {
            name: {storage.join(path, shard.name): shard.records for shard in split.shards}
            for name, split in folder.manifest.splits.items()
        }
    if storage.stamp(names.state(path, "recipe.json")):
        raise ShardError(f"{path}: this build is unfinished; run its command again to finish it")
    found: dict[str, dict[str, int]] = {}
    for file in folder.files:
        found.setdefault(split_of(file), {})[file] = len(index(file))
    return found


def index(path: str) -> np.ndarray:
    """Return offset and size of each record of a file, frames included: int64 (records, 2).

    By the file's index; if that is missing or does not fit, by walking the frames. A compressed
    file is decompressed for that, and kept decompressed until this process ends.
    """
    return _index(path, storage.stamp(path))


@functools.lru_cache(1 << 12)
def _index(path: str, stamp: Stamp | None) -> np.ndarray:
    """Return the index of a file with a stamp, since files change."""
    if stamp is None:
        what = remedy(path, "build or fetch it again")
        raise ShardError(f"{path}: there is no such file; {what}")
    found = np.array(bounds(path, stamp) or bounds(path), np.int64).reshape(-1, 2)
    if len(found):
        found[:, 1] -= found[:, 0]
        return found
    if not stamp.size:
        return found
    folder = safe_text.text(os.path.dirname(path))
    packed = tfrecord.compressed(path)
    warnings.warn(f"{folder}: {_PACKED if packed else _NO_INDEX}", stacklevel=2)
    if packed:
        return unpacked.copy(path, stamp).index
    return np.array(tfrecord.walk(path), np.int64).reshape(-1, 2)


_NO_INDEX = (
    "found no index of a file, or one that does not fit it; frames were walked, which takes a "
    "moment each time"
)
_PACKED = (
    "found compressed files; to be read from anywhere, each is decompressed into a temporary file, "
    "again in every process that opens it; decompress them yourself to open them faster"
)
