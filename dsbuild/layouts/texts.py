"""Read the lines of text files that people wrote, in the encodings that they may have."""

import codecs

from dsbuild import storage
from dsbuild.errors import LayoutError

# UTF-32 comes first: its mark begins like that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def text(path: str, escaped: bool = False) -> str:
    """Return the text in a file: UTF-8, or the encoding of its byte-order mark.

    Raises LayoutError for any other encoding, since it cannot be known which one. With
    `escaped`, bytes that are not UTF-8 are kept, as in file names.
    """
    data = storage.read_all(path)[0]
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        decoded = data.decode(encoding, "surrogateescape" if escaped else "strict")
    except UnicodeError as error:
        raise LayoutError(
            f"{path}: found bytes that are not UTF-8 text; save it as UTF-8"
        ) from error
    if "\0" in decoded:
        raise LayoutError(f"{path}: found zero bytes, which no text has; save it as UTF-8")
    return decoded


def lines(path: str, escaped: bool = False) -> list[str]:
    """Return the lines of a text file, stripped, without empty ones."""
    return [line for _, line in numbered(path, escaped)]


def numbered(path: str, escaped: bool = False) -> list[tuple[int, str]]:
    """Return the lines of a text file as `lines` does, each with its number from 1."""
    # Lines end as on Windows, Unix and old Macs; names may contain any other separator.
    rows = text(path, escaped).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    stripped = enumerate(map(str.strip, rows), 1)
    return [(number, line) for number, line in stripped if line]
