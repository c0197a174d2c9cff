"""Data sets of PyTorch: samples by number, or streamed, shared out and taken up again.

Follows `torch.utils.data`: a map-style data set is ordered and shared by a sampler, an
iterable one does both itself, for any number of ranks and workers.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import distributed
from torch.utils import data

from dsbuild.errors import PlanError
from dsbuild.reader.order import WINDOW, Share
from dsbuild.reader.reader import Epoch, Reader
from dsbuild.reader.torch.elements import IGNORE, Element, Value, pad

_UNSET = -1  # the number of an epoch that nobody set
_NAMES = {"records": "samples", "count": "ranks x workers", "seed": "seed", "window": "window"}


class _Fed:
    """What both kinds of data set have.

    Attributes:
      reader: of the samples, with names of classes, palette and so on.
      element: how a sample becomes tensors.
    """

    def __init__(self, reader: Reader, element: Element):
        self.reader, self.element = reader, element

    @property
    def collate(self) -> Callable[[Sequence[Any]], Any]:
        """Return `pad` with the value that labels ignore, for `DataLoader(collate_fn=...)`."""
        return functools.partial(pad, ignore=IGNORE if (i := self.reader.ignore) is None else i)


class Samples(_Fed, data.Dataset):
    """A map-style data set: tensors by a sample's number."""

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, number: int) -> Value:
        return self.element(self.reader[number])


class Stream(_Fed, data.IterableDataset):
    """An iterable data set, of which each rank and each worker reads its share of an epoch.

    With `threads` samples are made ahead in so many, in this process: nothing has to travel.

    The order is a function of seed and epoch. What it keeps of an epoch is numbers: by
    `state_dict` it goes on at the next sample, in torchdata's StatefulDataLoader as by itself.
    """

    def __init__(
        self,
        reader: Reader,
        element: Element,
        seed: int | None = None,
        *,
        window: int = WINDOW,
        drop_last: bool = False,
        threads: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
    ):
        super().__init__(reader, element)
        if (rank is None) != (world_size is None):
            raise PlanError(f"rank {rank}, world_size {world_size}: expected both or none")
        self.seed, self.window, self.drop_last = seed, window, drop_last
        self.threads = threads
        self._rank = None if rank is None else Share(rank, world_size)
        # Workers that stay alive see a new epoch only through memory that is shared.
        self._epoch = torch.tensor(_UNSET).share_memory_()
        self._pending: Mapping[str, Any] | None = None
        self._run: Epoch | None = None

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch whose order is read next, on all ranks; before each, as of a sampler."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        """Return how many samples an epoch has for this rank, all its workers together."""
        return len(self._places(self._of_rank()))

    def _places(self, share: Share) -> range:
        total = len(self.reader)
        return share.places(total - total % self._of_rank().count if self.drop_last else total)

    def _of_rank(self) -> Share:
        if self._rank is None and distributed.is_available() and distributed.is_initialized():
            return Share(distributed.get_rank(), distributed.get_world_size())
        return self._rank or Share()

    def _share(self) -> Share:
        """Return what this process reads: within its rank's share, its worker's."""
        rank, worker = self._of_rank(), data.get_worker_info()
        if worker is None:
            return rank
        return Share(rank.index + rank.count * worker.id, rank.count * worker.num_workers)

    def __iter__(self) -> Iterator[Value]:
        """Begin an epoch, or go on with the one whose state was loaded."""
        self._run, self._pending = self._begun(self._pending), None
        found = itertools.islice(self._run, self._left(self._run))
        return found if self.threads else map(self.element, found)

    def _begun(self, state: Mapping[str, Any] | None) -> Epoch:
        share, asked = self._share(), int(self._epoch)
        part = {"index": share.index, "count": share.count}
        ahead = {"threads": self.threads, "load": self.element}
        run = self.reader.epoch(self.seed, max(asked, 0), window=self.window, **part, **ahead)
        if state is None:
            return run
        fresh = run.state_dict()
        for name in ("records", "count", "seed", "window"):
            if state.get(name) != fresh[name]:
                raise PlanError(
                    f"found the state of an epoch with {_NAMES[name]} {state.get(name)}, expected "
                    f"{fresh[name]}; resume with the data and the settings it was left with"
                )
        # Ranks go in step: where one of them was left, all were.
        run.load_state_dict({**state, "index": share.index})
        if asked in (_UNSET, state["epoch"]):
            return run
        if self._left(run):
            raise PlanError(
                f"found a state amid epoch {state['epoch']}, but set_epoch({asked}); resume with "
                f"set_epoch({state['epoch']}), or load no state"
            )
        return self._begun(None)

    def _left(self, run: Epoch) -> int:
        """Return how many samples are left of a run, less those that are dropped."""
        # Where another rank had one sample more, its last state is past the end here.
        return max(len(self._places(self._share())) - run.state_dict()["next"], 0)

    def state_dict(self) -> dict[str, Any]:
        """Return where this process is in its epoch: numbers alone."""
        run = self._begun(self._pending) if self._run is None or self._pending else self._run
        return run.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next iteration go on where a state was taken, on this rank or another.

        A state is of as many ranks and workers; otherwise iterating raises PlanError.
        """
        self._pending = dict(state)

    def __getstate__(self) -> dict[str, Any]:
        # A worker that is not forked does not know the rank of the process that starts it.
        known = self._rank or (self._of_rank() if self._of_rank().count > 1 else None)
        return {**vars(self), "_run": None, "_rank": known}
