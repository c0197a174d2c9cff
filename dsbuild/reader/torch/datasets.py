"""PyTorch data sets: samples by number, or streamed, shared and resumable.

As in `torch.utils.data`, a sampler orders and shares a map-style data set; an iterable one does
both itself, for any number of ranks and workers.
"""

import functools
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import distributed
from torch.utils import data

from dsbuild import engines
from dsbuild.errors import PlanError
from dsbuild.reader.epoch import Epoch
from dsbuild.reader.order import WINDOW, Share
from dsbuild.reader.reader import Reader
from dsbuild.reader.torch.elements import Element, Value, pad, unpadded

_UNSET = -1  # the number of the epoch until it is set
_NAMES = {"records": "samples", "count": "ranks x workers", "seed": "seed", "window": "window"}


@functools.lru_cache(1)
def _tuned(process: int) -> None:  # noqa: ARG001 - once in each
    engines.tune()


def _set_up() -> None:
    """Make a DataLoader's worker decode fast; its process is not the user's own."""
    if data.get_worker_info() is not None:
        _tuned(os.getpid())


class _Fed:
    """What both kinds of data set share.

    Attributes:
      reader: of the samples, with class names, palette and so on.
      element: how a sample becomes tensors.
    """

    def __init__(self, reader: Reader, element: Element) -> None:
        self.reader, self.element = reader, element

    @property
    def collate(self) -> Callable[[Sequence[Any]], Any]:
        """Return `pad` with the value that labels ignore, for `DataLoader(collate_fn=...)`."""
        return functools.partial(pad, ignore=self.reader.ignore)

    @property
    def unpadded(self) -> Callable[[Sequence[Any]], list[Any]]:
        """Return `unpadded`, which keeps samples as a list, for `DataLoader(collate_fn=...)`."""
        return unpadded


class Samples(_Fed, data.Dataset[Value]):
    """A map-style data set: tensors by a sample's number."""

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, number: int) -> Value:
        return self.element(self.reader[number])

    def __getitems__(self, numbers: Sequence[int]) -> list[Value]:
        """Return the tensors of a batch, for which a DataLoader asks; a store is asked at once."""
        _set_up()
        return [self.element(wait()) for wait in self.reader.ahead(numbers)]


class Stream(_Fed, data.IterableDataset[Value]):
    """An iterable data set; each rank and each worker reads its share of an epoch.

    With `threads`, that many threads of this process prepare samples ahead, so nothing has to
    travel between processes.

    The order is a function of seed and epoch, and the state is only numbers: with `state_dict` it
    resumes at the next sample, in torchdata's StatefulDataLoader and on its own.
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
    ) -> None:
        super().__init__(reader, element)
        if (rank is None) != (world_size is None):
            raise PlanError(f"rank {rank}, world_size {world_size}: expected both or neither")
        self.seed, self.window, self.drop_last = seed, window, drop_last
        self.threads = threads
        self._rank = None if rank is None or world_size is None else Share(rank, world_size)
        # Persistent workers see a new epoch only through shared memory.
        self._epoch: torch.Tensor = torch.tensor(_UNSET)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]
        self._pending: Mapping[str, Any] | None = None
        self._run: Epoch | None = None

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch to read next; call it on all ranks before each epoch, as for a sampler."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        """Return how many samples of an epoch this rank reads, all its workers together."""
        return len(self._places(self._of_rank()))

    def _places(self, share: Share) -> range:
        total = len(self.reader)
        return share.places(total - total % self._of_rank().count if self.drop_last else total)

    def _of_rank(self) -> Share:
        if self._rank is None and distributed.is_available() and distributed.is_initialized():
            return Share(distributed.get_rank(), distributed.get_world_size())
        return self._rank or Share()

    def _share(self) -> Share:
        """Return the share of this process: that of its worker within that of its rank."""
        rank, worker = self._of_rank(), data.get_worker_info()
        if worker is None:
            return rank
        return Share(rank.index + rank.count * worker.id, rank.count * worker.num_workers)

    def __iter__(self) -> Iterator[Value]:
        """Begin an epoch, or continue the one whose state was loaded."""
        _set_up()
        self._run, self._pending = self._begun(self._pending), None
        found = itertools.islice(self._run, self._left(self._run))
        return found if self.threads else map(self.element, found)

    def _begun(self, state: Mapping[str, Any] | None) -> Epoch:
        share, asked = self._share(), int(self._epoch)
        run = self.reader.epoch(
            self.seed,
            max(asked, 0),
            window=self.window,
            index=share.index,
            count=share.count,
            threads=self.threads,
            load=self.element,
        )
        if state is None:
            return run
        fresh = run.state_dict()
        for name in ("records", "count", "seed", "window"):
            if state.get(name) != fresh[name]:
                raise PlanError(
                    f"found the state of an epoch with {_NAMES[name]} {state.get(name)}, expected "
                    f"{fresh[name]}; resume with the same data and settings"
                )
        # Ranks run in step: they all stopped at the same place.
        run.load_state_dict({**state, "index": share.index})
        if asked in (_UNSET, state["epoch"]):
            return run
        if self._left(run):
            raise PlanError(
                f"found a state within epoch {state['epoch']}, but set_epoch({asked}); resume "
                f"with set_epoch({state['epoch']}), or load no state"
            )
        return self._begun(None)

    def _left(self, run: Epoch) -> int:
        """Return how many samples are left of a run, without those that are dropped."""
        # If another rank had one more sample, its last state is past the end here.
        return max(len(self._places(self._share())) - int(run.state_dict()["next"]), 0)

    def state_dict(self) -> dict[str, Any]:
        """Return where this process is in its epoch: only numbers."""
        run = self._begun(self._pending) if self._run is None or self._pending else self._run
        return run.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue the next iteration where a state was taken, on this rank or another.

        Iterating raises PlanError unless there are as many ranks and workers as there were then.
        """
        self._pending = dict(state)

    def __getstate__(self) -> dict[str, Any]:
        # A worker that is not forked does not know the rank of its parent process.
        known = self._rank or (self._of_rank() if self._of_rank().count > 1 else None)
        return {**vars(self), "_run": None, "_rank": known}
