"""Texts that others wrote, made harmless: as names of files, as paths, on a terminal.

Keys, classes, features and file names of a data set are whatever somebody put there. Here
they lose what would lead out of a folder, move a cursor, or turn a line of text around.
"""

import re
import unicodedata

_LONGEST = 180  # bytes of a name, of which systems take 255, with room for endings
_DEEPEST = 900  # bytes of a path in an archive; longer ones become one name
# What Windows takes for a device, with any ending.
_PORTS = {f"{port}{i}" for port in ("com", "lpt") for i in range(10)}
_DEVICES = {"aux", "con", "nul", "prn", *_PORTS}
_JOINERS = "\u200c\u200d"  # which several scripts and emoji are written with
_LINE = 4000  # characters of a line that is printed


def stem(key: str) -> str:
    """Return a key as the beginning of a file's name, another one for every key.

    What some system takes in no name, or does not show, is written as in a URL; of a key too
    long for a name its beginning and a part of its sha256 stay.

    >>> stem("a/b"), stem("a-b"), stem("..")
    ('a%2Fb', 'a-b', '%2E%2E')
    """
    name = "".join(_percent(c) if c in '%/\\:*?"<>|' or _unseen(c) else c for c in key)
    if not name.strip("."):
        name = "%2E" * len(name) or "%"
    elif name[-1] in ". ":
        name = name[:-1] + _percent(name[-1])  # Windows drops it
    if name.partition(".")[0].rstrip().casefold() in _DEVICES:
        name = _percent(name[0]) + name[1:]
    data = name.encode()
    if len(data) <= _LONGEST:
        return name
    import hashlib  # here, since OpenSSL is slow to load and few keys are as long

    # A % is followed by digits, or a U and digits, in all other names.
    return f"{data[:_LONGEST].decode(errors='ignore')}%~{hashlib.sha256(data).hexdigest()[:16]}"


def path(key: str) -> str:
    """Return a key as a path that stays where it is put, another one for every key.

    Its slashes stay where they stand between two names; each name is one of `stem`.

    >>> path("town/a"), path("/etc/passwd"), path("a/../../b")
    ('town/a', '%2Fetc/passwd', 'a/%2E%2E/%2E%2E/b')
    """
    whole = "/".join(map(stem, re.split("(?<=[^/])/(?=[^/])", key)))
    return whole if len(whole.encode()) <= _DEEPEST else stem(key)


def text(words: str, most: int = _LINE) -> str:
    r"""Return text as one line to print: what is not seen is written as Python escapes it.

    A longer one than `most` characters is cut, and says so. To do so twice changes nothing.

    >>> print(text("red\x1b[31m\nrum"))
    red\x1b[31m\nrum
    """
    line = _line(words[: most + 1])
    if len(line) <= most:
        return line
    end = f"... (cut; {len(words):,} characters)"
    return line[: max(most - len(end), 0)] + end


def lines(words: str) -> str:
    """Return text of several lines to print, each as `text` has it, none cut."""
    return "\n".join(map(_line, words.split("\n")))


def _line(words: str) -> str:
    if words.isprintable():
        return words
    return "".join(_escaped(c) if _unseen(c) else c for c in words)


def _unseen(char: str) -> bool:
    """Tell whether a character controls something, or is no text: bidi and lone surrogates, too."""
    return not char.isprintable() and char not in _JOINERS and unicodedata.category(char) != "Zs"


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def _percent(char: str) -> str:
    number = ord(char)
    return f"%{number:02X}" if number < 256 else f"%U{number:06X}"
