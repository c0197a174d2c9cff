"""The suspects of a finished audit with what the model saw of their records."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsbuild.errors import TrainError
from dsbuild.train.audit import planes
from dsbuild.train.audit.planes import Seen
from dsbuild.train.audit.regions import Region, regions
from dsbuild.train.audit.suspects import Suspect, confidences, read


@dataclass(frozen=True)
class Shown:
    """A suspect, its record as the model saw it, and its region there."""

    suspect: Suspect
    seen: Seen
    region: Region

    @property
    def marks(self) -> NDArray[np.uint8]:
        """The pixels of the region as 1: (h, w), of the size that the model saw."""
        plane = np.zeros(self.seen.given.shape, np.uint8)
        plane[self.region.window] = self.region.mask
        return plane


def regions_of(out: str, chosen: Sequence[Suspect] | None = None) -> list[Shown]:
    """Return suspects of an audit, all of its list by default, each with its record and region.

    Raises TrainError if the list and the confidences do not fit each other.
    """
    listed, report = read(out)
    wanted = list(listed if chosen is None else chosen)
    limits = _limits(report)
    places = {(one.split, one.record) for one in wanted}
    found: dict[tuple[str, int, int], tuple[Seen, Region]] = {}
    for one in _records(out, report["folds"]):
        if (one.split, one.number) in places:
            for part, region in enumerate(regions(one, limits)):
                found[one.split, one.number, part] = one, region
    try:
        return [Shown(one, *found[one.split, one.record, one.part]) for one in wanted]
    except KeyError as error:
        split, number, _ = error.args[0]
        raise TrainError(
            f"{out}: found no confidences of record {number} of {split}, expected those of every "
            "suspect; run the audit again"
        ) from error


def _records(out: str, folds: int) -> Iterator[Seen]:
    for fold in range(folds):
        yield from planes.read(confidences(out, fold))


def _limits(report: Mapping[str, Any]) -> NDArray[np.int64]:
    return np.array(report["limits"], np.int64)
