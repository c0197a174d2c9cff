"""The memory in which a worker's batches reach the trainer: a few pieces, used again and again.

torch makes new shared memory for every tensor of every batch. Its pages have to be mapped and
cleared, and its descriptor is sent over a connection of its own, which together take longer than
to decode a photo. Here a worker fills a piece of memory that the trainer has let go of:

- The worker counts how often it has sent a piece; the trainer counts in the piece how often the
  last tensor of such a batch was dropped. A piece is free if both are equal and the worker itself
  has no tensor in it. Nobody waits: if no piece is free, the worker makes another one.
- A piece is sent once, as torch sends a tensor; then the trainer says in it that it keeps it, and
  only numbers are sent. It keeps it as long as the worker's `Process` object exists.
- A tensor is gone when its storage is: torch can move that elsewhere, but NumPy then still sees
  the old place, and keeps the storage.
- A batch that exists while a process forks is also the child's: its piece is not used again.

What a worker makes from such tensors, and whoever else pickles one, knows nothing of all this:
only the pickler of `multiprocessing` sends them in this way.
"""

import functools
import itertools
import math
import multiprocessing
import os
import threading
import uuid
import weakref
from collections.abc import Sequence
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.multiprocessing.reductions import StorageWeakRef, reduce_tensor

_HEAD = 64  # bytes of a piece before its content, which is aligned to as many
_FREED, _KEPT, _LOST = range(3)  # numbers in the head, which the trainer writes
_SPARE = 8  # free pieces that a worker keeps


class Form(NamedTuple):
    """What a tensor in shared memory looks like."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def size(self) -> int:
        """Its bytes, rounded up so that the next one is aligned."""
        return -(-math.prod(self.shape) * self.dtype.itemsize // _HEAD) * _HEAD


class _Content(np.ndarray[Any, Any]):
    """The bytes of a piece in one use, which all tensors made of them keep.

    Attributes:
      storages: of these tensors.
    """

    storages: list[StorageWeakRef]


class Shared(torch.Tensor):
    """A tensor of a worker that lies in a piece; what is computed from it is a plain tensor."""

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]
    _parcel: "_Parcel"
    _place: tuple[int, Form]

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle the values alone; the pickler of `multiprocessing` asks `_send` instead."""
        return self.detach().__reduce_ex__(protocol)  # type: ignore[no-untyped-call]

    def __deepcopy__(self, memo: Any) -> torch.Tensor:
        """Copy the values alone."""
        return self.clone()


class _Piece:
    """Shared memory of this worker, and how often it was sent."""

    def __init__(self, number: int, size: int) -> None:
        self.number, self.size, self.sent = number, size, 0
        storage = torch.UntypedStorage._new_shared(_HEAD + size)  # type: ignore[no-untyped-call]
        self.whole = _whole(storage)
        self.head = _head(self.whole)
        self.content: weakref.ref[_Content] | None = None
        self.storages: list[StorageWeakRef] = []

    def begin(self) -> _Content:
        """Return the content for a new use."""
        made = _content(self.whole)
        self.content, self.storages = weakref.ref(made), made.storages
        return made

    @property
    def held(self) -> bool:
        """Whether this process itself has a tensor in it."""
        content = self.content is not None and self.content() is not None
        return content or not _gone(self.storages)

    @property
    def free(self) -> bool:
        # What a fork sets is read last, because it is written first.
        return not self.held and self.head[_FREED] == self.sent and not self.head[_LOST]


