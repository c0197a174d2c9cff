import re

import numpy as np
import pytest

from dsbuild.cli.text.class_table import class_lines
from dsbuild.cli.text.inspect import inspection_text, statistics_text
from dsbuild.cli.text.view import View, width
from dsbuild.format.manifest import IGNORE
from dsbuild.inspect.public import inspect
from dsbuild.inspect.statistics import statistics
from dsbuild.inspect.terminal import decorator
from tests.support import fakes
from tests.support.runs import make


def split(classes, pixels=lambda value: value):
    """Return a split of so many classes, the later ones more frequent, and an ignore value."""
    rows = [
        {"value": i, "name": f"class {i}", "pixels": pixels(i), "images": 1} for i in range(classes)
    ]
    ignored = {"value": 65535, "name": IGNORE, "pixels": 10**6, "images": 1}
    return {"classes": [*rows, ignored], "labels": 1}


def values(lines):
    return [int(found[1]) for line in lines if (found := re.match(r" +(\d+)  ", line))]


def test_many_classes_fold_in_a_terminal_only():
    splits = {"train": split(1000)}
    assert values(class_lines(splits, View())) == [*range(1000), 65535]
    assert values(class_lines(splits, View(80, every=True))) == [*range(1000), 65535]
    folded = class_lines(splits, View(80))
    assert values(folded) == [*range(999, 979, -1), 65535]
    assert folded[-1] == "  … and 980 more classes, 1 of them in no image; --all lists them"
    assert values(class_lines({"train": split(50)}, View(80))) == [*range(50), 65535]


def test_the_most_frequent_classes_are_shown_on_request():
    lines = class_lines({"train": split(4, lambda value: 9 - value)}, View(), top=3)
    assert values(lines) == [0, 1, 2, 65535]
    assert lines[-1] == "  … and 1 more class; --all lists them"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("voc")
    make(fakes.voc(root), root / "out")
    return str(root / "out")


def plain(text):
    return [re.sub(r"\x1b\[[\d;]*m", "", line) for line in text.splitlines()]


@pytest.mark.parametrize("columns", [50, 80, 100, 200])
@pytest.mark.parametrize("coloured", [False, True])
def test_tables_fit_the_terminal(folder, columns, coloured):
    colours = decorator(np.zeros((256, 3), np.uint8)) if coloured else None
    document = inspect(folder)
    document["statistics"] = statistics(folder)
    _, *lines = plain(inspection_text(document, colours, View(columns)))
    assert max(map(width, lines)) <= columns
    _, *lines = plain(statistics_text(statistics(folder), View(columns)))
    assert max(map(width, lines)) <= columns


def test_bars_fill_what_a_table_leaves():
    colours = decorator(np.zeros((256, 3), np.uint8))
    splits = {"train": split(3)}
    for columns, least, most in ((30, 0, 0), (50, 6, 23), (99, 24, 24)):
        (line,) = plain(class_lines(splits, View(columns), None, colours)[-1])
        assert least <= line.count("█") <= most


def test_samples_that_were_left_out_have_a_column_if_there_are_any(folder):
    document = inspect(folder)
    assert "left out" not in inspection_text(document)
    document["splits"]["val"]["rejects"] = 2
    assert "left out" in inspection_text(document)
