import numpy as np
import pytest
from keras import ops

from dsbuild.errors import TrainError
from dsbuild.extras.functions import laplacian
from dsbuild.train import model, runs
from dsbuild.train.dataset import Facts
from dsbuild.train.export import graph
from dsbuild.train.model import places
from dsbuild.train.predict.predictor import How, Predictor
from dsbuild.train.settings import Settings
from tests.support.backends import drawn, fresh
from tests.support.trained import canvas, eagerly


def trained(classes=5, task="segmentation", seed=0, **settings):
    asked = Settings(**({"backbone": "tiny", "crop": 33} | settings))
    known = Facts(task, tuple(map(str, range(classes))), 255, {}, "")
    network = model.build(**runs.architecture(asked, known))
    drawn(network, seed)
    made = runs.Trained(network, asked, known, 1)
    # Logits with a standard deviation of 1, so that no probability is 0 or 1.
    picture = image(33, 33)
    inputs = (picture, laplacian(picture)[..., None])[: len(network.inputs)]
    deviation = logits(made, *inputs).std()
    (last,) = model.named(network, "logits")
    for variable in last.variables:
        variable.assign(variable / deviation)
    return made


@pytest.fixture(scope="module")
def made():
    return trained()


@pytest.fixture(scope="module")
def plain(made):
    predictor = Predictor(made)
    predictor.probabilities(image(33, 33))  # by a graph, whichever test is first
    return predictor


BINARY = {"classes": 2, "sigmoid": True, "loss": "bce"}
EAGER = pytest.mark.usefixtures("without_graphs")


@pytest.fixture
def without_graphs():
    """Compute without graphs in a test whose promise holds for both; others trace them."""
    with eagerly():
        yield


@pytest.fixture(scope="module")
def binary():
    return trained(**BINARY)


