"""Open a folder of TFRecords, or one file, by its path and the name of a split."""

import os
from collections.abc import Iterable
from typing import Literal, overload

import numpy as np

from dsbuild import storage
from dsbuild.extras import Chosen
from dsbuild.extras import parse as parse_extra
from dsbuild.format.folder import Folder, PathLike
from dsbuild.reader import caching, records, splits
from dsbuild.reader.pairs import Pairs
from dsbuild.reader.reader import Reader
from dsbuild.reader.records import Records


@overload
def open(
    path: PathLike,
    split: str | None = ...,
    check: str = ...,
    classes: Iterable[str | int] | None = ...,
    extras: Iterable[str] = ...,
    as_supervised: Literal[False] = ...,
    cache: str | None = ...,
    cache_folder: str | os.PathLike[str] | None = ...,
    cache_size: int | None = ...,
) -> Reader: ...


@overload
def open(
    path: PathLike,
    split: str | None = ...,
    check: str = ...,
    classes: Iterable[str | int] | None = ...,
    extras: Iterable[str] = ...,
    *,
    as_supervised: Literal[True],
    cache: str | None = ...,
    cache_folder: str | os.PathLike[str] | None = ...,
    cache_size: int | None = ...,
) -> Pairs: ...


def open(
    path: PathLike,
    split: str | None = None,
    check: str = "crc",
    classes: Iterable[str | int] | None = None,
    extras: Iterable[str] = (),
    as_supervised: bool = False,
    cache: str | None = None,
    cache_folder: str | os.PathLike[str] | None = None,
    cache_size: int | None = None,
) -> Reader | Pairs:
    """Open a folder of TFRecords, or one file, as a sequence of samples in NumPy.

    Args:
      path: the folder or file, as a text, a `pathlib.Path`, or the URL of a store.
      split: something like `train`, `train[:10%]` or `train+val`; all splits by default.
      check: `crc`, or `none` to skip the checksums of records.
      classes: names or indices; only samples that have one of these classes are read.
      extras: such as `laplacian` or `canny:low=50`; computed for samples whose records do not
        have them.
      as_supervised: whether samples are tuples (image, label, *extras) instead of mappings.
      cache: `decoded` keeps decoded images, labels and requested extras in a file, for later epochs
        and for other processes; None keeps nothing.
      cache_folder: a local folder for that file; None for `.dsbuild/decoded` beside the data.
      cache_size: how many bytes the cached samples of this data may have; None for as many as leave
        1 GiB of the disk free.

    Returns:
      A `Reader`, or `Pairs` if `as_supervised`.

    Raises:
      ShardError: if there is no such folder, or it is damaged or unfinished.
      PlanError: if there is no such split, class or extra; if a cache cannot be written.

    Example:
      >>> sample = dsbuild.open("tfrecord", "train")[0]
      >>> sample.key, sample.image.shape, sample.label.shape
      ('2007_000000', (44, 60, 3), (44, 60))
    """
    folder = Folder.of(path)
    with storage.listed_once(folder.path):
        folder.fetch()
        reader = _opened(folder, split, check, tuple(map(parse_extra, extras)))
    reader = reader if classes is None else reader.having(classes)
    planes = [one.name for one in reader.extras]
    reader = caching.kept(reader, planes, cache, cache_folder, cache_size)
    return Pairs(reader) if as_supervised else reader


def _opened(folder: Folder, split: str | None, check: str, extras: tuple[Chosen, ...]) -> Reader:
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
    return Reader(
        Records(tuple(files), tuple(files.values()), check),
        picks,
        folder.classes,
        folder.ignore,
        folder.palette,
        folder.names,
        folder,
        extras,
    )


def kfold(path: PathLike, count: int, split: str = "train") -> tuple[tuple[str, str], ...]:
    """Return the splits to train on and to hold out for each of `count` folds of a split.

    Args:
      path: a folder of TFRecords, or one file.
      count: how many folds, at least 2.
      split: the split to divide; its records keep their order.

    Returns:
      Pairs of splits for `dsbuild.open`, such as `("train[4:12]", "train[0:4]")`.

    Raises:
      PlanError: if there is no such split, or it has fewer records than folds.

    Example:
      >>> dsbuild.kfold("tfrecord", 3)[0]
      ('train[4:12]', 'train[0:4]')
    """
    found = records.find(Folder.of(path))
    splits.ranges(split, dict.fromkeys(found, 0))
    return splits.folds(split, sum(found[split].values()), count)
