"""Chunks beside the pixels of a PNG: the same verdict for every reader, and the orientation."""

import io
import json
import pathlib
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, PngImagePlugin

from dsbuild import images
from dsbuild.build.image_policy import Policy, admit
from dsbuild.errors import ImageError
from dsbuild.format import example, tfrecord
from dsbuild.images import png
from tests.support import fakes
from tests.support.pictures import (
    LONG,
    PHOTO,
    PLANE,
    by_tensorflow,
    control,
    exif_of,
    full_decode,
    save,
    with_chunks,
)

WIDTH, HEIGHT = PHOTO.size
WHOLE = (WIDTH, HEIGHT, 0, 0)
SHORT = zlib.compress(b"short")


def frame(number, data=SHORT):
    return b"fdAT", struct.pack(">I", number) + data


def verdict(data, how):
    """Return the pixels by one way to open an image, or its error message."""
    try:
        return how(data, images.header(data))
    except ImageError as error:
        return str(error)


def all_agree(data):
    """Tell whether an image is admitted, by all ways to open it or by none, with equal pixels."""
    checked, decoded, strict, own = (
        verdict(data, how)
        for how in (
            images.check,
            images.decode,
            lambda *found: images.decode(*found, strict=True),
            images.own,
        )
    )
    assert len({isinstance(one, str) for one in (checked, decoded, strict, own)}) == 1
    if isinstance(checked, str):
        assert "found" in checked
        return False
    np.testing.assert_array_equal(decoded, strict)
    return True


def readers_agree(data):
    """Check the pixels of TensorFlow, OpenCV and Pillow against those of the photo."""
    import cv2

    expected = np.asarray(PHOTO)
    np.testing.assert_array_equal(by_tensorflow(data), expected)
    opencv = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(opencv, expected)
    with warnings.catch_warnings(action="ignore"):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), expected)


CHUNKS = st.one_of(
    st.tuples(
        st.sampled_from([b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"tIME", b"sBIT", b"bKGD", b"abCd"]),
        st.binary(max_size=40),
    ),
    st.tuples(
        st.sampled_from([b"tEXt", b"zTXt", b"iTXt", b"iCCP"]),
        st.builds(
            b"".join,
            st.tuples(
                st.sampled_from([b"", b"key", b"key\0", b"key\0\0", b"key\0\1", b"\0\0"]),
                st.sampled_from([b"", b"\0\0\0", b"\0en\0key\0", b"\1\0\0"]),
                st.sampled_from([b"", b"text", LONG, SHORT, LONG[:99]]),
            ),
        ),
    ),
    st.builds(
        control,
        st.integers(0, 2),
        st.sampled_from([WIDTH, 9, WIDTH + 1]),
        st.sampled_from([HEIGHT, 7]),
        st.sampled_from([0, 1]),
        st.just(0),
    ),
    st.builds(frame, st.integers(0, 2)),
    st.tuples(st.just(b"acTL"), st.sampled_from([struct.pack(">II", 1, 0), b"x", bytes(8)])),
    st.tuples(st.just(b"fcTL"), st.binary(max_size=26)),
)


@pytest.mark.heavy
@settings(max_examples=120, deadline=None)
@given(st.lists(CHUNKS, max_size=4), st.lists(CHUNKS, max_size=4))
def test_admitted_images_have_the_same_pixels_in_all_readers(before, after):
    data = with_chunks(save(PHOTO), before, after)
    if all_agree(data):
        readers_agree(data)
    else:
        with pytest.raises(ImageError):
            admit(data, Policy())
        try:
            found = admit(data, Policy(unreadable="reencode"))
        except ImageError as error:  # no remedy is named if there is none
            assert "--unreadable" not in str(error)
        else:
            readers_agree(found.data)


