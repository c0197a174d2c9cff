"""Images of 16 bits are read to the last bit, however a TIFF stores them."""

import dataclasses
import io
import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dsbuild import images
from dsbuild.errors import ImageError
from dsbuild.images import deep, png, tiff

RNG = np.random.default_rng(7)


def picture(bands, height=23, width=31, top=65535):
    """Draw smooth bands with noise: uint16 (h, w, bands)."""
    coarse = RNG.integers(0, top + 1, (4, 5, bands)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height)).reshape(height, width, bands)
    return (smooth + RNG.normal(0, 9, smooth.shape)).clip(0, top).astype(np.uint16)


def plain(pixels, *, order="<", light=1, planar=1, tile=None, rows=None, tags=()):
    """Return a TIFF without compression, written by hand: strips of some rows, or tiles."""
    height, width, bands = pixels.shape
    parts = [pixels] if planar == 1 else [pixels[..., i : i + 1] for i in range(bands)]
    step = (tile or rows or height, tile or width)
    pieces = []
    for part in parts:
        for top in range(0, height, step[0]):
            for left in range(0, width, step[1]):
                piece = part[top : top + step[0], left : left + step[1]]
                if tile:
                    short = [(0, tile - side) for side in piece.shape[:2]]
                    piece = np.pad(piece, [*short, (0, 0)])
                pieces.append(piece.astype(f"{order}u2").tobytes())
    found = {256: [width], 257: [height], 258: [16] * bands, 259: [1], 262: [light]}
    found |= {277: [bands], 284: [planar], 339: [1] * bands}
    found |= {322: [tile], 323: [tile]} if tile else {278: [step[0]]}
    places, sizes = (324, 325) if tile else (273, 279)
    found |= {places: [0] * len(pieces), sizes: list(map(len, pieces)), **dict(tags)}
    start = 8 + sum(4 * len(values) for values in found.values())
    offsets = np.cumsum([start, *map(len, pieces)])
    found[places] = offsets[:-1].tolist()
    lists, entries = b"", b""
    for tag, values in sorted(found.items()):
        packed = struct.pack(f"{order}{len(values)}I", *values)
        place = packed if len(values) == 1 else struct.pack(f"{order}I", 8 + len(lists))
        lists += packed
        entries += struct.pack(f"{order}HHI", tag, 4, len(values)) + place
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", offsets[-1])
    table = struct.pack(f"{order}H", len(found)) + entries + bytes(4)
    return head + lists + b"".join(pieces) + table


def read(data):
    found = deep.look(data)
    assert found is not None
    assert found.reason is None
    return deep.read(data, found)


@pytest.mark.parametrize("bands", [1, 3, 4])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("how", [{}, {"planar": 2}, {"tile": 16}, {"rows": 5}, {"light": 2}])
def test_plain_tiffs_are_read(bands, order, how):
    pixels = picture(bands)
    data = plain(pixels, order=order, **how)
    np.testing.assert_array_equal(read(data).reshape(pixels.shape), pixels)
    np.testing.assert_array_equal(
        read(plain(pixels, order=order, **{**how, "planar": 2})).reshape(pixels.shape), pixels
    )


@pytest.mark.parametrize("bands", [1, 3, 4])
@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
@pytest.mark.parametrize("predictor", [1, 2])
def test_compressed_tiffs_are_read(bands, compression, predictor):
    pixels = picture(bands, 70, 90)
    how = [cv2.IMWRITE_TIFF_COMPRESSION, compression, cv2.IMWRITE_TIFF_PREDICTOR, predictor]
    data = cv2.imencode(".tif", pixels[..., [2, 1, 0, 3][:bands]] if bands > 1 else pixels, how)[1]
    np.testing.assert_array_equal(read(data.tobytes()).reshape(pixels.shape), pixels)


