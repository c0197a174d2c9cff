"""Decoded samples that are kept in a file for later epochs and for other processes.

The file lies beside the data, or in a named folder:

    <data>/.dsbuild/decoded/<digest of the shards>-<digest of the planes>.pixels
    <folder>/<name of the data>-<digest of its path>/...

The digest of the shards covers their sha256 in the manifest, and the versions that decode. Each
shard's file is hashed once, before the first of its samples is used, and again if its size or time
has changed. Files of shards that the manifest no longer names are removed.
"""

import contextlib
import functools
import hashlib
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dsbuild
from dsbuild import images, storage
from dsbuild.errors import PlanError, ShardError
from dsbuild.extras import Chosen
from dsbuild.format.folder import Folder
from dsbuild.format.names import STATE
from dsbuild.reader.pixel_file import ENDING, FullError, PixelFile
from dsbuild.reader.sample import Sample
from dsbuild.storage import Stamp, safe_text

DECODED = "decoded"
_LEFT = 1 << 30  # bytes of a disk that are left free


@dataclass(frozen=True)
class Decoded:
    """What is kept of a reader's samples.

    Attributes:
      file: where.
      shards: the path of each shard: its number, the number of its first sample, and its sha256.
      planes: the names of the extras that are kept, besides image and label.
      most: how many bytes all files of the data may have; None for what the disk holds.
    """

    file: PixelFile
    shards: dict[str, tuple[int, int, str]]
    planes: tuple[str, ...]
    most: int | None

    def get(self, path: str, inner: int) -> dict[str, Any] | None:
        """Return the values of a sample of a shard, if they are kept.

        Raises ShardError if the shard is not the one in the manifest.
        """
        shard, first, sha256 = self.shards[path]
        self._check(path, shard, sha256)
        return self.file.read(first + inner)

    def has(self, path: str, inner: int) -> bool:
        """Tell whether a sample of a shard is kept, without a look at its values."""
        return self.file.has(self.shards[path][1] + inner)

    def keep(self, path: str, inner: int, sample: Sample) -> None:
        """Keep the values of a sample; warn, once, if that is impossible."""
        names = ("key", "image", "label", "panoptic", "label_divisor", *self.planes)
        values = {name: sample[name] for name in names if name in sample}
        if self.file.path in _stopped:
            return
        try:
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                room = self._room()
                self.file.write(self.shards[path][1] + inner, values, room)
        except OSError as error:
            _stopped.add(self.file.path)
            found = f"cannot be written ({error.strerror})"
            if isinstance(error, FullError):
                found = "is full"
            warnings.warn(
                f"{safe_text.text(self.file.path)}: the cache {found}; samples that are not in it "
                "are decoded each time",
                stacklevel=2,
            )

    def _room(self) -> int:
        """Return how many bytes all files may have."""
        disk = os.statvfs(os.path.dirname(self.file.path))
        free = disk.f_bavail * disk.f_frsize - _LEFT
        size = os.stat(self.file.path).st_size
        return size + free if self.most is None else min(self.most, size + free)

    def _check(self, path: str, shard: int, sha256: str) -> None:
        if storage.is_remote(path):
            return  # reading it whole would cost more than it tells; see `of`
        _checked(self.file, path, shard, sha256, storage.stamp(path))


_stopped: set[str] = set()  # files to which this process no longer writes


@functools.lru_cache(1 << 16)
def _checked(file: PixelFile, path: str, shard: int, sha256: str, stamp: Stamp | None) -> None:
    """Raise ShardError unless a file has a sha256; it is hashed once for its stamp."""
    mark = hashlib.sha256(f"{sha256} {stamp}".encode()).digest()[:16]
    if stamp is not None and file.mark(shard) == mark:
        return
    if stamp is None or storage.sha256(path)[0] != sha256:
        raise ShardError(
            f"{path}: found a file that is not the one in the manifest, so nothing is kept of it; "
            "validate or repair the folder, or read it without cache"
        )
    with contextlib.suppress(OSError):  # then other processes hash it, too
        file.set_mark(shard, mark)


def of(
    folder: Folder,
    paths: Sequence[str],
    extras: Sequence[Chosen],
    planes: Sequence[str],
    where: str | os.PathLike[str] | None,
    most: int | None,
) -> Decoded:
    """Return what is kept for a folder of records, and make its file if there is none.

    Args:
      folder: the data.
      paths: the files of the records that are read.
      extras: those to compute if records do not have them.
      planes: the extras that are kept.
      where: a local folder; None for beside the data.
      most: how many bytes all files of the data may have; None for what the disk holds.

    Raises PlanError if there is no manifest, or no folder to write to.
    """
    home = folder.surrounding
    manifest = home.manifest
    if manifest is None:
        raise PlanError(
            f"{home.path}: cache: found no manifest, expected a folder that dsbuild wrote, whose "
            "shards are known by their sha256"
        )
    base = _base(home.path, where)
    listed = tuple(manifest.shards)
    starts, shards = 0, {}
    for number, shard in enumerate(listed):
        shards[storage.join(home.path, shard.name)] = number, starts, shard.sha256
        starts += shard.records
    sizes = {one.name: one.bytes for one in listed}
    for path, stamp in zip(paths, storage.stamps(paths), strict=True):
        size = sizes[os.path.basename(path)]
        if stamp is None or stamp.size != size:
            raise ShardError(
                f"{path}: found {stamp.size if stamp else 0:,} bytes, expected {size:,}, as in the "
                "manifest; validate or repair the folder"
            )
    data: list[object] = [dsbuild.__version__, images.versions(True)]
    data += [f"{one.name} {one.records} {one.sha256}" for one in listed]
    asked = [f"{one.name} {one.parameters}" for one in extras if one.name in planes]
    kinds = sorted(planes), sorted(asked)
    digests = [hashlib.sha256(repr(one).encode()) for one in (data, kinds)]
    stem = digests[0].hexdigest()[:24]
    name = f"{stem}-{digests[1].hexdigest()[:16]}{ENDING}"
    whole = hashlib.sha256(b"".join(one.digest() for one in digests)).digest()
    file = PixelFile(os.path.join(base, name), whole, len(listed), starts)
    try:
        file.ensure()
        _tidy(base, stem)
    except OSError as error:
        raise PlanError(
            f"{base}: cache: cannot be written ({error.strerror}); name a folder that can, with "
            "cache_folder"
        ) from error
    return Decoded(file, shards, tuple(planes), most)


def _base(home: str, where: str | os.PathLike[str] | None) -> str:
    """Return the folder for the files of some data."""
    if where is None:
        if storage.is_remote(home):
            raise PlanError(
                f"cache: found data on a store, {storage.normal(home)}; name a local folder with "
                "cache_folder"
            )
        return os.path.join(home, STATE, DECODED)
    where = os.fspath(where)
    if storage.is_remote(where):
        raise PlanError(f"cache_folder: found {storage.normal(where)}, expected a local folder")
    path = storage.normal(home) if storage.is_remote(home) else os.path.realpath(home)
    digest = hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()[:16]
    return os.path.join(where, f"{safe_text.stem(os.path.basename(path))}-{digest}")


def _tidy(base: str, stem: str) -> None:
    """Remove the files of earlier builds of the data."""
    for name in os.listdir(base):
        if name.endswith(ENDING) and not name.startswith(stem):
            with contextlib.suppress(FileNotFoundError):
                os.remove(os.path.join(base, name))
