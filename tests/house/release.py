"""Check that a tag, the version and the changelog agree, and print the notes of the release.

`python -m tests.house.release v1.2.3` is what `make release-check` and the release workflow run.
"""

import pathlib
import re
import sys

from dsbuild import __version__

CHANGELOG = pathlib.Path(__file__).parents[2] / "CHANGELOG.md"
HEADING = re.compile(r"^## (?P<version>\S+)(?: \((?P<date>\d{4}-\d{2}-\d{2})\))?$", re.MULTILINE)


def sections(text: str) -> list[tuple[str, str | None, str]]:
    """Return (version, date, notes) for each release of a changelog, newest first."""
    heads = list(HEADING.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return [
        (head["version"], head["date"], text[head.end() : end].strip())
        for head, end in zip(heads, ends, strict=True)
    ]


def notes(tag: str, version: str, text: str) -> str:
    """Return the notes of a release; raise ValueError if it cannot be released as it is."""
    if tag != f"v{version}":
        raise ValueError(f"found the tag {tag!r} for version {version}; the tag must be v{version}")
    (first, _, pending), *released = sections(text)
    if first != "Unreleased" or pending:
        raise ValueError("CHANGELOG.md must begin with an empty section Unreleased")
    newest, date, found = released[0]
    if newest != version or date is None:
        raise ValueError(f"CHANGELOG.md has no dated section {version} below Unreleased")
    return found


def main() -> None:
    """Print the notes, or end with one line that says what does not agree."""
    try:
        print(notes(sys.argv[1] if len(sys.argv) > 1 else "", __version__, CHANGELOG.read_text()))
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
