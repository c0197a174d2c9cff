"""Augmentation of samples: what is drawn, what stays aligned, and what is refused."""

import collections

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import dsbuild
from dsbuild.errors import PlanError
from dsbuild.reader.tf.augment import augment, augmented, evaluation
from dsbuild.reader.tf.augmentation import Augmentation
from tests.support.augmented import arrays, drawn, run, tensors
from tests.support.runs import make

FILL = (123.15, 115.9, 103.06)
STILL = {"scales": (1, 1), "flip": 0}
JITTER = {"brightness": 0.3, "contrast": 0.5, "saturation": 0.5, "hue": 0.2}


SPECS = {
    name: tf.TensorSpec([None, None, *value.shape[2:]] if value.ndim > 1 else value.shape, dtype)
    for name, value in drawn(2, 2).items()
    for dtype in [tf.as_dtype(value.dtype) if name != "key" else tf.string]
}
STEPS = {
    crop: tf.function(
        lambda sample, seed, crop=crop: augment(
            sample, seed, Augmentation(crop=crop, fill=FILL, flip=0.5)
        ),
        input_signature=[SPECS, tf.TensorSpec([2], tf.int64)],
        autograph=False,
    )
    for crop in ((1, 1), (24, 31), (65, 33), None)
}


ANY = given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.sampled_from(sorted(STEPS, key=str)),
    st.integers(0, 1 << 40),
)


@settings(deadline=None, max_examples=40)
@ANY
def test_image_label_and_planes_stay_aligned(height, width, crop, seed):
    assert_aligned(height, width, crop, seed)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@ANY
def test_image_label_and_planes_of_many_sizes_stay_aligned(height, width, crop, seed):
    assert_aligned(height, width, crop, seed)


def assert_aligned(height, width, crop, seed):
    sample = drawn(height, width)
    found = arrays(STEPS[crop](tensors(sample), tf.constant([seed, 1], tf.int64)))
    image, label = found["image"], found["label"]
    assert image.dtype == np.float32
    assert (int(found["height"]), int(found["width"][0])) == image.shape[:2]
    assert image.shape[:2] == label.shape == (crop or label.shape)
    assert found.pop("key") == b"2007_000032"
    for name in found.keys() - {"image"}:
        assert found[name].dtype == sample[name].dtype
        assert found[name].ndim == sample[name].ndim
    # Padding is a corner's rest, exact in all; what is in it is nowhere else.
    rest = label == 255
    seen = (~rest).any(1).sum(), (~rest).any(0).sum()
    assert (~rest).sum() == seen[0] * seen[1]
    np.testing.assert_array_equal(image[rest], np.float32(FILL) + np.zeros((rest.sum(), 3)))
    for name in ("laplacian", "alpha", "trimap", "weights", "edges"):
        assert not found[name][rest].any()
    image, label = image[~rest], label[~rest]
    # Bilinear planes by the image's rows and columns; nearest ones by the label's class.
    rows, columns = image[:, 0], image[:, 1]
    laplacian = found["laplacian"][~rest][:, 0]
    np.testing.assert_allclose(laplacian, 4 * rows - 4 * columns, atol=0.51)
    np.testing.assert_allclose(found["alpha"][~rest], rows, atol=0.51)
    expected = np.choose(label % 3, [0, 128, 255])
    np.testing.assert_array_equal(found["trimap"][~rest][:, 0], expected)
    np.testing.assert_array_equal(found["weights"][~rest], (label / 20).astype(np.float32))
    np.testing.assert_array_equal(found["edges"][~rest], label % 2 == 1)
    # The class is that of the pixel whose centre is nearest; where two are, of either.
    classes = [
        sample["label"][np.rint(down).astype(int), np.rint(across).astype(int)]
        for down in (rows - 1e-3, (rows + 1e-3).clip(max=height - 1))
        for across in (columns - 1e-3, (columns + 1e-3).clip(max=width - 1))
    ]
    assert (np.stack(classes) == label).any(0).all()