@settings(max_examples=80, deadline=None)
@given(st.lists(CHUNKS, max_size=3))
def test_images_refused_by_pillow_are_refused(before):
    data = with_chunks(save(PHOTO), before)
    with warnings.catch_warnings(action="ignore"):
        decodes = full_decode(data)
    assert decodes or not all_agree(data)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ([control(0, *WHOLE)], [], ""),
        ([], [control(0, *WHOLE)], ""),
        ([], [control(0, 9, 9, 3, 3), frame(1)], ""),
        ([(b"acTL", struct.pack(">II", 1, 0)), control(0, *WHOLE)], [], ""),
        ([control(0, 9, 9, 0, 0)], [], "a frame that is not the image itself"),
        ([control(1, *WHOLE)], [], "out of order"),
        ([], [frame(0)], "out of order"),
        ([control(0, *WHOLE), frame(1)], [], "before the image"),
        ([(b"acTL", bytes(8))], [], "an animation without frames"),
        ([(b"gAMA", b"xx")], [], "a chunk gAMA of 2 bytes, which needs 4"),
        ([(b"bKGD", b"abc")], [], "a chunk bKGD of 3 bytes, which has 1, 2 or 6"),
        ([(b"bKGD", b"abcdef")], [], ""),
        (
            [(b"zTXt", b"key\0\0" + LONG)],
            [],
            r"a text \(zTXt\) that unpacks to more than 1,048,576",
        ),
        ([(b"iTXt", b"key\0\1\0\0\0" + LONG)], [], "unpacks to more"),
        ([(b"iCCP", b"key\0\0" + LONG)], [], r"a profile \(iCCP\) that unpacks"),
        ([(b"iCCP", b"key\0\1" + SHORT)], [], "packed in a way unknown to PNG"),
        ([(b"zTXt", b"key\0\0" + zlib.compress(bytes(1 << 20)[:-9]))] * 70, [], "texts of more"),
        ([(b"abCd", bytes(9_000_000))], [], "a chunk abCd of 9,000,000 bytes"),
    ],
)
def test_faults_beside_the_pixels_are_named_and_removed_by_reencoding(before, after, found):
    data = with_chunks(save(PHOTO), before, after)
    assert all_agree(data) == (not found)
    if not found:
        readers_agree(data)
        return
    with pytest.raises(ImageError, match=f"found a PNG with .*{found}.* --unreadable reencode"):
        admit(data, Policy())
    stored = admit(data, Policy(unreadable="reencode"))
    assert stored.changes == ("converted",)
    readers_agree(stored.data)


def test_a_text_bomb_is_not_unpacked():
    """A thousand texts of a megabyte each: only sixty-four are unpacked, and no long ones."""
    bomb = [(b"zTXt", b"key\0\0" + zlib.compress(bytes((1 << 20) - 9)))] * 1000
    assert "texts of more than 67,108,864" in images.header(with_chunks(save(PHOTO), bomb)).beside


def test_a_truncated_transparent_colour_is_damage():
    for mode, size in (("L", 2), ("RGB", 6)):
        data = with_chunks(save(PHOTO.convert(mode)), [(b"tRNS", b"x")])
        with pytest.raises(ImageError, match=rf"tRNS\) has 1 bytes, expected {size}"):
            images.header(data)


# labels


@pytest.mark.parametrize("mode", ["L", "P"])
@pytest.mark.parametrize("chunk", [(b"zTXt", b"key\0\0" + LONG), (b"gAMA", b"x"), frame(0)])
def test_a_label_keeps_its_pixels_and_loses_what_readers_refuse(mode, chunk):
    import cv2

    plain = Image.fromarray(PLANE)
    if mode == "P":
        plain.putpalette(bytes(range(256)) * 3)
    data = with_chunks(save(plain, bits=8), [chunk])
    head = images.header(data)
    assert head.beside
    np.testing.assert_array_equal(images.plane(data), PLANE)
    stored = images.grey(data, head)
    assert not images.header(stored).beside
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(stored))), PLANE)
    found = cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(found, PLANE)
    pixels = [body for kind, body, _ in png.chunks(data) if kind == b"IDAT"]
    assert pixels == [body for kind, body, _ in png.chunks(stored) if kind == b"IDAT"]


# orientation


def xmp_of(value, form="attribute"):
    inner = {
        "attribute": f'<rdf:Description tiff:Orientation="{value}"/>',
        "element": f"<tiff:Orientation>{value}</tiff:Orientation>",
    }[form]
    return f"<x:xmpmeta>{inner}</x:xmpmeta>".encode()


