"""Weights by hand on built data sets, extras through whole builds, and what they leave alone."""

import io
import json
import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from dsbuild import extras, images
from dsbuild.build.image_policy import Policy
from dsbuild.build.recipe import Recipe
from dsbuild.errors import PlanError
from dsbuild.extras import functions
from dsbuild.format import example, manifest, tfrecord
from dsbuild.format.class_weights import weights
from dsbuild.layouts.cityscapes import Cityscapes
from dsbuild.layouts.matting import Matting
from dsbuild.layouts.voc import Voc
from tests.support import fakes
from tests.support.runs import content, make, requested

# Label planes of unequal size; 255 is no class. Classes 1 and 2 never share a size.
PLANES = (
    np.array([[0, 0, 0, 1, 1, 255]], np.uint8),
    np.array([[0, 0], [0, 2], [255, 255], [2, 2]], np.uint8),
    np.array([[1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 7]], np.uint8),
    np.full((3, 3), 255, np.uint8),
)


def tree(folder, labels=PLANES):
    """Write a VOC tree of these labels, all in train; return its root."""
    root = fakes.voc(folder, train=len(labels), val=0)
    for i, plane in enumerate(labels):
        image = fakes.photo(np.random.default_rng(i), plane.shape[1], plane.shape[0])
        image.save(os.path.join(root, "JPEGImages", f"2007_{i:06d}.jpg"))
        mask = fakes.with_palette(Image.fromarray(plane))
        mask.save(os.path.join(root, "SegmentationClass", f"2007_{i:06d}.png"))
    return root


def records(out, split="train"):
    """Return role -> value of every record of a split."""
    with open(os.path.join(out, manifest.SCHEMA)) as file:
        named = {f["name"]: f["annotation"]["tag"][0][5:] for f in json.load(file)["feature"]}
    found = []
    for name in sorted(os.listdir(out)):
        if manifest.split_of(name) == split:
            for record in tfrecord.read(os.path.join(out, name)):
                values = example.parse(record.data)
                found.append({named[key]: value for key, value in values.items()})
    return found


# weights


def test_weights_by_hand(tmp_path, out):
    root = tree(tmp_path)
    found = make(root, out, splits=("train",), extras=("weights:beta=0.5",)).manifest["splits"][
        "train"
    ]["weights"]
    assert found["beta"] == 0.5
    # 23 labelled pixels: 3 + 3 + 3 of class 0, 2 + 8 of 1, 3 of 2, 1 of 7.
    pixels = {0: 9, 1: 10, 2: 3, 7: 1}
    assert sum(pixels.values()) == 23
    for value, count in pixels.items():
        assert found["frequency"][value] == pytest.approx(count / 23)
    # Labelled pixels are 5, 6 and 12 in the images that have any.
    shares = {0: 9 / (5 + 6 + 12), 1: 10 / (5 + 12), 2: 3 / 6, 7: 1 / 12}
    middle = float(np.median(list(shares.values())))
    for value, share in shares.items():
        assert found["median_frequency"][value] == pytest.approx(middle / share)
    # (1 - b) / (1 - b^n): class 0 in three images, 1 in two, 2 and 7 in one.
    raw = {0: 0.5 / (1 - 0.125), 1: 0.5 / 0.75, 2: 1.0, 7: 1.0}
    mean = sum(raw.values()) / 4
    for value, weight in raw.items():
        assert found["effective_number"][value] == pytest.approx(weight / mean)
    for name in ("frequency", "median_frequency", "effective_number"):
        assert len(found[name]) == 21
        assert {found[name][i] for i in range(21) if i not in pixels} == {0.0}


def test_shards_and_workers_change_no_weight(tmp_path, out):
    root = tree(tmp_path)
    found = []
    for shards, workers in ((1, 1), (3, 2)):
        summary = make(
            root,
            out,
            workers,
            splits=("train",),
            shards=shards,
            extras=("weights",),
            overwrite=True,
        )
        found.append(summary.manifest["splits"]["train"]["weights"])
    assert found[0] == found[1]


def test_a_class_without_pixels_has_no_weight(tmp_path, out):
    root = tree(tmp_path, [np.full((2, 3), 255, np.uint8)] * 2)
    found = make(
        root, out, splits=("train",), extras=("weights",), accept=("all-ignore",)
    ).manifest["splits"]["train"]["weights"]
    assert {weight for name in found if name != "beta" for weight in found[name]} == {0.0}


