import pytest

from dsbuild.errors import TrainError
from dsbuild.train import dataset
from dsbuild.train.dataset import Facts


def known(classes, ignore=None, task="segmentation"):
    return Facts(task, tuple(map(str, range(classes))), ignore, {0: (1, 2, 3)}, "digest")


def test_padding_is_the_ignore_value_or_no_class():
    assert known(21, 255).padding == 255
    assert known(12, 11).padding == 11
    assert known(255).padding == 255
    with pytest.raises(TrainError, match="found 256 classes and no ignore value"):
        assert known(256).padding


def test_more_classes_are_padded_with_16_bits():
    assert known(300).padding == 65535
    assert known(300, 65535).padding == 65535
    assert known(300).colours.shape == (65536, 3)
    assert known(21, 255).colours.shape == (256, 3)


def test_classification_needs_no_padding():
    assert known(1000, task="classification").padding is None
    assert known(1000, task="classification").score == "accuracy"
    assert known(21, 255).score == "mean_iou"


def test_facts_are_read_back_as_they_were():
    for one in (known(3), known(3, 255), known(300, task="classification")):
        assert dataset.read(one.document(), "here") == one
    with pytest.raises(TrainError, match="here: found no facts of a data set"):
        dataset.read({**known(3).document(), "task": "detection"}, "here")


def test_other_data_sets_are_named_by_the_difference():
    with pytest.raises(TrainError, match="here: found classification, expected segmentation"):
        known(3).expect(known(3, task="classification"), "here")
    with pytest.raises(TrainError, match="here: found 4 classes, expected 3, as in the model"):
        known(3).expect(known(4), "here")


def test_one_class_alone_is_refused():
    known(2).learnable("here")
    with pytest.raises(TrainError, match="here: found one class, '0', expected two or more for a"):
        known(1, 255).learnable("here")
    with pytest.raises(TrainError, match="here: found no class, expected two"):
        known(0).learnable("here")
