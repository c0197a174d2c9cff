import dataclasses
import io
import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dsbuild import images
from dsbuild.errors import ImageError
from dsbuild.images import codec, jpeg
from dsbuild.images.opening import decoded, opened
from tests.support.pictures import PHOTO, headed, save

FILES = [
    save(PHOTO, "JPEG"),
    save(PHOTO, "JPEG", progressive=True),
    save(PHOTO.convert("L"), "JPEG", quality=60),
    save(PHOTO, "JPEG", optimize=True, restart_marker_blocks=2, comment=b"a photo"),
]


@pytest.mark.parametrize("data", FILES)
def test_files_of_pillow_are_usual(data):
    assert images.header(data).usual


@pytest.mark.parametrize(
    "more",
    [
        b"\xff\xe1\x00\x08Exif\0\0",
        b"\xff\xe0\x00\x08JFIF\0\1",  # Pillow refuses it
        b"\xff\xee\x00\x07Adobe",  # this, too
        b"\xff\xdb\x00\x05\0ab",
        b"\xff\x01",
        b"\xff\xd0",
        b"\xff",
        b"x",
    ],
)
def test_other_files_are_not(more):
    at = FILES[0].index(b"\xff\xdb")
    assert not images.header(FILES[0][:at] + more + FILES[0][at:]).usual


def edited(data, rng):
    """Change, add or move a few bytes or segments before the first scan."""
    at = data.index(b"\xff\xda")
    head = bytearray(data[:at])
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(2, len(head))
        match rng.randrange(3):
            case 0:
                head[place] = rng.choice((0, 1, 0xFF, rng.randrange(256)))
            case 1:
                body = rng.randbytes(rng.choice((0, 1, 5, 6, 12, 65, 130)))
                start = rng.choice((b"JFIF\0", b"Exif\0\0", b"Adobe", b"MPF\0", b"\0", b""))
                body = start + body
                marker = rng.choice((0xE0, 0xDB, 0xC0, rng.randrange(0xC0, 0xFF)))
                segment = bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2)
                places = [m.start() for m in re.finditer(b"\xff[\xc0-\xfe]", bytes(head))]
                place = rng.choice(places[1:])
                head[place:place] = segment + body
            case _:
                head[place:place] = rng.randbytes(rng.randrange(1, 3))
    return bytes(head) + data[at:]


@pytest.mark.filterwarnings("ignore:Image appears to be a malformed MPO")
def test_pillow_opens_what_is_usual():
    """So decoding it without Pillow's reader of headers admits nothing that the reader refuses."""
    rng = random.Random(11)
    usual = refused = 0
    for data, head in headed(edited(rng.choice(FILES), rng) for _ in range(4000)):
        try:
            found = opened(data, "JPEG").size
        except (OSError, SyntaxError, ValueError):
            found = None
            refused += 1
        if head.usual and not codec.refusal(head):
            usual += 1
            assert found == (head.width, head.height)
    assert usual > 300
    assert refused > 300


def changed(data, number, rng):
    """Change so many bytes of a file."""
    octets = bytearray(data)
    for _ in range(number):
        octets[rng.randrange(2, len(data))] = rng.randrange(256)
    return bytes(octets)


def test_a_usual_file_is_judged_and_decoded_as_any_other():
    rng = random.Random(12)
    count = dict.fromkeys((True, False), 0)
    for data, head in headed(changed(rng.choice(FILES), n % 3, rng) for n in range(2000)):
        if not head.usual or head.height * head.width > 100_000:
            continue
        other = dataclasses.replace(head, usual=False)
        one, two = (verdict(data, each) for each in (head, other))
        assert isinstance(one, str) == isinstance(two, str)
        assert np.array_equal(one, two)
        count[isinstance(one, str)] += 1
    assert min(count.values()) > 50


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_small_images_are_decoded_at_one_eighth(mode):
    for width, height in [(1, 1), (1, 9), (7, 3), (8, 8), (9, 17), (16, 15)]:
        data = save(PHOTO.convert(mode).resize((width, height)), "JPEG")
        head = images.header(data)
        small = decoded(data, head, 8)
        assert small.size == (-(-width // 8), -(-height // 8))
        assert small.mode == "L"
        with Image.open(io.BytesIO(data)) as image:
            assert np.array_equal(decoded(data, head, 1), image)
        assert decoded(data[: len(data) // 2], head, 8) is None


def verdict(data, head):
    """Return the pixels of an image, or the text of its error."""
    try:
        images.check(data, head)
        return images.decode(data, head, strict=True)
    except ImageError as error:
        return str(error)


@settings(max_examples=300)
@given(st.binary(min_size=1).map(lambda seed: random.Random(seed)), st.integers(0, 60))
def test_the_end_of_a_scan_is_found_as_by_the_expression_alone(rng, size):
    octets = rng.choices((0xFF, 0, 0xD0, 0xD7, 0xD9, 7), (3, 3, 1, 1, rng.random(), 9), k=size)
    data = bytes(octets)
    for at in range(size + 2):
        expected = jpeg._AFTER_SCAN.search(data, at)
        found = jpeg._AFTER_SCAN.search(data, at + jpeg._unmarked(data, at))
        assert (found and found.start()) == (expected and expected.start())


def test_many_scans_take_no_longer_than_their_bytes():
    """Only the first scan is looked through as a whole, so that time is not their square."""
    data = FILES[0]
    at = data.index(b"\xff\xda")
    scan = data[at : at + 14]
    with pytest.raises(ImageError, match="contradict"):
        images.header(data[:at] + scan * 200_000 + b"\xff\xd9")
