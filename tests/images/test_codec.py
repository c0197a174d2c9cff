import io
import random
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dsbuild import images
from dsbuild.errors import ImageError
from dsbuild.images import mattes, png
from tests.support import fakes
from tests.support.pictures import (
    PHOTO,
    PLANE,
    RNG,
    admitted,
    by_tensorflow,
    full_decode,
    headed,
    jpeg_with_frame,
    raw_png,
    save,
)

# headers


@pytest.mark.parametrize(
    ("image", "kind", "options", "expected"),
    [
        (PHOTO, "JPEG", {}, ("jpeg", 70, 90, 3, 8, "rgb", "baseline")),
        (PHOTO, "JPEG", {"progressive": True}, ("jpeg", 70, 90, 3, 8, "rgb", "progressive")),
        (PHOTO.convert("L"), "JPEG", {}, ("jpeg", 70, 90, 1, 8, "grey", "baseline")),
        (PHOTO.convert("CMYK"), "JPEG", {}, ("jpeg", 70, 90, 4, 8, "cmyk", "baseline")),
        (PHOTO, "PNG", {}, ("png", 70, 90, 3, 8, "rgb", "deflate")),
        (PHOTO.convert("RGBA"), "PNG", {}, ("png", 70, 90, 4, 8, "rgba", "deflate")),
        (PHOTO.convert("LA"), "PNG", {}, ("png", 70, 90, 2, 8, "grey+alpha", "deflate")),
        (PHOTO.convert("1"), "PNG", {}, ("png", 70, 90, 1, 1, "grey", "deflate")),
        (PHOTO.convert("P"), "PNG", {}, ("png", 70, 90, 3, 8, "palette", "deflate")),
        (PHOTO.convert("I;16"), "PNG", {}, ("png", 70, 90, 1, 16, "grey", "deflate")),
    ],
)
def test_header(image, kind, options, expected):
    head = images.header(save(image, kind, **options))
    found = (
        head.format,
        head.height,
        head.width,
        head.channels,
        head.bits,
        head.model,
        head.coding,
    )
    assert found == expected
    assert (head.orientation, head.frames, head.interlaced) == (1, 1, False)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    head = images.header(save(PHOTO, kind, exif=exif))
    assert head.orientation == orientation
    assert (head.height, head.width) == (70, 90)


def test_a_damaged_exif_block_has_no_orientation():
    data = save(PHOTO, "JPEG")
    for block in (
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff",
    ):
        segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
        assert images.header(data[:2] + segment + data[2:]).orientation == 1


def with_chunk(data, kind, body):
    """Insert a chunk after a PNG's header."""
    return data[:33] + png.chunk(kind, body) + data[33:]


def without_adler(data):
    """Cut the last four bytes, the checksum, off a PNG's compressed pixels."""
    out = [png.SIGNATURE]
    for kind, body, _ in png.chunks(data):
        out.append(png.chunk(kind, body[:-4] if kind == b"IDAT" else body))
    return b"".join(out)


@pytest.mark.heavy
@pytest.mark.parametrize(
    "data",
    [
        with_chunk(save(PHOTO), b"ABCD", b"x"),
        with_chunk(save(PHOTO.convert("P")), b"PLTE", bytes(4)),
        without_adler(save(PHOTO)),
        without_adler(save(PHOTO.convert("P"))),
    ],
)
def test_pngs_that_pillow_loads_and_tensorflow_refuses(data):
    import tensorflow as tf

    assert admitted(data) is None
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.io.decode_png(data, channels=3)


@pytest.mark.heavy
def test_a_baseline_scan_holds_all_coefficients_whatever_it_says():
    data = bytearray(save(PHOTO, "JPEG"))
    at = data.index(b"\xff\xda")
    data[at + 12] = 0  # Se
    np.testing.assert_array_equal(admitted(bytes(data)), by_tensorflow(bytes(data)))


