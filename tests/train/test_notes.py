import numpy as np
import pytest

from dsbuild.errors import TrainError
from dsbuild.format.manifest import Counted, Split
from dsbuild.train.dataset import Facts
from dsbuild.train.fit import notes
from dsbuild.train.metrics.confusion import Confusion

KNOWN = Facts("segmentation", ("ground", "disc", "box"), 255, {}, "")


def entry(*images):
    """Return a split of 9 records in which each class has so many images; not counted without."""
    classes = tuple(map(Counted, images)) or None
    return Split("", 9, 0, 0, 0, (), (), None, classes, None, {}, None, ())


def test_classes_without_an_image_are_named():
    entries = {"train": entry(9, 2, 0), "val": entry(9, 0, 1), "test": entry(0, 0, 0)}
    for split, expected in (
        ("train", "no image of train has 'box', which the model cannot learn"),
        ("train+val", ""),
        ("val[:50%]", "no image of val[:50%] has 'disc', which the model cannot learn"),
    ):
        assert notes.absent(split, KNOWN, entries) == expected
    with pytest.raises(TrainError, match="split 'test': found no label of any class"):
        notes.absent("test", KNOWN, entries)
    assert not notes.absent("bare", KNOWN, {"bare": entry()})


def test_many_classes_are_counted():
    known = Facts("segmentation", tuple("abcdefgh"), 255, {}, "")
    found = notes.absent("train", known, {"train": entry(*[1] * 2, *[0] * 6)})
    assert found.startswith("no image of train has 'c', 'd', 'e', 'f' and 2 more, ")


def test_predicting_one_class_everywhere_is_noted_with_likely_reasons():
    label = np.array([0, 0, 1, 2])
    found = notes.monotonous(Confusion.of(label, np.zeros(4, int), 3), KNOWN)
    assert found.startswith("val: every prediction is 'ground'; perhaps there are too few steps")
    assert "--batch-norm-momentum" in found
    for right in (Confusion.of(label, label, 3), Confusion.of(label * 0, label * 0, 3), None):
        assert not notes.monotonous(right, KNOWN)
