"""Texts of the page have the contrast that WCAG AA asks of small texts, in light and in dark."""

import importlib.resources
import re

import pytest

from dsbuild.inspect import html

LEAST = 4.5  # WCAG 2.2, 1.4.3
TEXTS = ("text", "soft", "accent", "bad", "warn", "good")
STRONGEST = 0.75  # opacity of the heat behind a number, in page.css


def _colour(word):
    digits = word.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    return [int(digits[i : i + 2], 16) for i in (0, 2, 4)]


def _schemes():
    """Return scheme -> name -> RGB, from the variables of the style sheet."""
    css = importlib.resources.files(html).joinpath("page.css").read_text()
    found, blocks = {}, re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    for scheme, block in zip(("light", "dark"), blocks, strict=True):
        values = dict(re.findall(r"--([\w-]+): ([^;]+);", block))
        made = {name: _colour(value) for name, value in values.items() if value.startswith("#")}
        found[scheme] = made | {"heat": [int(word) for word in values["heat"].split()]}
    return found


def _luminance(colour):
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (value / 255 for value in colour)
    ]
    return sum(a * b for a, b in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    """Return the contrast of two colours, from 1 to 21."""
    dark, light = sorted(map(_luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def test_black_on_white_is_the_most():
    assert contrast([0, 0, 0], [255, 255, 255]) == pytest.approx(21)
    assert contrast(_colour("#777"), _colour("#fff")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("back", ["back", "card"])
@pytest.mark.parametrize("text", TEXTS)
def test_texts_can_be_read(scheme, back, text):
    colours = _schemes()[scheme]
    assert contrast(colours[text], colours[back]) >= LEAST


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_on_the_strongest_heat_can_be_read(scheme):
    colours = _schemes()[scheme]
    mixed = [
        STRONGEST * heat + (1 - STRONGEST) * card
        for heat, card in zip(colours["heat"], colours["card"], strict=True)
    ]
    assert contrast(colours["text"], mixed) >= LEAST
