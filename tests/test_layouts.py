"""What holds for every layout: it is listed, converted and read back."""

import os
import pickle
import random

import numpy as np
import pytest

from dsbuild import images, tfrecord, wire
from dsbuild.layouts import LAYOUTS
from tests import fakes
from tests.conftest import content, make

DRAWN = {"voc": fakes.voc, "cityscapes": fakes.cityscapes, "matting": fakes.matting}


@pytest.fixture(params=sorted(LAYOUTS))
def layout(request):
    return LAYOUTS[request.param]()


@pytest.fixture
def root(layout, tmp_path):
    return DRAWN[layout.name](tmp_path)


def test_every_layout_is_drawn():
    assert DRAWN.keys() == LAYOUTS.keys()


def test_it_is_a_value(layout):
    assert pickle.loads(pickle.dumps(layout)) == layout == type(layout)()
    assert hash(layout) == hash(type(layout)())
    assert len(layout.palette) >= len(layout.classes) > 1
    assert len(set(layout.classes)) == len(layout.classes)
    assert all(isinstance(text, str) for text in (layout.name, layout.title, layout.source))


def test_it_is_found_from_above(layout, root, tmp_path, monkeypatch):
    assert os.path.samefile(layout.find(str(tmp_path)), root)
    monkeypatch.chdir(tmp_path)
    assert os.path.samefile(layout.find(None), root)


def test_samples_are_whole(layout, root):
    splits = layout.splits(root)
    assert {"train", "val"} <= set(splits)
    seen = {}
    for split in splits:
        listed = list(layout.samples(root, split))
        keys = [sample.key for sample in listed]
        assert listed
        assert len(set(keys)) == len(keys)
        for sample in listed:
            assert os.path.isfile(os.path.join(root, sample.image))
            assert sample.label is None or os.path.isfile(os.path.join(root, sample.label))
            assert not os.path.isabs(sample.key)
            assert str(root) not in sample.key
        seen[split] = {sample.image for sample in listed}
    assert not seen["train"] & seen["val"]


def test_records_hold_the_sources(layout, root, out):
    make(root, out, layout=layout, shards=2)
    for split in layout.splits(root):
        records = [
            wire.parse(record.data)
            for i in range(2)
            for record in tfrecord.read(f"{out}/{split}-{i:05d}-of-00002.tfrecord")
        ]
        listed = list(layout.samples(root, split))
        assert len(records) == len(listed)
        for record, sample in zip(records, listed, strict=True):
            assert record["image/filename"] == [sample.key.encode()]
            with open(os.path.join(root, sample.image), "rb") as file:
                assert record["image/encoded"] == [file.read()]
            if sample.label is None:
                continue
            with open(os.path.join(root, sample.label), "rb") as file:
                expected = layout.plane(file.read(), sample.label)
            stored = images.plane(record["image/segmentation/class/encoded"][0])
            np.testing.assert_array_equal(stored, expected)
            size = (record["image/height"][0], record["image/width"][0])
            assert stored.shape == size
            assert set(np.unique(stored).tolist()) <= {*range(len(layout.classes)), layout.ignore}


def test_same_bytes_for_any_listing_order_and_workers(layout, root, tmp_path, monkeypatch):
    make(root, tmp_path / "one", layout=layout, shards=2)
    plain = os.listdir

    def shuffled(folder):
        found = plain(folder)
        random.Random(3).shuffle(found)
        return found

    monkeypatch.setattr(os, "listdir", shuffled)
    make(root, tmp_path / "two", layout=layout, shards=2, workers=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_its_command_names_its_options(layout, run):
    text = run(layout.name, "--help").stdout
    assert text.startswith(f"Usage: main {layout.name} [OPTIONS] [SOURCE] [OUT]")
    assert layout.title in text
