"""Every extra is compared with another computation, and every stored form is read back."""

import glob
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from dsbuild import extras
from dsbuild.errors import PlanError
from dsbuild.extras import functions
from dsbuild.extras.forms import FORMS
from dsbuild.format import schema
from dsbuild.images import mattes
from tests.support import fakes

IMAGE = np.asarray(fakes.photo(np.random.default_rng(1), 31, 23))
# Sides from one pixel up, including thin images.
SIDES = st.one_of(st.integers(1, 4), st.integers(1, 40))
SEEDS = st.integers(0, 2**32)
FEW = settings(max_examples=60, deadline=None)


def rgb(height, width, seed):
    """Draw noise, smoothed for every other seed: uint8 (h, w, 3)."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (height, width, 3), np.uint8)
    return ndimage.uniform_filter(noise, (3, 3, 1)) if seed % 2 else noise


def classes(height, width, seed):
    """Draw a label with patches of a few classes and often ignore values, or with one value."""
    rng = np.random.default_rng(seed)
    values = np.array([0, 1, 2, 20, 255], np.uint8)[: rng.integers(1, 6)]
    patch = int(rng.integers(1, 9))
    coarse = rng.choice(values, (height // patch + 1, width // patch + 1))
    return coarse.repeat(patch, 0).repeat(patch, 1)[:height, :width]


def matte(height, width, seed):
    """Draw an alpha with wholly opaque, wholly transparent and soft parts."""
    rng = np.random.default_rng(seed)
    coarse = rng.choice(np.array([0, 0, 255, 255, 90], np.uint8), (4, 5))
    soft = Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(soft)


def grey(image):
    """Compute OpenCV's fixed-point BT.601 with NumPy: 15 bits, rounded."""
    r, g, b = (image[..., i].astype(np.int64) for i in range(3))
    return (r * 9798 + g * 19235 + b * 3735 + (1 << 14)) >> 15


def laplacian_by_hand(image):
    """Compute the Laplacian with NumPy; one row or column is mirrored onto itself."""
    plane = grey(image)
    modes = ["reflect" if side > 1 else "edge" for side in plane.shape]
    padded = np.pad(plane, ((1, 1), (0, 0)), mode=modes[0])
    padded = np.pad(padded, ((0, 0), (1, 1)), mode=modes[1])
    around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    return around - 4 * plane


def canny_by_hand(image, low, high):
    """Compute Canny as published for OpenCV: Sobel of replicated borders, L1, TG22, hysteresis."""
    plane = np.pad(grey(image), 1, mode="edge")
    gx = ndimage.sobel(plane, 1)[1:-1, 1:-1]
    gy = ndimage.sobel(plane, 0)[1:-1, 1:-1]
    size = np.abs(gx) + np.abs(gy)
    around = np.pad(size, 1)
    tangent = int(0.41421356237309503 * (1 << 15) + 0.5)  # of 22.5 degrees
    thin = np.zeros(size.shape, bool)
    for y, x in np.argwhere(size > low):
        across, down = abs(gx[y, x]) * tangent, abs(gy[y, x]) << 15
        if down < across:
            step, strict = (0, 1), False
        elif down > across + (abs(gx[y, x]) << 16):
            step, strict = (1, 0), False
        else:
            step, strict = (1, -1 if (gx[y, x] ^ gy[y, x]) < 0 else 1), True
        before = around[y + 1 - step[0], x + 1 - step[1]]
        after = around[y + 1 + step[0], x + 1 + step[1]]
        thin[y, x] = size[y, x] > before and size[y, x] >= after + strict
    parts, _ = ndimage.label(thin, np.ones((3, 3)))
    return np.isin(parts, np.unique(parts[thin & (size > high)]))


def edges_by_hand(label, width):
    """Look at every neighbour within width rows and columns."""
    found = np.zeros(label.shape, bool)
    height, length = label.shape
    for y, x in np.ndindex(label.shape):
        rows = slice(max(y - width, 0), min(y + width + 1, height))
        columns = slice(max(x - width, 0), min(x + width + 1, length))
        found[y, x] = (label[rows, columns] != label[y, x]).any()
    return found