def test_one_class_alone_weighs_one():
    found = weights([0, 12], [0, 12], [0, 3], 0.999)
    assert found["frequency"] == [0, 1]
    assert found["median_frequency"] == [0, 1]
    assert found["effective_number"] == [0, pytest.approx(1)]


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.999, 0.999999])
def test_effective_numbers_have_a_mean_of_one(beta):
    counts = [1, 5, 100, 0, 3000]
    found = weights([c * 7 for c in counts], [c * 9 for c in counts], counts, beta)
    there = [w for w in found["effective_number"] if w]
    assert np.mean(there) == pytest.approx(1)
    assert there == sorted(there, reverse=True)  # rarer classes weigh as much or more


def test_a_split_without_labels_has_no_weights(tmp_path, out):
    root = fakes.cityscapes(tmp_path)
    splits = make(root, out, layout=Cityscapes(), extras=("weights",)).manifest["splits"]
    assert {name: "weights" in entry for name, entry in splits.items()} == {
        "train": True,
        "val": True,
        "test": False,
    }


def test_weights_rewrite_nothing(voc, out, tmp_path):
    plain = make(voc, out, shards=3)
    before = content(out)
    stamps = {name: os.stat(os.path.join(out, name)).st_mtime_ns for name in before}
    weighed = make(voc, out, shards=3, extras=("weights",))
    assert (weighed.written, weighed.kept) == (0, plain.written)
    after = content(out)
    assert {name for name in after if after[name] != before.get(name)} == {
        manifest.NAME,
        ".dsbuild/recipe.json",  # beside the recipe it notes the beta, lest that be lost
    }
    assert all(
        os.stat(os.path.join(out, name)).st_mtime_ns == stamps[name]
        for name in stamps
        if manifest.split_of(name)
    )
    for split, entry in weighed.manifest["splits"].items():
        weight = entry.pop("weights")
        assert plain.manifest["splits"][split] == entry
        assert weight["beta"] == 0.999
    # Another beta is another manifest; a fresh build with weights is the same folder.
    assert make(voc, out, shards=3, extras=("weights:beta=0.9",)).written == 0
    fresh = str(tmp_path / "fresh")
    make(voc, fresh, shards=3, extras=("weights:beta=0.9",))
    assert content(fresh) == content(out)
    # Without weights the folder is again as it was.
    assert make(voc, out, shards=3).written == 0
    assert content(out) == before


def test_weights_need_decoded_labels():
    with pytest.raises(PlanError, match="it counts the labels, which --verify header leaves"):
        requested("root", "out", extras=("weights",), verify="header")


# extras through whole builds


@pytest.mark.parametrize(
    "names", [("laplacian", "laplacian:raw16"), ("edges:width=2", "edges"), ("weights", "weights")]
)
def test_an_extra_twice_is_refused(names):
    with pytest.raises(PlanError, match=f"--extra {names[0].partition(':')[0]}: found twice"):
        requested("root", "out", extras=names)


@pytest.mark.parametrize("name", ["alpha", "trimap:width=3"])
def test_alpha_is_for_mattes_only(name):
    with pytest.raises(PlanError, match="samples of dsbuild voc have none"):
        Recipe(layout=Voc(), extras=(name,))


def test_a_record_has_every_requested_extra(voc, out):
    names = ("laplacian:png16", "sobel:raw16", "canny", "edges:width=2", "distance:cap=9")
    make(voc, out, splits=("val",), extras=names)
    for record in records(out, "val"):
        data, label = record["image"][0], images.plane(record["label"][0])
        image = images.decode(data, images.header(data))
        computed = {
            "laplacian": functions.laplacian(image),
            "sobel": functions.sobel(image),
            "canny": functions.canny(image, 100, 200),
            "edges": functions.edges(label, 2),
            "distance": functions.distance(label, 9),
        }
        for name, expected in computed.items():
            stored = record[f"{name}.encoded"][0]
            form = record[f"{name}.format"][0]
            if form == b"raw16":
                found = np.frombuffer(stored, "<i2").reshape(label.shape)
            elif form == b"png16":
                found = np.asarray(Image.open(io.BytesIO(stored)), np.int64)
                found = found - extras.OFFSET
            else:
                found = images.plane(stored)
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("verify", ["full", "header"])
@pytest.mark.parametrize("jpeg_quality", [None, 80])
def test_extras_are_those_of_the_stored_planes(voc, out, verify, jpeg_quality):
    policy = Policy(max_side=31, jpeg_quality=jpeg_quality)
    names = ("laplacian:raw16", "edges", "distance")
    make(voc, out, splits=("val",), extras=names, policy=policy, verify=verify)
    found = records(out, "val")
    assert found
    for record in found:
        data, label = record["image"][0], images.plane(record["label"][0])
        image = images.decode(data, images.header(data))
        assert max(image.shape) == 31 == max(label.shape)
        stored = np.frombuffer(record["laplacian.encoded"][0], "<i2").reshape(label.shape)
        np.testing.assert_array_equal(stored, functions.laplacian(image))
        stored = images.plane(record["edges.encoded"][0])
        np.testing.assert_array_equal(stored, functions.edges(label, 1))
        stored = images.plane(record["distance.encoded"][0])
        np.testing.assert_array_equal(stored, functions.distance(label, 255))


