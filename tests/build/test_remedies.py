"""Every remedy that a message about an image or a label names is tried here, and works."""

import json
import pathlib
import re
import struct

import numpy as np
import pytest
from PIL import Image

from dsbuild import errors, images
from dsbuild.build.image_policy import Policy, admit
from dsbuild.errors import ImageError
from tests.support import fakes
from tests.support.pictures import LONG, PHOTO, control, exif_of, jpeg_with_frame, save, with_chunks

REENCODE = "--unreadable reencode"
FRAMES = {"save_all": True, "append_images": [PHOTO.rotate(9)]}
DEEP = Image.fromarray(np.asarray(PHOTO.convert("L")).astype(np.uint16) * 257)


def components(count):
    """Return a JPEG that says it has another number of components than it has."""
    data = bytearray(save(PHOTO, "JPEG"))
    data[data.index(b"\xff\xc0") + 9] = count
    return bytes(data)


def boxes(brand):
    """Return the start of a file of ISO's boxes, as phones write them."""
    return b"\0\0\0\x18ftyp" + brand + bytes(12)


# name -> image, what is found, whether the option that converts is named
IMAGES = {
    "cmyk": (save(PHOTO.convert("CMYK"), "JPEG"), "a CMYK JPEG", True),
    "16 bits": (save(DEEP), "16 bits per channel", True),
    "animated": (save(PHOTO, **FRAMES), "an animated PNG with 2 frames", True),
    "tiff": (save(PHOTO, "TIFF"), "a TIFF", True),
    "webp": (save(PHOTO, "WEBP"), "a WebP", True),
    "bmp": (save(PHOTO, "BMP"), "a BMP", True),
    "gif": (save(PHOTO, "GIF"), "a GIF", True),
    "text": (with_chunks(save(PHOTO), [(b"zTXt", b"a\0\0" + LONG)]), "a text", True),
    "frame": (with_chunks(save(PHOTO), [control(0, 9, 9, 0, 0)]), "a frame that", True),
    "12 bits": (jpeg_with_frame(bits=12), "12 bits per channel", False),
    "lossless": (jpeg_with_frame(marker=0xC3), "a JPEG with lossless coding", False),
    "two components": (components(2), "JPEG", False),
    "no height": (jpeg_with_frame(height=0), "an image of 90 x 0 pixels", False),
    "bomb": (jpeg_with_frame(height=65500, width=65500), "decompression bomb", False),
    "wave": (b"RIFF\x10\0\0\0WAVEfmt ", "bytes that start with 52 49", False),
    "heic": (boxes(b"heic"), "a HEIC, as phones save photos", False),
    "avif": (boxes(b"avif"), "an AVIF", False),
    "jpeg xl": (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL", False),
    "jpeg xl stream": (b"\xff\x0a\x00\x00", "a JPEG XL", False),
    "jpeg 2000": (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000", False),
    "jpeg 2000 stream": (b"\xff\x4f\xff\x51\x00", "a JPEG 2000", False),
    "exr": (b"\x76\x2f\x31\x01\2\0\0\0", "an OpenEXR", False),
    "array": (b"\x93NUMPY\1\0", "a NumPy array", False),
}


@pytest.mark.parametrize("name", IMAGES)
def test_conversion_is_suggested_only_where_it_works(name):
    data, found, converts = IMAGES[name]
    with pytest.raises(ImageError, match=f"found .*{found}") as raised:
        admit(data, Policy())
    assert (REENCODE in str(raised.value)) == converts
    if converts:
        stored = admit(data, Policy(unreadable="reencode"))
        images.check(stored.data, stored.head)
        return
    with pytest.raises(ImageError, match=f"found .*{found}") as raised:
        admit(data, Policy(unreadable="reencode"))
    assert "--" not in str(raised.value)


@pytest.mark.parametrize(
    "data",
    [
        save(PHOTO, "TIFF")[:900],
        save(PHOTO, "WEBP")[:300],
        save(PHOTO, "BMP")[:30],
        save(PHOTO.convert("F"), "TIFF"),
        b"GIF89a" + bytes(20),
        b"II*\0" + bytes(40),
    ],
)
def test_a_failed_conversion_gives_the_same_message_each_time(data):
    texts = set()
    for _ in range(2):
        with pytest.raises(ImageError) as raised:
            admit(data, Policy(unreadable="reencode"))
        texts.add(str(raised.value))
    (text,) = texts
    assert "0x" not in text
    assert "BytesIO" not in text
    assert "--unreadable" not in text
    assert ";" in text


def test_no_message_contains_a_memory_address():
    text = "cannot identify image file <_io.BytesIO object at 0x7f3a11d0>"
    for kind in (errors.ImageError, errors.SampleError, errors.ShardError, errors.PlanError):
        assert str(kind(f"found it: {text}; fetch it")) == (
            "found it: cannot identify image file; fetch it"
        )
    assert errors.words("a < b at 0x10") == "a < b at 0x10"


# commands: (bad input, options that it is built with, remedy named, options that mend it)


def rgb16(path):
    import cv2

    plane = np.asarray(Image.open(path)).astype(np.uint16) * 300
    cv2.imwrite(str(path), np.dstack([plane] * 3))


def turned_label(path):
    label = Image.open(path).transpose(Image.Transpose.ROTATE_270)
    label.save(path)
    image = next(path.parents[2].glob(f"images/*/{path.stem}.*"))
    Image.open(image).save(image, exif=b"Exif\0\0" + exif_of(6))


def with_exif(path):
    Image.open(path).save(path, exif=b"Exif\0\0" + exif_of(3))


def long_tiff(path):
    Image.new("RGB", (65501, 1)).save(path, "TIFF")
    label = path.parents[2] / f"labels/a/{path.stem}.png"
    Image.new("L", (65501, 1)).save(label)


BUILDS = {
    "cmyk": (
        "images/a/000.jpg",
        lambda path: Image.open(path).convert("CMYK").save(path),
        (),
        REENCODE,
        ("--unreadable", "reencode"),
    ),
    "text beside": (
        "images/a/002.png",
        lambda path: path.write_bytes(with_chunks(path.read_bytes(), [(b"iCCP", b"a\0\0" + LONG)])),
        (),
        REENCODE,
        ("--unreadable", "reencode"),
    ),
    "turned label": ("labels/a/002.png", turned_label, (), "--exif apply", ("--exif", "apply")),
    "exif": ("images/a/002.png", with_exif, ("--exif", "reject"), "--exif keep or apply", ()),
    "long": (
        "images/a/002.png",
        long_tiff,
        ("--unreadable", "reencode", "--jpeg-quality", "90"),
        "--max-side 65500",
        ("--unreadable", "reencode", "--jpeg-quality", "90", "--max-side", "65500"),
    ),
}


@pytest.mark.parametrize("name", BUILDS)
def test_remedies_that_commands_name_build(name, tmp_path, run):
    file, spoil, options, remedy, mending = BUILDS[name]
    root = fakes.pairs(tmp_path, count=4)
    names = tmp_path / "names.txt"
    names.write_text("a\nb\nc\n")
    spoil(pathlib.Path(root, file))
    arguments = ("pairs", root, tmp_path / "out", "--classes", names, "--workers", 1)
    result = run(*arguments, *options)
    assert result.exit_code == 2
    assert remedy in result.stderr
    result = run(*arguments, *mending)
    assert result.exit_code == 0, result.stderr
    assert run("validate", tmp_path / "out").exit_code == 0


def test_conversion_is_never_suggested_for_colour_labels(tmp_path, run):
    root = fakes.pairs(tmp_path, count=3)
    colours = tmp_path / "colours.txt"
    colours.write_text("a,0,0,0\nb,1,1,1\nc,2,2,2\n")
    for path in pathlib.Path(root, "labels").glob("*/*.png"):
        rgb16(path)
    result = run("pairs", root, tmp_path / "out", "--colormap", colours, "--workers", 1)
    assert result.exit_code == 2
    assert "16 bits per channel" in result.stderr
    assert REENCODE not in result.stderr


def matte(root):
    return next(pathlib.Path(root, "matting").glob("*/*/*.png"))


def animated(path):
    image = Image.open(path)
    image.save(path, save_all=True, append_images=[image.rotate(9)])


def deep(path):
    plane = np.asarray(Image.open(path).convert("L")).astype(np.uint16) * 300
    Image.fromarray(plane).save(path)


@pytest.mark.parametrize("spoil", [animated, deep])
@pytest.mark.parametrize("draw", [fakes.matting, fakes.pairs])
def test_messages_about_labels_suggest_only_options_that_help(draw, spoil, tmp_path, run):
    root = draw(tmp_path)
    names = tmp_path / "names.txt"
    names.write_text("a\nb\nc\n")
    if draw is fakes.matting:
        arguments, path = ("matting", root), matte(root)
    else:
        arguments, path = (
            ("pairs", root, "--classes", names),
            pathlib.Path(root, "labels/a/000.png"),
        )
    spoil(path)
    result = run(*arguments[:2], tmp_path / "out", *arguments[2:], "--workers", 1)
    assert result.exit_code == 2
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert path.name in line
    for option in re.findall(r"--\w[\w-]+ \w+", line):
        mended = tmp_path / option.replace(" ", "")
        mending = (*arguments[2:], *option.split(), "--workers", 1)
        assert run(*arguments[:2], mended, *mending).exit_code == 0, option


def test_rejects_are_the_same_from_run_to_run(tmp_path, run):
    root = fakes.pairs(tmp_path, count=4)
    names = tmp_path / "names.txt"
    names.write_text("a\nb\nc\n")
    pathlib.Path(root, "images/a/002.png").write_bytes(save(PHOTO.convert("F"), "TIFF"))
    pathlib.Path(root, "images/b/001.png").write_bytes(b"GIF89a" + struct.pack("<HH", 3, 3))
    found = []
    for out in (tmp_path / "one", tmp_path / "two"):
        options = ("--classes", names, "--unreadable", "reencode", "--on-error", "skip")
        assert run("pairs", root, out, *options, "--workers", 1).exit_code == 0
        found.append((out / "rejects.jsonl").read_text())
    assert found[0] == found[1]
    reasons = [json.loads(line)["reason"] for line in found[0].splitlines()]
    assert len(reasons) == 2
    assert not any(re.search(r"0x[0-9a-f]+|/tmp|object", reason) for reason in reasons)


def test_a_larger_side_is_suggested_if_areas_are_too_large_to_average():
    data = save(Image.new("L", (2903, 2903)))
    with pytest.raises(ImageError, match="use a larger --max-side"):
        admit(data, Policy(max_side=1))
    assert admit(data, Policy(max_side=2)).head.width == 2