def distance_by_hand(label, cap):
    """Compute the exact distances with SciPy."""
    boundary = edges_by_hand(label, 1)
    if not boundary.any():
        return np.full(label.shape, cap)
    return np.rint(ndimage.distance_transform_edt(~boundary)).clip(max=cap)


def trimap_by_hand(alpha, width):
    """Grow the uncertain pixels by squares."""
    size = 2 * width + 1
    unsure = ndimage.maximum_filter(alpha != 255, size), ndimage.maximum_filter(alpha != 0, size)
    return np.where(~unsure[0], 255, np.where(~unsure[1], 0, 128))


# values


@FEW
@given(SIDES, SIDES, SEEDS)
def test_laplacian_equals_a_computation_by_hand(height, width, seed):
    image = rgb(height, width, seed)
    found = functions.laplacian(image)
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, laplacian_by_hand(image))
    cross = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    np.testing.assert_array_equal(found, ndimage.correlate(grey(image), cross, mode="mirror"))


@FEW
@given(SIDES, SIDES, SEEDS)
def test_sobel_equals_scipy(height, width, seed):
    image = rgb(height, width, seed)
    across, down = (ndimage.sobel(grey(image), axis, mode="mirror") for axis in (1, 0))
    found = functions.sobel(image)
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, np.rint(np.hypot(across, down)))


@FEW
@given(SIDES, SIDES, SEEDS, st.integers(0, 600), st.integers(0, 600))
def test_canny_equals_its_published_algorithm(height, width, seed, one, other):
    image, (low, high) = rgb(height, width, seed), sorted((one, other))
    found = functions.canny(image, low, high)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, canny_by_hand(image, low, high))


@FEW
@given(SIDES, SIDES, SEEDS, st.sampled_from([1, 2, 3, 7, 60, 255]))
def test_edges_look_at_every_neighbour(height, width, seed, reach):
    label = classes(height, width, seed)
    found = functions.edges(label, reach)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, edges_by_hand(label, reach))
    size = 2 * reach + 1
    extremes = [f(label, size) for f in (ndimage.minimum_filter, ndimage.maximum_filter)]
    np.testing.assert_array_equal(found, (extremes[0] != label) | (extremes[1] != label))


@FEW
@given(SIDES, SIDES, SEEDS, st.sampled_from([1, 2, 5, 20, 255]))
def test_distance_equals_scipy(height, width, seed, cap):
    label = classes(height, width, seed)
    found = functions.distance(label, cap)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, distance_by_hand(label, cap))


@FEW
@given(SIDES, SIDES, SEEDS, st.sampled_from([0, 1, 2, 10, 255]))
def test_trimap_equals_a_dilation(height, width, seed, reach):
    alpha = matte(height, width, seed)
    found = functions.trimap(alpha, reach)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, trimap_by_hand(alpha, reach))
    np.testing.assert_array_equal(functions.alpha(alpha), alpha)


def test_large_planes_are_exact_too():
    rng = np.random.default_rng(5)
    for height, width in ((700, 900), (1, 70_000), (70_000, 2)):
        label = np.zeros((height, width), np.uint8)
        label[rng.integers(height), rng.integers(width)] = 255
        boundary = functions.edges(label, 1)
        exact = np.rint(ndimage.distance_transform_edt(1 - boundary)).clip(max=255)
        np.testing.assert_array_equal(functions.distance(label, 255), exact)
        image = rng.integers(0, 256, (height, width, 3), np.uint8)
        np.testing.assert_array_equal(functions.laplacian(image), laplacian_by_hand(image))


def test_the_ends_of_the_ranges_occur():
    checks = (np.indices((8, 8)).sum(0) % 2 * 255).astype(np.uint8)
    found = functions.laplacian(np.repeat(checks[..., None], 3, axis=2))
    assert (found.min(), found.max()) == (-1020, 1020)
    # The length of a gradient is convex, so black and white pixels make the longest one.
    steepest = max(
        functions.sobel(np.repeat((bits * 255).astype(np.uint8)[..., None], 3, axis=2))[1, 1]
        for number in range(512)
        for bits in [np.array([number >> i & 1 for i in range(9)]).reshape(3, 3)]
    )
    assert steepest == 1140


