"""Folds: the hash of a record's key, or of its group, says which fold it is in.

Records of one group, such as the frames of a video, are in one fold, so that no model judges a
label whose twin it was trained on. Adding records moves no other record.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsbuild import reader
from dsbuild.errors import TrainError
from dsbuild.format.folder import Folder

# In place of a fold: records without a label, those that occurred before, those that nobody wants,
# and those that the model of a run was trained on.
NONE, AGAIN, LEFT, TRAINED = -1, -2, -3, -4


@dataclass(frozen=True)
class Division:
    """The fold of each record.

    Attributes:
      folds: split -> fold of each of its records, or one of the values below 0: int16 (n,).
      held: how many records of each fold have each class: int64 (folds, c).
    """

    folds: Mapping[str, NDArray[np.int16]]
    held: NDArray[np.int64]

    @property
    def count(self) -> int:
        """How many folds there are."""
        return len(self.held)

    def of(self, fold: int) -> Iterator[tuple[str, int]]:
        """Yield split and number of each record of a fold, in order."""
        for split, numbers in self.folds.items():
            yield from ((split, int(number)) for number in np.flatnonzero(numbers == fold))

    def sizes(self) -> list[int]:
        """Return how many records each fold has."""
        return [self._number(fold) for fold in range(self.count)]

    def unlabelled(self) -> int:
        """Return how many records have no label."""
        return self._number(NONE)

    def trained(self) -> int:
        """Return how many records were left out because the model of a run was trained on them."""
        return self._number(TRAINED)

    def repeated(self) -> int:
        """Return how many records have key, image and label of an earlier one."""
        return self._number(AGAIN)

    def _number(self, fold: int) -> int:
        return sum(int(np.count_nonzero(numbers == fold)) for numbers in self.folds.values())

    def unseen(self, fold: int) -> list[int]:
        """Return the classes that the records of a fold have, but no other record."""
        rest = self.held.sum(0) - self.held[fold]
        return np.flatnonzero((self.held[fold] > 0) & (rest == 0)).tolist()

    def rest(self, fold: int) -> str:
        """Return the records of all other folds, as a split that `dsbuild.open` takes."""
        parts = []
        for split, numbers in self.folds.items():
            parts += [f"{split}[{a}:{b}]" for a, b in _runs((numbers >= 0) & (numbers != fold))]
        return "+".join(parts)


def _runs(wanted: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return start and end of each run of True.

    >>> _runs(np.array([True, True, False, True]))
    [(0, 2), (3, 4)]
    """
    ends = np.flatnonzero(np.diff(wanted, prepend=False, append=False)).tolist()
    return list(zip(ends[::2], ends[1::2], strict=True))


def divide(
    folder: Folder,
    wanted: Mapping[str, NDArray[np.bool_]],
    classes: int,
    count: int,
    seed: int = 0,
    group: str = "",
    barred: Collection[bytes] = (),
) -> Division:
    """Return the fold of every record that is wanted.

    Args:
      folder: the data.
      wanted: split -> whether to audit each of its records, bool (n,).
      classes: number of classes.
      count: number of folds; 1 puts all records into fold 0.
      seed: seed of the hash.
      group: `folder`, for the folder in a key; or a pattern (regex) of keys, by its first group.
        Empty for the whole key.
      barred: records to leave out, by what `twins` returns.

    Raises TrainError for a pattern that is none or does not fit a key, and if a fold would be
    empty.
    """
    unit = _grouping(group)
    known: set[bytes] = set()
    units: set[str] = set()
    folds: dict[str, NDArray[np.int16]] = {}
    held = np.zeros((count, classes), np.int64)
    # A record that is in several splits belongs to the smallest of them.
    for split, mask in sorted(wanted.items(), key=lambda item: len(item[1])):
        samples = reader.open(folder, split)
        found = np.full(len(samples), LEFT, np.int16)
        for number in np.flatnonzero(mask).tolist():
            sample = samples[number]
            if sample.label is None:
                found[number] = NONE
                continue
            twin = _twin(sample)
            if twin in barred or twin in known:
                found[number] = TRAINED if twin in barred else AGAIN
                continue
            known.add(twin)
            one = unit(sample.key)
            units.add(one)
            found[number] = fold = fold_of(one, count, seed)
            values = np.unique(sample.label)
            held[fold, values[values < classes]] += 1
        folds[split] = found
    made = Division({split: folds[split] for split in wanted}, held)
    _check(made, folder.path, len(units) if group else None)
    return made


def twins(folder: Folder, wanted: Mapping[str, NDArray[np.bool_]]) -> frozenset[bytes]:
    """Return what tells labelled records apart in any split: key, image and label."""
    found = set()
    for split, mask in wanted.items():
        samples = reader.open(folder, split)
        for sample in map(samples.__getitem__, np.flatnonzero(mask).tolist()):
            if sample.label is not None:
                found.add(_twin(sample))
    return frozenset(found)


def _twin(sample: reader.Sample) -> bytes:
    digest = hashlib.sha256(_bytes(sample.key) + b"\0")
    digest.update(np.asarray(sample.label).tobytes())
    digest.update(sample.encoded)
    return digest.digest()


def _grouping(group: str) -> Callable[[str], str]:
    """Return the function from a key to what is hashed."""
    if not group:
        return lambda key: key
    if group == "folder":
        return lambda key: key.rpartition("/")[0] or key
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise TrainError(
            f"group: found {group!r}, which is no pattern ({error}), expected folder, or a regular "
            "expression"
        ) from error

    def unit(key: str) -> str:
        match = pattern.search(key)
        if match is None:
            raise TrainError(
                f"group: found no group in {key!r}, expected {group!r} to fit every key"
            )
        return next((part for part in match.groups() if part is not None), match[0])

    return unit


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def fold_of(unit: str, count: int, seed: int) -> int:
    """Return the fold of a key or a group."""
    digest = hashlib.sha256(_bytes(f"{seed}\0{unit}")).digest()
    return int.from_bytes(digest[:8]) % count


def _check(made: Division, where: str, units: int | None) -> None:
    """Raise TrainError if there is nothing to audit, or a fold has no record."""
    sizes = made.sizes()
    if not sum(sizes) and made.trained():
        raise TrainError(
            f"{where}: found no labelled record that the model was not trained on; use --learn, "
            "which trains a model per fold, or name records by --split"
        )
    if not sum(sizes):
        raise TrainError(f"{where}: found no record with a label; name splits that have some")
    if 0 in sizes:
        what = f"{sum(sizes):,} labelled records" + (f" in {units:,} groups" if units else "")
        raise TrainError(
            f"{where}: found {what}, of which none is in fold {sizes.index(0)} of {made.count}; "
            "use fewer folds, or another seed"
        )
