import io

import numpy as np
import pytest
from PIL import Image

from dsbuild import images
from dsbuild.errors import ImageError
from dsbuild.images import colour, display
from tests.support import fakes

PHOTO = fakes.photo(np.random.default_rng(0), 40, 30)


def saved(image, form, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "L", "1"])
def test_any_format_is_rgb(form, mode):
    image = PHOTO.convert(mode)
    found = display.pixels(saved(image, form))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.asarray(image.convert("RGB")))


def test_alpha_is_dropped():
    image = PHOTO.copy()
    image.putalpha(7)
    for form in ("PNG", "TIFF"):
        np.testing.assert_array_equal(display.pixels(saved(image, form)), np.asarray(PHOTO))
    grey = PHOTO.convert("LA")
    found = display.pixels(saved(grey, "TIFF"))
    np.testing.assert_array_equal(found, np.asarray(PHOTO.convert("L").convert("RGB")))


def test_an_image_that_may_be_stored_has_the_pixels_of_training():
    data = saved(PHOTO, "JPEG", quality=60)
    np.testing.assert_array_equal(display.pixels(data), images.decode(data, images.header(data)))


def test_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(PHOTO, "PNG", exif=exif)
    found = display.pixels(data)
    np.testing.assert_array_equal(found, np.rot90(np.asarray(PHOTO), -1))
    np.testing.assert_array_equal(display.opened(Image.open(io.BytesIO(data))), found)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "1", "P", "CMYK", "I;16"])
def test_an_image_opened_by_pillow_is_rgb(mode):
    grey = np.asarray(PHOTO.convert("L"))
    if mode == "I;16":
        image, expected = Image.fromarray(grey.astype(np.uint16) << 8), np.stack([grey] * 3, -1)
    else:
        image = PHOTO.convert(mode)
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(display.opened(image), expected)
    np.testing.assert_array_equal(np.asarray(display.picture(expected)), expected)


def test_pixels_with_an_unknown_range_are_refused():
    with pytest.raises(ImageError, match="found pixels of mode F, whose range is unknown"):
        display.opened(PHOTO.convert("F"))


def test_images_refused_by_tensorflow_are_converted():
    data = saved(PHOTO.convert("CMYK"), "JPEG", quality=95)
    assert np.abs(display.pixels(data).astype(int) - np.asarray(PHOTO)).mean() < 12
    wide = Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50)
    expected = np.arange(1200).reshape(30, 40) * 50 // 256
    np.testing.assert_array_equal(display.pixels(saved(wide, "PNG"))[..., 1], expected)


@pytest.mark.parametrize(
    "data", [b"", b"junk", saved(PHOTO, "PNG")[:-300], saved(PHOTO, "TIFF")[:99]]
)
def test_other_bytes_are_refused(data):
    with pytest.raises(ImageError):
        display.pixels(data)


def test_planes_are_written_with_a_palette():
    plane = np.array([[0, 1], [255, 20]], np.uint8)
    data = colour.paletted(plane, colour.dealt())
    np.testing.assert_array_equal(images.plane(data), plane)
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), colour.dealt()[plane])


@pytest.mark.parametrize("size", [(15, 20), (61, 83)])
def test_pixels_are_resampled_by_lanczos(size):
    found = images.resample(np.asarray(PHOTO), size)
    expected = PHOTO.resize(size[::-1], Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(found, np.asarray(expected))


@pytest.mark.parametrize("form", ["TIFF", "GIF", "WEBP", "PNG"])
def test_pictures_of_a_file_are_counted(form):
    turned = [PHOTO.rotate(angle) for angle in (90, 180)]
    assert display.count(saved(PHOTO, form)) == 1
    assert display.count(saved(PHOTO, form, save_all=True, append_images=turned)) == 3


def test_single_pictures_and_other_files_count_as_one():
    for data in (
        saved(PHOTO, "JPEG"),
        saved(PHOTO, "BMP"),
        b"",
        b"GIF89a",
        saved(PHOTO, "TIFF")[:40],
    ):
        assert display.count(data) == 1