def test_what_stays_at_scale_one_is_the_image_padded():
    sample = drawn(20, 30)
    found = run(sample, 0, crop=(33, 41), **STILL)
    np.testing.assert_array_equal(found["image"][:20, :30], sample["image"])
    np.testing.assert_array_equal(found["laplacian"][:20, :30], sample["laplacian"])
    np.testing.assert_array_equal(found["label"][:20, :30], sample["label"])
    assert (found["image"][20:] == 127.5).all()
    assert (found["image"][:, 30:] == 127.5).all()
    assert (found["label"][20:] == 255).all()
    mirrored = run(sample, 0, crop=(33, 41), scales=(1, 1), flip=1)
    for name in ("image", "label", "laplacian", "edges", "weights"):
        np.testing.assert_array_equal(mirrored[name], found[name][:, ::-1])


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (3, 2), (700, 3)])
@pytest.mark.parametrize("crop", [(1, 1), (65, 65), None])
@pytest.mark.parametrize(
    "seeds", [range(3), pytest.param(range(3, 8), marks=pytest.mark.slow)], ids=["few", "more"]
)
def test_values_of_labels_are_those_before_and_ignore(shape, crop, seeds):
    sample = drawn(*shape)
    for seed in seeds:
        found = run(sample, seed, crop=crop, ignore=254)
        assert set(np.unique(found["label"])) <= {*np.unique(sample["label"]), 254}
        assert found["image"].shape[:2] == (crop or found["label"].shape)
        if crop is None:
            assert 254 not in found["label"]


def test_a_label_keeps_its_rank_and_may_be_missing_or_one_class():
    sample = drawn(9, 8)
    image, label = sample["image"], sample["label"]
    flat = run({"image": image, "label": label}, 5, crop=(6, 7))
    deep = run({"image": image, "label": label[..., None]}, 5, crop=(6, 7))
    assert deep["label"].shape == (6, 7, 1)
    np.testing.assert_array_equal(deep["label"][..., 0], flat["label"])
    alone = run({"image": image}, 5, crop=(6, 7))
    np.testing.assert_array_equal(alone["image"], flat["image"])
    one = run({"image": image, "label": np.array(3)}, 5, crop=(6, 7))
    assert one["label"] == 3


def test_the_given_sample_is_left_as_it_is():
    sample = tensors(drawn(9, 8))
    before = dict(sample)
    augment(sample, tf.constant([1, 2]), Augmentation(crop=(4, 4)))
    assert all(sample[name] is before[name] for name in before)


def dataset(count=24):
    random = np.random.default_rng(3)
    images = random.integers(0, 256, (count, 21, 30, 3), np.uint8)
    labels = random.integers(0, 21, (count, 21, 30), np.uint8)
    return tf.data.Dataset.from_tensor_slices({"image": images, "label": labels})


def batches(ds):
    return [(b["image"].numpy(), b["label"].numpy()) for b in ds.batch(8)]


def test_the_same_seed_gives_the_same_batches_for_any_number_of_calls():
    chosen = Augmentation(crop=(17, 19), **JITTER)
    first = batches(augmented(dataset(), chosen, 7, 1))
    again = batches(augmented(dataset(), chosen, 7, 4))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    other = batches(augmented(dataset(), chosen, 8))
    assert (first[0][0] != other[0][0]).any()


def test_shapes_are_static():
    spec = augmented(dataset(), Augmentation(crop=(17, 19)), 0).element_spec
    assert spec["image"] == tf.TensorSpec([17, 19, 3], tf.float32)
    assert spec["label"] == tf.TensorSpec([17, 19], tf.uint8)
    fixed = dataset().map(lambda sample: evaluation(sample, Augmentation(crop=(37, 39))))
    assert fixed.element_spec["image"] == tf.TensorSpec([37, 39, 3], tf.float32)


def test_samples_stay_in_order_though_some_take_longer():
    def sized(number):
        side = tf.where(number % 8 == 0, 1200, 5)
        return {"image": tf.zeros([side, side, 3], tf.uint8), "number": number}

    chosen = Augmentation(crop=(5, 5))
    found = augmented(tf.data.Dataset.range(32).map(sized), chosen, 0, 4)
    assert [int(sample["number"]) for sample in found] == list(range(32))


def test_a_repeated_dataset_is_augmented_differently_each_time():
    found = batches(augmented(dataset(8).repeat(2), Augmentation(crop=(17, 19)), 1))
    assert (found[0][0] != found[1][0]).any()


