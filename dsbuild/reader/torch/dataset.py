"""Feed PyTorch from shards, by `torch_dataset`."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, overload

from dsbuild.errors import DsbuildError, PlanError, missing
from dsbuild.extras import EXTRAS
from dsbuild.format import aligned
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

    A sample is a dict of `key`, a text, and tensors: `image`, RGB uint8 (3, h, w); `label`, uint8
    (h, w), or int32 with more than 256 classes, or int64 () if it is one class, missing without
    labels; and the extras, (1, h, w). With panoptic labels it has `panoptic`, int32 (h, w), and
    the number `label_divisor`, too. Planes from files of their own are (channels, h, w), uint8 or
    int32; so is an image of 16 bits per channel.

    Args:
      path: the folder or file, as a text, a `pathlib.Path`, or the URL of a store.
      split: something like `train`, `train[:10%]` or `train+val`; all splits by default.
      iterable: whether it is iterated, in an order of its own, rather than indexed by a sampler.
      extras: such as `laplacian` or `canny:low=50`; computed from image or label if records do
        not have them.
      as_supervised: whether samples are tuples (image, label), followed by `extras`.
      transform: applied to the image.
      target_transform: applied to the label.
      transforms: applied to all at once, from (image, label, *extras) to as many values, like
        those of `torchvision.transforms.v2`; replaces the other two.
      seed: with `iterable`: shuffles each epoch into its own order. None for the stored order.
      window: with `iterable`: how many samples are shuffled together.
      drop_last: with `iterable`: whether to leave out the last samples if ranks cannot divide them
        equally.
      threads: with `iterable`: threads that decode ahead in each worker.
      rank: with `iterable`: which of `world_size` shares to read; by default the process's own.
      world_size: with `iterable`: how many shares there are.
      check: `crc`, or `none` to skip the checksums of records.
      classes: names or indices; only samples that have one of these classes are read.
      cache: `decoded` keeps decoded samples in a file, as in `dsbuild.open`.
      cache_folder: a local folder for that file; None for beside the data.
      cache_size: how many bytes it may have; None for what the disk holds.

    Returns:
      `Samples`, a map-style data set, or `Stream` if `iterable`.

    Raises:
      ShardError: if there is no such folder, or it is damaged or unfinished.
      PlanError: if there is no such split, class or extra, or options contradict each other.

    Example:
      >>> image, label = dsbuild.torch_dataset("tfrecord", "train", as_supervised=True)[0]
      >>> tuple(image.shape), tuple(label.shape)
      ((3, 44, 60), (44, 60))
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
    planes = aligned.names(samples.folder.surrounding.schema.roles, tuple(EXTRAS))
    element = Element(wanted, as_supervised, transform, target_transform, transforms, planes)
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
