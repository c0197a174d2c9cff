"""A sample as tensors, and samples as a batch."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import default_collate, get_worker_info

from dsbuild.errors import PlanError
from dsbuild.extras import EXTRAS
from dsbuild.reader.sample import Sample
from dsbuild.reader.stored import PANOPTIC
from dsbuild.reader.torch import shared

# Types of torch that NumPy has.
_WHOLE = (torch.bool, torch.uint8, torch.uint16, torch.int16, torch.int32, torch.int64)
_PLAIN = (*_WHOLE, torch.float32)
Value = dict[str, Any] | tuple[Any, ...]


@dataclass(frozen=True)
class Element:
    """How a sample becomes tensors: a dict of them, or a tuple (image, label, *extras).

    Attributes:
      extras: names of the wanted extras.
      as_supervised: whether it is the tuple.
      transform, target_transform: applied to the image and to the label.
      transforms: applied to all at once, from (image, label, *extras) to as many values, like
        those of `torchvision.transforms.v2`; replaces the other two. In a dict, a panoptic map
        follows the label, then planes.
      aligned: names of planes from files of their own, which a dict has.
    """

    extras: tuple[str, ...] = ()
    as_supervised: bool = False
    transform: Callable[[Any], Any] | None = None
    target_transform: Callable[[Any], Any] | None = None
    transforms: Callable[..., Any] | None = None
    aligned: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.extras:
            if name not in EXTRAS:
                known = ", ".join(EXTRAS)
                raise PlanError(f"extras: found {name!r}, expected one of {known}")
        if self.transforms and (self.transform or self.target_transform):
            raise PlanError(
                "transforms: found transform or target_transform as well; give one kind"
            )

    def __call__(self, sample: Sample) -> Value:
        """Return a sample's image uint8 (3, h, w), label uint8 (h, w) and extras (1, h, w).

        What has 16 bits is int32, since torch calculates nothing in uint16. A label that is one
        class is int64 (). A dict also has the `key`, and no label if the sample has none; with a
        panoptic label, it has `panoptic`, int32 (h, w), and `label_divisor`. Raises PlanError if
        something that was asked for is missing.
        """
        parts = self._parts(sample)
        if self.transforms:
            parts = _apply(self.transforms, parts)
        for name, transform in (("image", self.transform), ("label", self.target_transform)):
            if transform and name in parts:
                parts[name] = transform(parts[name])
        if self.as_supervised:
            return tuple(parts.values())
        divisor = {"label_divisor": sample["label_divisor"]} if PANOPTIC in parts else {}
        return {"key": sample.key, **parts, **divisor}

    def _parts(self, sample: Sample) -> dict[str, Any]:
        parts = {"image": _tensor(sample.image).permute(2, 0, 1)}
        label = sample.label
        if label is not None:
            parts["label"] = _tensor(label)
        elif self.as_supervised:
            raise PlanError(
                f"{sample.key}: found no label, expected one for (image, label); read a split that "
                "has labels, or omit as_supervised"
            )
        if PANOPTIC in sample and not self.as_supervised:
            parts[PANOPTIC] = _tensor(sample[PANOPTIC])
        for name in () if self.as_supervised else self.aligned:
            plane = _tensor(sample[name])
            parts[name] = plane.permute(2, 0, 1) if plane.ndim == 3 else plane[None]
        for name in self.extras:
            try:
                pixels = getattr(sample, name)
            except AttributeError as error:
                raise PlanError(f"{sample.key}: extra {name}: {error}") from error
            parts[name] = _tensor(pixels)[None]
        return parts


def _tensor(value: np.ndarray | int) -> torch.Tensor:
    """Return a tensor that shares an array's memory, or a copy if that is read-only."""
    if isinstance(value, int):
        return torch.tensor(value)
    if value.dtype == np.uint16:
        return torch.from_numpy(value.astype(np.int32))
    return torch.from_numpy(value if value.flags.writeable else value.copy())


