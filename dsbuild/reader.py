"""Read TFRecords as NumPy arrays, without TensorFlow: by number, by slice, in any order.

Knows a folder by its manifest, its schema and its indexes alone; shards that others wrote
are read by the keys of DeepLab and TF-slim.
"""

import collections
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dsbuild import census, images, manifest, presence, records, splits, tfrecord, wire
from dsbuild.errors import ImageError, ShardError
from dsbuild.extras import Chosen
from dsbuild.extras import parse as parse_extra
from dsbuild.extras.forms import restore
from dsbuild.order import WINDOW, Order, Share
from dsbuild.records import Records


class Sample:
    """A record: role -> value as it is stored; what is decoded is an attribute.

    No Mapping, since loaders such as Grain's and torch's take those apart.

    An attribute that cannot be decoded raises ShardError with file, record and reason. Extras
    are attributes, too, by their names: `laplacian` is int16 (h, w), in whatever form it is
    stored, or computed where it is not and the reader was asked for it.
    """

    def __init__(
        self,
        record: tfrecord.Record,
        path: str,
        names: Mapping[str, tuple[str, ...]],
        extras: Sequence[Chosen] = (),
    ):
        self._record, self._path, self._names, self._extras = record, path, names, extras

    @functools.cached_property
    def _values(self) -> dict[str, wire.Parsed]:
        with tfrecord.located(self._path, self._record):
            return wire.parse(self._record.data)

    def __getitem__(self, role: str) -> wire.Parsed:
        """Return what is stored for a role; raise KeyError where there is nothing."""
        found = self.get(role)
        if found is None:
            raise KeyError(role)
        return found

    def get(self, role: str, default: Any = None) -> Any:
        """Return what is stored for a role, or a default."""
        found = census.value(self._values, self._names, role)
        return default if found is None else found

    def __contains__(self, role: str) -> bool:
        return self.get(role) is not None

    def __iter__(self) -> Iterator[str]:
        return (role for role in self._names if role in self)

    def name(self, role: str) -> str:
        """Return the name of the feature that plays a role; raise KeyError where there is none."""
        if role not in self:
            raise KeyError(role)
        return next(name for name in self._names[role] if census.given(self._values.get(name)))

    @property
    def key(self) -> str:
        """The sample's key; empty where it has none."""
        return census.key(self._values, self._names)

    @property
    def encoded(self) -> bytes:
        """The image's bytes."""
        return wire.first(self.get("image"))

    @functools.cached_property
    def image(self) -> np.ndarray:
        """The image: RGB uint8 (h, w, 3), as TensorFlow decodes it with INTEGER_ACCURATE."""
        return self._decoded("image", lambda data: images.decode(data, images.header(data)))

    @functools.cached_property
    def label(self) -> np.ndarray | int | None:
        """Class indices uint8 (h, w); the index itself where a label is one class; or None."""
        if "label" in self:
            return self._decoded("label", images.plane)
        return int(self["class"][0]) if "class" in self else None

    def load(self) -> "Sample":
        """Decode image, label and the extras that were asked for; return the sample itself."""
        for name in ("image", "label", *(one.name for one in self._extras)):
            vars(self)[name] = getattr(self, name)
        return self

    def _decoded(self, role: str, decode: Callable[[bytes], Any]) -> Any:
        try:
            return decode(wire.first(self.get(role)))
        except (ImageError, ValueError) as error:
            with tfrecord.located(self._path, self._record):
                raise ShardError(f"{role} of {self.key!r}: {error}") from error

    def __getattr__(self, name: str) -> np.ndarray:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self:
            return self._decoded(
                name, lambda _: np.reshape(self[name], self._shape).astype("int16")
            )
        form = wire.first(self.get(f"{name}.format"))
        if form:
            return self._decoded(f"{name}.encoded", lambda data: restore(form, data, self._shape))
        for one in self._extras:
            if one.name == name:
                return one.extra.compute(getattr(self, one.extra.of), **dict(one.parameters))
        raise AttributeError(f"a sample has no {name!r}; it has {', '.join(self)}")

    @property
    def _shape(self) -> tuple[int, int]:
        """Height and width of the image, by its header."""
        head = self._decoded("image", images.header)
        return head.height, head.width