def test_threads_of_opencv_change_nothing():
    import cv2

    rng = np.random.default_rng(2)
    image = np.asarray(fakes.photo(rng, 1300, 900))
    label = classes(900, 1300, 3)
    alpha = matte(900, 1300, 4)
    before, found = cv2.getNumThreads(), []
    try:
        for threads in (1, 2, 4):
            cv2.setNumThreads(threads)
            values = [f(image) for f in (functions.laplacian, functions.sobel)]
            values += [functions.canny(image, 40, 90), functions.edges(label, 9)]
            values += [functions.distance(label, 255), functions.trimap(alpha, 9)]
            found.append([value.tobytes() for value in values])
    finally:
        cv2.setNumThreads(before)
    assert found[0] == found[1] == found[2]


def test_pixels_are_left_as_they_are():
    for extra in extras.EXTRAS.values():
        if extra.of == "counts":
            continue
        pixels = IMAGE.copy() if extra.of == "image" else classes(23, 31, 7).copy()
        before = pixels.copy()
        pixels.flags.writeable = False
        defaults = {name: default for name, (default, _, _) in extra.parameters.items()}
        found = extra.compute(pixels, **defaults)
        assert found.shape == pixels.shape[:2]
        np.testing.assert_array_equal(pixels, before)
        # Views, as decoders return them, work like arrays of their own.
        wide = np.repeat(pixels, 2, axis=1)[:, ::2]
        np.testing.assert_array_equal(extra.compute(wide, **defaults), found)


# stored forms


def read(values, name, height, width):
    """Read any stored form back with TensorFlow: int (h, w)."""
    import tensorflow as tf

    if name in values:
        return values[name].reshape(height, width)
    data, form = values[f"{name}.encoded"], values[f"{name}.format"]
    if form == b"raw16":
        pixels = tf.io.decode_raw(data, tf.int16, little_endian=True)
        return pixels.numpy().reshape(height, width)
    if form == b"png":
        return tf.io.decode_png(data).numpy()[..., 0]
    pixels = tf.io.decode_png(data, dtype=tf.uint16).numpy()[..., 0]
    return pixels.astype(np.int64) - extras.OFFSET


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("name", "form"), [(n, form) for n, extra in extras.EXTRAS.items() for form in extra.forms]
)
@pytest.mark.parametrize("size", [(23, 31), (1, 1), (1, 17), (40, 1)])
def test_every_form_reads_back(name, form, size):
    pixels = {"image": rgb(*size, 1), "label": classes(*size, 3), "alpha": matte(*size, 5)}
    chosen = extras.parse(f"{name}:{form}")
    values = extras.features([chosen], pixels)
    assert tuple(values) == chosen.roles
    # The schema knows all of these roles and formats.
    known = schema.load("segmentation")
    assert all(role in known.roles for role in values)
    if f"{name}.format" in values:
        assert values[f"{name}.format"].decode() in known[f"{name}.format"].domain
    extra = extras.EXTRAS[name]
    expected = extra.compute(pixels[extra.of], **dict(chosen.parameters))
    np.testing.assert_array_equal(read(values, name, *size), expected)


def test_what_lacks_its_pixels_is_left_out():
    chosen = [extras.parse(name) for name in ("laplacian:raw16", "edges", "trimap")]
    assert set(extras.features(chosen, {})) == set()
    found = extras.features(chosen, {"image": None, "label": classes(4, 5, 1)})
    assert set(found) == {"edges.encoded", "edges.format"}


