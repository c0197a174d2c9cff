"""JSON documents: one text for each, parsed within bounds, checked against a form.

The files of a folder come from disks, stores and strangers. Whatever they hold, reading them
ends in a value or in an error, soon and in little memory.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dsbuild import storage
from dsbuild.errors import ShardError

Form = Any  # a type, a union of types, a predicate, or forms in a list, a tuple or a dictionary

DEEPEST = 64  # lists and dictionaries within each other
LARGEST = 1 << 30  # bytes of a document
_FAR = 1 << 63  # no number of ours is larger: they fit int64
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
# The digits of a text as 0, those that are 9 as 9, everything else as a space.
_DIGITS = bytes(57 if i == 57 else 48 if chr(i) in "012345678" else 32 for i in range(256))
_ZEROS = bytes.maketrans(b"9", b"0")
_NINE = re.compile(rb" 9[09]{18}")
_BRACKETS = b"[]{}"
_OTHERS = bytes(set(range(256)) - set(_BRACKETS))


def dump(document: Any, indent: int | None = None) -> str:
    """Return the one JSON text of a document: keys in their order, no needless spaces."""
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(document, indent=indent, separators=separators, ensure_ascii=True)


def parse(text: bytes) -> Any:
    """Return a JSON document; raise ValueError if it is damaged or out of bounds.

    It must be UTF-8 and nested at most `DEEPEST` deep; no key occurs twice, and every number is
    finite and fits 64 bits.
    """
    if len(text) > LARGEST:
        raise ValueError(f"{len(text):,} bytes, expected {LARGEST:,} at most")
    if _is_deep(text):
        raise ValueError(f"lists nested more than {DEEPEST} deep")
    try:
        return json.loads(
            text.decode(),
            object_pairs_hook=once,
            parse_int=_integer if _is_long(text) else None,  # a call per number is slow
            parse_float=_finite,
            parse_constant=_finite,
        )
    except RecursionError as error:  # no closing brackets, so not seen as deep
        raise ValueError(f"lists nested more than {DEEPEST} deep") from error


def parse_file(text: bytes, path: str) -> Any:
    """Return the JSON document of a file; raise ShardError naming the file if it is damaged."""
    try:
        return parse(text)
    except ValueError as error:
        raise ShardError(
            f"{path}: found damaged JSON ({error}); dsbuild repair restores what dsbuild wrote"
        ) from error


def read_bytes(path: str) -> bytes | None:
    """Return the bytes of a JSON file, or None if there is no such file.

    Raises ShardError for one too large for a document.
    """
    stamp = storage.stamp(path)
    if stamp is None:
        return None
    if stamp.size > LARGEST:
        raise ShardError(f"{path}: found {stamp.size:,} bytes, expected a JSON document")
    data = storage.read(path)[0]
    storage.hold(path, len(data), stamp)
    return data


def read(path: str) -> Any:
    """Return the JSON document of a file; raise ShardError as `parse_file` and `read_bytes` do."""
    data = read_bytes(path)
    return parse_file(storage.read(path)[0] if data is None else data, path)


def _is_deep(text: bytes) -> bool:
    """Tell whether lists and dictionaries nest too deep, without any recursion."""
    if text.count(b"[") + text.count(b"{") <= DEEPEST:
        return False
    # Without a backslash every other quote begins a string.
    rest = _STRING.sub(b"", text) if b"\\" in text else b"".join(text.split(b'"')[::2])
    brackets = rest.translate(None, _OTHERS)
    for _ in range(DEEPEST):  # each turn removes the innermost ones
        if not brackets:
            break
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return bool(brackets)


def _is_long(text: bytes) -> bool:
    """Tell whether a number may not fit 64 bits: of 20 digits or more, or of 19 from 9 on."""
    digits = text.translate(_DIGITS)
    zeros = digits.translate(_ZEROS)
    if b"0" * 19 not in zeros:
        return False
    return b"0" * 20 in zeros or bool(_NINE.search(b" " + digits))


class RepeatedKeyError(ValueError):
    """An object of JSON that has a `key` twice."""

    def __init__(self, key: str) -> None:
        super().__init__("a key twice")
        self.key = key


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; raise RepeatedKeyError if it has a key twice.

    For `json.loads(object_pairs_hook=...)`.
    """
    document = dict(pairs)
    if len(document) < len(pairs):
        keys = [key for key, _ in pairs]
        raise RepeatedKeyError(next(key for key in keys if keys.count(key) > 1))
    return document


def _integer(text: str) -> int:
    if len(text) > 20 or not -_FAR <= (number := int(text)) < _FAR:
        raise ValueError(f"the number {text[:20]}..., which does not fit 64 bits")
    return number


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]}, which is not a finite number")
    return number


def normal(value: Any) -> Any:
    """Return a value as JSON gives it back: tuples become lists, keys become text."""
    if isinstance(value, Mapping):
        return {str(key): normal(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [normal(item) for item in value]
    return value


def fits(document: Any, form: Form) -> bool:
    """Tell whether a parsed JSON document has a form.

    A type, or a union of types, matches its values (True is no number); a function matches what
    it returns True for; `[form]` matches a list of any length, a tuple of forms a list of that
    length; a dictionary matches one with at least these keys. A key ending in `?` is optional.

    >>> fits({"name": "a", "sizes": [1, 2]}, {"name": str, "sizes": [int], "label?": str})
    True
    """
    if isinstance(form, dict):
        return isinstance(document, dict) and all(
            fits(document[key.rstrip("?")], inner) if key.rstrip("?") in document else "?" in key
            for key, inner in form.items()
        )
    if isinstance(form, list):
        return isinstance(document, list) and all(fits(item, form[0]) for item in document)
    if isinstance(form, tuple):
        return (
            isinstance(document, list)
            and len(document) == len(form)
            and all(map(fits, document, form))
        )
    if callable(form) and not isinstance(form, type):
        return bool(form(document))
    return isinstance(document, form) and (form is bool or not isinstance(document, bool))


def fits_values(document: Any, form: Form) -> bool:
    """Tell whether a document is a dictionary whose values all have a form."""
    return isinstance(document, dict) and all(fits(value, form) for value in document.values())


def is_count(value: Any) -> bool:
    """Tell whether a value counts something: an integer of 0 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_name(value: Any) -> bool:
    """Tell whether a value is text that can be shown and stored: it has no lone surrogates."""
    return isinstance(value, str) and (
        value.isprintable() or not any("\ud800" <= char <= "\udfff" for char in value)
    )


def is_digest(value: Any) -> bool:
    """Tell whether a value is a sha256 in hexadecimal."""
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None
