import pytest

from dsbuild.format import scan


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train-00000-of-00004.tfrecord", "train"),
        ("train_aug-00000-of-00004", "train_aug"),
        ("mine-00000-of-00004.tfrecord", "mine"),
        ("animals-train.tfrecord-00000-of-00001", "train"),
        ("my-animals-validation.tfrecord-00000-of-00001", "validation"),
        ("animals-mine.tfrecord-00000-of-00001", "animals-mine.tfrecord"),
        ("train.tfrecord", "train"),
        ("val.record", "val"),
        ("pascal_trainval.tfrecords", "trainval"),
        ("coco_train_aug.tfrec", "train_aug"),
        ("animals.tfrecord", "-"),
        ("tfrecord", "-"),
    ],
)
def test_the_split_of_a_file_name(name, split):
    assert scan.split_of(f"folder.train/{name}") == split
