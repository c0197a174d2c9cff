"""Rotation, blur, crops that no class fills, and copy-paste: aligned to the pixel, and seeded."""

import numpy as np
import pytest
import tensorflow as tf

from dsbuild.reader.tf.augment import augment
from dsbuild.reader.tf.augmentation import Augmentation
from dsbuild.reader.tf.colour import blurred
from dsbuild.reader.tf.paste import pasted
from dsbuild.reader.tf.rotation import rotated
from tests.support.augmented import arrays, drawn, run, tensors

FILL = (123.15, 115.9, 103.06)


def turned(shape, degrees):
    """Return the places, rows and columns, that a rotation takes each pixel from."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(float)
    y, x = ((side - 1) / 2 for side in shape)
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    across, down = columns - x, rows - y
    return y + cos * down - sin * across, x + cos * across + sin * down


@pytest.mark.parametrize("degrees", [-37.0, 3.3, 90.0, 180.0])
def test_every_pixel_of_a_rotated_label_is_the_one_at_its_place(degrees):
    label = np.random.default_rng(1).integers(0, 21, (31, 45, 1)).astype(np.uint8)
    rows, columns = turned(label.shape[:2], degrees)
    near, right = np.floor(rows + 0.5).astype(int), np.floor(columns + 0.5).astype(int)
    inside = (near >= 0) & (near < 31) & (right >= 0) & (right < 45)
    expected = np.where(inside, label[near.clip(0, 30), right.clip(0, 44), 0], 255)
    # Places in the middle of two pixels may go to either.
    clear = np.abs([rows % 1 - 0.5, columns % 1 - 0.5]).min(0) > 1e-3
    for kind in (np.uint8, np.int16, np.uint16, np.float32):
        found = rotated(tf.constant(label.astype(kind)), tf.constant(degrees), [255], False)
        assert found.dtype == kind
        np.testing.assert_array_equal(found[..., 0].numpy()[clear], expected[clear])
    assert clear.mean() > 0.9


@pytest.mark.parametrize("seeds", [range(6), pytest.param(range(6, 18), marks=pytest.mark.slow)])
def test_rotated_planes_stay_aligned(seeds):
    sample, changed = drawn(48, 60), 0
    for seed in seeds:
        found = run(sample, seed, crop=(41, 57), scales=(1, 2), rotation=30.0, fill=FILL)
        image, label = found["image"], found["label"]
        again = run(sample, seed, crop=(41, 57), scales=(1, 2), rotation=30.0, fill=FILL)
        for name, value in found.items():
            np.testing.assert_array_equal(again[name], value)
        plain = run(sample, seed, crop=(41, 57), scales=(1, 2), fill=FILL)
        changed += (plain["label"] != label).any() and (label == 255).any()
        # Nearest planes are functions of the class, also where it is filled.
        rest = label == 255
        for name, value in (("trimap", [0, 128, 255]), ("edges", [False, True])):
            found_of = np.choose(label % len(value), value)
            plane = found[name].reshape(label.shape)
            np.testing.assert_array_equal(plane[~rest], found_of[~rest])
            assert not plane[rest].any()
        np.testing.assert_array_equal(found["weights"][~rest], (label[~rest] / 20).astype("f4"))
        # Away from what is filled, rows and columns of the image give the class, to a pixel.
        around = np.lib.stride_tricks.sliding_window_view(rest, (5, 5)).any((2, 3))
        inner = ~np.pad(around, 2, constant_values=True)
        rows, columns = image[inner, 0], image[inner, 1]
        near = [
            (np.rint(rows + a).astype(int) // 2 * 7 + np.rint(columns + b).astype(int) // 3) % 20
            for a in (-1, -0.5, 0, 0.5, 1)
            for b in (-1, -0.5, 0, 0.5, 1)
        ]
        assert (np.stack(near) == label[inner]).any(0).mean() == 1
    assert changed > 2 / 3 * len(seeds)


def test_blur_changes_the_image_alone_and_keeps_its_mean():
    sample = drawn(40, 40)
    plain, found = (run(sample, 4, crop=(33, 33), blur=blur) for blur in (0.0, 9.0))
    for name in found.keys() - {"image"}:
        np.testing.assert_array_equal(found[name], plain[name])
    assert np.abs(found["image"] - plain["image"]).max() > 1
    image = np.random.default_rng(0).uniform(0, 255, (9, 12, 3)).astype(np.float32)
    np.testing.assert_allclose(blurred(image, tf.constant(0.0), 2.0), image, rtol=1e-6)
    rows, columns = np.mgrid[:9, :12]
    weights = [
        np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * 1.5**2))
        for row, column in np.ndindex(9, 12)
    ]
    weights = [
        one * (np.maximum(abs(rows - r), abs(columns - c)) <= 6)
        for one, (r, c) in zip(weights, np.ndindex(9, 12), strict=True)
    ]
    expected = np.stack([np.einsum("hw,hwc->c", one / one.sum(), image) for one in weights])
    np.testing.assert_allclose(
        blurred(image, tf.constant(1.5), 2.0), expected.reshape(9, 12, 3), rtol=1e-4
    )


def test_crops_avoid_places_that_one_class_fills():
    label = np.zeros((64, 64), np.uint8)
    label[40:, 40:] = 1
    label[:8] = 255
    sample = {"image": np.zeros((64, 64, 3), np.uint8), "label": label}
    asked = {"crop": (24, 24), "scales": (1, 1), "flip": 0}

    def shares(**more):
        found = []
        for seed in range(60):
            seen = run(sample, seed, **asked, **more)["label"]
            counts = np.bincount(seen[seen != 255], minlength=2)
            found.append(counts.max() / counts.sum() if counts.any() else 1)
        return np.array(found)

    plain, better = shares(), shares(cat_max_ratio=0.75)
    good = better < 0.75
    # A window that was right at once stays.
    np.testing.assert_array_equal(better[plain < 0.75], plain[plain < 0.75])
    assert (plain < 0.75).mean() < 0.5 < good.mean()
    # With windows that are all full, the last place is taken.
    assert run({**sample, "label": label * 0}, 1, **asked, cat_max_ratio=0.5)["label"].max() == 0
    planes = augment(
        tensors({"image": sample["image"], "label": np.int64(3)}),
        tf.constant([1, 0]),
        Augmentation(**asked, cat_max_ratio=0.5),
    )
    assert arrays(planes)["label"] == 3


def batch(panoptic=False):
    rng = np.random.default_rng(0)
    label = np.repeat(np.repeat(rng.integers(0, 6, (4, 8, 8, 1)), 2, 1), 2, 2).astype(np.uint8)
    label[label == 5] = 255
    number = np.arange(4)[:, None, None, None]
    found = {"label": label, "image": (label + 0.25 * number).astype(np.float32).repeat(3, -1)}
    found["laplacian"] = (label.astype(np.int16) * 8 + number).astype(np.int16)
    if panoptic:
        instance = rng.integers(0, 3, label.shape)
        found["panoptic"] = (label.astype(np.int32) * 256 + instance).astype(np.int32)
        found["label_divisor"] = np.full(4, 256, np.int64)
    return found


@pytest.mark.parametrize("panoptic", [False, True])
def test_pasted_pixels_are_those_of_the_sample_before_in_all_planes(panoptic):
    given = batch(panoptic)
    data = tf.data.Dataset.from_tensors(given).repeat(8)
    found = list(pasted(data, 0.7, 5, classes=5, skip=[0], start=0).as_numpy_iterator())
    moved = set()
    for one in found:
        source = np.rint(one["image"][..., :1] % 1 * 4).astype(int)  # who it comes from
        own = np.arange(4)[:, None, None, None]
        mask = source != own
        np.testing.assert_array_equal(
            source[mask], np.broadcast_to((own - 1) % 4, mask.shape)[mask]
        )
        for name in given.keys() - {"label_divisor"}:
            whole = np.where(mask, np.roll(given[name], 1, 0), given[name])
            np.testing.assert_array_equal(one[name], whole)
        assert not np.isin(one["label"][mask], [0, 255]).any()
        if panoptic:
            ids = np.roll(given["panoptic"], 1, 0)
            assert (ids[mask] % 256 > 0).all()
        else:
            ids = np.roll(given["label"], 1, 0)
        for here, pixels in zip(mask, ids, strict=True):  # objects are pasted whole
            assert not set(pixels[here].tolist()) & set(
                pixels[~here & (pixels != 0) & (pixels != 255)].tolist()
            )
        moved.add(mask.tobytes())
    assert len(moved) > 4
    later = list(pasted(data.skip(3), 0.7, 5, classes=5, skip=[0], start=3).as_numpy_iterator())
    for one, other in zip(found[3:], later, strict=True):
        np.testing.assert_array_equal(one["image"], other["image"])
    none = next(pasted(data, 0.0, 5, classes=5).as_numpy_iterator())
    np.testing.assert_array_equal(none["label"], given["label"])
