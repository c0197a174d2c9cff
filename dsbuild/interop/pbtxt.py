"""schema.pbtxt: the schema in protobuf's text format, as TFX and TFDV read it.

Source: protobuf.dev, Text Format; tensorflow_metadata/proto/v0/schema.proto.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dsbuild.format.manifest import dump
from dsbuild.format.schema import Schema

NAME = "schema.pbtxt"
# JSON writes enums and 64-bit integers as strings; all other strings are text.
_BARE = {"type", "minCount", "min", "max", "size"}


def files(schema: Schema) -> dict[str, bytes]:
    """Return schema.pbtxt for a schema."""
    return {NAME: "".join(f"{line}\n" for line in _message(schema.json)).encode()}


def _message(message: Mapping[str, Any]) -> Iterator[str]:
    for name, value in message.items():
        snake = re.sub("[A-Z]", lambda found: "_" + found[0].lower(), name)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, Mapping):
                yield f"{snake} {{"
                yield from (f"  {line}" for line in _message(one))
                yield "}"
            elif isinstance(one, str) and name not in _BARE:
                # Not by dump: JSON escapes other characters by code unit, protobuf by byte.
                yield f"{snake}: {_quoted(one)}"
            else:
                yield f"{snake}: {one if isinstance(one, str) else dump(one)}"


def _quoted(text: str) -> str:
    """Return text in quotes, with an octal escape for each byte that is not printable ASCII."""
    plain = (chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:03o}" for b in text.encode())
    return f'"{"".join(plain)}"'
