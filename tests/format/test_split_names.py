import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.format import split_names

ROLES = {
    "train": "train Train TRAINING training train2017 train_2012 trainset train-aug trainaug",
    "val": "val Val valid validation dev eval Evaluation val2017 val_set dev-2",
    "test": "test testing Test test-dev test2017 test_1 tests",
    "trainval": "trainval train_val train-val",
    "extra": "extra train_extra unlabeled",
    None: "images cat station train_station testtube valley developer extras_of_x evaluate_me a",
}


@pytest.mark.parametrize(
    ("role", "name"), [(role, name) for role, names in ROLES.items() for name in names.split()]
)
def test_names_of_the_field(role, name):
    assert split_names.role(name) == role


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("train", "training", True),
        ("val", "Validation", True),
        ("val", "val2017", True),
        ("train", "train_aug", False),
        ("train", "val", False),
        ("cat", "cat", False),
    ],
)
def test_one_split_under_two_names(one, other, same):
    assert split_names.same(one, other) == split_names.same(other, one) == same


NAMES = st.text("aZ0_-. +[]:%ä", min_size=1, max_size=6) | st.sampled_from(["all", "train", "_-"])


@settings(deadline=None)
@given(NAMES)
def test_tfds_reads_every_admitted_split_name(name):
    """By its own code: the name of a split in a text, and in the name of a shard."""
    splits = pytest.importorskip("tensorflow_datasets.core.splits")
    naming = pytest.importorskip("tensorflow_datasets.core.naming")
    template = "{SPLIT}-{SHARD_X_OF_Y}.{FILEFORMAT}"
    try:
        naming.ShardedFileTemplate(
            data_dir="/x", template=template, split=name, filetype_suffix="tfrecord"
        )
        match = splits._SUB_SPEC_RE.fullmatch(name)
        read = match is not None and match["split_name"] == name and name.isascii()
    except ValueError:
        read = False
    assert (split_names.refusal(name) is None) == (read and name != "all")


@given(
    st.lists(st.sampled_from("train Train train-aug train_aug val va a a-1 A".split()), unique=True)
)
def test_no_glob_of_a_split_finds_shards_of_another(names):
    shards = {name: f"{name}-00000-of-00001.tfrecord" for name in names}
    alike = [
        (one, other)
        for one, other in itertools.permutations(names, 2)
        if re.match(re.escape(f"{one}-"), shards[other], re.IGNORECASE)
    ]
    found = split_names.clash(tuple(names))
    assert (found in alike) if alike else (found is None)
