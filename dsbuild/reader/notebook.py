"""Samples as HTML for notebooks: small pictures beside their coloured masks.

The markup is bounded: a few samples, pictures of a fixed longest side, names cut to a line. Every
text is escaped, and a sample that cannot be decoded shows why.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from dsbuild.errors import DsbuildError
from dsbuild.format.folder import Folder
from dsbuild.images import colour, deep
from dsbuild.storage import safe_text

MOST = 8  # samples of a reader that are shown
_SMALL, _LARGE = 128, 256  # pixels of a picture's longer side
_CLASSES = 12  # in the legend of a sample
_NAME = 60  # characters of a key or a class name
_FIGURE = "display:inline-block;margin:0 12px 12px 0;vertical-align:top"
_SWATCH = "display:inline-block;width:.8em;height:.8em;border:1px solid #888;background:#"


def of_samples(
    about: str, samples: Sequence[Mapping[str, Any]], numbers: Sequence[int], folder: Folder
) -> str:
    """Return what a reader is, and the first of its samples that `numbers` name."""
    shown = []
    for number in numbers[:MOST]:
        try:
            shown.append(_figure(samples[number], folder, _SMALL, legend=False))
        except DsbuildError as error:  # of the record itself
            shown.append(_framed("", _unread(error)))
    left = len(numbers) - MOST
    more = f"<p>&hellip; and {left:,} more</p>" if left > 0 else ""
    return f"<div><p>{_text(about, 400)}</p>{''.join(shown)}{more}</div>"


def of_sample(sample: Mapping[str, Any], folder: Folder | None) -> str:
    """Return a sample with a legend of its classes."""
    return f"<div>{_figure(sample, folder, _LARGE, legend=True)}</div>"


def _text(words: object, most: int = _NAME) -> str:
    line = safe_text.text(str(words))
    return escape(line if len(line) <= most else f"{line[: most - 1]}\u2026")


def _figure(sample: Mapping[str, Any], folder: Folder | None, side: int, *, legend: bool) -> str:
    try:
        pictures = "".join(_pictures(sample, folder, side))
        caption = _caption(sample, folder, legend)
    except DsbuildError as error:
        pictures, caption = "", _unread(error)
    return _framed(pictures, caption)


def _framed(pictures: str, caption: str) -> str:
    return f'<figure style="{_FIGURE}">{pictures}<figcaption>{caption}</figcaption></figure>'


def _unread(error: DsbuildError) -> str:
    return f"cannot be read: {_text(error, 400)}"


def _pictures(sample: Mapping[str, Any], folder: Folder | None, side: int) -> Iterator[str]:
    image, label = sample.get("image"), sample.get("label")
    if isinstance(image, np.ndarray):
        yield _picture(colour.photo_uri(deep.shown(image), side), "image", sample)
    if isinstance(label, np.ndarray):
        yield _picture(colour.plane_uri(label, _colours(folder), side), "mask", sample)


def _picture(uri: str, what: str, sample: Mapping[str, Any]) -> str:
    alt = f"{what} of {_text(sample.get('key', ''))}"
    return f'<img src="{uri}" alt="{alt}" style="display:inline-block;margin-right:2px">'


def _caption(sample: Mapping[str, Any], folder: Folder | None, legend: bool) -> str:
    parts = [_text(sample.get("key", ""))]
    label = sample.get("label")
    if isinstance(label, int):
        parts.append(_class(label, folder))
    if legend:
        if "height" in sample and "width" in sample:
            parts.append(f"{sample['width']} &times; {sample['height']}")
        if isinstance(label, np.ndarray):
            parts += _legend(label, folder)
    return "<br>".join(parts)


def _legend(label: np.ndarray, folder: Folder | None) -> Iterator[str]:
    values = np.unique(label).tolist()
    for value in values[:_CLASSES]:
        swatch = "".join(f"{int(channel):02x}" for channel in _colours(folder)[value])
        yield f'<span style="{_SWATCH}{swatch}"></span> {_class(value, folder)}'
    if len(values) > _CLASSES:
        yield f"&hellip; and {len(values) - _CLASSES} more"


def _class(value: int, folder: Folder | None) -> str:
    if folder is not None and value == folder.ignore:
        return f"{value} (ignored)"
    name = folder.class_name(value) if folder is not None else None
    return str(value) if name is None else f"{value} {_text(name)}"


def _colours(folder: Folder | None) -> np.ndarray:
    """Return RGB by label value: the folder's palette, and VOC's for other values."""
    palette = folder.palette if folder is not None else {}
    bits = folder.bits if folder is not None else 16
    return colour.table({str(value): rgb for value, rgb in palette.items()}, bits)
