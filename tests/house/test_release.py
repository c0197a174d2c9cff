"""A release needs one version in the tag, the package and the changelog."""

import itertools
import re

import pytest

from tests.house import release

TEXT = """# Changelog

## Unreleased

## 1.2.0 (2026-11-28)

New
- Something.

## 1.1.0 (2026-11-01)

Fixed
- Something else.
"""


def test_notes_are_the_section_of_the_version():
    assert release.notes("v1.2.0", "1.2.0", TEXT) == "New\n- Something."


@pytest.mark.parametrize(
    ("tag", "version", "text", "message"),
    [
        ("", "1.2.0", TEXT, "the tag must be v1.2.0"),
        ("1.2.0", "1.2.0", TEXT, "the tag must be v1.2.0"),
        ("v1.2.0", "1.3.0", TEXT, "the tag must be v1.3.0"),
        ("v1.3.0", "1.3.0", TEXT, "no dated section 1.3.0"),
        ("v1.2.0", "1.2.0", TEXT.replace(" (2026-11-28)", ""), "no dated section 1.2.0"),
        ("v1.2.0", "1.2.0", TEXT.replace("sed\n\n##", "sed\n\n- More.\n\n##"), "empty section"),
    ],
)
def test_what_does_not_agree_is_named(tag, version, text, message):
    with pytest.raises(ValueError, match=message):
        release.notes(tag, version, text)


def number(version):
    return [int(part) for part in version.split(".")]


def test_the_changelog_is_dated_and_sorted():
    (first, date, _), *released = release.sections(release.CHANGELOG.read_text())
    assert (first, date) == ("Unreleased", None)
    assert released
    for newer, older in itertools.pairwise(released):
        assert newer[1] >= older[1]
        assert number(newer[0]) > number(older[0])
    kinds = {"New", "Changed", "Fixed"}
    for _, date, text in released:
        assert date is not None
        heads = re.findall(r"^(?:\w+)$", text, re.MULTILINE)
        assert heads
        assert set(heads) <= kinds