class _Pieces:
    """All pieces of this process.

    Attributes:
      name: of all of them, unique among processes.
      gone: numbers of those that were given up, of which the trainer does not know yet.
    """

    def __init__(self) -> None:
        self.name = f"{os.getpid()}-{uuid.uuid4().hex}"
        self.gone: list[int] = []
        self._all: list[_Piece] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def take(self, size: int) -> tuple[_Piece, _Content]:
        """Return a free piece of at least so many bytes, and its content."""
        with self._lock:
            piece = self._found(size)
            return piece, piece.begin()

    def lose(self) -> None:
        """Use none again of those in which this process has a tensor."""
        for one in list(self._all):
            if one.held:
                one.head[_LOST] = 1

    def _found(self, size: int) -> _Piece:
        self._drop([one for one in self._all if one.head[_LOST] and not one.held])
        free = sorted((one for one in self._all if one.free), key=lambda one: one.size)
        self._drop(free[:-_SPARE])
        for one in free[-_SPARE:]:
            if one.size >= size:
                return one
        made = _Piece(next(self._numbers), size + size // 2)  # the next batch may be larger
        self._all.append(made)
        return made

    def _drop(self, pieces: Sequence[_Piece]) -> None:
        for one in pieces:
            self._all.remove(one)
            self.gone.append(one.number)


@functools.lru_cache(1)
def _pieces(process: int) -> _Pieces:  # noqa: ARG001 - a forked process has pieces of its own
    return _Pieces()


class _Parcel:
    """The tensors of a batch that lie in one piece."""

    def __init__(self, pieces: _Pieces, piece: _Piece, content: _Content) -> None:
        self.pieces, self.piece, self.content = pieces, piece, content
        self.start = piece.whole.data_ptr() + _HEAD

    def __reduce__(self) -> tuple[Any, ...]:
        piece, pieces = self.piece, self.pieces
        piece.sent += 1
        gone, pieces.gone = pieces.gone, []
        whole = None if piece.head[_KEPT] else piece.whole
        return _opened, (pieces.name, os.getpid(), piece.number, whole, gone)


def empty(forms: Sequence[Form]) -> list[torch.Tensor]:
    """Return new tensors of some forms, all in one piece of shared memory."""
    if not forms:
        return []
    ends = list(itertools.accumulate((form.size for form in forms), initial=0))
    pieces = _pieces(os.getpid())
    parcel = _Parcel(pieces, *pieces.take(ends[-1]))
    made: list[torch.Tensor] = []
    for start, form in zip(ends, forms, strict=False):
        tensor = _view(parcel.content, start, form).as_subclass(Shared)
        tensor._parcel, tensor._place = parcel, (start, form)
        made.append(tensor)
    return made


def _send(tensor: Shared) -> tuple[Any, ...]:
    """Return how the trainer makes a tensor of a batch, whose parcel is pickled once."""
    parcel, (start, form) = tensor._parcel, tensor._place
    now = Form(tensor.dtype, tuple(tensor.shape), tensor.stride())
    if tensor.data_ptr() == parcel.start + start and now == form and not tensor.requires_grad:
        return _view, (parcel, start, form)
    # It was changed in place, or torch moved it to send what was made from it.
    plain = tensor.detach().requires_grad_(tensor.requires_grad)
    return reduce_tensor(plain)  # type: ignore[no-any-return,no-untyped-call]


ForkingPickler.register(Shared, _send)

# Of the trainer: its workers' pieces by name and number, and the heads of those that are in use.
_kept: dict[str, dict[int, torch.Tensor]] = {}
_used: dict[int, Any] = {}
_moved: dict[int, tuple[list[StorageWeakRef], int]] = {}  # uses that left storages elsewhere
_uses = itertools.count()


def _opened(
    name: str, worker: int, number: int, sent: torch.Tensor | None, gone: Sequence[int]
) -> _Content:
    """Return the content of a piece, which is free again after its last tensor is dropped."""
    for use in list(_moved):
        moved = _moved.pop(use, None)
        if moved:
            _dropped(use, *moved)
    known = _kept.get(name)
    if known is None and sent is not None:
        known = _kept_for(name, worker)
    for one in gone:
        (known or {}).pop(one, None)
    if sent is None:
        assert known is not None, "a piece is sent whole unless it is kept"
        whole = known[number]
    else:
        whole = sent
        if known is not None:
            known[number] = whole
            _head(whole)[_KEPT] = 1
    content = _content(whole)
    use = next(_uses)
    _used[use] = _head(whole)
    weakref.finalize(content, _dropped, use, content.storages, os.getpid()).atexit = False
    return content


def _kept_for(name: str, worker: int) -> dict[int, torch.Tensor] | None:
    """Return where the pieces of a worker are kept; None if it is no child of this process."""
    for process in multiprocessing.active_children():
        if process.pid == worker:
            weakref.finalize(process, _kept.pop, name, None).atexit = False
            return _kept.setdefault(name, {})
    return None


def _dropped(use: int, storages: list[StorageWeakRef], process: int) -> None:
    if os.getpid() != process:  # a forked child has its parent's tensors, too
        _used.pop(use, None)
    elif not _gone(storages):
        _moved[use] = storages, process
    else:
        head = _used.pop(use, None)
        if head is not None:
            head[_FREED] += 1


def _gone(storages: list[StorageWeakRef]) -> bool:
    return all(one.expired() for one in storages)  # type: ignore[no-untyped-call]


def _forking() -> None:
    for head in list(_used.values()):
        head[_LOST] = 1
    _pieces(os.getpid()).lose()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(before=_forking)


def _whole(storage: torch.UntypedStorage) -> torch.Tensor:
    return torch.empty(0, dtype=torch.uint8).set_(storage)


def _head(whole: torch.Tensor) -> Any:
    return whole[:_HEAD].view(torch.int64).numpy()


def _content(whole: torch.Tensor) -> _Content:
    """Return the content as a new object."""
    made = whole.numpy()[_HEAD:].view(_Content)
    made.storages = []
    return made


def _view(content: "_Content | _Parcel", start: int, form: Form) -> torch.Tensor:
    """Return a tensor with a storage of its own, so that saving or moving it takes no other."""
    assert isinstance(content, _Content), "a parcel is opened before its tensors"
    count = math.prod(form.shape)
    if not count:
        return torch.empty_strided(form.shape, form.stride, dtype=form.dtype)
    flat = torch.frombuffer(content, dtype=form.dtype, count=count, offset=start)
    made = flat.as_strided(form.shape, form.stride)
    content.storages.append(StorageWeakRef(made.untyped_storage()))  # type: ignore[no-untyped-call]
    return made
