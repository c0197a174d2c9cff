"""Labels that are slices of larger files: kept aside while listing, read back in order.

    .dsbuild/labels-<split>         the slices of a split, one after another in the plan's order

A build lists a large JSON once and keeps the slice of every sample in this file beside the plan,
whose lines say how large each slice is, and its checksum. Workers read ranges of it.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator

import google_crc32c

from dsbuild import storage
from dsbuild.errors import ShardError
from dsbuild.format import names
from dsbuild.layouts import Sample
from dsbuild.layouts.sample import Held, Part, Slice
from dsbuild.storage.heap import Heap

LABELS = re.compile(r"labels-(.+)", re.DOTALL)
_BLOCK = 1 << 22  # bytes that are read at once

Read = Callable[[Held], bytes]


class Store:
    """Slices that a listing keeps, written once and read at any place.

    `used` tells whether any sample had one.
    """

    def __init__(self) -> None:
        self._heap = Heap()
        self.used = False

    def keep(self, sample: Sample) -> Sample:
        """Return a sample whose slices are kept here instead of in memory."""
        if isinstance(sample.label, str):
            return sample
        return _with_parts(sample, [self._kept(part) for part in sample.parts])

    def _kept(self, part: Part) -> Part:
        if not isinstance(part, Slice):
            return part
        self.used = True
        if not isinstance(part.data, bytes):
            return part
        offset = self._heap.add(part.data)
        return part._replace(data=Held("", offset, len(part.data), checksum(part.data)))

    def read(self, held: Held) -> bytes:
        """Return the bytes of a slice, which may also be in a named file."""
        return read(held) if held.file else self._heap.read(held.offset, held.size)


def checksum(data: bytes) -> int:
    """Return the crc32c of bytes."""
    value: int = google_crc32c.value(data)
    return value


def path(out: str, split: str) -> str:
    """Return the path of the slices of a split."""
    return names.state(out, f"labels-{split}")


def path_beside(plan: str) -> str:
    """Return the path of the slices of the split that a plan file, `plan-<split>.jsonl`, plans."""
    name = storage.name(plan)
    split = name.removeprefix("plan-").removesuffix(".jsonl")
    return f"{plan.removesuffix(name)}labels-{split}"


def of(samples: Iterable[Sample]) -> Iterator[Slice]:
    """Yield the slices of samples, in the order in which they are kept."""
    for sample in samples:
        if isinstance(sample.label, str):
            continue
        for part in sample.parts:
            if isinstance(part, Slice):
                yield part


def held(part: Slice) -> Held:
    """Return where a slice is kept; of one in memory, its size and checksum."""
    if isinstance(part.data, Held):
        return part.data
    return Held("", 0, len(part.data), checksum(part.data))


def content(part: Slice, one: Read | None = None) -> bytes:
    """Return the bytes of a slice, which `one` reads if they are not in memory."""
    return part.data if isinstance(part.data, bytes) else (one or read)(part.data)


def placed(
    samples: Iterable[Sample], file: str, offset: int, rows: list[list[int]]
) -> list[Sample]:
    """Return samples whose slices are kept in a file from `offset` on; a row is size and crc32c.

    Raises ShardError if there are not as many rows as slices.
    """
    samples, left = list(samples), iter(rows)
    if sum(1 for _ in of(samples)) != len(rows):
        raise ShardError(f"{file}: found {len(rows):,} ranges of slices, expected one per slice")
    made = []
    for sample in samples:
        parts: list[Part] = []
        for part in sample.parts:
            if isinstance(part, Slice):
                size, crc = next(left)
                part = part._replace(data=Held(file, offset, size, crc))
                offset += size
            parts.append(part)
        made.append(_with_parts(sample, parts))
    return made


def read(held: Held) -> bytes:
    """Return the bytes of a slice in a file; raise ShardError if they are not what was kept."""
    return _checked(storage.read_part(held.file, held.offset, held.size), held)


def _checked(data: bytes, held: Held) -> bytes:
    if len(data) != held.size or checksum(data) != held.crc:
        raise ShardError(
            f"{held.file}: found other bytes from {held.offset:,} on than were kept for a label; "
            "it is damaged, or of another plan: run the same command again with --overwrite"
        )
    return data


def filled(samples: Iterable[Sample], one: Read = read) -> Iterator[Sample]:
    """Yield samples with the bytes of their slices, which `one` reads."""
    for sample in samples:
        parts = [
            part._replace(data=one(part.data))
            if isinstance(part, Slice) and isinstance(part.data, Held)
            else part
            for part in sample.parts
        ]
        yield _with_parts(sample, parts)


def ahead(samples: Iterable[Sample]) -> Iterator[Sample]:
    """Yield samples with the bytes of their slices, reading those that adjoin together."""
    for _, block in itertools.groupby(_numbered(samples), lambda pair: pair[0]):
        yield from _read_block([sample for _, sample in block])


def _numbered(samples: Iterable[Sample]) -> Iterator[tuple[int, Sample]]:
    """Yield samples with the number of the block that their slices are read in."""
    block, file, end, size = 0, "", 0, 0
    for sample in samples:
        for part in of([sample]):
            if not isinstance(part.data, Held):
                continue
            place = part.data
            if (place.file, place.offset) != (file, end) or size + place.size > _BLOCK:
                block, size = block + 1, 0
            file, end = place.file, place.offset + place.size
            size += place.size
        yield block, sample


def _read_block(samples: list[Sample]) -> Iterator[Sample]:
    places = [part.data for part in of(samples) if isinstance(part.data, Held)]
    if not places:
        yield from samples
        return
    first, last = places[0], places[-1]
    if any(place.file != first.file for place in places) or last.offset < first.offset:
        yield from filled(samples)
        return
    data = storage.read_part(first.file, first.offset, last.offset + last.size - first.offset)

    def one(place: Held) -> bytes:
        start = place.offset - first.offset
        return _checked(data[start : start + place.size], place)

    yield from filled(samples, one)


def _with_parts(sample: Sample, parts: list[Part]) -> Sample:
    """Return a sample whose label has these parts."""
    if not parts:
        return sample
    single = isinstance(sample.label, str | Slice)
    return sample._replace(label=parts[0] if single else tuple(parts))
