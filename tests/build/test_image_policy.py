"""Whatever is admitted, TensorFlow decodes to the same pixels, and its header describes it."""

import io
import itertools
import json
import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from dsbuild import images
from dsbuild.build.image_policy import Policy, admit
from dsbuild.build.recipe import Recipe, load
from dsbuild.errors import ImageError, PlanError, SampleError
from dsbuild.format import example, manifest, tfrecord
from dsbuild.layouts.voc import Voc
from tests.support import fakes
from tests.support.pictures import PHOTO, by_tensorflow, jpeg_with_frame, save
from tests.support.runs import make

POLICIES = [
    Policy(),
    Policy(exif="apply"),
    Policy(unreadable="reencode"),
    Policy(exif="apply", unreadable="reencode", max_side=40),
    Policy(exif="apply", unreadable="reencode", jpeg_quality=90),
    Policy(max_side=25, jpeg_quality=75),
]


def turned(data, orientation):
    """Return an image's bytes with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.open(io.BytesIO(data))
    return save(image, image.format, exif=exif)


def see_through(image):
    """Return an image with alpha."""
    image = image.convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def check(data, policy):
    """Return what is admitted, held to all that holds for it, or None where it is refused."""
    import tensorflow as tf

    try:
        found = admit(data, policy)
        images.check(found.data, found.head)
    except ImageError as error:
        assert "found" in str(error)
        return None
    assert found.head == images.header(found.data)
    assert images.refusal(found.head) is None
    pixels = images.decode(found.data, found.head)
    np.testing.assert_array_equal(pixels, by_tensorflow(found.data))
    decoded = tf.io.decode_image(found.data).numpy()
    head = found.head
    assert decoded.shape == (head.height, head.width, head.channels)
    assert head.format == ("jpeg" if found.data[:2] == b"\xff\xd8" else "png")
    if policy.max_side:
        assert max(head.height, head.width) <= policy.max_side
    if policy.exif == "apply":
        assert head.orientation == 1
    assert bool(found.changes) == (found.data is not data)
    return found


def test_images_stay_byte_exact_unless_a_change_is_requested():
    for data in (save(PHOTO), save(PHOTO, "JPEG"), turned(save(PHOTO, "JPEG"), 1)):
        for policy in POLICIES[:3]:
            found = admit(data, policy)
            assert found.data is data
            assert (found.size, found.changes) == ((70, 90), ())
    data = turned(save(PHOTO, "JPEG"), 6)
    assert admit(data, Policy()).data is data
    assert admit(data, Policy(max_side=90)).data is data
    assert admit(data, Policy(unreadable="reencode")).data is data


def sixteen_bits(image):
    """Return a bright picture of 16 bits."""
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257 | 0x8000)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"]),
    st.sampled_from(["PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF"]),
    st.integers(1, 8),
    st.sampled_from(POLICIES),
    st.integers(0, 2**32),
)
def test_drawn_images(width, height, mode, form, orientation, policy, seed):
    image = fakes.photo(np.random.default_rng(seed), width, height)
    image = sixteen_bits(image) if mode == "I;16" else image.convert(mode)
    exif = Image.Exif()
    if form in ("PNG", "JPEG", "WEBP"):
        exif[0x0112] = orientation
    try:
        data = save(image, form, **({"exif": exif} if exif else {}))
    except (OSError, ValueError, KeyError):
        return  # a mode that the format does not have
    found = check(data, policy)
    plain = form in ("PNG", "JPEG") and mode not in ("CMYK", "I;16")
    assert bool(found) == (plain or policy.unreadable == "reencode")
    if found is None or policy.jpeg_quality or policy.max_side:
        return
    expected = Image.open(io.BytesIO(data))
    if mode == "I;16" and form in ("PNG", "TIFF"):
        expected = Image.fromarray((np.asarray(expected) >> 8).astype(np.uint8))
    elif policy.exif == "apply":
        expected = ImageOps.exif_transpose(expected)
    expected = np.asarray(expected.convert("RGBA" if "A" in mode else "RGB").convert("RGB"))
    if mode == "I;16" and policy.exif == "apply" and exif:
        expected = images.turn(expected, orientation)
    np.testing.assert_array_equal(images.decode(found.data, found.head), expected)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [*itertools.product(["PNG"], ["L", "LA", "RGB", "RGBA"]), ("JPEG", "L"), ("JPEG", "RGB")],
)
@pytest.mark.parametrize("orientation", range(2, 9))
def test_an_orientation_is_applied_without_loss(orientation, kind, mode):
    data = turned(save(PHOTO.convert(mode), kind), orientation)
    found = check(data, Policy(exif="apply"))
    assert found.changes == ("turned",)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(images.own(found.data, found.head), np.asarray(expected))
    assert found.size == (expected.height, expected.width)


def test_orientations_may_be_rejected():
    with pytest.raises(ImageError, match="found an image with EXIF orientation 6") as raised:
        admit(turned(save(PHOTO), 6), Policy(exif="reject"))
    assert raised.value.kind == "exif"
    assert admit(save(PHOTO), Policy(exif="reject")).changes == ()


@pytest.mark.parametrize(
    ("data", "channels"),
    [
        (save(PHOTO.convert("CMYK"), "JPEG"), 3),
        (save(sixteen_bits(PHOTO)), 1),
        (save(PHOTO, "TIFF"), 3),
        (save(PHOTO, "BMP"), 3),
        (save(PHOTO, "WEBP", lossless=True), 3),
        (save(PHOTO, "GIF"), 3),
        (save(PHOTO, save_all=True, append_images=[PHOTO.rotate(5)]), 3),
        (save(PHOTO.convert("L"), "TIFF"), 1),
        (save(see_through(PHOTO), "WEBP", lossless=True), 4),
    ],
)
def test_images_that_tensorflow_cannot_read_are_converted(data, channels):
    assert check(data, Policy()) is None
    found = check(data, Policy(unreadable="reencode"))
    assert found.changes == ("converted",)
    assert (found.head.format, found.head.channels, found.size) == ("png", channels, (70, 90))
    found = check(data, Policy(unreadable="reencode", jpeg_quality=80))
    assert (found.head.format, found.head.channels) == ("jpeg", 1 if channels < 3 else 3)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>",
        save(PHOTO, "TIFF")[:900],
        save(PHOTO, "WEBP")[:300],
        save(PHOTO, "BMP")[:900],
        save(PHOTO)[:-20],
        save(PHOTO, "JPEG")[:-20],
        save(PHOTO.convert("CMYK"), "JPEG")[:-500],
        jpeg_with_frame(bits=12),
        jpeg_with_frame(height=65500, width=65500),
        b"RIFF\x10\0\0\0WAVEfmt ",
    ],
)
def test_damaged_images_are_never_converted(data):
    assert check(data, Policy(unreadable="reencode")) is None


@pytest.mark.parametrize(
    ("size", "most", "expected"),
    [
        ((70, 90), 45, (35, 45)),
        ((70, 90), 90, (70, 90)),
        ((70, 90), 1, (1, 1)),
        ((90, 7), 30, (30, 2)),
        ((3, 300), 100, (1, 100)),
    ],
)
def test_larger_images_are_shrunk(size, most, expected):
    data = save(PHOTO.resize(size[::-1]))
    found = check(data, Policy(max_side=most))
    assert (found.head.height, found.head.width) == expected
    assert found.size == size
    assert found.changes == (("shrunk",) if expected != size else ())


def test_shrinking_takes_means_of_areas_and_values_of_centres():
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (30, 45, 3), np.uint8)
    found = check(save(Image.fromarray(pixels)), Policy(max_side=15))
    means = pixels.reshape(10, 3, 15, 3, 3).mean((1, 3))
    np.testing.assert_allclose(images.own(found.data, found.head), means, atol=0.5)
    plane = rng.integers(0, 256, (30, 45), np.uint8)
    np.testing.assert_array_equal(found.fit(plane), plane[1::3, 1::3])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exif": "x"}, "exif: found 'x', expected one of keep, apply, reject"),
        ({"unreadable": "x"}, "unreadable: found 'x', expected one of reject, reencode"),
        ({"max_side": 0}, "max_side: found 0, expected a whole number, at least 1"),
        (
            {"max_side": 9, "jpeg_quality": 101},
            "jpeg_quality: found 101, expected a whole",
        ),
        ({"jpeg_quality": 90}, "nothing is re-encoded"),
    ],
)
def test_invalid_policies_are_refused(options, message):
    with pytest.raises(PlanError, match=message):
        Policy(**options)


@pytest.mark.parametrize("form", ["WEBP", "TIFF", "JPEG"])
@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_undefined_orientation_is_ignored(value, form):
    exif = Image.Exif()
    exif[0x0112] = value
    data = save(PHOTO.convert("CMYK" if form == "JPEG" else "RGB"), form, exif=exif)
    for how in ("apply", "reject"):
        assert admit(data, Policy(exif=how, unreadable="reencode")).changes == ("converted",)


@pytest.mark.parametrize(
    "policy",
    [
        Policy(unreadable="reencode", jpeg_quality=90),
        Policy(unreadable="reencode", max_side=65501, jpeg_quality=90),
    ],
)
def test_an_image_too_large_for_jpeg_is_an_error(policy):
    data = save(Image.new("RGB", (65501, 1)), "TIFF")
    with pytest.raises(ImageError, match="65,501 x 1 pixels to encode, expected at most 65,500"):
        admit(data, policy)
    assert admit(data, Policy(unreadable="reencode")).head.width == 65501


# whole builds


@pytest.fixture
def mixed(tmp_path):
    """Return a VOC tree of a turned, a CMYK, a WebP and further plain images."""
    root = fakes.voc(tmp_path, train=6, val=2)
    paths = sorted(pathlib.Path(root, "JPEGImages").iterdir())
    paths[0].write_bytes(turned(paths[0].read_bytes(), 3))
    paths[1].write_bytes(save(Image.open(paths[1]).convert("CMYK"), "JPEG"))
    paths[2].write_bytes(save(Image.open(paths[2]), "WEBP"))
    return root


def records(out, split="train"):
    path = f"{out}/{split}-00000-of-00001.tfrecord"
    return [example.parse(record.data) for record in tfrecord.read(path)]


def test_a_build_counts_what_it_changed(mixed, out):
    policy = Policy(exif="apply", unreadable="reencode", max_side=50)
    make(mixed, out, policy=policy)
    entry = manifest.load(out)["splits"]["train"]
    assert entry["changes"] == {"converted": 2, "shrunk": 6, "turned": 1}
    assert entry["rotated"] == 0
    assert manifest.load(out)["recipe"]["images"] == {
        "exif": "apply",
        "unreadable": "reencode",
        "max_side": 50,
        "jpeg_quality": None,
        "shrink": 2,
    }
    for record in records(out):
        head = images.header(record["image/encoded"][0])
        size = (head.height, head.width)
        assert (record["image/height"][0], record["image/width"][0]) == size
        assert record["image/channels"][0] == head.channels
        assert record["image/format"] == [head.format.encode()]
        assert images.plane(record["image/segmentation/class/encoded"][0]).shape == size


def test_labels_are_shrunk_by_nearest_neighbour_and_counted_afterwards(voc, out):
    make(voc, out, policy=Policy(max_side=20))
    total = {}
    for record in records(out):
        stored = images.plane(record["image/segmentation/class/encoded"][0])
        key = record["image/filename"][0].decode()
        label = Image.open(pathlib.Path(voc, f"SegmentationClass/{key}.png"))
        size = stored.shape[::-1]
        expected = Image.fromarray(np.asarray(label)).resize(size, Image.Resampling.NEAREST)
        np.testing.assert_array_equal(stored, np.asarray(expected))
        for value, count in images.histogram(stored).items():
            total[value] = total.get(value, 0) + count
    rows = manifest.load(out)["splits"]["train"]["classes"]
    assert {i: row["pixels"] for i, row in enumerate(rows) if row["pixels"]} == {
        value: count for value, count in total.items() if value != 255
    }


def test_a_label_of_the_other_orientation_is_an_error(voc, out):
    path = pathlib.Path(voc, "JPEGImages/2007_000000.jpg")
    path.write_bytes(turned(path.read_bytes(), 6))
    make(voc, out, limit=1)
    with pytest.raises(SampleError, match="the label was drawn on the pixels as stored"):
        make(voc, f"{out}-2", limit=1, policy=Policy(exif="apply"))
    label = pathlib.Path(voc, "SegmentationClass/2007_000000.png")
    label.write_bytes(save(ImageOps.exif_transpose(with_orientation(label, 6))))
    with pytest.raises(SampleError, match="label was drawn on the rotated view; build with --exif"):
        make(voc, f"{out}-3", limit=1)
    make(voc, f"{out}-4", limit=1, policy=Policy(exif="apply"))


def with_orientation(path, orientation):
    return Image.open(io.BytesIO(turned(path.read_bytes(), orientation)))


def test_the_policy_belongs_to_the_recipe(voc, out):
    make(voc, out)
    with pytest.raises(PlanError, match=r"images\.max_side was null and is 50"):
        make(voc, out, policy=Policy(max_side=50))
    assert make(voc, out, policy=Policy(max_side=50), overwrite=True).kept == 0
    assert make(voc, out, policy=Policy(max_side=50)).written == 0


def test_only_shrinking_recipes_have_a_version(voc, out):
    plain = Recipe(layout=Voc())
    assert plain.document()["images"] == {
        "exif": "keep",
        "unreadable": "reject",
        "max_side": None,
        "jpeg_quality": None,
    }
    shrunk = Recipe(layout=Voc(), policy=Policy(max_side=20)).document()
    assert shrunk["images"]["shrink"] == 2
    for document in (plain.document(), shrunk):
        assert load(json.loads(json.dumps(document))).document() == document
    del shrunk["images"]["shrink"]  # as dsbuild wrote it that counted whole pixels
    with pytest.raises(PlanError, match="a recipe of another version"):
        load(shrunk)
    make(voc, out, policy=Policy(max_side=20))
    assert set(manifest.load(out)["versions"]) == {"pillow", "opencv"}


def test_same_bytes_for_any_workers(mixed, tmp_path):
    from tests.support.runs import content

    policy = Policy(exif="apply", unreadable="reencode", max_side=50, jpeg_quality=90)
    for workers in (1, 2):
        make(mixed, tmp_path / str(workers), workers, policy=policy, shards=3)
    assert content(tmp_path / "1") == content(tmp_path / "2")


def test_options_of_the_command(mixed, out, run):
    assert run("voc", mixed, out).exit_code == 2
    options = ("--exif", "apply", "--unreadable", "reencode", "--max-side", 44)
    result = run("voc", mixed, out, *options, "--jpeg-quality", 90, "--json")
    assert result.exit_code == 0
    changes = json.loads(result.stdout)["manifest"]["splits"]["train"]["changes"]
    assert changes == {"converted": 2, "shrunk": 6, "turned": 1}
    assert {record["image/format"][0] for record in records(out)} == {b"jpeg"}
    result = run("voc", mixed, out, "--jpeg-quality", 90)
    assert "nothing is re-encoded" in result.stderr


# real files


@pytest.mark.shared
@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_odd_files(shared, policy):
    found = [
        check(path.read_bytes(), policy)
        for path in sorted((shared / "odd").glob("*/*"))
        if path.is_file()
    ]
    accepted = sum(one is not None for one in found)
    assert accepted == (115 if policy.unreadable == "reencode" else 89)
    changes = list(itertools.chain(*(one.changes for one in found if one)))
    assert ("turned" in changes) == (policy.exif == "apply")