def raw_profile(block):
    return f"\nexif\n{len(block):8}\n{block.hex()}\n"


def png_with(mode="RGB", **texts):
    """Return a PNG with texts, whose form the first letter of the value names."""
    info = PngImagePlugin.PngInfo()
    for key, (form, value) in texts.items():
        if form == "iTXt":
            info.add_itxt(key, value)
        elif form == "iTXt packed":
            info.add_itxt(key, value, zip=True)
        else:
            info.add_text(key, value, zip=form == "zTXt")
    return save(PHOTO.convert(mode), pnginfo=info)


XMP, RAW = "XML:com.adobe.xmp", "Raw profile type exif"
SIXTH = b"Exif\0\0" + exif_of(6)
TURNED = {
    "png exif": lambda v: save(PHOTO, exif=b"Exif\0\0" + exif_of(v)),
    "png exif of big numbers": lambda v: save(PHOTO, exif=b"Exif\0\0" + exif_of(v, ">")),
    "png exif as long": lambda v: save(PHOTO, exif=b"Exif\0\0" + exif_of(v, ">", 4)),
    "png exif behind": lambda v: with_chunks(save(PHOTO), after=[(b"eXIf", exif_of(v))]),
    "png xmp": lambda v: png_with(**{XMP: ("iTXt", xmp_of(v).decode())}),
    "png xmp element": lambda v: png_with(**{XMP: ("iTXt", xmp_of(v, "element").decode())}),
    "png xmp packed": lambda v: png_with(**{XMP: ("iTXt packed", xmp_of(v).decode())}),
    "png xmp as text": lambda v: png_with(**{XMP: ("tEXt", xmp_of(v).decode())}),
    "png raw": lambda v: png_with(**{RAW: ("tEXt", raw_profile(exif_of(v)))}),
    "png raw packed": lambda v: png_with(**{RAW: ("zTXt", raw_profile(b"Exif\0\0" + exif_of(v)))}),
    "png raw before xmp": lambda v: png_with(
        **{RAW: ("tEXt", raw_profile(exif_of(v))), XMP: ("iTXt", xmp_of(3).decode())}
    ),
    "png exif without it": lambda v: with_chunks(
        png_with(**{XMP: ("iTXt", xmp_of(v).decode())}), [(b"eXIf", exif_of(5, tag=0x0100))]
    ),
    "jpeg exif": lambda v: save(PHOTO, "JPEG", exif=b"Exif\0\0" + exif_of(v)),
    "jpeg xmp": lambda v: save(PHOTO, "JPEG", xmp=xmp_of(v)),
    "jpeg xmp element": lambda v: save(PHOTO, "JPEG", xmp=xmp_of(v, "element")),
    "jpeg both": lambda v: save(PHOTO, "JPEG", xmp=xmp_of(v), exif=SIXTH),
    "jpeg exif without it": lambda v: save(
        PHOTO, "JPEG", xmp=xmp_of(v), exif=b"Exif\0\0" + exif_of(5, tag=0x0100)
    ),
    "webp xmp": lambda v: save(PHOTO, "WEBP", lossless=True, xmp=xmp_of(v)),
    "webp exif": lambda v: save(PHOTO, "WEBP", lossless=True, exif=b"Exif\0\0" + exif_of(v)),
    "cmyk": lambda v: save(PHOTO.convert("CMYK"), "JPEG", xmp=xmp_of(v)),
    "16 bits": lambda v: save(
        Image.fromarray(np.asarray(PHOTO.convert("L")).astype(np.uint16) * 257),
        exif=b"Exif\0\0" + exif_of(v),
    ),
}


