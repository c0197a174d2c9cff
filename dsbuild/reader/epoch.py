"""An epoch over samples: ordered, shared, decoded ahead in threads, resumed at any sample."""

import collections
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent import futures
from typing import Any, Protocol

from dsbuild import images
from dsbuild.errors import DsbuildError, ShardError
from dsbuild.reader.order import Order, Share
from dsbuild.reader.sample import Sample

_OWN = ("_pool", "_coming", "_fetched", "_process")  # attributes of one process


class Samples(Protocol):
    """Samples by number: `Reader` and `Pairs`."""

    @property
    def remote(self) -> bool:
        """Whether they come from a store."""
        ...

    def __getitem__(self, number: int, /) -> Any: ...

    def ahead(self, numbers: Iterable[int], /) -> Iterator[Callable[[], Any]]:
        """Yield a function for each sample, which returns it."""
        ...


class Epoch(Iterator[Any]):
    """An epoch that can be left at any sample and resumed there from its state.

    `Reader.epoch` returns one. With threads it returns what `load` makes of each sample, which
    they do ahead. After raising for a damaged record it continues with the next. It can be pickled
    or forked at any sample.

    Example:
      >>> epoch = dsbuild.open("tfrecord", "train").epoch(seed=1)
      >>> first = next(epoch)
      >>> epoch
      <Epoch 0 with seed 1: at sample 1 of 12>
      >>> state = epoch.state_dict()  # only numbers; resumes the epoch, in any process
    """

    def __init__(
        self,
        samples: Samples,
        order: Order,
        share: Share,
        start: int = 0,
        threads: int = 0,
        load: Callable[[Any], Any] = Sample.load,
    ) -> None:
        self._samples, self._order, self._share = samples, order, share
        self._next, self._threads, self._load = start, threads, load
        self._alone()

    def _alone(self) -> None:
        """Drop the threads and what they prepare: they belong to one process."""
        vars(self).pop("_pool", None)
        self._fetched: Iterator[Callable[[], Any]] | None = None
        self._coming: collections.deque[futures.Future[Any]] = collections.deque()
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in _OWN}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)
        self._alone()

    @property
    def _places(self) -> range:
        return self._share.places(len(self._order))

    def __repr__(self) -> str:
        order, share = self._order, self._share
        seed = "" if order.seed is None else f" with seed {order.seed}"
        part = "" if share.count == 1 else f", share {share.index} of {share.count}"
        at = f"at sample {self._next:,} of {len(self._places):,}"
        return f"<Epoch {order.epoch}{seed}{part}: {at}>"

    def __len__(self) -> int:
        return max(len(self._places) - self._next, 0)

    def __next__(self) -> Any:
        if not len(self):
            raise StopIteration
        if self._process != os.getpid():
            self._alone()
        for place in self._places[self._next + len(self._coming) :][: self._ahead]:
            self._coming.append(self._pool.submit(self._made, self._awaited(place)))
        here = self._places[self._next]
        self._next += 1
        if not self._coming:
            return self._awaited(here)()
        return self._coming.popleft().result()

    def _awaited(self, place: int) -> Callable[[], Any]:
        """Return a function that returns the sample at a place, which follows the last one."""
        if not self._samples.remote:
            return functools.partial(self._sample, place)
        if self._fetched is None:
            left = self._places[self._places.index(place) :]
            # Without a cycle of references, threads end as soon as the epoch is dropped.
            self._fetched = self._samples.ahead(map(self._order.__getitem__, left))
        try:
            return next(self._fetched)
        except DsbuildError:  # of this sample's file, for which another request says it again
            self._fetched = None
            return functools.partial(self._sample, place)

    def _sample(self, place: int) -> Any:
        return self._samples[self._order[place]]

    @property
    def _ahead(self) -> int:
        """How many more samples to decode."""
        return max(2 * self._threads - len(self._coming), 0)

    @functools.cached_property
    def _pool(self) -> futures.ThreadPoolExecutor:
        images.preload()
        return futures.ThreadPoolExecutor(self._threads)

    def _made(self, wait: Callable[[], Any]) -> Any:
        return self._load(wait())

    def state_dict(self) -> dict[str, Any]:
        """Return what resumes the epoch here: only numbers."""
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
        """Continue where another epoch over the same samples was left."""
        if state["records"] != len(self._order):
            raise ShardError(
                f"found the state of an epoch over {state['records']:,} samples, expected one over "
                f"{len(self._order):,}; it belongs to other data"
            )
        blocks = self._order.blocks
        self._order = Order(blocks, state["seed"], state["epoch"], state["window"])
        self._share = Share(state["index"], state["count"])
        self._next = state["next"]
        self._coming.clear()
        self._fetched = None
