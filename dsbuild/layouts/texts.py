"""Text files that people wrote, in whatever encoding: their lines, or a line that says why not."""

import codecs

from dsbuild import storage
from dsbuild.errors import LayoutError

# The longer ones first: that of UTF-32 begins as that of UTF-16 does.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def text(path: str, escaped: bool = False) -> str:
    """Return a file's text: UTF-8, or what its byte-order mark says.

    Raises LayoutError where it is in another encoding: which one, nobody can tell. With
    `escaped` bytes that are no UTF-8 are kept, as names of files keep them.
    """
    data = storage.read_all(path)[0]
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        found = data.decode(encoding, "surrogateescape" if escaped else "strict")
    except UnicodeError as error:
        raise LayoutError(
            f"{path}: found bytes that are no text (UTF-8); save it as UTF-8"
        ) from error
    if "\0" in found:
        raise LayoutError(f"{path}: found bytes of 0, which no text has; save it as UTF-8")
    return found


def lines(path: str, escaped: bool = False) -> list[str]:
    """Return a text file's lines without blanks around them, empty ones left out."""
    return [line for _, line in numbered(path, escaped)]


def numbered(path: str, escaped: bool = False) -> list[tuple[int, str]]:
    """Return a text file's lines as `lines` does, each with its number, from 1."""
    # Lines end as Windows, Unix and old Macs end them; a name may hold any other separator.
    rows = text(path, escaped).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [(number, line.strip()) for number, line in enumerate(rows, 1) if line.strip()]
