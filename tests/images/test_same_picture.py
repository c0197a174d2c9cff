"""Options keep the picture: equal pixels if nothing is lost, otherwise means over areas."""

import dataclasses
import io
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from dsbuild import images
from dsbuild.build.image_policy import Policy, admit
from dsbuild.errors import ImageError
from tests.support import fakes
from tests.support.pictures import exif_of, save

ONE = 0.51  # for a mean that is rounded once and computed in 32-bit floats


def shares(length, count):
    """Return how much of every pixel is in each of even areas: float (count, length)."""
    edges = np.arange(count + 1) * length / count
    pixels = np.arange(length)
    inside = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.clip(inside, 0, None) * count / length


def means(pixels, size):
    """Return the exact means over areas, in floats."""
    rows = np.tensordot(shares(pixels.shape[0], size[0]), pixels.astype(float), 1)
    both = np.tensordot(shares(pixels.shape[1], size[1]), rows.swapaxes(0, 1), 1)
    return both.swapaxes(0, 1)


@settings(max_examples=120, deadline=None)
@given(st.data(), st.integers(1, 130), st.integers(1, 130), st.sampled_from([(), (2,), (3,), (4,)]))
def test_means_are_those_of_areas(data, height, width, channels):
    size = data.draw(st.tuples(st.integers(1, height), st.integers(1, width)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    pixels = rng.choice(np.array([0, 3, 200, 255], np.uint8), (height, width, *channels))
    found = images.shrink(pixels, size)
    assert found.dtype == np.uint8
    assert np.abs(found - means(pixels, size)).max() <= ONE


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((5, 500), (5, 450)),  # stripes, 10 columns into 9
        ((3, 3000), (1, 999)),
        ((2999, 2), (1, 1)),
        ((600, 700), (599, 699)),
        ((1000, 1000), (3, 3)),
        ((1, 65501), (1, 2)),
    ],
)
def test_means_of_uneven_areas(before, after):
    rows, columns = np.indices(before)
    stripes = ((rows + columns) % 2 * 255).astype(np.uint8)
    for pixels in (stripes, np.random.default_rng(0).integers(0, 256, before, np.uint8)):
        assert np.abs(images.shrink(pixels, after) - means(pixels, after)).max() <= ONE


def test_areas_whose_sums_would_overflow_are_refused():
    whole = np.full((2900, 2900), 255, np.uint8)
    assert images.shrink(whole, (1, 1)) == [[255]]
    with pytest.raises(ImageError, match="use a larger --max-side"):
        images.shrink(np.zeros((2903, 2903), np.uint8), (1, 1))


def test_stripe_patterns_keep_few_values():
    stripes = np.tile(np.array([0, 255], np.uint8), (4, 250))
    assert np.isin(images.shrink(stripes, (4, 450)), (0, 255)).mean() < 0.25


def test_channels_are_averaged_separately():
    """Readers drop alpha, so transparent pixels keep their colour."""
    pixels = np.full((8, 8, 4), 255, np.uint8)
    pixels[:, :4, 3] = 0
    pixels[:, 4:, :3] = (200, 100, 50)
    found = images.shrink(pixels, (4, 3))
    np.testing.assert_array_equal(found[0, 0], [255, 255, 255, 0])
    np.testing.assert_array_equal(found[0, 2], [200, 100, 50, 255])
    np.testing.assert_allclose(found[0, 1], [228, 178, 153, 128], atol=1)


# options


def clear(mode):
    """Return a photo in a mode, with varying alpha and fully transparent parts."""
    image = fakes.photo(np.random.default_rng(3), 46, 30).convert("RGBA")
    alpha = Image.linear_gradient("L").resize(image.size).point(lambda v: max(0, v - 90))
    image.putalpha(alpha)
    return image.convert(mode)


def of_palette():
    """Return a palette image with some transparent and some half-transparent colours."""
    image = clear("RGB").convert("P", palette=Image.Palette.ADAPTIVE, colors=40)
    return save(image, transparency=bytes((i * 37) % 256 for i in range(40)))


PICTURES = {
    "rgba": lambda: save(clear("RGBA")),
    "grey with alpha": lambda: save(clear("LA")),
    "rgb": lambda: save(clear("RGB")),
    "grey": lambda: save(clear("L")),
    "one bit": lambda: save(clear("RGB").convert("1")),
    "palette": of_palette,
    "palette, one clear": lambda: save(clear("RGB").convert("P"), transparency=3),
    "clear grey": lambda: save(clear("L"), transparency=100),
    "clear colour": lambda: save(clear("RGB"), transparency=clear("RGB").getpixel((3, 3))),
    "jpeg": lambda: save(clear("RGB"), "JPEG"),
    "grey jpeg": lambda: save(clear("L"), "JPEG"),
    "webp": lambda: save(clear("RGBA"), "WEBP", lossless=True, exact=True),
    "tiff": lambda: save(clear("RGBA"), "TIFF"),
    "gif": lambda: save(clear("RGB").convert("P"), "GIF"),
    "cmyk": lambda: save(clear("RGB").convert("CMYK"), "JPEG"),
    "animated": lambda: save(clear("RGBA"), save_all=True, append_images=[clear("RGBA").rotate(9)]),
    "turned": lambda: save(clear("RGBA"), exif=b"Exif\0\0" + exif_of(6)),
}
OPTIONS = [
    Policy(exif=exif, unreadable="reencode", max_side=side, jpeg_quality=quality)
    for exif, side, quality in itertools.product(("keep", "apply"), (None, 45, 31, 7), (None, 95))
]


@pytest.mark.parametrize("policy", OPTIONS, ids=repr)
@pytest.mark.parametrize("name", PICTURES)
def test_options_do_not_change_the_picture(name, policy):
    data = PICTURES[name]()
    plain = Image.open(io.BytesIO(data))
    if policy.exif == "apply":
        plain = ImageOps.exif_transpose(plain)
    expected = plain.convert("RGBA" if "transparency" in plain.info else plain.mode)
    expected = np.asarray(expected.convert("RGB"))
    found = admit(data, dataclasses.replace(policy, jpeg_quality=None))
    seen = images.decode(found.data, found.head)
    if policy.max_side:
        assert max(seen.shape[:2]) == policy.max_side
        assert np.abs(seen - means(expected, seen.shape[:2])).max() <= ONE
    else:
        np.testing.assert_array_equal(seen, expected)
    lossy = admit(data, policy)
    if policy.jpeg_quality and lossy.changes:
        expected = Image.fromarray(seen).convert("L" if lossy.head.channels == 1 else "RGB")
        expected = save(expected, "JPEG", quality=policy.jpeg_quality)
        seen = images.decode(expected, images.header(expected))
        np.testing.assert_array_equal(images.decode(lossy.data, lossy.head), seen)


def test_alphas_of_images_and_mattes_are_means_too():
    data = save(clear("RGBA"))
    found = admit(data, Policy(max_side=41))
    stored = images.own(found.data, found.head)
    alpha = np.asarray(clear("RGBA"))[..., 3]
    assert np.abs(stored[..., 3] - means(alpha, stored.shape[:2])).max() <= ONE
    np.testing.assert_array_equal(found.fit(alpha, soft=True), stored[..., 3])