def image(*size, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
    rows, columns = (np.linspace(0, 8.99, length).astype(int) for length in size)
    return coarse[rows][:, columns]


def logits(trained, picture, *planes, least=1):
    """Return the logits of a picture, and planes, padded by hand for segmentation."""
    height, width = picture.shape[:2]
    inputs = [picture.astype(np.float32), *(plane.astype(np.float32) for plane in planes)]
    pixels = trained.facts.task == "segmentation"
    if pixels:
        stride = trained.settings.output_stride
        inputs = [canvas(one, stride, 127.5 * (not i), least) for i, one in enumerate(inputs)]
    inputs = [one[None] for one in inputs]
    found = trained.model(inputs if inputs[1:] else inputs[0], training=False)
    found = ops.convert_to_numpy(found)[0]
    return found[:height, :width] if pixels else found


def softmax(values):
    powers = np.exp(values.astype(np.float64) - values.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("size", [(40, 61), pytest.param((33, 33), marks=pytest.mark.slow), (1, 7)])
def test_classes_have_the_largest_logits(made, plain, size):
    picture = image(*size)
    expected = logits(made, picture)
    classes = plain.classes(picture)
    assert classes.dtype == np.uint8
    np.testing.assert_array_equal(classes, expected.argmax(-1))
    probabilities = plain.probabilities(picture)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, softmax(expected), atol=1e-5)


@EAGER
def test_a_single_logit_gives_the_probability_of_class_1(binary):
    picture = image(40, 61)
    expected = logits(binary, picture)
    predictor = Predictor(binary)
    np.testing.assert_allclose(
        predictor.probabilities(picture), 1 / (1 + np.exp(-expected)), atol=1e-5
    )
    assert predictor.probabilities(picture).shape == (40, 61, 1)
    classes = predictor.classes(picture)
    np.testing.assert_array_equal(classes, expected[..., 0] > 0)
    assert {0, 1} == set(np.unique(classes))
    flipped = Predictor(binary, How(flip=True))
    np.testing.assert_array_equal(
        flipped.classes(picture), flipped.probabilities(picture)[..., 0] > 0.5
    )


@EAGER
@pytest.mark.parametrize("task", ["segmentation", "classification"])
def test_a_model_of_one_class_predicts_no_other(task):
    one, picture = trained(classes=1, task=task), image(33, 33)
    (last,) = model.named(one.model, "logits")
    seen, served = Predictor(one), graph.served(one)
    served.run_eagerly = True
    for bias in (9.0, -9.0):  # a logit of either sign
        last.bias.assign([bias])
        assert not seen.classes(picture).any()
        found = seen.probabilities(picture)
        np.testing.assert_array_equal(found, np.ones_like(found))
        assert not seen.decided(found).any()
        assert not np.any(served.predict_on_batch(picture[None]))


def at(planes, rows, columns):
    """Return planes (h, w, c), interpolated at positions of rows and columns."""
    for axis, where in enumerate((rows, columns)):
        last = planes.shape[axis] - 1
        low = np.clip(np.floor(where).astype(int), 0, last)
        part = np.clip(where, 0, last) - low
        part = part.reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        high = np.minimum(low + 1, last)
        planes = planes.take(low, axis) * (1 - part) + planes.take(high, axis) * part
    return planes


def by_hand(trained, picture, scales, flip, seen=None, least=1):
    """Return the mean of probabilities over scales and sides, with images resized to `seen`."""
    pixels, scorer = (trained.model.get_layer(name) for name in ("pixels", "scorer"))
    total = []
    size = picture.shape[:2]
    image = ops.convert_to_tensor(picture[None].astype(np.float32))
    resized = np.array(places.resize(image, *seen, True) if seen else image)[0]
    padded = canvas(resized, least=least)
    for scale in scales:
        for step in (1, -1)[: 1 + flip]:
            small = [int((n - 1) * scale / 16 + 0.5) * 16 + 1 for n in padded.shape[:2]]
            one = ops.convert_to_tensor(padded[None, :, ::step].copy())
            coarse = np.array(scorer(pixels(places.resize(one, *small, True))))[0, :, ::step]
            where = [
                np.arange(n) * (m - 1) / max(n - 1, 1) * (s - 1) / (p - 1) / 4
                for n, m, s, p in zip(size, resized.shape, small, padded.shape, strict=False)
            ]
            total.append(softmax(at(coarse, *where)))
    return np.mean(total, 0)


@EAGER
def test_scales_and_flip_are_averaged(made):
    assert_averaged(made)


@pytest.mark.slow
def test_scales_and_flip_are_averaged_by_graphs(made):
    assert_averaged(made)


def assert_averaged(made):
    picture = image(33, 45)
    scales = (0.5, 1.0, 1.7)
    found = Predictor(made, How(scales=scales, flip=True)).probabilities(picture)
    np.testing.assert_allclose(found, by_hand(made, picture, scales, True), atol=1e-4)
    for other in (by_hand(made, picture, (1.0,), True), by_hand(made, picture, scales, False)):
        assert np.abs(found - other).mean() > 0.01


@EAGER
@pytest.mark.parametrize(
    ("size", "seen"),
    [((40, 61), (33, 57)), pytest.param((61, 20), (65, 25), marks=pytest.mark.slow)],
)
def test_images_are_resized_as_in_training(size, seen):
    made, picture = trained(resize=(33, 65, 8)), image(*size)
    found = Predictor(made).probabilities(picture)
    np.testing.assert_allclose(found, by_hand(made, picture, (1.0,), False, seen), atol=1e-4)
    scales = Predictor(made, How(scales=(0.5, 1.0), flip=True))
    expected = by_hand(made, picture, (0.5, 1.0), True, seen)
    np.testing.assert_allclose(scales.probabilities(picture), expected, atol=1e-4)
    assert (Predictor(made).classes(picture) == found.argmax(-1)).mean() > 0.999
    with pytest.raises(TrainError, match=r"window: found 20, expected none: .* --resize 33,65,8"):
        Predictor(made, How(window=20))


@EAGER
def test_flipping_a_mirrored_image_gives_the_mirrored_result(made, plain):
    picture = image(40, 65)  # like DeepLab, it mirrors the padded image
    flipping = Predictor(made, How(flip=True))
    here = flipping.probabilities(picture)
    there = flipping.probabilities(picture[:, ::-1])
    np.testing.assert_allclose(there[:, ::-1], here, atol=1e-5)
    assert np.abs(plain.probabilities(picture) - here).max() > 0.01
    np.testing.assert_array_equal(flipping.classes(picture), here.argmax(-1))


@EAGER
@pytest.mark.parametrize("size", [(40, 61), pytest.param((513, 20), marks=pytest.mark.slow)])
def test_images_are_padded_to_the_crop_or_the_given_size(size):
    made, picture = trained(crop=513), image(*size)
    found = Predictor(made).probabilities(picture)
    np.testing.assert_allclose(found, softmax(logits(made, picture, least=513)), atol=1e-5)
    assert Predictor(made).size == 513
    asked = Predictor(made, How(size=90))
    expected = softmax(logits(made, picture, least=97))
    np.testing.assert_allclose(asked.probabilities(picture), expected, atol=1e-5)
    assert (asked.classes(picture) == expected.argmax(-1)).mean() > 0.999
    assert Predictor(made, How(window=40)).size == 40
    expected = by_hand(made, picture, (0.5, 1.5), True, least=129)
    both = Predictor(made, How(size=129, scales=(0.5, 1.5), flip=True))
    np.testing.assert_allclose(both.probabilities(picture), expected, atol=1e-4)


@pytest.mark.parametrize("window", [61, pytest.param(300, marks=pytest.mark.slow)])
def test_a_window_larger_than_the_image_is_the_whole_image(made, plain, window):
    picture = image(40, 61)
    np.testing.assert_array_equal(
        Predictor(made, How(window=window)).probabilities(picture),
        plain.probabilities(picture),
    )


def test_windows_cover_the_image_and_are_averaged_where_they_overlap(made, plain):
    picture = image(40, 75)
    found = Predictor(made, How(window=30)).probabilities(picture)
    total, counts = np.zeros((40, 75, 5)), np.zeros((40, 75, 1))
    for top in (0, 10):  # 20 wide; the last one ends at the image's edge
        for left in (0, 20, 40, 45):
            place = np.s_[top : top + 30, left : left + 30]
            total[place] += plain.probabilities(picture[place])
            counts[place] += 1
    assert counts.min() == 1
    np.testing.assert_allclose(found, total / counts, atol=1e-5)


@EAGER
def test_images_of_one_size_are_predicted_together(made):
    pictures = np.stack([image(20, 31, seed=seed) for seed in range(3)])
    for how in (How(), How(flip=True, window=25)):
        predictor = Predictor(made, how)
        together = predictor.probabilities(pictures)
        assert together.shape == (3, 20, 31, 5)
        assert predictor.classes(pictures).shape == (3, 20, 31)
        for found, picture in zip(together, pictures, strict=True):
            np.testing.assert_allclose(found, predictor.probabilities(picture), atol=1e-5)


@EAGER
def test_the_gradient_branch_gets_the_laplacian():
    branched = trained(gradient=True)
    picture = image(40, 61)
    plane = laplacian(picture)[..., None]
    expected = logits(branched, picture, plane)
    assert (expected.argmax(-1) != logits(branched, picture, 0 * plane).argmax(-1)).any()
    np.testing.assert_array_equal(Predictor(branched).classes(picture), expected.argmax(-1))
    more = Predictor(branched, How(scales=(0.5, 1.5), flip=True, window=45))
    assert more.probabilities(picture).shape == (40, 61, 5)


@EAGER
def test_classification_returns_probabilities_of_the_image():
    classifier = trained(3, "classification")
    picture = image(40, 61)
    predictor = Predictor(classifier)
    expected = softmax(logits(classifier, picture))
    np.testing.assert_allclose(predictor.probabilities(picture), expected, atol=1e-5)
    assert predictor.classes(picture).shape == ()
    assert predictor.classes(picture) == expected.argmax()
    mirrored = softmax(logits(classifier, picture[:, ::-1]))
    both = Predictor(classifier, How(flip=True)).probabilities(picture)
    np.testing.assert_allclose(both, (expected + mirrored) / 2, atol=1e-5)
    assert Predictor(classifier, How(scales=(0.5, 1.5))).classes(picture[None]).shape == (1,)
    with pytest.raises(TrainError, match="window: found 20, expected none"):
        Predictor(classifier, How(window=20))
    with pytest.raises(TrainError, match="eval size: found 20, expected none"):
        Predictor(classifier, How(size=20))


@EAGER
def test_classification_may_have_more_than_256_classes():
    classifier = trained(400, "classification")
    (last,) = model.named(classifier.model, "logits")
    last.bias.assign(last.bias + 100 * (np.arange(400) == 321))
    for how in (How(), How(flip=True)):
        assert Predictor(classifier, how).classes(image(33, 33)) == 321


def test_later_training_changes_predictions():
    learning = trained()
    predictor = Predictor(learning)
    picture = image(20, 20)
    before = predictor.probabilities(picture)
    for variable in learning.model.trainable_variables:
        variable.assign(variable * 1.5)
    np.testing.assert_allclose(
        predictor.probabilities(picture), softmax(logits(learning, picture)), atol=1e-4
    )
    assert np.abs(predictor.probabilities(picture) - before).max() > 1e-3


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((5, 5, 3), np.float32),
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 4), np.uint8),
        np.zeros((0, 5, 3), np.uint8),
    ],
)
def test_arrays_that_are_not_images_are_refused(plain, array):
    with pytest.raises(TrainError, match="image: found"):
        plain.classes(array)


@pytest.mark.parametrize(
    "asked",
    [{"scales": ()}, {"scales": (1.0, 0.0)}, {"scales": (np.inf,)}, {"window": 2}, {"size": 0}],
)
def test_values_out_of_range_are_refused(asked):
    with pytest.raises(TrainError, match="expected"):
        How(**asked)


@pytest.mark.slow
def test_probabilities_are_the_same_on_torch():
    pytest.importorskip("torch", reason="torch is not installed")
    code = (
        f"from {__name__} import *\n"
        "how = How(scales=(0.5, 1.0), flip=True, window=30)\n"
        "p = Predictor(trained(synchronized=False), how).probabilities(image(40, 61))\n"
        "print(p.sum((0, 1)).round(1).tolist())"
    )
    printed = [fresh(code, KERAS_BACKEND=backend) for backend in ("tensorflow", "torch")]
    one, other = (np.array(eval(lines.splitlines()[-1])) for lines in printed)
    np.testing.assert_allclose(one, other, atol=1)
    assert len(one) == 5
