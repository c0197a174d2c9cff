"""Read TFRecords as NumPy arrays, without TensorFlow: by number, by slice, in any order.

A folder is known by its manifest, its schema and its indexes alone; shards that others wrote are
read by the keys of DeepLab and TF-slim.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np

from dsbuild.extras import Chosen
from dsbuild.extras import parse as parse_extra
from dsbuild.format.folder import Folder, PathLike
from dsbuild.format.label_values import Presence
from dsbuild.reader import classes as classes_of
from dsbuild.reader import records, splits
from dsbuild.reader.epoch import Epoch
from dsbuild.reader.order import WINDOW, Order, Share
from dsbuild.reader.records import Records
from dsbuild.reader.sample import Sample

Picks = Sequence[int] | np.ndarray  # numbers of records: a range, or int64 (n,)


@dataclass(frozen=True)
class Reader(Sequence[Sample]):
    """The samples of a split, or of a part of one, or of several.

    Attributes:
      records: of all files of the splits.
      picks: numbers of the chosen records, in order.
      classes: names by index; empty if they are not known.
      ignore: the label value that is not a class, or None.
      palette: RGB colours by label value.
      names: role -> features that may play it.
      folder: where the files lie.
      extras: those that are computed if records have none.
    """

    records: Records
    picks: Picks
    classes: tuple[str, ...]
    ignore: int | None
    palette: Mapping[int, tuple[int, int, int]]
    names: Mapping[str, tuple[str, ...]]
    folder: Folder
    extras: tuple[Chosen, ...] = ()

    def __len__(self) -> int:
        return len(self.picks)

    @overload
    def __getitem__(self, number: int) -> Sample: ...

    @overload
    def __getitem__(self, number: slice) -> "Reader": ...

    def __getitem__(self, number: int | slice) -> "Sample | Reader":
        """Return a sample by its number, or the reader of a slice."""
        if isinstance(number, slice):
            return replace(self, picks=self.picks[number])
        pick = int(self.picks[number])
        path = self.records.place(pick)[0]
        return Sample(self.records[pick], path, self.names, self.extras)

    def presence(self) -> np.ndarray:
        """Return which classes occur in which samples: bool (samples, classes).

        By the lists that a build keeps; if they are missing, all labels are decoded, once.
        """
        found = self._presence()
        classes = len(self.classes) or int(found.values.max(initial=0)) + 1
        return found.matrix(classes)[np.asarray(self.picks, np.int64)]

    def having(self, classes: Iterable[str | int]) -> "Reader":
        """Return the reader of the samples that have at least one of some classes.

        Classes are names or indices. Raises PlanError for one that does not exist.
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
        """Return an iterator over an epoch, or over one of `count` shares of it, from `start` on.

        With a seed, seed and epoch decide the order: shards are shuffled, then samples within
        windows. With `threads`, that many threads decode samples ahead: image, label, and the
        extras that were asked for. Another `load` returns something else for each sample.
        """
        order = Order(self.blocks, seed, epoch, window)
        return Epoch(self, order, Share(index, count), start, threads, load)

    @functools.cached_property
    def blocks(self) -> tuple[int, ...]:
        """How many of the chosen records each file has, in runs of one file."""
        files = np.searchsorted(np.cumsum(self.records.counts), np.asarray(self.picks), "right")
        ends = np.flatnonzero(np.diff(files, append=-1)) + 1
        return tuple(np.diff(ends, prepend=0).tolist())


def open(
    path: PathLike,
    split: str | None = None,
    check: str = "crc",
    classes: Iterable[str | int] | None = None,
    extras: Iterable[str] = (),
) -> Reader:
    """Open a folder of TFRecords, or one file.

    `split` is something like `train`, `train[:10%]` or `train+val`; without it all splits are
    read. `check` is `crc`, or `none` to skip the checksums of records. With `classes`, names or
    indices, only samples that have one of them are read. `extras`, such as `laplacian` or
    `canny:low=50`, are computed for samples whose records do not have them.
    Raises a DsbuildError if there is no such folder, split or class.
    """
    folder = Folder.of(path)
    found = records.find(folder)
    counts = {name: sum(files.values()) for name, files in found.items()}
    wanted = splits.ranges("+".join(counts) if split is None else split, counts)
    files: dict[str, int] = {}
    starts: dict[str, int] = {}
    for one in wanted:
        starts.setdefault(one.split, sum(files.values()))
        files |= found[one.split]
    ranges = [range(starts[r.split] + r.start, starts[r.split] + r.stop) for r in wanted]
    picks = ranges[0] if len(ranges) == 1 else np.concatenate(ranges).astype(np.int64)
    reader = Reader(
        Records(tuple(files), tuple(files.values()), check),
        picks,
        folder.classes,
        folder.ignore,
        folder.palette,
        folder.names,
        folder,
        tuple(map(parse_extra, extras)),
    )
    return reader if classes is None else reader.having(classes)


def kfold(path: PathLike, count: int, split: str = "train") -> tuple[tuple[str, str], ...]:
    """Return the splits to train on and to hold out for each of `count` folds of a split."""
    found = records.find(Folder.of(path))
    splits.ranges(split, dict.fromkeys(found, 0))
    return splits.folds(split, sum(found[split].values()), count)