# parsing


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("laplacian", "laplacian:int64"),
        ("laplacian:raw16", "laplacian:raw16"),
        ("sobel", "sobel:png16"),
        ("canny", "canny:png:low=100:high=200"),
        ("canny:high=20:low=20", "canny:png:low=20:high=20"),
        ("edges:width=3", "edges:png:width=3"),
        ("edges:width=3:png", "edges:png:width=3"),
        ("distance:png:cap=9", "distance:png:cap=9"),
        ("alpha", "alpha:png"),
        ("trimap:width=0", "trimap:png:width=0"),
    ],
)
def test_parse(text, whole):
    chosen = extras.parse(text)
    assert str(chosen) == whole
    assert extras.parse(whole) == chosen
    assert chosen.bytes_per_pixel == FORMS[chosen.form].bytes_per_pixel


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "no such extra; there are laplacian, sobel, canny"),
        ("sobel9", "no such extra; there are laplacian, sobel, canny"),
        ("laplacian:jpeg", "no form 'jpeg'; there are int64, png16, raw16"),
        ("edges:", "no form ''; there are png"),
        ("edges::", "no form ''; there are png"),
        ("edges:png:png", "found 'png' beside another one, expected one form"),
        ("edges:width=1:width=2", "found 'width=2' beside another one, expected one form"),
        ("edges:cap=1", "no parameter 'cap'; there are width"),
        ("sobel:width=1", "no parameter 'width'; there are none"),
        ("edges:=1", "no parameter ''; there are width"),
        ("edges:width=", "found '', expected a whole number from 1 to 255"),
        ("edges:width=0", "found '0', expected a whole number from 1 to 255"),
        ("edges:width=256", "found '256', expected a whole number from 1 to 255"),
        ("edges:width=1.5", "found '1.5', expected a whole number from 1 to 255"),
        ("distance:cap=0", "found '0', expected a whole number from 1 to 255"),
        ("trimap:width=-1", "found '-1', expected a whole number from 0 to 255"),
        ("canny:low=x", "found 'x', expected a whole number from 0 to 65535"),
        ("canny:low=201", "found low=201 above high=200, expected low to be at most high"),
    ],
)
def test_a_malformed_extra_is_refused(text, error):
    with pytest.raises(PlanError) as caught:
        extras.parse(text)
    assert str(caught.value).startswith(f"--extra {text}: ")
    assert error in str(caught.value)


def test_every_extra_has_its_features():
    known = schema.load("segmentation").roles
    for name, extra in extras.EXTRAS.items():
        for form in extra.forms:
            assert all(role in known for role in extras.parse(f"{name}:{form}").roles)


# real pairs


@pytest.mark.shared
def test_real_voc_pairs(shared):
    root = os.path.join(shared, "voc", "VOCdevkit", "VOC2012")
    labels = sorted(glob.glob(os.path.join(root, "SegmentationClass", "*.png")))[:6]
    assert labels
    for path in labels:
        label = np.asarray(Image.open(path))
        key = os.path.basename(path)[:-4]
        image = np.asarray(
            Image.open(os.path.join(root, "JPEGImages", f"{key}.jpg")).convert("RGB")
        )
        for width in (1, 3):
            size = 2 * width + 1
            low, high = ndimage.minimum_filter(label, size), ndimage.maximum_filter(label, size)
            found = functions.edges(label, width)
            np.testing.assert_array_equal(found, (low != label) | (high != label))
        exact = np.rint(ndimage.distance_transform_edt(1 - functions.edges(label, 1)))
        np.testing.assert_array_equal(functions.distance(label, 255), exact.clip(max=255))
        np.testing.assert_array_equal(functions.laplacian(image), laplacian_by_hand(image))
        np.testing.assert_array_equal(
            functions.canny(image, 100, 200), canny_by_hand(image, 100, 200)
        )


@pytest.mark.shared
def test_real_mattes(shared):
    pattern = os.path.join(shared, "matting", "matting_human_half", "matting", "**", "*.png")
    paths = [p for p in glob.glob(pattern, recursive=True) if os.path.basename(p)[0] != "."]
    paths += glob.glob(os.path.join(shared, "matting", "p3m", "color_rgba", "*.png"))
    assert len(paths) >= 3
    for path in paths:
        with open(path, "rb") as file:
            found = mattes.alpha(file.read())
        np.testing.assert_array_equal(found, np.asarray(Image.open(path))[..., 3])
        for width in (0, 1, 10):
            expected = trimap_by_hand(found, width)
            np.testing.assert_array_equal(functions.trimap(found, width), expected)
        assert set(np.unique(functions.trimap(found, 10))) == {0, 128, 255}
