"""Feed PyTorch from shards, by `torch_dataset`."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, overload

from dsbuild.errors import DsbuildError, PlanError, missing
from dsbuild.format.folder import PathLike
from dsbuild.reader import opening

try:
    import torch  # noqa: F401
except ImportError as error:
    raise DsbuildError(missing("torch", "dsbuild.torch_dataset", error)) from error

from dsbuild.reader.torch.datasets import Samples, Stream
from dsbuild.reader.torch.elements import Element, pad

__all__ = ["Element", "Samples", "Stream", "pad", "torch_dataset"]


@overload
def torch_dataset(
    path: PathLike,
    split: str | None = ...,
    *,
    iterable: Literal[False] = ...,
    extras: Sequence[str] = ...,
    as_supervised: bool = ...,
    transform: Callable[[Any], Any] | None = ...,
    target_transform: Callable[[Any], Any] | None = ...,
    transforms: Callable[..., Any] | None = ...,
    check: str = ...,
    classes: Iterable[str | int] | None = ...,
    cache: str | None = ...,
    cache_folder: str | os.PathLike[str] | None = ...,
    cache_size: int | None = ...,
) -> Samples: ...


@overload
def torch_dataset(
    path: PathLike,
    split: str | None = ...,
    *,
    iterable: Literal[True],
    extras: Sequence[str] = ...,
    as_supervised: bool = ...,
    transform: Callable[[Any], Any] | None = ...,
    target_transform: Callable[[Any], Any] | None = ...,
    transforms: Callable[..., Any] | None = ...,
    seed: int | None = ...,
    window: int | None = ...,
    drop_last: bool = ...,
    threads: int = ...,
    rank: int | None = ...,
    world_size: int | None = ...,
    check: str = ...,
    classes: Iterable[str | int] | None = ...,
    cache: str | None = ...,
    cache_folder: str | os.PathLike[str] | None = ...,
    cache_size: int | None = ...,
) -> Stream: ...


def torch_dataset(
    path: PathLike,
    split: str | None = None,
    *,
    iterable: bool = False,
    extras: Sequence[str] = (),
    as_supervised: bool = False,
    transform: Callable[[Any], Any] | None = None,
    target_transform: Callable[[Any], Any] | None = None,
    transforms: Callable[..., Any] | None = None,
    seed: int | None = None,
    window: int | None = None,
    drop_last: bool = False,
    threads: int = 0,
    rank: int | None = None,
    world_size: int | None = None,
    check: str = "crc",
    classes: Iterable[str | int] | None = None,
    cache: str | None = None,
    cache_folder: str | os.PathLike[str] | None = None,
    cache_size: int | None = None,
) -> Samples | Stream:
    """Open a folder of TFRecords, or one file, as a PyTorch data set: map-style or iterable.

    `path`, `split`, `extras`, `check`, `classes` and `cache` to `cache_size` are those of
    `dsbuild.open`; `extras` to `transforms` are those of `Element`; `seed` to `world_size` are
    those of `Stream`, and need `iterable`. Raises a DsbuildError.
    """
    samples = opening.open(
        path,
        split,
        check,
        classes,
        extras,
        cache=cache,
        cache_folder=cache_folder,
        cache_size=cache_size,
    )
    wanted = tuple(one.name for one in samples.extras)
    element = Element(wanted, as_supervised, transform, target_transform, transforms)
    asked: dict[str, Any] = {
        "seed": seed,
        "window": window,
        "drop_last": drop_last or None,
        "threads": threads or None,
        "rank": rank,
        "world_size": world_size,
    }
    order = {name: value for name, value in asked.items() if value is not None}
    if order and not iterable:
        raise PlanError(
            f"{', '.join(order)}: expected only with iterable=True; a map-style data set is "
            "ordered and shared by its sampler"
        )
    return Stream(samples, element, **order) if iterable else Samples(samples, element)