def test_all_scales_occur_half_are_flipped_and_all_places_are_seen():
    # A column's number tells flip and place, the size of the result the scale.
    columns = np.broadcast_to(np.arange(40), (40, 40)).astype(np.uint8)
    sample = {"image": np.repeat(columns[..., None], 3, 2), "label": columns}
    ds = tf.data.Dataset.from_tensors(sample).repeat(1400)

    def seen(data, settings):
        """Return height, first and last label of each result, counted in batches."""

        def told(one):
            return tf.shape(one["image"])[0], one["label"][0, 0], one["label"][0, -1]

        rows = augmented(data, settings, 11).map(told).batch(200).as_numpy_iterator()
        return np.concatenate([np.stack(row, 1) for row in rows])

    free = seen(ds, Augmentation(crop=None))
    sizes = collections.Counter(free[:, 0].tolist())
    assert set(sizes) == {20, 30, 40, 50, 60, 70, 80}
    assert all(140 <= count <= 260 for count in sizes.values())
    flipped = (free[:, 1] > free[:, 2]).sum()
    assert 600 <= flipped <= 800
    cut = seen(ds, Augmentation(crop=(40, 37), scales=(1, 1), flip=0))
    places = collections.Counter(cut[:, 1].tolist())
    assert set(places) == {0, 1, 2, 3}
    assert all(270 <= count <= 430 for count in places.values())
    smooth = seen(ds.take(200), Augmentation(crop=None, scale_step=0))
    assert len(set(smooth[:, 0].tolist())) > 40


def test_jitter_stays_in_range_and_leaves_window_labels_and_padding_alone():
    sample = drawn(30, 40)
    sample["image"] = np.random.default_rng(1).integers(0, 256, (30, 40, 3), np.uint8)
    for seed in range(10):
        calm = run(sample, seed, crop=(33, 35))
        wild = run(sample, seed, crop=(33, 35), **JITTER)
        rest = calm["label"] == 255
        assert wild["image"].min() >= 0
        assert wild["image"].max() <= 255
        assert np.abs(wild["image"] - calm["image"])[~rest].max() > 5
        np.testing.assert_array_equal(wild["image"][rest], calm["image"][rest])
        for name in sample.keys() - {"image"}:
            np.testing.assert_array_equal(wild[name], calm[name])


@pytest.mark.parametrize("name", JITTER)
def test_each_jitter_does_what_it_is_named_for(name):
    grey = np.full((8, 8, 3), 100, np.uint8)
    grey[:4] = 140
    colour = np.random.default_rng(2).integers(60, 160, (8, 8, 3), np.uint8)
    chosen = {"crop": (8, 8), **STILL, name: JITTER[name]}
    of_grey = run({"image": grey}, 4, **chosen)["image"] - grey
    found = run({"image": colour}, 4, **chosen)["image"]
    change = found - colour
    assert np.abs(change).max() > 1
    if name == "brightness":
        np.testing.assert_allclose(change, change[0, 0, 0], atol=1e-3)
        assert abs(change[0, 0, 0]) <= 0.3 * 255
    if name == "contrast":
        np.testing.assert_allclose(found.mean((0, 1)), colour.mean((0, 1)), atol=1e-3)
        assert found.std() != pytest.approx(colour.std(), rel=0.01)
    if name in ("saturation", "hue"):
        np.testing.assert_allclose(of_grey, 0, atol=1e-3)
        np.testing.assert_allclose(found.max(2), colour.max(2), atol=1e-2)
    if name == "hue":
        np.testing.assert_allclose(found.min(2), colour.min(2), atol=1e-2)


def test_evaluation_pads_and_changes_nothing():
    sample = drawn(20, 30)
    found = arrays(evaluation(tensors(sample), Augmentation(crop=(33, 33), **JITTER)))
    for name in ("image", "label", "laplacian", "alpha", "edges"):
        np.testing.assert_array_equal(found[name][:20, :30], sample[name])
    assert (found["image"][20:] == 127.5).all()
    assert (found["label"][:, 30:] == 255).all()
    assert (found["height"], found["width"]) == (33, [33])
    free = arrays(evaluation(tensors(sample), Augmentation(crop=None)))
    np.testing.assert_array_equal(free["image"], sample["image"])


def test_evaluation_refuses_what_is_larger_than_the_crop():
    message = r"(?s)found height and width.*20, 30.*at most the crop.*33, 29.*2007_000032"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        evaluation(tensors(drawn(20, 30)), Augmentation(crop=(33, 29)))


@pytest.mark.parametrize(
    ("shape", "resize", "size"),
    [
        ((375, 500), (513, 2000, 1), (513, 684)),
        ((500, 375), (513, 600, 1), (600, 450)),  # the larger side, which would be 684
        ((100, 100), (33, 33, 32), (33, 33)),
        ((100, 100), (34, 34, 32), (33, 33)),  # the largest side is 33
        ((100, 200), (32, 64, 16), (33, 49)),
        ((375, 500), (193, 256, 4), (189, 253)),
        ((1, 900), (1, 30, 1), (1, 30)),
    ],
)
def test_resize_to_a_range_of_sides(shape, resize, size):
    image = tf.zeros([*shape, 3], tf.uint8)
    found = evaluation({"image": image}, Augmentation(crop=None, resize=resize))
    assert found["image"].shape == (*size, 3)
    chosen = Augmentation(crop=None, resize=resize, scales=(2, 2), scale_step=0)
    found = augment({"image": image}, tf.constant([0, 0]), chosen)
    assert found["image"].shape == (2 * size[0], 2 * size[1], 3)


