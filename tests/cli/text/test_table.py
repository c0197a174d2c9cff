import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.cli.text.table import fitted, table
from dsbuild.cli.text.view import View, cut, padded, view, width

HEAD = ["split", "labels from", "shards", "size", "left out"]
ROWS = [HEAD, ["train", "SegmentationClassAug/*.png", "12", "2.4 MB", "0"]]


def test_a_table_that_fits_or_is_not_for_a_terminal_is_whole():
    whole = [
        "  split  labels from                 shards    size  left out",
        "  train  SegmentationClassAug/*.png      12  2.4 MB         0",
    ]
    assert table(ROWS, "<<>>>", None, "0~012") == whole
    assert table(ROWS, "<<>>>", len(whole[0]), "0~012") == whole


def test_texts_are_cut_a_little_before_columns_are_left_out_and_these_are_named():
    assert table(ROWS, "<<>>>", 55, "0~012") == [
        "  split  labels from           shards    size  left out",
        "  train  SegmentationClassAu…      12  2.4 MB         0",
    ]
    assert table(ROWS, "<<>>>", 41, "0~012") == [
        "  split  labels from       shards    size",
        "  train  SegmentationCla…      12  2.4 MB",
        "  … and 1 more column: left out",
    ]
    lines = table(ROWS, "<<>>>", 26, "0~012")
    assert [line.split()[-1] for line in lines[:2]] == ["shards", "12"]
    assert lines[2].startswith("  … and 2 more columns: ")


def test_columns_of_one_rank_leave_together_but_those_of_rank_1_one_by_one():
    head = ["class", "train", "images", "val", "images", "test", "images"]
    rows = [head, *[[str(i)] * len(head) for i in range(3)]]
    lines, note = fitted(rows, ">>>>>>>", 40, "0121212")
    assert lines[0].split() == ["class", "train", "val", "test"]
    assert note == "  … and 3 more columns: images (3)"
    lines, note = fitted(rows, ">>>>>>>", 22, "0121212")
    assert lines[0].split() == ["class", "train", "val"]


def test_wide_characters_take_two_columns_and_marks_none():
    rows = [["name", "images"], ["自転車", "3"], ["cafe\u0301", "12"], ["🚲", "1"]]
    assert [width(line) for line in table(rows, "<>")] == [16] * 4
    assert cut("自転車", 5) == "自転…"
    assert cut("自転車", 4) == "自…"
    assert padded("猫", 4, right=True) == "  猫"


CELLS = st.text(st.characters(codec="utf-8"), max_size=30)


@given(
    st.lists(st.lists(CELLS, min_size=4, max_size=4), min_size=1, max_size=4),
    st.integers(8, 90),
    st.text("012~", min_size=4, max_size=4),
)
def test_no_line_is_wider_than_the_terminal(rows, columns, ranks):
    lines, note = fitted(rows, "<><>", columns, ranks)
    assert len(lines) == len(rows)
    assert max(map(width, [*lines, note])) <= columns


class Stream:
    def __init__(self, terminal):
        self.terminal = terminal

    def isatty(self):
        return self.terminal

    def fileno(self):
        raise OSError("no file")


@pytest.mark.parametrize(
    ("terminal", "columns", "expected"),
    [(False, "100", None), (True, "100", 100), (True, "", 80), (True, "wide", 80), (True, "0", 80)],
)
def test_only_a_terminal_has_a_width(monkeypatch, terminal, columns, expected):
    monkeypatch.setenv("COLUMNS", columns)
    assert view(Stream(terminal), every=True) == View(expected, every=True)
