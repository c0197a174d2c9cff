"""What every layout must do: checks that take a layout and the root of a tree drawn for it."""

import dataclasses
import itertools
import os
import pickle

import numpy as np

from dsbuild import images
from dsbuild.format import example, tfrecord
from tests.support.runs import content, make


def is_file(root, path):
    return os.path.isfile(os.path.join(root, path))


def check_value(layout):
    assert pickle.loads(pickle.dumps(layout)) == layout == dataclasses.replace(layout)
    assert hash(layout) == hash(dataclasses.replace(layout))
    assert len(layout.classes) > 1
    assert len(set(layout.classes)) == len(layout.classes)
    assert all(isinstance(text, str) for text in (layout.name, layout.title, layout.source))


def check_samples(layout, root):
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
                for part in sample.parts:
                    assert is_file(root, part if isinstance(part, str) else part.path)
            assert not os.path.isabs(sample.key)
            assert str(root) not in sample.key
        seen[split] = {sample.image for sample in listed}
    for one, other in itertools.combinations(splits, 2):
        parts = [layout.unions.get(split, {split}) for split in (one, other)]
        assert parts[0] & parts[1] or not seen[one] & seen[other]


def check_records(layout, root, out, decode):
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
            if not sample.parts:
                continue
            expected = decode(os.path.join(root, sample.label_name))
            size = (record["image/height"][0], record["image/width"][0])
            stored = record["image/segmentation/class/encoded"][0]
            divisor = getattr(layout, "divisor", None)
            if divisor is None:
                found = images.plane(stored)
            else:
                found = np.frombuffer(stored, "<i4").reshape(size)
            np.testing.assert_array_equal(found, expected)
            assert found.shape == size
            assert set(np.unique(found // (divisor or 1)).tolist()) <= {
                *range(len(layout.classes)),
                layout.ignore,
            }


def check_bytes(layout, root, tmp_path, shuffled_listing, engine):
    make(root, tmp_path / "one", layout=layout, shards=2)
    shuffled_listing()
    make(root, tmp_path / "two", layout=layout, shards=2, engine=engine)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def check_command(layout, run):
    text = run(layout.name, "--help").stdout
    assert text.startswith(f"Usage: dsbuild {layout.name} [OPTIONS] [SOURCE] [OUT]")
    assert layout.title in text