def test_mattes_keep_their_alpha(tmp_path, out):
    root = fakes.matting(tmp_path)
    make(root, out, layout=Matting(), extras=("alpha", "trimap:width=2"))
    found = records(out)
    assert found
    for record in found:
        alpha, label = (images.plane(record[name][0]) for name in ("alpha.encoded", "label"))
        np.testing.assert_array_equal(label, alpha > 50)
        trimap = images.plane(record["trimap.encoded"][0])
        np.testing.assert_array_equal(trimap, functions.trimap(alpha, 2))


def test_extras_of_the_label_are_not_in_every_record_where_a_split_has_none(tmp_path, out):
    root = fakes.cityscapes(tmp_path)
    make(root, out, layout=Cityscapes(), extras=("edges", "distance", "canny"))
    with open(os.path.join(out, manifest.SCHEMA)) as file:
        document = json.load(file)
    share = {f["name"]: f["presence"]["minFraction"] for f in document["feature"]}
    of_label = {name for name in share if "segmentation" in name}
    assert len(of_label) == 6
    assert {share[name] for name in of_label} == {0.0}
    assert {share[name] for name in share.keys() - of_label} == {1.0}
    assert any("canny" in name for name in share)
    for record in records(out, "test"):
        assert "canny.encoded" in record
        assert not {"label", "edges.encoded", "distance.encoded"} & record.keys()
    for record in records(out, "val"):
        assert {"label", "edges.encoded", "distance.encoded"} <= record.keys()
    # Where all splits have labels, all records have what is made of them.
    make(root, out, layout=Cityscapes(), splits=("val",), extras=("edges",), overwrite=True)
    with open(os.path.join(out, manifest.SCHEMA)) as file:
        assert {f["presence"]["minFraction"] for f in json.load(file)["feature"]} == {1.0}
    # Where none has, no feature of a label is announced.
    make(root, out, layout=Cityscapes(), splits=("test",), extras=("edges",), overwrite=True)
    with open(os.path.join(out, manifest.SCHEMA)) as file:
        assert not any("segmentation" in f["name"] for f in json.load(file)["feature"])


def test_extras_in_two_processes_are_the_same_bytes(voc, tmp_path):
    import cv2

    cv2.GaussianBlur(np.zeros((900, 900, 3), np.uint8), (9, 9), 2)  # OpenCV's threads are there
    names = ("laplacian:png16", "sobel", "canny:low=20:high=60", "edges", "distance")
    for name, workers in (("one", 1), ("two", 2)):
        make(voc, str(tmp_path / name), workers, shards=3, extras=names)
    assert content(tmp_path / "one") == content(tmp_path / "two")


@pytest.mark.heavy
def test_the_page_reads_them_back(voc, tmp_path, monkeypatch):
    import tensorflow as tf

    names = ("edges", "laplacian:raw16", "sobel", "weights")
    make(voc, str(tmp_path / "tfrecord"), splits=("train", "val"), shards=1, extras=names)
    page = pathlib.Path(__file__).parents[2] / "docs" / "extras.md"
    code = page.read_text().partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(code, found)
    assert len(found["weights"]) == 21
    file = tmp_path / "tfrecord" / "train-00000-of-00001.tfrecord"
    for raw, record in zip(tf.data.TFRecordDataset(str(file)), records(file.parent), strict=True):
        image = images.decode(record["image"][0], images.header(record["image"][0]))
        label = images.plane(record["label"][0])
        expected = (functions.edges(label, 1), functions.sobel(image), functions.laplacian(image))
        for one, other in zip(found["planes"](raw), expected, strict=True):
            np.testing.assert_array_equal(one[..., 0], other)
