"""Splits that share images, on purpose or not."""

from collections import Counter

import pytest

from dsbuild.inspect import leaks


def holders(**splits):
    """Return how many images are in which splits, from the images of each split as letters."""
    images = {image for letters in splits.values() for image in letters}
    return Counter(
        frozenset(name for name, letters in splits.items() if image in letters) for image in images
    )


def found(**splits):
    """Return the sets of splits across which an image leaks."""
    images = holders(**splits)
    known = leaks.parts(images)
    return {one for one in images if leaks.crosses(one, known)}


@pytest.mark.parametrize(
    "splits",
    [
        {"train": "abc", "val": "de"},
        {"train": "abc", "val": "de", "trainval": "abcde"},
        {"train": "abc", "val": "de", "trainval": "abcde", "train_aug": "abcfg"},
        {"train2017": "abc", "val2017": "de", "trainval2017": "abcde"},
        {"train": "abc", "val": "de", "all": "abcde"},
        {"train": "abc", "val": "de", "whole": "abcde", "train_small": "a"},
        {"val": "abc", "minival": "ab", "train": "de"},
    ],
)
def test_parts_of_other_splits_do_not_leak(splits):
    assert found(**splits) == set()


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        ({"train": "abc", "val": "cd"}, {("train", "val")}),
        ({"train": "abc", "val": "bc"}, {("train", "val")}),  # all of val
        ({"train": "abc", "val": "abc"}, {("train", "val")}),
        ({"train": "abcde", "val": "ab", "test": "cde"}, {("train", "val"), ("train", "test")}),
        ({"train": "abc", "val": "cd", "trainval": "abcd"}, {("train", "val", "trainval")}),
        ({"train": "abc", "val": "de", "train_aug": "abcd"}, {("val", "train_aug")}),
        ({"train": "abc", "val": "de", "trainval": "abde"}, {("train", "trainval")}),
    ],
)
def test_what_train_and_val_share_leaks(splits, expected):
    assert found(**splits) == set(map(frozenset, expected))
