"""A record as a sample: its values by role, its pixels as they are asked for."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

import numpy as np

from dsbuild import images
from dsbuild.errors import ImageError, ShardError
from dsbuild.extras import Chosen
from dsbuild.extras.forms import restore
from dsbuild.format import example, features, tfrecord
from dsbuild.format.features import Names

Value = TypeVar("Value")


class _Once(Generic[Value]):
    """`functools.cached_property` without its lock.

    Up to Python 3.11 all samples share one lock, so threads would decode in turn.
    """

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self._compute, self.__doc__ = compute, compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> "_Once[Value]": ...

    @overload
    def __get__(self, instance: "Sample", owner: type) -> Value: ...

    def __get__(self, instance: "Sample | None", owner: type) -> "_Once[Value] | Value":
        if instance is None:
            return self
        value: Value = self._compute(instance)
        vars(instance)[self._name] = value
        return value


class Sample:
    """A record: role -> value as stored; decoded values are attributes.

    It is not a Mapping, since loaders such as Grain's and torch's take those apart.

    An attribute that cannot be decoded raises ShardError with file, record and reason. Extras
    are attributes of their names: `laplacian` is int16 (h, w), in whatever form it is stored, or
    computed if it is not stored and the reader was asked for it.
    """

    def __init__(
        self,
        record: tfrecord.Record,
        path: str,
        names: Names,
        extras: Sequence[Chosen] = (),
    ) -> None:
        self._record, self._path, self._names, self._extras = record, path, names, extras

    @_Once
    def _values(self) -> dict[str, example.Parsed]:
        with tfrecord.located(self._path, self._record):
            return example.parse(self._record.data)

    def __getitem__(self, role: str) -> example.Parsed:
        """Return what is stored for a role; raise KeyError if nothing is."""
        found: example.Parsed = self.get(role)
        if found is None:
            raise KeyError(role)
        return found

    def get(self, role: str, default: Any = None) -> Any:
        """Return what is stored for a role, or a default."""
        found = features.value(self._values, self._names, role)
        return default if found is None else found

    def __contains__(self, role: str) -> bool:
        return self.get(role) is not None

    def __iter__(self) -> Iterator[str]:
        return (role for role in self._names if role in self)

    def name(self, role: str) -> str:
        """Return the name of the feature that plays a role; raise KeyError if there is none."""
        if role not in self:
            raise KeyError(role)
        return next(name for name in self._names[role] if features.given(self._values.get(name)))

    @property
    def key(self) -> str:
        """The sample's key; empty if it has none."""
        return features.key(self._values, self._names)

    @property
    def encoded(self) -> bytes:
        """The image's bytes."""
        return example.first(self.get("image"))

    @_Once
    def image(self) -> np.ndarray:
        """Return the image, RGB uint8 (h, w, 3), as TensorFlow decodes it with INTEGER_ACCURATE."""
        return self._decoded("image", lambda data: images.decode(data, images.header(data)))

    @_Once
    def label(self) -> np.ndarray | int | None:
        """Return class indices uint8 (h, w), or the index of a label that is one class, or None."""
        if "label" in self:
            return self._decoded("label", images.plane)
        return self._class() if "class" in self else None

    def _class(self) -> int:
        found = self["class"]
        if not isinstance(found, np.ndarray) or found.dtype != np.int64 or len(found) != 1:
            with tfrecord.located(self._path, self._record):
                raise ShardError(f"class of {self.key!r}: expected one integer; validate the file")
        return int(found[0])

    def load(self) -> "Sample":
        """Decode image, label and the requested extras; return the sample itself."""
        for name in ("image", "label", *(one.name for one in self._extras)):
            vars(self)[name] = getattr(self, name)
        return self

    def _decoded(self, role: str, decode: Callable[[bytes], Value]) -> Value:
        try:
            return decode(example.first(self.get(role)))
        except (ImageError, ValueError) as error:
            with tfrecord.located(self._path, self._record):
                raise ShardError(f"{role} of {self.key!r}: {error}") from error

    def __getattr__(self, name: str) -> np.ndarray:
        if name.startswith("_"):
            raise AttributeError(name)
        stored = self.get(name)
        if stored is not None:
            return self._decoded(
                name, lambda _: np.asarray(stored).reshape(self._shape).astype("int16")
            )
        form = example.first(self.get(f"{name}.format"))
        if form:
            return self._decoded(f"{name}.encoded", lambda data: restore(form, data, self._shape))
        for one in self._extras:
            if one.name == name:
                return self._computed(one)
        raise AttributeError(f"a sample has no {name!r}; it has {', '.join(self)}")

    def _computed(self, chosen: Chosen) -> np.ndarray:
        pixels = getattr(self, chosen.extra.of, None)
        if not isinstance(pixels, np.ndarray):
            raise AttributeError(
                f"{chosen.name} is computed from the {chosen.extra.of}, which is missing; the "
                f"sample has {', '.join(self)}"
            )
        return chosen.extra.compute(pixels, **dict(chosen.parameters))

    @property
    def _shape(self) -> tuple[int, int]:
        """Height and width of the image, by its header."""
        head = self._decoded("image", images.header)
        return head.height, head.width