@pytest.mark.parametrize("bands", [1, 3, 4])
def test_pngs_are_written_and_read(bands):
    pixels = picture(bands)
    pixels = pixels[..., 0] if bands == 1 else pixels
    data = deep.encode(pixels)
    head = images.header(data)
    assert (head.bits, head.channels) == (16, bands)
    np.testing.assert_array_equal(read(data), pixels)
    np.testing.assert_array_equal(images.own(data, head), pixels)
    np.testing.assert_array_equal(deep.pixels(data).reshape(pixels.shape), pixels)


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (plain(picture(5)), "found 5 bands of 16 bits, expected 1, 3 or 4: a PNG holds no more"),
        (plain(picture(2)), "found 2 bands of 16 bits, expected 1, 3 or 4: tools write no such"),
        (plain(picture(1), light=0), "white stored as 0"),
        (plain(picture(4), light=5), "neither grey nor RGB"),
        (plain(picture(3), tags={339: [3] * 3}), "floating-point numbers"),
        (plain(picture(3), tags={339: [2] * 3}), "signed numbers"),
        (plain(picture(3), tags={274: [6]}), "an orientation"),
        (plain(picture(3), tags={266: [2]}), "bits in reverse order"),
        (plain(picture(3), tags={258: [32] * 3}), "bands of 32 bits"),
        (plain(picture(3), tags={258: [16, 16, 8]}), "bands of 8 and 16 bits"),
        (b"II+\0" + bytes(60), "found a BigTIFF"),
        (plain(picture(3), tags={259: [7]}), "a compression with loss"),
        (plain(picture(1), tags={257: [90_000], 256: [90_000]}), "expected fewer than 178,956"),
    ],
)
def test_what_cannot_be_read_is_named(made, text):
    assert text in deep.look(made).reason


@pytest.mark.parametrize("how", [{"rows": 5}, {"tile": 16}, {"rows": 5, "planar": 2}])
@pytest.mark.parametrize("spoil", ["left out", "short", "not covered"])
def test_strips_that_are_missing_are_not_read_from_elsewhere(how, spoil):
    data = plain(picture(3), **how)
    found = tiff.read_tags(data)
    places, sizes = (324, 325) if "tile" in how else (273, 279)
    starts, counts = list(found.tags[places]), list(found.tags[sizes])
    if spoil == "left out":
        starts[1] = counts[1] = 0
    elif spoil == "short":
        counts[1] -= 2
    else:
        del starts[-3:], counts[-3:]
    spoilt = dataclasses.replace(found, tags={**found.tags, places: starts, sizes: counts})
    assert tiff.refusal(spoilt) is None
    with pytest.raises(ImageError, match="found a damaged TIFF"):
        tiff.read(spoilt)


def test_a_transparent_colour_adds_no_band():
    pixels = picture(3)
    data = deep.encode(pixels)
    start = len(png.SIGNATURE) + 25  # after the header chunk
    colour = pixels[0, 0].astype(">u2").tobytes()
    data = data[:start] + png.chunk(b"tRNS", colour) + data[start:]
    np.testing.assert_array_equal(deep.pixels(data), pixels)
    np.testing.assert_array_equal(read(data), pixels)


def test_other_images_are_not_deep():
    photo = Image.fromarray(RNG.integers(0, 256, (9, 9, 3), np.uint8))
    for form in ("PNG", "JPEG", "TIFF", "BMP"):
        made = io.BytesIO()
        photo.save(made, form)
        assert deep.look(made.getvalue()) is None
    for junk in (b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*" + bytes(20)):
        assert deep.look(junk) is None


@given(st.integers(0, 3000), st.sampled_from([0, 1, 255]))
def test_damage_is_an_image_error(place, value):
    data = bytearray(plain(picture(3), tile=16))
    data[place % len(data)] = value
    cut = bytes(data[: len(data) - place]) if value == 255 else bytes(data)
    found = deep.look(cut)
    if found is None or found.reason:
        return
    try:
        assert deep.read(cut, found).dtype == np.uint16
    except ImageError as error:
        assert str(error).startswith("found a damaged TIFF")


@given(st.integers(0, 65534), st.integers(1, 65535), st.lists(st.integers(0, 65535), min_size=1))
def test_scaling_is_rounded_once(low, span, values):
    high = min(low + span, 65535)
    found = deep.scaled(np.array([values], np.uint16), low, high)
    share = (np.array([values], np.float64).clip(low, high) - low) / (high - low) * 255
    assert found.dtype == np.uint8
    assert np.abs(found - share).max() <= 0.5 + 1e-9


def test_dark_images_are_shown_bright():
    pixels = picture(3, top=900)
    shown = deep.shown(pixels)
    assert (shown.dtype, shown.min(), shown.max()) == (np.uint8, 0, 255)
    assert deep.narrowed(pixels).max() <= 4
    assert deep.narrowed(pixels[..., :1]).shape == (23, 31, 3)
    np.testing.assert_array_equal(deep.shown(shown), shown)
    np.testing.assert_array_equal(tiff.read_tags(plain(pixels)).size, (23, 31))