def test_an_animated_png_counts_its_frames():
    data = save(PHOTO, save_all=True, append_images=[PHOTO.rotate(5)])
    head = images.header(data)
    assert head.frames == 2
    assert "animated PNG with 2 frames" in images.refusal(head)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "an empty file"),
        (b"GIF89a....", "a GIF"),
        (b"<html>", "error page"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"\0\5\x16\7\0\2\0\0", "AppleDouble"),
        (b"abcdefghijk", "61 62 63"),
        (b"\xff\xd8\xff\xd9", "without a frame header"),
        (b"\xff\xd8\xff", "no end-of-image"),
        (png.SIGNATURE, "truncated PNG"),
        (png.SIGNATURE + png.chunk(b"IEND", b""), "does not start with a header chunk"),
    ],
)
def test_other_bytes_are_named(data, found):
    with pytest.raises(ImageError, match=found):
        images.header(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (jpeg_with_frame(bits=12), "12 bits"),
        (jpeg_with_frame(marker=0xC9), "arithmetic"),
        (jpeg_with_frame(marker=0xC3), "lossless"),
        (jpeg_with_frame(height=65500, width=65500), "decompression bomb"),
        (jpeg_with_frame(height=0), "90 x 0 pixels"),
        (save(PHOTO.convert("CMYK"), "JPEG"), "CMYK"),
        (save(PHOTO.convert("I;16")), "16 bits"),
    ],
)
def test_refusals(data, reason):
    assert reason in images.refusal(images.header(data))
    with pytest.raises(ImageError, match=reason):
        images.check(data, images.header(data))


def test_a_png_bomb_is_refused_by_its_header():
    data = bytearray(raw_png(PLANE, 8, 0))
    data[16:33] = struct.pack(">II", 30000, 30000) + data[24:33]
    header = bytes(data[12:29])
    data[29:33] = struct.pack(">I", zlib.crc32(header))
    assert "decompression bomb" in images.refusal(images.header(bytes(data)))


# decoding