@pytest.mark.parametrize("form", TURNED)
@pytest.mark.parametrize("value", [*range(1, 9), 0, 9])
def test_orientations_are_found_wherever_pillow_finds_them(form, value):
    data = TURNED[form](value)
    found = admit(data, Policy(exif="apply", unreadable="reencode"))
    with warnings.catch_warnings(action="ignore"):
        expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if expected.mode.startswith("I;16"):
        expected = Image.fromarray((np.asarray(expected) >> 8).astype(np.uint8))
    expected = np.asarray(expected.convert("RGB"))
    np.testing.assert_array_equal(images.decode(found.data, found.head), expected)
    turned = 2 <= (6 if form == "jpeg both" else value) <= 8
    assert ("turned" in found.changes) == turned
    assert found.head.orientation == 1


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(["PNG", "JPEG"]),
    st.binary(max_size=60) | st.builds(exif_of, st.integers(0, 9), st.sampled_from("<>")),
    st.binary(max_size=40) | st.builds(xmp_of, st.integers(0, 9)),
    st.integers(0, 70),
)
def test_hostile_blocks_are_read_as_in_pillow(kind, block, xmp, end):
    exif = {"exif": b"Exif\0\0" + block[:end]} if block[:end] else {}
    if kind == "PNG":
        data = with_chunks(save(PHOTO, **exif), [(b"iTXt", XMP.encode() + bytes(5) + xmp)])
    else:
        data = save(PHOTO, "JPEG", xmp=xmp, **exif)
    head = images.header(data)
    with warnings.catch_warnings(action="ignore"):
        try:
            Image.Exif().load(b"Exif\0\0" + block[:end])
        except (SyntaxError, ValueError, OSError, struct.error, KeyError, TypeError):
            return  # if Pillow raises, it is enough not to raise
        expected = Image.open(io.BytesIO(data)).getexif().get(0x0112, 1)
    assert head.orientation == (expected if expected in range(2, 9) else 1)


# whole builds


@pytest.mark.parametrize("options", [(), ("--extra", "laplacian")])
def test_the_position_in_the_list_does_not_matter(tmp_path, run, options):
    """A build opens some samples before the others; all are admitted or refused alike."""
    names = tmp_path / "names.txt"
    names.write_text("a\nb\nc\n")
    left = {}
    for place in (0, 13):
        root = fakes.pairs(tmp_path / str(place), count=24)
        image = sorted(pathlib.Path(root, "images").glob("*/*.png"))[place]
        image.write_bytes(with_chunks(image.read_bytes(), [(b"iCCP", b"a\0\0" + LONG)]))
        label = pathlib.Path(root, "labels", image.parent.name, image.name)
        other = sorted(pathlib.Path(root, "labels").glob("*/*.png"))[place + 9]
        for path in (label, other):
            path.write_bytes(with_chunks(path.read_bytes(), [(b"zTXt", b"a\0\0" + LONG)]))
        out = tmp_path / f"{place}-out"
        arguments = ("--classes", names, "--on-error", "skip", "--workers", 1, "--shards", 1)
        assert run("pairs", root, out, *arguments, *options).exit_code == 0
        (reject,) = map(json.loads, (out / "rejects.jsonl").read_text().splitlines())
        left[place] = (reject["kind"], reject["reason"])
        assert run("validate", out).exit_code == 0
        for record in tfrecord.read(str(out / "train-00000-of-00001.tfrecord")):
            values = example.parse(record.data)
            stored = values["image/segmentation/class/encoded"][0]
            Image.open(io.BytesIO(stored)).load()
    assert len(set(left.values())) == 1


def test_a_still_png_with_leftover_frames_validates(tmp_path, run):
    names = tmp_path / "names.txt"
    names.write_text("a\nb\nc\n")
    root = fakes.pairs(tmp_path, count=6)
    for path in sorted(pathlib.Path(root, "images").glob("*/*.png")):
        frames = [control(0, 40, 30, 0, 0)], [control(1, 9, 9, 2, 2), frame(2)]
        path.write_bytes(with_chunks(path.read_bytes(), *frames))
    for options in ((), ("--extra", "laplacian"), ("--max-side", 20)):
        out = tmp_path / f"out{len(options)}{options[:1]}"
        result = run("pairs", root, out, "--classes", names, "--workers", 1, *options)
        assert result.exit_code == 0, result.stderr
        assert run("validate", out).exit_code == 0
