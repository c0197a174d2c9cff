"""What one record stores, decoded name by name: the values behind a sample."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from dsbuild import images
from dsbuild.errors import ImageError, ShardError
from dsbuild.extras import EXTRAS, Chosen
from dsbuild.extras.forms import restore
from dsbuild.format import example, features, tfrecord
from dsbuild.format.aligned import names as names_of
from dsbuild.format.features import Names
from dsbuild.format.folder import Folder
from dsbuild.images import planes
from dsbuild.reader.once import once

Value = TypeVar("Value")

PANOPTIC = "panoptic"
_FIRST = ("key", "image", "label", PANOPTIC, "height", "width")
_LABELS = ("label", "class")  # roles of features that hold the label
_TEXTS = ("format", ".format", ".text", "source_key")  # endings of roles whose values are text


@dataclass(frozen=True)
class Stored:
    """A record and what is needed to decode it.

    Attributes:
      record: the record, serialised.
      path: its file.
      names: role -> features that may play it.
      extras: those to compute if the record has none.
      folder: where the file lies, for colours and class names.
    """

    record: tfrecord.Record
    path: str
    names: Names
    extras: tuple[Chosen, ...]
    folder: Folder

    @once
    def features(self) -> dict[str, example.Parsed]:
        """Feature -> what the record holds for it."""
        with tfrecord.located(self.path, self.record):
            return example.parse(self.record.data)

    def get(self, role: str) -> example.Parsed:
        """Return what is stored for a role, or None."""
        return features.value(self.features, self.names, role)

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles for which something is stored."""
        return tuple(role for role in self.names if self.get(role) is not None)

    def name(self, role: str) -> str:
        """Return the name of the feature that plays a role; raise KeyError if there is none."""
        names = (one for one in self.names.get(role, ()) if features.given(self.features.get(one)))
        try:
            return next(names)
        except StopIteration:
            raise KeyError(role) from None

    @property
    def key(self) -> str:
        """The sample's key; empty if it has none."""
        return features.key(self.features, self.names)

    @once
    def values(self) -> tuple[str, ...]:
        """Return the names of the sample's values: key, image, label and sizes first."""
        found = set(map(_name, self.roles))
        if "image" in found:
            found |= {"height", "width"}
        if self.is_panoptic:
            found.add(PANOPTIC)
        found |= {one.name for one in self.extras if self._has_pixels(one.extra.of)}
        rest = (_name(role) for role in self.names)
        own = dict.fromkeys((*_FIRST, *rest, *(one.name for one in self.extras)))
        return tuple(name for name in own if name in found)

    def _has_pixels(self, name: str) -> bool:
        return any(self.get(role) is not None for role in (name, f"{name}.encoded"))

    def value(self, name: str) -> Any:
        """Return the value of one of `values`, decoded.

        Raises ShardError with file, record and reason if it cannot be decoded.
        """
        if name == "key":
            return self.key
        if name == "image":
            return self.decoded("image", images.deep.pixels)
        if name == "label":
            return self._label()
        if name == PANOPTIC:
            return self.panoptic[0]
        if name in EXTRAS:
            return self._extra(name)
        if self.get(f"{name}.encoded") is not None:
            return self.decoded(f"{name}.encoded", planes.decode)
        role = next((role for role in self.roles if _name(role) == name), None)
        if role is None:  # others store no size
            return self.shape[("height", "width").index(name)]
        return _plain(self.get(role), role.endswith(_TEXTS))

    @property
    def aligned(self) -> tuple[str, ...]:
        """The names of the planes that are stored beside image and label."""
        return names_of(self.roles, tuple(EXTRAS))

    def lacks(self, name: object) -> str:
        """Say that the sample does not have a value, and what it has."""
        has = f"it has {', '.join(self.values)}"
        for one in self.extras:
            if one.name == name:
                return f"{name} is computed from the {one.extra.of}, which is missing; {has}"
        return f"a sample has no {name!r}; {has}"

    def _label(self) -> np.ndarray | int:
        """Return class indices (h, w), or the index of a label that is one class."""
        if self.get("label") is not None:
            name = self.name("label")
            return self.decoded("label", lambda _: features.plane(self.features, name))
        number = features.number(self.get("class"))
        if number is None:
            with tfrecord.located(self.path, self.record):
                raise ShardError(f"class of {self.key!r}: expected one integer; validate the file")
        return number

    @property
    def is_panoptic(self) -> bool:
        """Whether the label is a panoptic map."""
        return self.get("label") is not None and features.is_panoptic(
            self.features, self.name("label")
        )

    @once
    def panoptic(self) -> tuple[np.ndarray, int]:
        """Return the panoptic map, int32 (h, w), and its divisor."""
        name = self.name("label")
        return self.decoded("label", lambda _: features.panoptic_map(self.features, name))

    def _extra(self, name: str) -> np.ndarray:
        """Return an extra's pixels, (h, w): those stored, or else computed ones."""
        numbers = self.get(name)
        if numbers is not None:
            return self.decoded(name, lambda _: _plane(numbers, self.shape))
        if self.get(f"{name}.encoded") is None:
            (chosen,) = (one for one in self.extras if one.name == name)
            return chosen.extra.compute(self.value(chosen.extra.of), **dict(chosen.parameters))
        form = example.first(self.get(f"{name}.format"))
        return self.decoded(f"{name}.encoded", lambda data: restore(form, data, self.shape))

    def decoded(self, role: str, decode: Callable[[bytes], Value]) -> Value:
        """Return what a function makes of the bytes of a role; raise ShardError if it cannot."""
        try:
            return decode(example.first(self.get(role)))
        except (ImageError, ValueError) as error:
            with tfrecord.located(self.path, self.record):
                raise ShardError(f"{role} of {self.key!r}: {error}") from error

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image, by its header."""
        head = self.decoded("image", images.header)
        return head.height, head.width


def _name(role: str) -> str:
    """Return the name under which a sample has the value of a role.

    >>> [_name(role) for role in ("class", "class.text", "canny.encoded", "label.format")]
    ['label', 'class_text', 'canny', 'label_format']
    """
    if role in _LABELS:
        return "label"
    stem, _, ending = role.rpartition(".")
    whole = ending == "encoded" or (ending == "format" and stem not in ("", *_LABELS))
    return stem if stem and whole else role.replace(".", "_")


def _plane(numbers: example.Parsed, shape: tuple[int, int]) -> np.ndarray:
    return np.asarray(numbers).reshape(shape).astype("int16")


def _plain(found: example.Parsed, text: bool) -> Any:
    """Return a single value alone, an array or a list of several as it is; text as str."""
    if isinstance(found, np.ndarray):
        return found.item() if len(found) == 1 else found
    values = [one.decode(errors="surrogateescape") for one in found or ()] if text else found
    return values[0] if values is not None and len(values) == 1 else values