@pytest.mark.heavy
@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA"]),
    st.sampled_from([("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True, "subsampling": 0})]),
    st.integers(0, 2**32),
)
def test_pixels_equal_tensorflow(width, height, mode, form, seed):
    kind, options = form
    image = fakes.photo(np.random.default_rng(seed), width, height).convert(mode)
    if kind == "JPEG" and mode in ("LA", "P", "RGBA"):
        image = image.convert("RGB")
    data = save(image, kind, **options)
    np.testing.assert_array_equal(admitted(data), by_tensorflow(data))


def damage(data, rng):
    """Return data damaged in one of the ways in which files get damaged."""
    data = bytearray(data)
    at = rng.randrange(2, len(data))
    match rng.randrange(6):
        case 0:
            data[at] ^= 1 << rng.randrange(8)
        case 1:
            del data[at:]
        case 2:
            del data[at : at + rng.randrange(1, 99)]
        case 3:
            data[at : at + 32] = bytes(len(data[at : at + 32]))
        case 4:
            data[at:at] = data[at : at + 99]
        case 5:
            del data[-rng.randrange(1, 6) :]
    return bytes(data)


CORPUS = [
    save(PHOTO, "JPEG", quality=90),
    save(PHOTO, "JPEG", progressive=True),
    save(PHOTO, "JPEG", restart_marker_blocks=2),
    save(PHOTO.convert("L"), "JPEG"),
    save(PHOTO, "PNG"),
    save(PHOTO.convert("P"), "PNG"),
    raw_png(PLANE, 4, 0, interlaced=True),
]


@pytest.mark.heavy
def test_what_is_admitted_decodes_in_tensorflow_to_the_same_pixels():
    rng = random.Random(3)
    count = 0
    for _ in range(1500):
        data = damage(rng.choice(CORPUS), rng)
        pixels = admitted(data)
        if pixels is not None:
            count += 1
            np.testing.assert_array_equal(pixels, by_tensorflow(data))
    assert count > 200  # others have damage that no decoder sees, such as in a quantisation table


def test_the_check_at_one_eighth_notices_what_a_full_decode_notices():
    rng = random.Random(4)
    noticed = 0
    for _ in range(3000):
        data = damage(rng.choice(CORPUS[:4]), rng)
        try:
            images.check(data, images.header(data))
        except ImageError:
            noticed += 1
            continue
        assert full_decode(data)
    assert noticed > 500


def test_checking_and_decoding_have_the_same_verdict():
    """Admission does not depend on whether an extra or a shrunk image needs the pixels."""
    rng = random.Random(5)
    refused = 0
    for data, head in headed(damage(rng.choice(CORPUS), rng) for _ in range(1500)):
        found = set()
        for way in (
            images.check,
            images.own,
            lambda *image: images.decode(*image, strict=True),
        ):
            try:
                way(data, head)
                found.add(True)
            except ImageError:
                found.add(False)
        assert len(found) == 1
        refused += found == {False}
    assert refused > 20


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_repeated_scan_is_refused(options):
    """OpenCV uses the first scan of a baseline JPEG; TensorFlow refuses the file."""
    data = save(PHOTO, "JPEG", **options)
    at = data.index(b"\xff\xda")
    end = images.jpeg._AFTER_SCAN.search(data, at + 14).start()
    with pytest.raises(ImageError, match="its scans contradict one another"):
        images.header(data[:end] + data[at:end] + data[end:])


def test_a_truncated_image_is_refused_at_every_length():
    for data in CORPUS:
        for end in range(2, len(data), max(1, len(data) // 200)):
            assert admitted(data[:end]) is None


# labels


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("colour", [0, 3])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_plane(bits, colour, interlaced):
    plane = PLANE & ((1 << bits) - 1)
    palette = list(range(3 * (1 << bits))) if bits < 8 else list(range(256)) * 3
    data = raw_png(plane, bits, colour, interlaced, palette=palette if colour == 3 else None)
    found = images.plane(data)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, plane)


@pytest.mark.parametrize("filters", [0, 2])
def test_plane_with_and_without_row_filters(filters):
    np.testing.assert_array_equal(images.plane(raw_png(PLANE, 8, 0, filters=filters)), PLANE)


@pytest.mark.heavy
def test_a_palette_is_dropped_losslessly():
    import tensorflow as tf

    colours = fakes.with_palette(Image.fromarray(PLANE))
    data = save(colours, transparency=0, bits=8, icc_profile=b"of RGB")
    assert b"iCCP" in data
    assert b"PLTE" in data
    assert b"tRNS" in data
    head = images.header(data)
    grey = images.grey(data, head)
    assert b"PLTE" not in grey
    assert b"tRNS" not in grey
    assert b"iCCP" not in grey
    assert images.header(grey).model == "grey"
    np.testing.assert_array_equal(tf.io.decode_png(grey, channels=1).numpy()[..., 0], PLANE)
    np.testing.assert_array_equal(images.plane(grey), PLANE)
    compressed = [body for kind, body, _ in png.chunks(data) if kind == b"IDAT"]
    assert compressed == [body for kind, body, _ in png.chunks(grey) if kind == b"IDAT"]


def test_a_grey_label_is_kept_byte_for_byte():
    data = save(Image.fromarray(PLANE))
    assert images.grey(data, images.header(data)) is data


def test_fewer_bits_are_never_kept_as_they_are():
    for colour, palette in ((0, None), (3, list(range(48)))):
        data = raw_png(PLANE, 4, colour, palette=palette)
        assert images.grey(data, images.header(data)) is None


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (save(PHOTO), "RGB label"),
        (save(PHOTO.convert("RGBA")), "RGBA label"),
        (save(PHOTO.convert("L"), "JPEG"), "JPEG label"),
        (save(Image.new("I;16", (4, 3)), "TIFF"), "a TIFF as label"),
        (raw_png(PLANE, 8, 0)[:-20], "truncated"),
        (raw_png(PLANE[:-2], 8, 0).replace(b"\0\0\0\x0b", b"\0\0\0\x0d", 1), "checksum"),
    ],
)
def test_other_files_are_not_labels(data, found):
    with pytest.raises(ImageError, match=found):
        images.plane(data)


def test_a_label_with_missing_rows_is_truncated():
    short = raw_png(PLANE[:-1], 8, 0)
    header = png.chunk(b"IHDR", struct.pack(">IIBBBBB", 17, 13, 8, 0, 0, 0, 0))
    with pytest.raises(ImageError, match=r"inflate to 216 bytes, expected 234"):
        images.plane(short[:8] + header + short[33:])


@pytest.mark.heavy
def test_written_pngs_read_back():
    import tensorflow as tf

    for pixels in (PLANE, RNG.integers(0, 65536, (9, 7), np.uint16)):
        data = images.encode(pixels)
        found = tf.io.decode_png(data, channels=1, dtype=pixels.dtype).numpy()
        np.testing.assert_array_equal(found[..., 0], pixels)
        np.testing.assert_array_equal(images.plane(data), pixels)
        assert images.plane(data).dtype == pixels.dtype


@pytest.mark.parametrize(
    "plane",
    [
        PLANE % 5 * 63,
        np.repeat(PLANE * 15, 40, axis=1),
        np.full((40, 30), 255, np.uint8),
        np.zeros((1, 1), np.uint8),
        np.arange(256, dtype=np.uint8)[None],
        np.repeat(PLANE, 99, axis=0)[:, 1:-1],
    ],
)
def test_histogram(plane):
    values, counts = np.unique(plane, return_counts=True)
    assert images.histogram(plane) == dict(zip(values.tolist(), counts.tolist(), strict=True))


# real files


@pytest.mark.heavy
@pytest.mark.shared
def test_odd_files(shared):
    """Every accepted file decodes in TensorFlow to the same pixels; all others have a reason."""
    import tensorflow as tf

    accepted = 0
    for path in sorted(p for p in (shared / "odd").glob("*/*") if p.is_file()):
        data = path.read_bytes()
        try:
            head = images.header(data)
            images.check(data, head)
            pixels = images.decode(data, head)
        except ImageError as error:
            assert "found" in str(error), path
            continue
        np.testing.assert_array_equal(pixels, by_tensorflow(data), str(path))
        assert tf.io.decode_image(data).shape[-1] == head.channels, path
        accepted += 1
    assert accepted == 89


@pytest.mark.shared
def test_palette_masks_equal_deeplab(shared):
    raw = shared / "oracle" / "voc_deeplab" / "SegmentationClassRaw"
    masks = sorted((shared / "voc/VOCdevkit/VOC2012/SegmentationClass").iterdir())
    assert len(masks) == 48
    for path in masks:
        data = path.read_bytes()
        grey = images.grey(data, images.header(data))
        expected = np.asarray(Image.open(raw / path.name))
        np.testing.assert_array_equal(images.plane(data), expected)
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(grey))), expected)


