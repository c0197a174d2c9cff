"""Class weights: from a real build, from files, and from invalid sources."""

import json

import numpy as np
import pytest

from dsbuild import reader
from dsbuild.errors import TrainError
from dsbuild.format.class_weights import weights
from dsbuild.format.folder import Folder
from dsbuild.format.manifest import Manifest
from dsbuild.layouts.classes import Classes
from dsbuild.train.fit.class_weights import class_weights
from tests.support import fakes
from tests.support.runs import make

KNOWN = Manifest("", "", ("background", "cat", "dog, big"), None, {}, {}, {}, None, {})


def test_weights_come_from_the_manifest_of_a_build(voc, out):
    made = make(voc, out, extras=("weights",)).manifest["splits"]
    known = Folder(out).manifest
    assert class_weights("none", known) is None
    assert class_weights("none") is None
    for name, key in (("median", "median_frequency"), ("effective", "effective_number")):
        for split in ("train", "val"):
            found = class_weights(name, known, split)
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, np.float32(made[split]["weights"][key]))
    with pytest.raises(
        TrainError, match=r"found weights of train, .*expected weights of split test"
    ):
        class_weights("median", known, "test")


@pytest.mark.parametrize("name", ["median", "effective"])
def test_weights_cover_all_training_data(voc, out, name):
    made = make(voc, out, extras=("weights",)).manifest
    known, key = Folder(out).manifest, f"{name}_{'frequency' if name == 'median' else 'number'}"
    for split in ("train+val", "val[:2]+train", "train[1:4]", "train[:]"):
        samples = reader.open(out, split)
        pixels, around, images = np.zeros((3, len(known.classes)), int)
        for sample in samples:
            there = np.bincount(sample.label[sample.label != 255], minlength=len(pixels))
            pixels += there
            images += there > 0
            around[there > 0] += there.sum()
        expected = weights(pixels.tolist(), around.tolist(), images.tolist(), 0.999)[key]
        found = class_weights(name, known, split, samples)
        np.testing.assert_array_equal(found, np.float32(expected), err_msg=split)
        assert not any(found[images == 0])
    np.testing.assert_array_equal(found, np.float32(made["splits"]["train"]["weights"][key]))


@pytest.mark.parametrize("name", ["median", "effective"])
def test_weights_for_classification_are_counted_the_same_way(tmp_path, out, name):
    make(fakes.classes(tmp_path), out, layout=Classes(), extras=("weights",))
    known = Folder(out).manifest
    whole, counted = (
        class_weights(name, known, split, reader.open(out, split))
        for split in ("train", "train[:]")
    )
    np.testing.assert_array_equal(counted, whole)


def test_a_build_without_weights_says_how_to_get_them(voc, out):
    make(voc, out)
    with pytest.raises(TrainError, match=r"none for split train .* --extra weights"):
        class_weights("median", Folder(out).manifest)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("w.json", "[1, 2.5, 0]"),
        ("w.json", json.dumps({"dog, big": 0, "background": 1, "cat": 2.5})),
        ("w.csv", "1\n2.5\n0\n"),
        ("w.CSV", '\ufeffcat,2.5\r\n"dog, big",0\r\n\r\nbackground,1'),
    ],
)
def test_a_file_is_read_in_the_order_of_the_classes(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    np.testing.assert_array_equal(class_weights(str(path), KNOWN), [1, 2.5, 0])


def test_without_a_manifest_numbers_are_taken_as_they_are(tmp_path):
    path = tmp_path / "w.json"
    path.write_text("[1, 2]")
    np.testing.assert_array_equal(class_weights(str(path)), [1, 2])
    path.write_text('{"cat": 1}')
    with pytest.raises(TrainError, match="weights by name, expected numbers"):
        class_weights(str(path))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("w.json", "[1, 2", "found no JSON"),
        ("w.json", b"\xff\xfe[1", "found no JSON"),
        ("w.json", '"1"', "expected a list of numbers, or an object"),
        ("w.json", "[1, true, 2]", "expected a list of numbers, or an object"),
        ("w.json", "[1, 2]", "found 2 weights, expected 3"),
        ("w.json", "[]", "found 0 weights, expected 3"),
        ("w.json", "[1, -2, 3]", "found -2, expected numbers of at least 0"),
        ("w.json", "[1, NaN, 3]", "found no JSON; expected a list"),
        ("w.json", "[0, 0, 0]", "found no weight above 0"),
        ("w.json", '{"cat": 1, "background": 2}', "dog, big: found no weight"),
        ("w.json", '{"cat": 1, "horse": 2}', "horse: no such class"),
        ("w.csv", "cat,1\ncat,2\n", "cat: found twice"),
        ("w.csv", "class,weight\ncat,1\n", "without a header"),
        ("w.csv", "1,2,3\n", "found lines that have neither one field nor two"),
        ("w.csv", b"\xff\xfe\x00", "expected one number"),
        ("w.csv", "", "found 0 weights, expected 3"),
    ],
)
def test_files_without_valid_weights_are_named(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(TrainError, match=message) as caught:
        class_weights(str(path), KNOWN)
    assert str(caught.value).startswith(str(path))


def test_an_unknown_source_is_named():
    with pytest.raises(TrainError, match="'mean': unknown; expected none, median, effective"):
        class_weights("mean", KNOWN)
    with pytest.raises(TrainError, match="median: found no manifest, expected weights"):
        class_weights("median")
