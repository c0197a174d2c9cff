"""A sample: a mapping from names to values, which are its attributes, too."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from dsbuild.errors import DsbuildError, PlanError
from dsbuild.format import example, panoptic
from dsbuild.format.panoptic import Instance
from dsbuild.reader.stored import Stored
from dsbuild.storage import safe_text

_ABSENT = {"key": "", "label": None}  # attributes of samples without them


class Sample(Mapping[str, Any]):
    """A sample of a data set: a mapping whose values are attributes, too.

    `sample["image"]` and `sample.image` are the same array, decoded when it is first used and kept
    from then on. `list(sample)` says which values there are: `key`, `image`, `label` if there is
    one, `height`, `width`, the extras by their names, and what else the record has, such as
    `format`.

    Attributes:
      key: what the source calls the sample, such as `2007_000032`; empty if it has none.
      image: RGB, uint8 (h, w, 3), as TensorFlow decodes it with INTEGER_ACCURATE; with 16 bits per
        channel uint16 (h, w, c), with all its bands.
      label: class indices, uint8 (h, w), or uint16 with more than 256 classes; an int if the label
        is one class; None without label.
      height: of the image, in pixels.
      width: of the image, in pixels.

    Samples with panoptic labels also have `panoptic`, int32 (h, w), and `instances()`.

    Extras have their names: `sample.laplacian` is int16 (h, w), in whatever form it is stored, or
    computed if it is not stored and the reader was asked for it.

    Raises ShardError with file, record and reason for a value that cannot be decoded; an
    AttributeError or a KeyError that lists the names for a value that the sample does not have.

    Example:
      >>> sample = Sample({"key": "a", "height": 2, "width": 3})
      >>> sample["height"], sample.width, list(sample)
      (2, 3, ['key', 'height', 'width'])
    """

    key: str
    image: np.ndarray
    label: np.ndarray | int | None
    height: int
    width: int

    def __init__(self, values: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        """Take values by name, as loaders do that make a sample of the transformed values."""
        self._made: dict[str, Any] = dict(values)
        self._source: Stored | Callable[[], Stored] | None = None
        self._asked: tuple[str, ...] = ()

    @classmethod
    def of(cls, stored: Stored) -> "Sample":
        """Return the sample of a record, of which nothing is decoded yet."""
        sample = cls()
        sample._source = stored
        sample._asked = tuple(one.name for one in stored.extras)
        return sample

    @classmethod
    def kept(
        cls, values: Mapping[str, Any], asked: Iterable[str], load: Callable[[], Stored]
    ) -> "Sample":
        """Return a sample with decoded values, whose record is loaded only for others.

        `asked` are the names of the requested extras.
        """
        sample = cls(values)
        sample._source = load
        sample._asked = tuple(asked)
        return sample

    @property
    def _stored(self) -> Stored | None:
        if callable(self._source):
            self._source = self._source()
        return self._source

    def __getitem__(self, name: str) -> Any:
        """Return a value by its name."""
        if name not in self._made:
            if name not in self:
                raise KeyError(self._lacks(name))
            assert self._stored is not None, "only a record has values that are not made yet"
            self._made[name] = self._stored.value(name)
        return self._made[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self:
            return self[name]
        if name in _ABSENT:
            return _ABSENT[name]
        raise AttributeError(self._lacks(name))

    def _lacks(self, name: object) -> str:
        if self._stored is not None:
            return self._stored.lacks(name)
        return f"a sample has no {name!r}; it has {', '.join(self._made)}"

    @property
    def _names(self) -> Collection[str]:
        return self._made if self._stored is None else self._stored.values

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._made or name in self._names

    # A sample equals itself alone: arrays do not compare to one truth.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self})

    @property
    def encoded(self) -> bytes:
        """The bytes of the image, as they are stored."""
        return example.first(self.stored("image"))

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles for which the record stores something."""
        return () if self._stored is None else self._stored.roles

    @property
    def aligned(self) -> tuple[str, ...]:
        """The names of planes that a build stored beside image and label."""
        return () if self._stored is None else self._stored.aligned

    def stored(self, role: str) -> example.Parsed:
        """Return what the record stores for a role, not decoded: bytes or numbers; or None."""
        return None if self._stored is None else self._stored.get(role)

    def name(self, role: str) -> str:
        """Return the name of the feature that plays a role; raise KeyError if there is none."""
        if self._stored is None:
            raise KeyError(role)
        return self._stored.name(role)

    def load(self) -> "Sample":
        """Decode image, label and the requested extras; return the sample itself."""
        for name in ("image", "label", *self._asked):
            getattr(self, name)
        return self

    def instances(self) -> list[Instance]:
        """Return the objects of a panoptic label, by class and number.

        Raises PlanError if the label is not panoptic.
        """
        stored = self._stored
        if stored is None or not stored.is_panoptic:
            raise PlanError(
                f"{self.key}: found no panoptic label, expected one, whose objects can be told "
                "apart; build the records with --target panoptic"
            )
        plane, divisor = stored.panoptic
        return panoptic.instances(plane, divisor, stored.folder.surrounding.class_name)

    def pair(self) -> tuple[Any, ...]:
        """Return (image, label), followed by the requested extras.

        Raises PlanError if there is no label.
        """
        if self.label is None:
            raise PlanError(
                f"{self.key}: found no label, expected one for (image, label); read a split that "
                "has labels, or omit as_supervised"
            )
        return self.image, self.label, *(getattr(self, name) for name in self._asked)

    def __repr__(self) -> str:
        try:
            about = ", ".join(_said(name, self._made.get(name)) for name in self)
            key = safe_text.text(str(self.key))
        except DsbuildError as error:
            return f"<Sample that cannot be read: {safe_text.text(str(error))}>"
        return f"<Sample {key}: {about}>"

    def _repr_html_(self) -> str:
        from dsbuild.reader import notebook  # here, since only notebooks need it

        return notebook.of_sample(self, None if self._stored is None else self._stored.folder)


def _said(name: str, value: Any) -> str:
    """Return a name, with the type and shape of its value if that is an array already decoded."""
    if isinstance(value, np.ndarray):
        return f"{name} {value.dtype} ({', '.join(map(str, value.shape))})"
    return name