@dataclass(frozen=True)
class Reader(Sequence[Sample]):
    """The samples of a split, or of a part of one, or of several.

    Attributes:
      records: of all files of the splits.
      picks: numbers of the records that are meant, in order.
      classes: names by index; empty where they are not known.
      ignore: the label value that is no class, or None.
      palette: RGB colours by label value.
      names: role -> features that may play it.
      extras: those that are computed where records have none.
    """

    records: Records
    picks: Sequence[int]
    classes: tuple[str, ...]
    ignore: int | None
    palette: Mapping[int, tuple[int, int, int]]
    names: Mapping[str, tuple[str, ...]]
    extras: tuple[Chosen, ...] = ()

    def __len__(self) -> int:
        return len(self.picks)

    def __getitem__(self, number):
        """Return a sample by its number, or the reader of a slice."""
        if isinstance(number, slice):
            return replace(self, picks=self.picks[number])
        pick = int(self.picks[number])
        path = self.records.place(pick)[0]
        return Sample(self.records[pick], path, self.names, self.extras)

    def presence(self) -> np.ndarray:
        """Return which classes occur in which samples: bool (samples, classes).

        By the lists that a build keeps; where they lack, all labels are decoded, once.
        """
        found = presence.of(self.records.paths, self.records.counts, self.picks)
        classes = len(self.classes) or int(found.values.max(initial=0)) + 1
        return found.matrix(classes)[np.asarray(self.picks, np.int64)]

    def having(self, classes: Iterable[str | int]) -> "Reader":
        """Return the reader of the samples that have one of some classes, or several.

        Classes are names or indices. Raises PlanError for one that is not there.
        """
        wanted = presence.indices(classes, self.classes, self.ignore)
        found = presence.of(self.records.paths, self.records.counts, self.picks).having(wanted)
        picks = np.asarray(self.picks, np.int64)
        return replace(self, picks=picks[found[picks]])

    def epoch(
        self,
        seed: int | None = None,
        epoch: int = 0,
        *,
        window: int = WINDOW,
        index: int = 0,
        count: int = 1,
        start: int = 0,
        threads: int = 0,
    ) -> "Epoch":
        """Return an iterator over an epoch, or over one of `count` shares of it, from `start` on.

        Shuffled by seed and epoch where there is a seed: shards, then samples within windows.
        With `threads` image, label and extras asked for are decoded ahead, in so many.
        """
        order = Order(self.blocks, seed, epoch, window)
        return Epoch(self, order, Share(index, count), start, threads)

    @functools.cached_property
    def blocks(self) -> tuple[int, ...]:
        """How many of the picked records, in a row, each file has."""
        files = np.searchsorted(np.cumsum(self.records.counts), np.asarray(self.picks), "right")
        ends = np.flatnonzero(np.diff(files, append=-1)) + 1
        return tuple(np.diff(ends, prepend=0).tolist())


class Epoch(Iterator[Sample]):
    """An epoch that can be left at any sample, and taken up there by its state.

    One that raises for a damaged record goes on behind it.
    """

    def __init__(
        self, reader: Reader, order: Order, share: Share, start: int = 0, threads: int = 0
    ):
        self._reader, self._order, self._share = reader, order, share
        self._next, self._threads = start, threads
        self._coming: collections.deque[futures.Future] = collections.deque()

    @property
    def _places(self) -> range:
        return self._share.places(len(self._order))

    def __len__(self) -> int:
        return max(len(self._places) - self._next, 0)

    def __next__(self) -> Sample:
        if not len(self):
            raise StopIteration
        for place in self._places[self._next + len(self._coming) :][: self._ahead]:
            self._coming.append(self._pool.submit(self._load, place))
        here = self._places[self._next]
        self._next += 1
        if not self._coming:
            return self._reader[self._order[here]]
        return self._coming.popleft().result()

    @property
    def _ahead(self) -> int:
        """How many samples more are to be decoded."""
        return max(2 * self._threads - len(self._coming), 0)

    @functools.cached_property
    def _pool(self) -> futures.ThreadPoolExecutor:
        return futures.ThreadPoolExecutor(self._threads)

    def _load(self, place: int) -> Sample:
        return self._reader[self._order[place]].load()

    def state_dict(self) -> dict[str, Any]:
        """Return what takes the epoch up where it is: numbers alone."""
        order, share = self._order, self._share
        return {
            "records": len(order),
            "seed": order.seed,
            "epoch": order.epoch,
            "window": order.window,
            "index": share.index,
            "count": share.count,
            "next": self._next,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where another epoch over the same samples was left."""
        if state["records"] != len(self._order):
            raise ShardError(
                f"found the state of an epoch over {state['records']:,} samples, and "
                f"{len(self._order):,} samples here; it is of other data"
            )
        blocks = self._order.blocks
        self._order = Order(blocks, state["seed"], state["epoch"], state["window"])
        self._share = Share(state["index"], state["count"])
        self._next = state["next"]
        self._coming.clear()


def open(
    path: str,
    split: str | None = None,
    check: str = "crc",
    classes: Iterable[str | int] | None = None,
    extras: Iterable[str] = (),
) -> Reader:
    """Open a folder of TFRecords, or one file.

    `split` is such as `train`, `train[:10%]`, `train+val`; without it all splits are read.
    `check` is `crc`, or `none` for records whose checksums are not looked at. With
    `classes`, names or indices, only the samples of the split are read that have one of them.
    Of `extras`, such as `laplacian` or `canny:low=50`, samples have those, too, that records
    have not: they are computed.
    Raises a DsbuildError where there is no such folder, split or class.
    """
    known = manifest.load(path)
    found = records.find(path, known)
    counts = {name: sum(files.values()) for name, files in found.items()}
    wanted = splits.ranges("+".join(counts) if split is None else split, counts)
    files: dict[str, int] = {}
    starts: dict[str, int] = {}
    for one in wanted:
        starts.setdefault(one.split, sum(files.values()))
        files |= found[one.split]
    picks = [range(starts[r.split] + r.start, starts[r.split] + r.stop) for r in wanted]
    known = known or {}
    reader = Reader(
        Records(tuple(files), tuple(files.values()), check),
        picks[0] if len(picks) == 1 else np.concatenate(picks).astype(np.int64),
        tuple(known.get("classes", ())),
        known.get("ignore"),
        {int(value): tuple(rgb) for value, rgb in known.get("palette", {}).items()},
        census.names_of(path),
        tuple(map(parse_extra, extras)),
    )
    return reader if classes is None else reader.having(classes)


def kfold(path: str, count: int, split: str = "train") -> tuple[tuple[str, str], ...]:
    """Return for each fold of a split what to train on and what to hold out, as texts of splits."""
    found = records.find(path, manifest.load(path))
    splits.ranges(split, dict.fromkeys(found, 0))
    return splits.folds(split, sum(found[split].values()), count)