def test_mattes_have_8_bits():
    with pytest.raises(ImageError, match="16 bits per channel, expected"):
        mattes.alpha(save(Image.new("I;16", (4, 3))))


@pytest.mark.parametrize("read", [images.plane, mattes.alpha])
@pytest.mark.parametrize(
    ("data", "found"),
    [
        (save(Image.new("RGB", (4, 3)), "WEBP"), "a WebP as label, expected a PNG; save it"),
        (save(Image.new("L", (4, 3)), "TIFF"), "a TIFF as label, .* --unreadable reencode"),
        (save(Image.new("L", (4, 3)), "BMP"), "a BMP as label, .* --unreadable reencode"),
    ],
)
def test_reencoding_is_suggested_only_where_it_helps(read, data, found):
    """--unreadable reencode converts all images, but only lossless labels."""
    with pytest.raises(ImageError, match=found) as raised:
        read(data)
    assert ("--unreadable" in str(raised.value)) == ("--unreadable" in found)


@pytest.mark.heavy
def test_a_marker_in_the_pixels_of_a_jpeg_that_leads_past_its_end():
    """TensorFlow follows the marker and refuses the file; Pillow has all rows by then."""
    import tensorflow as tf

    data = save(PHOTO.crop((0, 0, 16, 1)), "JPEG")
    assert by_tensorflow(data).shape == (1, 16, 3)
    start = data.index(b"\xff\xda") + 20
    damaged = data[:start] + b"\xff\xe2\x55\x55" + data[start:]
    with pytest.raises(ImageError, match=r"segment FFE2 at byte \d+ ends past the file"):
        images.header(damaged)
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.io.decode_jpeg(damaged)


@pytest.mark.parametrize("rare", [0, 5, 255])
@pytest.mark.parametrize("at", [1, 60, 61, 62, -1])
def test_a_value_of_one_pixel_is_counted(rare, at):
    plane = np.full((40, 50), 7, np.uint8)
    plane[:, 20:30] = 9
    plane.reshape(-1)[at] = rare
    values, counts = np.unique(plane, return_counts=True)
    found = images.histogram(plane)
    assert list(found.items()) == list(zip(values.tolist(), counts.tolist(), strict=True))