def test_resize_is_that_of_tensorflow():
    sample = drawn(37, 41)
    chosen = Augmentation(crop=None, resize=(50, 100, 1))
    found = arrays(evaluation(tensors(sample), chosen))
    image = tf.image.resize(sample["image"], (50, 55)).numpy()
    np.testing.assert_array_equal(found["image"], image)
    label = tf.image.resize(sample["label"][..., None], (50, 55), "nearest").numpy()
    np.testing.assert_array_equal(found["label"], label[..., 0])


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("crop", (0, 513), "whole numbers from 1"),
        ("crop", 513, "height and width"),
        ("crop", (513.5, 513), "whole numbers from 1"),
        ("crop", (5, 5, 3), "height and width"),
        ("scales", (2.0, 0.5), "the smaller factor first"),
        ("scales", (0, 1), "above 0"),
        ("scales", (1, float("nan")), "above 0"),
        ("scale_step", 0.4, "divides the range of scales, 0.5 to 2.0"),
        ("scale_step", -0.25, "at least 0"),
        ("flip", 1.5, "from 0 to 1"),
        ("fill", (127.5, 127.5), "3 numbers from 0 to 255"),
        ("fill", (127.5, 127.5, 256), "from 0 to 255"),
        ("ignore", 65536, "from 0 to 65535"),
        ("ignore", -1, "from 0 to 65535"),
        ("ignore", "255", "from 0 to 65535"),
        ("resize", (513, 400, 1), "at most the largest side"),
        ("resize", (513, 513, 0), "from 1"),
        ("soft", "alpha", "texts"),
        ("soft", ("label",), "other than image and label"),
        ("brightness", 1.1, "from 0 to 1"),
        ("contrast", -0.1, "from 0 to 1"),
        ("saturation", "0.5", "from 0 to 1"),
        ("hue", 0.6, "from 0 to 0.5"),
    ],
)
def test_wrong_settings_are_named(name, value, expected):
    with pytest.raises(PlanError) as error:
        Augmentation(**{name: value})
    assert str(error.value).startswith(f"{name}: found {value!r}, expected ")
    assert expected in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": tf.zeros([5, 6], tf.uint8)}, r"label: found .*5, 6.*those of the image.*6, 5"),
        ({"label": tf.zeros([5], tf.uint8)}, r"label: found shape \(5,\), expected \(height"),
        ({"image": tf.zeros([6, 5], tf.uint8)}, r"image: found shape \(6, 5\), expected"),
        ({"image": tf.zeros([6, 5, 4], tf.uint8)}, r"image: found shape \(6, 5, 4\), expected"),
    ],
)
def test_shapes_that_are_known_are_checked_at_once(change, message):
    sample = {"image": tf.zeros([6, 5, 3], tf.uint8), **change}
    for call in (
        lambda: augment(sample, tf.constant([0, 0]), Augmentation()),
        lambda: evaluation(sample, Augmentation()),
    ):
        with pytest.raises(PlanError, match=message):
            call()


def test_a_sample_without_image_is_refused():
    with pytest.raises(PlanError, match="found label, expected an image"):
        evaluation({"label": tf.zeros([5, 6], tf.uint8)}, Augmentation())


def test_planes_of_another_size_are_reported_at_run_time():
    sample = drawn(6, 5)
    sample["alpha"] = sample["alpha"].T
    message = r"alpha: found height and width.*\[5 6\].*those of the image.*\[6 5\].*2007_000032"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        STEPS[24, 31](tensors(sample), tf.constant([0, 0], tf.int64))


def test_pairs_are_augmented_like_dicts(voc, out):
    make(voc, out, splits=("val",), extras=("edges",))
    deeplab = Augmentation(crop=(33, 35))
    pairs = augmented(dsbuild.tf_dataset(out, as_supervised=True), deeplab, 3)
    for (image, label), one in zip(
        pairs, augmented(dsbuild.tf_dataset(out), deeplab, 3), strict=True
    ):
        np.testing.assert_array_equal(image, one["image"])
        np.testing.assert_array_equal(label, one["label"])
    three = dsbuild.tf_dataset(out, extras=["edges"], as_supervised=True)
    with pytest.raises(PlanError, match="expected a dict or"):
        augmented(three, deeplab, 3)
