"""Draw a square table of shares: shaded cells, with names beside and above them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Stamp = tuple[tuple[int, int, int], tuple[int, int], Image.Image]  # ink, place and mask

_LONGEST = 28  # characters of a name
# The square root of a share picks the shade, so that small shares show. ColorBrewer's Blues.
_SHADES = ((255, 255, 255), (198, 219, 239), (107, 174, 214), (33, 113, 181), (8, 48, 107))
_NOTHING = (236, 236, 236)  # for a row without shares
_GRID, _INK, _PALE = (214, 214, 214), (32, 32, 32), (110, 110, 110)
_TEXT = 13  # pixels, the height of letters in names
_NUMBERED = 30  # pixels per cell from which its share is written into it
_MARGIN = 16
_TICKS = (0, 0.01, 0.1, 0.25, 0.5, 1)


def shade(shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the colours of shares from 0 to 1: uint8 (..., 3), grey for nan."""
    at = np.sqrt(np.clip(np.nan_to_num(shares), 0, 1)) * (len(_SHADES) - 1)
    channels = [
        np.interp(at, range(len(_SHADES)), channel) for channel in zip(*_SHADES, strict=True)
    ]
    colours = np.stack(channels, -1).round().astype(np.uint8)
    return np.where(np.isnan(shares)[..., None], np.array(_NOTHING, np.uint8), colours)


def picture(
    shares: NDArray[np.float64], names: Sequence[str], rows: str, columns: str
) -> NDArray[np.uint8]:
    """Draw a table of shares, float (c, c) from 0 to 1 or nan: uint8 (h, w, 3).

    `names` are those of the c rows and columns; `rows` and `columns` are the titles of both.
    With more classes cells shrink while names stay readable; shares are written if they fit.
    """
    count = len(names)
    side = max(min(720 // count, 56), _TEXT + 2)
    numbered = side >= _NUMBERED
    font = ImageFont.load_default(_TEXT)
    texts = [f"{i}  {_short(name)}" for i, name in enumerate(names)]
    room = max(int(font.getlength(text)) for text in (*texts, rows)) + 8
    left, top = _MARGIN + room, 2 * _MARGIN + room + _TEXT
    # At least as wide as the scale below and the title above.
    wide = max(side * count, 320, int(font.getlength(columns)) + 8)
    image = Image.new("RGB", (left + wide + _MARGIN, top + side * count + 90), (255, 255, 255))
    pen = ImageDraw.Draw(image)
    cells = Image.fromarray(np.ascontiguousarray(shade(shares)))
    image.paste(cells.resize((side * count, side * count), Image.Resampling.NEAREST), (left, top))
    for i in range(count + 1):
        pen.line((left, top + i * side, left + count * side, top + i * side), _GRID)
        pen.line((left + i * side, top, left + i * side, top + count * side), _GRID)
    for i, text in enumerate(texts):
        middle = i * side + side // 2
        pen.text((left - 6, top + middle), text, _INK, font, anchor="rm")
        image.paste(*_upright(text, font, (left + middle, top - 6)))
    if numbered:
        _write(pen, shares, (left, top), side)
    pen.text((left, _MARGIN), columns, _PALE, font, anchor="la")
    pen.text((left - 6, top - 6), rows, _PALE, font, anchor="rd")
    _scale(pen, (left, top + side * count + 24), font)
    return np.asarray(image)


def _short(name: str) -> str:
    """Return a name on one line, shortened if it is long."""
    name = "".join(letter if letter.isprintable() else " " for letter in name)
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "\u2026"


def _upright(text: str, font: Font, at: tuple[int, int]) -> Stamp:
    """Return ink, place and mask of text that reads upwards from `at`, the middle of its foot."""
    line = Image.new("L", (int(font.getlength(text)) + 2, _TEXT + 6), 0)
    ImageDraw.Draw(line).text((0, line.height // 2), text, 255, font, anchor="lm")
    line = line.transpose(Image.Transpose.ROTATE_90)
    return _INK, (at[0] - line.width // 2, at[1] - line.height), line


def _write(
    pen: ImageDraw.ImageDraw, shares: NDArray[np.float64], at: tuple[int, int], side: int
) -> None:
    """Write all shares above 0 into their cells, in percent."""
    font = ImageFont.load_default(min(side // 3, _TEXT))
    for (row, column), share in np.ndenumerate(shares):
        if share > 0:
            text = "<1" if share < 0.005 else f"{100 * share:.0f}"
            middle = (at[0] + column * side + side // 2, at[1] + row * side + side // 2)
            ink = (255, 255, 255) if share > 0.3 else _INK
            pen.text(middle, text, ink, font, anchor="mm")


def _scale(pen: ImageDraw.ImageDraw, at: tuple[int, int], font: Font) -> None:
    """Draw the scale: patches in the shades of some shares, with their percentages."""
    colours = shade(np.array([*_TICKS, np.nan]))
    texts = [f"{100 * tick:.0f} %" for tick in _TICKS] + ["none"]
    x, y = at
    for colour, text in zip(colours.tolist(), texts, strict=True):
        pen.rectangle((x, y, x + 40, y + 16), tuple(colour), _GRID)
        pen.text((x + 20, y + 20), text, _PALE, font, anchor="ma")
        x += 44
