"""JSON documents that are read back: parsed within bounds, and held against a form.

Files of a folder come from disks, stores and strangers: whatever they hold, reading them ends
in a value or in a ValueError, soon and in little memory.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Form = Any  # a type, a union of types, a predicate, or forms in a list, a tuple or a dictionary

DEEPEST = 64  # lists and dictionaries within each other
LARGEST = 1 << 30  # bytes of a document
_FAR = 1 << 63  # no number of ours is larger: they fit int64
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKETS = b"[]{}"
_OTHERS = bytes(set(range(256)) - set(_BRACKETS))


def parse(text: bytes) -> Any:
    """Return a JSON document; raise ValueError for one that is damaged or out of bounds.

    It is UTF-8, nested `DEEPEST` deep at most, has no key twice, and no number that is
    not finite or does not fit 64 bits.
    """
    if len(text) > LARGEST:
        raise ValueError(f"{len(text):,} bytes, expected {LARGEST:,} at most")
    if _is_deep(text):
        raise ValueError(f"lists nested more than {DEEPEST} deep")
    try:
        return json.loads(
            text.decode(),
            object_pairs_hook=_once,
            parse_int=_integer,
            parse_float=_finite,
            parse_constant=_finite,
        )
    except RecursionError as error:  # no closing brackets, so not seen as deep
        raise ValueError(f"lists nested more than {DEEPEST} deep") from error


def _is_deep(text: bytes) -> bool:
    """Tell whether lists and dictionaries nest too deep, without any recursion."""
    if text.count(b"[") + text.count(b"{") <= DEEPEST:
        return False
    brackets = _STRING.sub(b"", text).translate(None, _OTHERS)
    for _ in range(DEEPEST):  # each turn takes the innermost ones away
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return bool(brackets)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice")
    return found


def _integer(text: str) -> int:
    if len(text) > 20 or not -_FAR <= (number := int(text)) < _FAR:
        raise ValueError(f"the number {text[:20]}..., which does not fit 64 bits")
    return number


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]}, which is no finite number")
    return number


def normal(value: Any) -> Any:
    """Return a value as it comes back from JSON: tuples are lists, keys are text."""
    if isinstance(value, Mapping):
        return {str(key): normal(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [normal(item) for item in value]
    return value


def fits(document: Any, form: Form) -> bool:
    """Tell whether a parsed JSON document has a form.

    A type, or a union of types, stands for a value of it (True is no number), a function for
    what it says yes to; `[form]` for a list of any length, a tuple of forms for a list of that
    length; a dictionary for one with these keys and maybe others; a key that ends in `?` may
    lack.

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
    if isinstance(form, Callable) and not isinstance(form, type):
        return form(document)
    return isinstance(document, form) and (form is bool or not isinstance(document, bool))


def fits_values(document: Any, form: Form) -> bool:
    """Tell whether a document is a dictionary whose values all have a form."""
    return isinstance(document, dict) and all(fits(value, form) for value in document.values())


def is_count(value: Any) -> bool:
    """Tell whether a value counts something: an integer from 0 on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_name(value: Any) -> bool:
    """Tell whether a value is text that can be shown and stored: no lone surrogates."""
    return isinstance(value, str) and not any("\ud800" <= char <= "\udfff" for char in value)


def is_digest(value: Any) -> bool:
    """Tell whether a value is a sha256 in hexadecimal."""
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None