def _apply(transforms: Callable[..., Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what transforms make of all parts at once, as plain tensors.

    torchvision crops only the first plain tensor; to move a label with its image, both have to
    say what they are. If the transforms are torchvision's, it has been imported.
    """
    kinds = sys.modules.get("torchvision.tv_tensors")
    given = list(parts.values())
    if kinds:
        given = [kinds.Mask(part) if part.ndim > 1 else part for part in given]
        given[0] = kinds.Image(parts["image"])
    found = transforms(*given)
    found = (found,) if len(given) == 1 else found
    if not isinstance(found, tuple | list) or len(found) != len(given):
        raise PlanError(
            f"transforms: found {type(found).__name__}, expected one value for each of "
            f"{', '.join(parts)}"
        )
    plain = (x.as_subclass(torch.Tensor) if isinstance(x, torch.Tensor) else x for x in found)
    return dict(zip(parts, plain, strict=True))


def pad(batch: Sequence[Value], ignore: int | None = None) -> Any:
    """Collate elements of any size, padded at the bottom and on the right.

    For `DataLoader(collate_fn=...)`. Images and extras are padded with 0, labels with `ignore`, by
    default with 255, or with 65535 if they have 16 bits; panoptic maps with void, that is `ignore`
    without an instance. A batch of images (n, 3, h, w) is laid out as they were decoded, in
    `torch.channels_last`. What is not a plane is collated by torch's `default_collate`.
    """
    rows: list[dict[Any, Any]] = [
        dict(enumerate(one)) if isinstance(one, tuple) else one for one in batch
    ]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    planes = {
        name: _form(column, name)
        for name, column in columns.items()
        if all(isinstance(one, torch.Tensor) and one.ndim > 1 for one in column)
    }
    made = dict(zip(planes, _empty(list(planes.values())), strict=True))
    found = {
        name: _stack(column, _fill(name, rows[0], ignore), made[name])
        if name in made
        else default_collate(column)
        for name, column in columns.items()
    }
    return tuple(found.values()) if isinstance(batch[0], tuple) else found


def unpadded(batch: Sequence[Value]) -> list[Value]:
    """Collate elements as a list of them, for `DataLoader(collate_fn=...)`.

    From a worker they reach the trainer in memory that is used again, unlike with
    `collate_fn=list`.
    """
    if get_worker_info() is None:
        return list(batch)
    tensors = [part for one in batch for part in _values(one) if _movable(part)]
    made = shared.empty([_like(tensor) for tensor in tensors])
    moved = dict(zip(map(id, tensors), made, strict=True))
    for tensor, copy in zip(tensors, made, strict=True):
        copy.copy_(tensor)
    return [
        tuple(moved.get(id(part), part) for part in one)
        if isinstance(one, tuple)
        else {name: moved.get(id(part), part) for name, part in one.items()}
        for one in batch
    ]


def _values(element: Value) -> Iterable[Any]:
    return element if isinstance(element, tuple) else element.values()


def _movable(part: Any) -> bool:
    if type(part) is not torch.Tensor or part.is_nested or part.is_quantized:
        return False
    plain = part.is_cpu and part.layout == torch.strided and not part.requires_grad
    return plain and part.numel() > 0


def _like(tensor: torch.Tensor) -> shared.Form:
    """Return the form of a tensor without gaps, in the order of its memory."""
    return shared.Form(
        tensor.dtype, tuple(tensor.shape), torch.empty_like(tensor, device="meta").stride()
    )


def _empty(forms: Sequence[shared.Form]) -> list[torch.Tensor]:
    """Return new tensors; in a worker, where the trainer sees them, so that none is copied."""
    if get_worker_info():
        return shared.empty(forms)
    return [torch.empty_strided(one.shape, one.stride, dtype=one.dtype) for one in forms]


def _fill(name: Any, row: Mapping[Any, Any], ignore: int | None) -> int:
    """Return what a plane is padded with; raise PlanError for a value that it cannot hold."""
    if name == PANOPTIC and "label_divisor" not in row:
        raise PlanError("collate: found panoptic maps without label_divisor, which void is made of")
    if name == PANOPTIC:
        return (255 if ignore is None else ignore) * int(row["label_divisor"])
    return _padding(row[name], ignore) if name in ("label", 1) else 0


def _padding(label: torch.Tensor, ignore: int | None) -> int:
    """Return the padding of labels; raise PlanError for a value that their type cannot hold."""
    fill = ignore
    if fill is None:
        fill = 255 if label.dtype == torch.uint8 else 65535
    if label.dtype == torch.uint8 and not 0 <= fill < 256:
        raise PlanError(f"collate: found labels of 8 bits to pad with {fill}, expected 0 to 255")
    return fill


def _form(planes: Sequence[torch.Tensor], name: Any) -> shared.Form:
    """Return the form of a batch of planes, each padded to the largest height and width."""
    kinds = {(plane.dtype, plane.shape[:-2]) for plane in planes}
    if len(kinds) > 1:
        raise PlanError(f"collate: found {name} of {sorted(map(str, kinds))}, expected one kind")
    ((dtype, front),) = kinds
    height, width = (max(plane.shape[axis] for plane in planes) for axis in (-2, -1))
    shape = (len(planes), *front, height, width)
    last = len(front) == 1 and planes[0].stride(-3) == 1
    form = torch.channels_last if last else torch.contiguous_format
    strides = torch.empty(shape, dtype=dtype, memory_format=form, device="meta").stride()
    return shared.Form(dtype, shape, strides)


def _stack(planes: Sequence[torch.Tensor], fill: int, out: torch.Tensor) -> torch.Tensor:
    """Copy each plane once, to its place in the batch."""
    plain = all(one.dtype in _PLAIN and one.is_cpu and not one.requires_grad for one in planes)
    # torch divides each copy among threads, which wait for those that decode: 8 times as long.
    parts: Any = out.numpy() if plain else out
    for one, plane in zip(parts, (x.numpy() if plain else x for x in planes), strict=True):
        h, w = plane.shape[-2:]
        one[..., :h, :w] = plane
        one[..., h:, :] = fill
        one[..., :h, w:] = fill
    return out
