"""Every layout can be listed, converted and read back."""

import dataclasses
import itertools
import os
import pickle

import numpy as np
import pytest
from cityscapesscripts.helpers.annotation import Annotation
from cityscapesscripts.preparation.json2labelImg import createLabelImage
from PIL import Image

from dsbuild import images
from dsbuild.format import example, tfrecord
from dsbuild.layouts import LAYOUTS
from dsbuild.layouts.cityscapes import Cityscapes
from dsbuild.layouts.classes import Classes
from dsbuild.layouts.matting import Matting
from dsbuild.layouts.pairs import Pairs
from dsbuild.layouts.voc import Voc
from tests.conftest import content, make
from tests.support import fakes


def stored(path):
    """Decode a label by Pillow alone: its stored values."""
    return np.asarray(Image.open(path))


def drawn(encoding):
    """Return a decoder of polygons by cityscapesScripts."""

    def decode(path):
        annotation = Annotation()
        annotation.fromJsonFile(path)
        return np.asarray(createLabelImage(annotation, encoding))

    return decode


# Layout -> how it is drawn, and how a label is decoded without dsbuild.
DRAWN = {
    Voc(): (fakes.voc, stored),
    Cityscapes(): (fakes.cityscapes, drawn("trainIds")),
    Cityscapes(encoding="ids"): (fakes.cityscapes, drawn("ids")),
    Matting(): (fakes.matting, lambda path: stored(path)[..., 3] > 50),
    Pairs(names=("a", "b", "c"), val_fraction=0.4): (fakes.pairs, stored),
    Pairs(binary=1, val_fraction=0.4, split_seed=5): (fakes.pairs, lambda path: stored(path) > 1),
    Classes(val_fraction=0.4): (fakes.classes, None),
    Classes(names=("horse", "dog", "cat"), val_fraction=0.4): (fakes.classes, None),
}


@pytest.fixture(params=DRAWN, ids=repr)
def given(request):
    """A layout as its options define it, not yet bound to a root."""
    return request.param


@pytest.fixture
def root(given, tmp_path):
    return DRAWN[given][0](tmp_path)


@pytest.fixture
def decode(given):
    return DRAWN[given][1]


@pytest.fixture
def layout(given, root):
    return given.bind(root)


def is_file(root, path):
    return os.path.isfile(os.path.join(root, path))


def test_every_layout_is_drawn():
    assert {layout.name: type(layout) for layout in DRAWN} == LAYOUTS


def test_it_is_a_value(layout):
    assert pickle.loads(pickle.dumps(layout)) == layout == dataclasses.replace(layout)
    assert hash(layout) == hash(dataclasses.replace(layout))
    assert len(layout.classes) > 1
    assert len(set(layout.classes)) == len(layout.classes)
    assert all(isinstance(text, str) for text in (layout.name, layout.title, layout.source))


def test_it_is_found_from_above(layout, root, tmp_path, monkeypatch):
    below = root if layout.name in ("pairs", "classes") else tmp_path
    assert os.path.samefile(layout.find(str(below)), root)
    if layout.name == "classes":
        below = tmp_path
        os.rename(root, root := os.path.join(tmp_path, "data"))
    monkeypatch.chdir(below)
    assert os.path.samefile(layout.find(None), root)


def test_samples_are_whole(layout, root):
    splits = layout.splits(root)
    assert len(set(splits)) == len(splits) > 1
    seen = {}
    for split in splits:
        listed = list(layout.samples(root, split))
        keys = [sample.key for sample in listed]
        assert listed
        assert len(set(keys)) == len(keys)
        for sample in listed:
            assert is_file(root, sample.image)
            if isinstance(sample.label, int):
                assert sample.label in range(len(layout.classes))
            else:
                assert sample.label is None or is_file(root, sample.label)
            assert not os.path.isabs(sample.key)
            assert str(root) not in sample.key
        seen[split] = {sample.image for sample in listed}
    for one, other in itertools.combinations(splits, 2):
        parts = [layout.unions.get(split, {split}) for split in (one, other)]
        assert parts[0] & parts[1] or not seen[one] & seen[other]


def test_records_hold_the_sources(layout, root, out, decode):
    make(root, out, layout=layout, shards=2)
    for split in layout.splits(root):
        records = [
            example.parse(record.data)
            for i in range(2)
            for record in tfrecord.read(f"{out}/{split}-{i:05d}-of-00002.tfrecord")
        ]
        listed = list(layout.samples(root, split))
        assert len(records) == len(listed)
        for record, sample in zip(records, listed, strict=True):
            assert record["image/filename"] == [sample.key.encode()]
            with open(os.path.join(root, sample.image), "rb") as file:
                assert record["image/encoded"] == [file.read()]
            if isinstance(sample.label, int):
                assert record["image/class/label"].tolist() == [sample.label]
                name = layout.classes[sample.label]
                assert record["image/class/text"] == [name.encode()]
                assert name in os.path.dirname(sample.image).split("/")
            if not isinstance(sample.label, str):
                continue
            expected = decode(os.path.join(root, sample.label))
            found = images.plane(record["image/segmentation/class/encoded"][0])
            np.testing.assert_array_equal(found, expected)
            size = (record["image/height"][0], record["image/width"][0])
            assert found.shape == size
            assert set(np.unique(found).tolist()) <= {
                *range(len(layout.classes)),
                layout.ignore,
            }


def test_same_bytes_for_any_listing_order_and_workers(layout, root, tmp_path, shuffled_listing):
    make(root, tmp_path / "one", layout=layout, shards=2)
    shuffled_listing()
    make(root, tmp_path / "two", layout=layout, shards=2, workers=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_its_command_names_its_options(layout, run):
    text = run(layout.name, "--help").stdout
    assert text.startswith(f"Usage: main {layout.name} [OPTIONS] [SOURCE] [OUT]")
    assert layout.title in text
