"""One record as a sample for other formats: key, image, label, and the rest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dsbuild.errors import ShardError
from dsbuild.format import example

# First bytes of image formats -> file extensions.
_MAGIC = {
    b"\xff\xd8\xff": "jpg",
    b"\x89PNG": "png",
    b"GIF8": "gif",
    b"BM": "bmp",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"RIFF": "webp",
}


@dataclass(frozen=True)
class Keys:
    """The names on disk of the image, the key and the possible labels, the preferred ones first."""

    image: str
    key: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Sample:
    """The contents of a record; bytes are as stored.

    Attributes:
      key: that of the record; if it has none, the shard's name and the record's number.
      image: encoded bytes.
      label: an encoded mask, a class, or None.
      rest: the other features, without the folder of the image's name: text, a number, bytes,
        an array (n,), or a list of text and bytes.
    """

    key: str
    image: bytes
    label: bytes | int | None
    rest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ending(self) -> str:
        """The file extension for the image, by its bytes; empty if it is no known image."""
        return ending(self.image) or ""


def sample(data: bytes, keys: Keys, number: str) -> Sample:
    """Return a record's sample; raise ShardError if it contains no image."""
    values = example.parse(data)
    image = values.pop(keys.image, None)
    if not isinstance(image, list) or len(image) != 1 or not ending(image[0]):
        raise ShardError(
            f"found no image in {keys.image}; only records with images can be exported"
        )
    key = _key(values.pop(keys.key, None))
    label = next(
        (found for name in keys.labels if (found := _label(values, name)) is not None), None
    )
    folder, slash, _ = keys.image.rpartition("/")
    rest: dict[str, Any] = {}
    for name, value in sorted(values.items()):
        short = name.removeprefix(folder + slash)
        rest[name if short != name and short in values else short] = _plain(value)
    return Sample(key or number, image[0], label, rest)


def _key(value: example.Parsed) -> str:
    """Return the text of a record's key; an empty string if it is not text."""
    try:
        return example.first(value).decode()
    except UnicodeDecodeError:
        return ""


def ending(data: bytes) -> str | None:
    """Return the file extension of an image's format, by its bytes; None if it is no image."""
    return next((name for magic, name in _MAGIC.items() if data.startswith(magic)), None)


def _label(values: dict[str, Any], name: str) -> bytes | int | None:
    """Remove a feature from a record's values and return it, if it is a label."""
    value = values.get(name)
    if isinstance(value, list) and len(value) == 1 and ending(value[0]):
        del values[name]
        mask: bytes = value[0]
        return mask
    if isinstance(value, np.ndarray) and value.dtype == np.int64 and len(value) == 1:
        return int(values.pop(name)[0])
    return None


def _plain(value: example.Parsed) -> Any:
    if value is None or len(value) == 0:
        return None
    if isinstance(value, np.ndarray):
        return value[0].item() if len(value) == 1 else value
    if len(value) > 1:
        return [_text(one) for one in value]
    return _text(value[0])


def _text(value: bytes) -> str | bytes:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return value
    return text if text.isprintable() else value
