"""Read the members of a JSON object from a stream: lists element by element, never all at once.

A file of all annotations of a data set has hundreds of megabytes; no more than a few of them are in
memory at a time.
"""

import codecs
import json
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn, Protocol

from dsbuild import storage
from dsbuild.errors import LayoutError

_CHUNK = 1 << 20  # bytes that are read at once
_LONGEST = 1 << 28  # characters of one element
_SPACE = " \t\r\n"
_NEAR = 16  # characters before the end of what was read in which a token may be cut


class Member(NamedTuple):
    """A value of the object, or an element of one of its lists.

    Attributes:
      key: its key in the object.
      value: the value or element; an empty list where a list begins.
      element: whether it is an element of a list.
    """

    key: str
    value: Any
    element: bool


class _File(Protocol):
    def read(self, size: int, /) -> bytes: ...


def members(path: str) -> Iterator[Member]:
    """Yield the members of the object in a JSON file; each list is first yielded as an empty one.

    Raises LayoutError if the file is not a JSON object.
    """
    with storage.reading(path) as (file, _):
        yield from _Stream(file, path).members()


class _Stream:
    """Text that is read as it is needed, and parsed from its beginning."""

    def __init__(self, file: _File, path: str) -> None:
        self._file, self._path = file, path
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self._parse = json.JSONDecoder().raw_decode
        self._text, self._at, self._before, self._ended = "", 0, 0, False

    def members(self) -> Iterator[Member]:
        if self._next() != "{":
            self._fail("found no JSON object; expected one with lists, such as images")
        self._at += 1
        while self._next() != "}":
            key = self._value()
            if not isinstance(key, str) or self._next() != ":":
                self._fail("found damaged JSON; expected a key and a colon")
            self._at += 1
            if self._next() == "[":
                yield Member(key, [], False)
                self._at += 1
                while self._next() != "]":
                    yield Member(key, self._value(), True)
                    self._comma("]")
                self._at += 1
            else:
                yield Member(key, self._value(), False)
            self._comma("}")

    def _comma(self, end: str) -> None:
        found = self._next()
        if found == ",":
            self._at += 1
            if self._next() != end:
                return
        elif found == end:
            return
        self._fail(f"found damaged JSON; expected a comma or {end}")

    def _next(self) -> str:
        """Return the next character that is no white space, without taking it."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                self._fail("found the end of the file amid JSON; it is cut off")

    def _value(self) -> Any:
        self._next()
        while True:
            try:
                value, end = self._parse(self._text, self._at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos >= len(self._text) - _NEAR
                if not cut or len(self._text) - self._at > _LONGEST or not self._more():
                    self._fail(f"found damaged JSON: {error.msg}", error.pos)
                continue
            except RecursionError:
                self._fail("found JSON that nests too deep")
            # A number may continue in what was not read yet, also after `1.` or `1e-`.
            near = len(self._text) - end < _NEAR
            taken = end - self._at
            if near and not isinstance(value, dict | list | str) and self._more():
                continue
            self._at += taken
            return value

    def _more(self) -> bool:
        """Read on, as much again as is kept; return whether there was more."""
        if self._ended:
            return False
        kept = self._text[self._at :]
        data = self._file.read(max(_CHUNK, len(kept)))
        self._ended = not data
        try:
            text = self._decode.decode(data, final=self._ended)
        except UnicodeDecodeError:
            self._fail("found bytes that are not UTF-8 text; save it as UTF-8")
        self._before += self._at
        self._text, self._at = kept + text, 0
        return bool(text) or self._more()

    def _fail(self, what: str, at: int | None = None) -> NoReturn:
        place = self._before + (self._at if at is None else at)
        raise LayoutError(f"{self._path}: {what} (at character {place:,})")
