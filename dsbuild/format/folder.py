"""A folder of TFRecords, or one file, opened once: manifest, schema, features by role, shards.

It may be an output folder, or one that others wrote: what that does not say is as in the schemas
that dsbuild ships.
"""

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Union

from dsbuild import storage
from dsbuild.errors import ShardError
from dsbuild.format import manifest, names, planes, split_names
from dsbuild.format.documents import parse_file, read_bytes
from dsbuild.format.manifest import Colour, Manifest
from dsbuild.format.schema import Schema, load, parse

# The endings that people give to single files; shards are known by their names.
_ENDINGS = (".tfrecord", ".tfrecords", ".tfrec", ".record")
_LOOKED = 20  # entries of a folder without TFRecords that are searched for a hint

PathLike = Union[str, os.PathLike[str], "Folder"]


@dataclass(frozen=True)
class Folder:
    """A folder of TFRecords, or one file, by its path or URL.

    `manifest.json` and `schema.json` are read when they are first asked for, and once: pass the
    folder on rather than its path. They are not pickled with it.
    """

    path: str

    @classmethod
    def of(cls, path: PathLike) -> "Folder":
        """Return the folder at a path; a folder that was opened before is returned itself."""
        return path if isinstance(path, Folder) else cls(os.fspath(path))

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    @functools.cached_property
    def is_file(self) -> bool:
        """Whether the path is that of a single file."""
        return not storage.is_folder(self.path)

    @property
    def home(self) -> str:
        """The path of the folder, or of the one that a single file lies in."""
        return os.path.dirname(self.path) if self.is_file else self.path

    @functools.cached_property
    def surrounding(self) -> "Folder":
        """The folder itself, or the one that a single file lies in."""
        return Folder(self.home or os.curdir) if self.is_file else self

    @functools.cached_property
    def manifest_bytes(self) -> bytes | None:
        """The content of manifest.json, None if there is none or the path is a single file's."""
        return None if self.is_file else read_bytes(storage.join(self.path, names.NAME))

    def fetch(self) -> None:
        """Read manifest and schema, from a store both at once, if they were not read before."""
        documents = ("schema_bytes",) if self.is_file else ("manifest_bytes", "schema_bytes")
        for _ in storage.at_once(self.path, functools.partial(getattr, self), documents):
            pass

    @functools.cached_property
    def manifest(self) -> Manifest | None:
        """The manifest; None if there is none, or the path is that of a single file.

        Raises ShardError if it is damaged.
        """
        data, path = self.manifest_bytes, storage.join(self.path, names.NAME)
        return None if data is None else Manifest.of(manifest.checked(data, path))

    @property
    def unfinished(self) -> str | None:
        """What to do with a folder whose build was stopped; None if it is finished, or foreign."""
        whole = self.is_file or self.manifest_bytes is not None
        if whole or not storage.is_folder(storage.join(self.path, names.STATE)):
            return None
        return f"found no {names.NAME}, so this build is unfinished; run its command again"

    @functools.cached_property
    def schema_bytes(self) -> bytes | None:
        """The content of schema.json, None if there is none."""
        return read_bytes(storage.join(self.home, names.SCHEMA))

    @functools.cached_property
    def schema(self) -> Schema:
        """The schema that travels with the data, or else that of DeepLab's records.

        Raises ShardError or SchemaError if it is damaged.
        """
        data, path = self.schema_bytes, storage.join(self.home, names.SCHEMA)
        return load("segmentation") if data is None else parse(parse_file(data, path), path)

    @property
    def schemas(self) -> tuple[Schema, ...]:
        """The folder's schema, then those of DeepLab's and of TF-slim's records."""
        return self.schema, load("segmentation"), load("classification")

    @functools.cached_property
    def names(self) -> dict[str, tuple[str, ...]]:
        """Role -> names of the features that may play it, the folder's own first."""
        found: dict[str, tuple[str, ...]] = {}
        for feature in (feature for one in self.schemas for feature in one.features):
            known = found.get(feature.role, ())
            found[feature.role] = tuple(dict.fromkeys((*known, feature.name)))
        return found

    @functools.cached_property
    def labels(self) -> tuple[str, ...]:
        """The names of the features that may hold a label, class indices of pixels or one class.

        They are in the order of `schemas`.
        """
        roles = ((one, role) for one in self.schemas for role in ("label", "class"))
        return tuple(dict.fromkeys(one[role].name for one, role in roles if role in one.roles))

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes by index; none without a manifest."""
        return self.manifest.classes if self.manifest else ()

    @property
    def ignore(self) -> int | None:
        """The label value that is not a class, or None."""
        return self.manifest.ignore if self.manifest else None

    @property
    def palette(self) -> Mapping[int, Colour]:
        """RGB by label value; empty without a manifest."""
        return self.manifest.palette if self.manifest else {}

    @property
    def bits(self) -> int:
        """The most bits that its label planes may have: 8 or 16, and 16 without a manifest."""
        return planes.bits(len(self.classes), self.ignore) if self.manifest else 16

    def class_name(self, value: int) -> str | None:
        """Return what the manifest calls a label value, or None."""
        return self.manifest.class_name(value) if self.manifest else None

    @functools.cached_property
    def files(self) -> tuple[str, ...]:
        """The paths of the TFRecord files, compressed or not, sorted.

        Raises ShardError if there are none, or if a file lies beside a compressed one of its name.
        """
        if self.is_file:
            if storage.stamp(self.path) is None:
                raise ShardError(storage.missing(self.path, "file or folder"))
            return (self.path,)
        found = tuple(
            storage.join(self.path, name)
            for name in storage.names(self.path)
            if not name.startswith(".") and _is_records(name)
        )
        plain: dict[str, str] = {}
        for file in found:
            twin = plain.setdefault(names.unpacked(file), file)
            if twin != file:
                raise ShardError(
                    f"{file}: found {os.path.basename(twin)} beside it, expected the same records "
                    "once, compressed or not; move one of the files away"
                )
        if not found and self.manifest_bytes is not None:
            raise ShardError(
                f"{self.path}: found no TFRecord file beside {names.NAME}; dsbuild repair "
                f"{self.path} SOURCE writes them again"
            )
        if not found:
            raise ShardError(
                f"{self.path}: found no TFRecord file, expected names such as "
                f"train-00000-of-00004.tfrecord{_below(self.path)}"
            )
        return found


def remedy(path: str, otherwise: str = "build it again") -> str:
    """Return what to do about a shard that is missing: decompress it if it lies there so."""
    packed = (f"{path}{ending}" for ending in names.PACKED)
    twin = next((one for one in packed if storage.stamp(one)), None)
    return otherwise if twin is None else f"decompress {os.path.basename(twin)} beside it"


def _is_records(name: str) -> bool:
    """Return whether a file is one of TFRecords, by its name."""
    return bool(names.SHARD.fullmatch(name)) or names.unpacked(name).endswith(_ENDINGS)


def _below(path: str) -> str:
    """Return the suggestion of a folder in a folder that has TFRecords, or nothing."""
    for name, is_folder in storage.some(path).entries[:_LOOKED]:
        inner = storage.join(path, name)
        files = storage.some(inner).entries if is_folder else []
        if any(_is_records(file) for file, _ in files):
            return f"; did you mean {inner}?"
    return ""


def split_of(path: str) -> str:
    """Return the split in a file's name, or `-`.

    Also for `animals-train.tfrecord-00000-of-00001`, as TFDS writes it, and `train.tfrecord.gz`.

    >>> [split_of(f"{name}.tfrecord") for name in ("train-00000-of-00001", "train", "x")]
    ['train', 'train', '-']
    """
    name = os.path.basename(path)
    known = names.split_of(name)
    whole = names.unpacked(known or name)
    ending = next((one for one in _ENDINGS if whole.endswith(one)), "")
    if known and not ending:
        return known
    stem = whole.removesuffix(ending)
    last = next((one for one in (stem, *_tails(stem)) if split_names.role(one)), None)
    return last or known or "-"


def _tails(name: str) -> list[str]:
    """Return what follows each dash, dot and underscore, the longest first.

    >>> _tails("my-animals_train")
    ['animals_train', 'train']
    """
    return [name[match.end() :] for match in re.finditer("[-_.]", name)]
