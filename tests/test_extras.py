import numpy as np
import pytest

from dsbuild import extras
from dsbuild.errors import PlanError
from tests import fakes

IMAGE = np.asarray(fakes.photo(np.random.default_rng(1), 31, 23))


def by_hand(image):
    """Compute the Laplacian of the grey image with NumPy alone."""
    r, g, b = (image[..., i].astype(np.int64) for i in range(3))
    # OpenCV's fixed-point BT.601: 15 bits, rounded.
    grey = (r * 9798 + g * 19235 + b * 3735 + (1 << 14)) >> 15
    padded = np.pad(grey, 1, mode="reflect")
    around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    return around - 4 * grey


def read(values, height, width):
    """Read any stored form back with TensorFlow: int (h, w)."""
    import tensorflow as tf

    if "laplacian" in values:
        return values["laplacian"].reshape(height, width)
    data = values["laplacian.encoded"]
    if values["laplacian.format"] == b"png16":
        pixels = tf.io.decode_png(data, channels=1, dtype=tf.uint16).numpy()[..., 0]
        return pixels.astype(np.int64) - extras.OFFSET
    return tf.io.decode_raw(data, tf.int16, little_endian=True).numpy().reshape(height, width)


def test_laplacian_equals_a_computation_by_hand():
    found = extras.laplacian(IMAGE)
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, by_hand(IMAGE))


@pytest.mark.parametrize("form", ["int64", "png16", "raw16"])
@pytest.mark.parametrize(
    "image", [IMAGE, IMAGE[:2, :2], np.indices((9, 9)).sum(0)[..., None] % 2 * 255]
)
def test_every_form_reads_back(form, image):
    image = np.broadcast_to(image, (*image.shape[:2], 3)).astype(np.uint8)
    values = extras.features((f"laplacian:{form}",), image)
    assert set(values) == set(extras.roles((f"laplacian:{form}",)))
    np.testing.assert_array_equal(read(values, *image.shape[:2]), by_hand(image))


def test_extremes_fit():
    checks = (np.indices((8, 8)).sum(0) % 2 * 255).astype(np.uint8)
    found = extras.laplacian(np.repeat(checks[..., None], 3, axis=2))
    assert (found.min(), found.max()) == (-1020, 1020)


def test_parse():
    assert extras.parse("laplacian") == ("laplacian", "int64")
    assert extras.parse("laplacian:raw16") == ("laplacian", "raw16")
    with pytest.raises(PlanError, match="no such extra; there are laplacian"):
        extras.parse("sobel9")
    with pytest.raises(PlanError, match="no form 'jpeg'; there are int64, png16, raw16"):
        extras.parse("laplacian:jpeg")


def test_an_extra_twice_is_refused():
    from dsbuild.layouts.voc import Voc
    from dsbuild.recipe import Recipe

    with pytest.raises(PlanError, match="found twice"):
        Recipe(layout=Voc(), extras=("laplacian", "laplacian:raw16"))
