"""Make text from others harmless: as a file name, as a path, on a terminal.

Keys, classes, features and file names in a data set can be anything. Here they lose whatever would
lead out of a folder, move a cursor, or reverse a line of text.
"""

import re
import unicodedata

_LONGEST = 180  # bytes of a name; systems allow 255, and this leaves room for endings
_DEEPEST = 900  # bytes of a path in an archive; longer ones become one name
# Names that mean a device on Windows, with any ending.
_PORTS = {f"{port}{i}" for port in ("com", "lpt") for i in range(10)}
_DEVICES = {"aux", "con", "nul", "prn", *_PORTS}
_ODD = re.compile(r'[%/\\:*?"<>|]')  # some system forbids these in names
_JOINERS = "\u200c\u200d"  # several scripts and emoji need these
_LINE = 4000  # characters of a line that is printed


def stem(key: str) -> str:
    """Return a file-name stem for a key; distinct keys give distinct stems.

    Characters that some system forbids in names, or does not show, are escaped as in a URL. A key
    that is too long for a name keeps its beginning, followed by a part of its sha256.

    >>> stem("a/b"), stem("a-b"), stem("..")
    ('a%2Fb', 'a-b', '%2E%2E')
    """
    name = key
    if not key.isprintable() or _ODD.search(key):
        name = "".join(_percent(c) if _ODD.match(c) or _unseen(c) else c for c in key)
    if not name.strip("."):
        name = "%2E" * len(name) or "%"
    elif name[-1] in ". ":
        name = name[:-1] + _percent(name[-1])  # Windows drops it
    if name.partition(".")[0].rstrip().casefold() in _DEVICES:
        name = _percent(name[0]) + name[1:]
    data = name.encode()
    if len(data) <= _LONGEST:
        return name
    import hashlib  # here, since OpenSSL loads slowly and few keys are so long

    # In all other names a % is followed by digits, or by U and digits.
    return f"{data[:_LONGEST].decode(errors='ignore')}%~{hashlib.sha256(data).hexdigest()[:16]}"


def path(key: str) -> str:
    """Return a relative path for a key that never leads out of its folder; distinct for each key.

    Slashes between two names remain; each name becomes its `stem`.

    >>> path("town/a"), path("/etc/passwd"), path("a/../../b")
    ('town/a', '%2Fetc/passwd', 'a/%2E%2E/%2E%2E/b')
    """
    whole = "/".join(map(stem, re.split("(?<=[^/])/(?=[^/])", key)))
    return whole if len(whole.encode()) <= _DEEPEST else stem(key)


def text(words: str, most: int = _LINE) -> str:
    r"""Return text as one line to print, with invisible characters escaped as in Python.

    Text longer than `most` characters is cut, and says so. Applying it twice changes nothing.

    >>> print(text("red\x1b[31m\nrum"))
    red\x1b[31m\nrum
    """
    line = _line(words[: most + 1])
    if len(line) <= most:
        return line
    end = f"... (cut; {len(words):,} characters)"
    return line[: max(most - len(end), 0)] + end


def lines(words: str) -> str:
    """Return text with several lines to print, each escaped as by `text` but never cut."""
    return "\n".join(map(_line, words.split("\n")))


def _line(words: str) -> str:
    if words.isprintable():
        return words
    return "".join(_escaped(c) if _unseen(c) else c for c in words)


def _unseen(char: str) -> bool:
    """Tell whether a character is a control or not text, such as bidi marks, lone surrogates."""
    return not char.isprintable() and char not in _JOINERS and unicodedata.category(char) != "Zs"


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def _percent(char: str) -> str:
    number = ord(char)
    return f"%{number:02X}" if number < 256 else f"%U{number:06X}"
