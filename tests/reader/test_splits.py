import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.errors import PlanError
from dsbuild.reader import splits

COUNTS = {"train": 101, "val": 7, "train_aug": 0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train", [("train", 0, 101)]),
        ("train[:10%]", [("train", 0, 10)]),
        ("train[10%:]", [("train", 10, 101)]),
        ("train[-10%:]", [("train", 91, 101)]),
        ("train[100:]", [("train", 100, 101)]),
        ("train[5:3]", [("train", 5, 5)]),
        ("train[-3:-1] + val", [("train", 98, 100), ("val", 0, 7)]),
        ("val[:]+val", [("val", 0, 7), ("val", 0, 7)]),
        ("train_aug[:50%]", [("train_aug", 0, 0)]),
    ],
)
def test_ranges(text, expected):
    assert list(map(tuple, splits.ranges(text, COUNTS))) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("test", "no split 'test', there are train, val, train_aug"),
        ("train[:200%]", "found 200%, expected at most 100%"),
        ("train[:102]", "found 102, expected at most 101, the number of its records"),
        ("train[5]", "expected something like train"),
        ("train[1:2:3]", "expected something like train"),
        ("", "expected something like train"),
        ("train+", "expected something like train"),
    ],
)
def test_an_invalid_split_is_named(text, said):
    with pytest.raises(PlanError, match=re.escape(said)):
        splits.ranges(text, COUNTS)


def test_a_split_may_be_requested_by_an_alias():
    counts = {"training": 9, "validation": 3, "train_aug": 12}
    assert list(map(tuple, splits.ranges("train[:2]+val", counts))) == [
        ("training", 0, 2),
        ("validation", 0, 3),
    ]
    for asked, there in (("train", {"train_aug": 1}), ("val", {"valid": 1, "dev": 1})):
        with pytest.raises(PlanError, match=f"there is no split '{asked}'"):
            splits.ranges(asked, there)


@given(st.integers(0, 10_000), st.integers(0, 100))
def test_two_sides_of_a_percentage_are_the_whole(total, percent):
    ((_, start, stop), (_, rest, end)) = splits.ranges(
        f"a[:{percent}%]+a[{percent}%:]", {"a": total}
    )
    assert (start, stop, end) == (0, rest, total)


@pytest.fixture(scope="module")
def tfds():
    return pytest.importorskip("tensorflow_datasets.core.splits")


@given(st.integers(0, 3000), st.integers(-100, 100), st.integers(-100, 100))
def test_bounds_are_those_of_tfds(tfds, total, start, stop):
    expected = [
        max(0, place + total if sign else place)
        for place, sign in (
            (tfds._pct_to_abs_closest(start, total), start < 0),
            (tfds._pct_to_abs_closest(stop, total), stop < 0),
        )
    ]
    text = f"a[{start}%:{stop}%]"
    ((_, low, high),) = splits.ranges(text, {"a": total})
    assert (low, high) == (expected[0], max(expected))


@given(st.integers(2, 500), st.data())
def test_folds_divide_a_split(total, data):
    count = data.draw(st.integers(2, total))
    held = []
    for trained, out in splits.folds("a", total, count):
        numbers = [
            [n for r in splits.ranges(text, {"a": total}) for n in range(r.start, r.stop)]
            for text in (trained, out)
        ]
        assert sorted(numbers[0] + numbers[1]) == list(range(total))
        held.append(numbers[1])
    assert [n for part in held for n in part] == list(range(total))
    assert max(map(len, held)) - min(map(len, held)) <= 1


@pytest.mark.parametrize(("total", "count"), [(5, 1), (5, 6), (0, 2)])
def test_too_many_folds_and_too_few(total, count):
    with pytest.raises(PlanError, match="folds"):
        splits.folds("a", total, count)
