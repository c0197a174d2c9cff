"""Which samples have which classes, without decoding a label if the build has listed its values.

A list is trusted only by its sha256 in the manifest; the labels of other files are decoded.
"""

import functools
import hashlib
import operator
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from dsbuild import storage
from dsbuild.engines import cores
from dsbuild.errors import PlanError, ShardError
from dsbuild.format.folder import Folder
from dsbuild.format.label_values import Presence, lines, parse
from dsbuild.format.names import values_path
from dsbuild.storage import Stamp, safe_text


def presence(
    folder: Folder, paths: Sequence[str], counts: Sequence[int], picks: Sequence[int] | np.ndarray
) -> Presence:
    """Return which values occur in the records of a folder's files, of `counts` records each.

    Files that have none of `picks`, numbers of records over all files, are not looked at: their
    records have no value. Warns if labels have to be decoded, which happens once per process;
    raises ShardError if one cannot be.
    """
    files = np.searchsorted(np.cumsum(counts), np.asarray(picks, np.int64), "right")
    asked = [paths[i] for i in np.unique(files)]
    known = dict(listed(folder, asked))
    rest = [path for path in asked if path not in known]
    if rest:
        first = safe_text.text(rest[0])
        warnings.warn(
            f"{first}{f' and {len(rest) - 1} more' if len(rest) > 1 else ''}: found no "
            "list of label values that the manifest knows, so all labels are decoded, once in this "
            "process, which takes a while; build the folder again with this version of dsbuild "
            "(--overwrite) and without --verify header, or repair it",
            stacklevel=3,
        )
    parts = []
    for path, count in zip(paths, counts, strict=True):
        if path in known:
            part = known[path]
        elif path in rest:
            part = _decoded(path, storage.stamp(path), folder.labels)
        else:
            part = Presence(np.zeros(count + 1, np.int64), np.empty(0, np.uint8))
        if len(part) != count:
            raise ShardError(
                f"{path}: found {len(part):,} records, expected {count:,}; validate it"
            )
        parts.append(part)
    return _joined(parts)


def _joined(parts: Sequence[Presence]) -> Presence:
    if not parts:
        return parse(b"")
    lengths = [np.diff(part.starts) for part in parts]
    starts = np.concatenate(([0], np.cumsum(np.concatenate(lengths))))
    return Presence(starts, np.concatenate([part.values for part in parts]))


def listed(folder: Folder, paths: Sequence[str]) -> Iterator[tuple[str, Presence]]:
    """Yield the path of each file whose list has its digest in the manifest, and what it says."""
    known = folder.surrounding.manifest
    digests = {} if known is None else {shard.name: shard.values for shard in known.shards}
    lists = {}
    for path in paths:
        home, name = os.path.split(path)
        if digest := digests.get(name):
            lists[values_path(home, name)] = path, digest
    stamps = zip(lists, storage.stamps(lists), strict=True)
    there = [place for place, stamp in stamps if stamp]
    with storage.ahead(there) as read:
        for place in there:
            text = read(place)[0]
            path, digest = lists[place]
            if hashlib.sha256(text).hexdigest() == digest:
                try:
                    yield path, parse(text)
                except ShardError as error:
                    raise ShardError(f"{place}: {error}; repair the folder") from error


@functools.lru_cache(1 << 12)
def _decoded(path: str, stamp: Stamp | None, labels: tuple[str, ...]) -> Presence:
    """Return the label values in the records of a file with a stamp, since files change."""
    if stamp is None:
        raise ShardError(f"{path}: there is no such file; build or fetch it again")
    return parse(lines(path, labels, cores()))


def indices(
    wanted: Iterable[str | int], names: Sequence[str], ignore: int | None
) -> tuple[int, ...]:
    """Return the indices of classes given by name or by index.

    Raises PlanError for a name that is not among `names`, for an index that does not exist or is
    the ignore value, and if no class is given.
    """
    wanted = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    if not wanted:
        raise PlanError("classes: found none, expected the names or indices of one class or more")
    return tuple(index for one in wanted for index in _indices(one, names, ignore))


def _indices(one: str | int, names: Sequence[str], ignore: int | None) -> list[int]:
    if isinstance(one, str):
        if not names:
            raise PlanError(f"class {one!r}: there is no manifest with names, expected an index")
        found = [i for i, name in enumerate(names) if name == one]
        if not found:
            import difflib  # here, since only an error needs it

            close = "".join(map(repr, difflib.get_close_matches(one, names, 1)))
            hint = f"; did you mean {close}?" if close else ""
            raise PlanError(f"class {one!r}: no such class{hint}; known are {', '.join(names)}")
        return found
    try:
        index = operator.index(one)
    except TypeError:
        raise PlanError(f"class {one!r}: expected a name or an index") from None
    if index == ignore:
        raise PlanError(f"class {index}: this is the ignore value, not a class")
    if index < 0 or (names and index >= len(names)):
        expected = f"0 to {len(names) - 1}" if names else "0 or more"
        raise PlanError(f"class {index}: no such class, expected {expected}, or a name")
    return [index]
