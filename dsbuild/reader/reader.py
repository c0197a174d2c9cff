"""Read TFRecords as NumPy arrays, without TensorFlow: by number, by slice, in any order.

A folder is known by its manifest, its schema and its indexes alone; shards that others wrote are
read by the keys of DeepLab and TF-slim.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np

from dsbuild.errors import ShardError
from dsbuild.extras import Chosen
from dsbuild.format import tfrecord
from dsbuild.format.folder import Folder, split_of
from dsbuild.format.label_values import Presence
from dsbuild.reader import classes as classes_of
from dsbuild.reader.decoded import Decoded
from dsbuild.reader.epoch import Epoch
from dsbuild.reader.order import WINDOW, Order, Share
from dsbuild.reader.records import Records
from dsbuild.reader.sample import Sample
from dsbuild.reader.stored import Stored
from dsbuild.storage import safe_text

Picks = Sequence[int] | np.ndarray  # numbers of records: a range, or int64 (n,)
_NAMED = 4  # splits that a reader names when it is printed
_CLASSES = 1 << 16  # of masks of 16 bits


@dataclass(frozen=True, repr=False)
class Reader(Sequence[Sample]):
    """The samples of a split, of a part of one, or of several: a sequence of `Sample`.

    `dsbuild.open` returns one. It holds no open file, so it can be pickled, forked, and shared by
    threads.

    Attributes:
      records: the records of all files of the splits.
      picks: numbers of the chosen records, in order.
      classes: names by index; empty if they are not known.
      ignore: the label value that is not a class, or None.
      palette: RGB colours by label value.
      names: role -> features that may play it.
      folder: where the files are.
      extras: those that are computed if records have none.
      decoded: where decoded samples are kept, if they are.

    Example:
      >>> data = dsbuild.open("tfrecord", "train")
      >>> data
      <Reader of tfrecord: 12 samples of train, 21 classes>
      >>> data[3:].classes[15], len(data[3:])
      ('person', 9)
    """

    records: Records
    picks: Picks
    classes: tuple[str, ...]
    ignore: int | None
    palette: Mapping[int, tuple[int, int, int]]
    names: Mapping[str, tuple[str, ...]]
    folder: Folder
    extras: tuple[Chosen, ...] = ()
    decoded: Decoded | None = None

    def __len__(self) -> int:
        return len(self.picks)

    @overload
    def __getitem__(self, number: int) -> Sample: ...

    @overload
    def __getitem__(self, number: slice) -> "Reader": ...

    def __getitem__(self, number: int | slice) -> "Sample | Reader":
        """Return a sample by its number, or the reader of a slice.

        Raises ShardError with file, record and byte if the record is damaged.
        """
        if isinstance(number, slice):
            return replace(self, picks=self.picks[number])
        pick = int(self.picks[number])
        return self._sample(pick, functools.partial(self.records.__getitem__, pick))

    def _sample(self, pick: int, read: Callable[[], tfrecord.Record]) -> Sample:
        """Return a sample: what is kept of it, or else decoded from a record that is read."""
        place = self.records.place(pick)
        values = self.decoded.get(*place) if self.decoded else None
        if values is None:
            sample = Sample.of(self._stored(place[0], read))
            if self.decoded:
                self.decoded.keep(*place, sample)
            return sample
        values["height"], values["width"] = values["image"].shape[:2]
        asked = (one.name for one in self.extras)
        return Sample.kept(values, asked, functools.partial(self._stored, place[0], read))

    def _stored(self, path: str, read: Callable[[], tfrecord.Record]) -> Stored:
        return Stored(read(), path, self.names, self.extras, self.folder)

    def __iter__(self) -> Iterator[Sample]:
        if self.remote:
            return self.epoch()
        return super().__iter__()

    @property
    def remote(self) -> bool:
        """Whether the files are objects of a store."""
        return self.records.remote

    def ahead(self, numbers: Iterable[int]) -> Iterator[Callable[[], Sample]]:
        """Yield a function for each sample, which returns it or raises as `[]` does.

        From a store the next samples are fetched in advance, neighbours in one request, except
        those that a cache has.
        """
        # Whether a sample is kept may change meanwhile, so it is asked once for both.
        known = ((pick, self._kept(pick)) for pick in (int(self.picks[n]) for n in numbers))
        one, other = itertools.tee(known)
        fetched = self.records.ahead(pick for pick, kept in other if not kept)
        for pick, kept in one:
            again = functools.partial(self.records.__getitem__, pick)
            yield functools.partial(self._sample, pick, again if kept else next(fetched))

    def _kept(self, pick: int) -> bool:
        return self.decoded is not None and self.decoded.has(*self.records.place(pick))

    def __repr__(self) -> str:
        return f"<Reader of {self.about}>"

    def _repr_html_(self) -> str:
        from dsbuild.reader import notebook  # here, since only notebooks need it

        return notebook.of_samples(repr(self), self, range(len(self)), self.folder)

    @property
    def about(self) -> str:
        """What the samples are, in a line: folder, number, splits, classes."""
        total = len(self)
        parts = [f"{total:,} sample{'' if total == 1 else 's'} of {self._splits()}"]
        if self.classes:
            parts.append(f"{len(self.classes):,} class{'' if len(self.classes) == 1 else 'es'}")
        if self.extras:
            parts.append(f"extras {', '.join(one.name for one in self.extras)}")
        return f"{safe_text.text(self.folder.path)}: {', '.join(parts)}"

    def _splits(self) -> str:
        names = list(dict.fromkeys(map(split_of, self.records.paths)))
        more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
        return "+".join([*map(safe_text.text, names[:_NAMED]), *more])

    def presence(self) -> np.ndarray:
        """Return which classes occur in which samples: bool (samples, classes).

        By the lists that a build keeps; if they are missing, all labels are decoded, once. Raises
        ShardError for a label value that no mask can hold, if no manifest names the classes.
        """
        found = self._presence()
        classes = len(self.classes) or int(found.values.max(initial=0)) + 1
        if classes > _CLASSES:
            raise ShardError(
                f"{self.folder.path}: found the label value {classes - 1}; expected classes below "
                f"{_CLASSES:,}; run dsbuild validate"
            )
        return found.matrix(classes)[np.asarray(self.picks, np.int64)]

    def having(self, classes: Iterable[str | int]) -> "Reader":
        """Return the reader of the samples that have at least one of some classes.

        Args:
          classes: names or indices.

        Raises:
          PlanError: if there is no such class.
        """
        wanted = classes_of.indices(classes, self.classes, self.ignore)
        found = self._presence().having(wanted)
        picks = np.asarray(self.picks, np.int64)
        return replace(self, picks=picks[found[picks]])

    def _presence(self) -> Presence:
        records = self.records
        return classes_of.presence(self.folder, records.paths, records.counts, self.picks)

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
        load: Callable[[Sample], Any] = Sample.load,
    ) -> Epoch:
        """Return an iterator over an epoch, or over one share of it.

        With a seed, seed and epoch decide the order: shards are shuffled, then samples within
        windows.

        Args:
          seed: seed for the order; None for the stored order.
          epoch: its number; each has its own order.
          window: how many samples are shuffled together.
          index: which share to read, such as the rank of this process.
          count: how many shares there are.
          start: how many samples of the share to leave out at its beginning.
          threads: threads that decode samples ahead: image, label and the requested extras.
          load: with threads, what they return for each sample.

        Example:
          >>> data = dsbuild.open("tfrecord", "train")
          >>> data.epoch(seed=1, epoch=3, index=0, count=2)
          <Epoch 3 with seed 1, share 0 of 2: at sample 0 of 6>
        """
        order = Order(self.blocks, seed, epoch, window)
        return Epoch(self, order, Share(index, count), start, threads, load)

    @functools.cached_property
    def blocks(self) -> tuple[int, ...]:
        """How many of the chosen records each file has, in runs of one file."""
        files = np.searchsorted(np.cumsum(self.records.counts), np.asarray(self.picks), "right")
        ends = np.flatnonzero(np.diff(files, append=-1)) + 1
        return tuple(np.diff(ends, prepend=0).tolist())
