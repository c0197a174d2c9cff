"""The nearest name for one that is unknown."""

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that looks most like another, or None if none does."""
    import difflib  # here, since only an error needs it

    by_case = {one.casefold(): one for one in known}
    close = difflib.get_close_matches(name.casefold(), by_case, 1, 0.6)
    return by_case[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a message that suggests a known name, or nothing."""
    close = nearest(name, known)
    return f"; did you mean {close}?" if close else ""
