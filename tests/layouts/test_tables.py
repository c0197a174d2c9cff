"""Tables of images and labels, and lists in any folder."""

import os

import pytest

from dsbuild.errors import LayoutError
from dsbuild.layouts.pairs import Pairs
from tests.support.trees import listed, recognised, touch

FILES = ("pics/a.jpg", "pics/b.jpg", "truth/x-1.png", "truth/y-2.png")
SAMPLES = [("pics/a", "pics/a.jpg", "truth/x-1.png"), ("pics/b", "pics/b.jpg", "truth/y-2.png")]


@pytest.mark.parametrize(
    "text",
    [
        "image,mask\npics/a.jpg,truth/x-1.png\npics/b.jpg,truth/y-2.png\n",
        "id;Image Path;Label Path\n1;pics/a.jpg;truth/x-1.png\n2;pics/b.jpg;truth/y-2.png\n",
        '\ufeffimg\tlabel\r\n"pics\\a.jpg"\ttruth/x-1.png\r\npics/b\ttruth/y-2\r\n',
        "filename,annotation\n/kaggle/ds/pics/a.jpg,/kaggle/ds/truth/x-1.png\n"
        "/kaggle/ds/pics/b.jpg,/kaggle/ds/truth/y-2.png\n",
    ],
)
def test_a_table_with_a_heading_is_recognised(tmp_path, text):
    touch(tmp_path, *FILES)
    (tmp_path / "pairs.csv").write_text(text)
    found, samples = recognised(tmp_path)
    assert found.options == {"lists": "pairs.csv"}
    assert samples == {"train": SAMPLES}


def test_a_column_of_splits_and_a_table_named_after_one(tmp_path):
    touch(tmp_path, *FILES)
    rows = "image,mask,split\npics/a.jpg,truth/x-1.png,train\npics/b.jpg,truth/y-2.png,val\n"
    (tmp_path / "all.csv").write_text(rows)
    assert recognised(tmp_path)[1] == {"train": SAMPLES[:1], "val": SAMPLES[1:]}
    (tmp_path / "all.csv").write_text(rows.replace(",val", ","))
    with pytest.raises(LayoutError, match="rows without a split beside train"):
        listed(tmp_path, lists="all.csv")
    (tmp_path / "all.csv").unlink()
    (tmp_path / "val.csv").write_text("pics/a.jpg,truth/x-1.png\npics/b.jpg,truth/y-2.png\n")
    assert listed(tmp_path, lists="val.csv") == {"val": SAMPLES}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "found the columns a, b, expected a heading with image and label"),
        ("image,mask\npics/a.jpg\n", "line 2: found 1 columns, expected 2"),
        ("image,mask\npics/a.jpg,\n", "line 2: found an empty path"),
        ("image,mask\npics/a.jpg,../x.png\n", "leads out of SOURCE"),
        ("", "found an empty table"),
    ],
)
def test_bad_tables_are_refused(tmp_path, text, message):
    touch(tmp_path, *FILES)
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(LayoutError, match=message):
        listed(tmp_path, lists="t.csv")


def test_a_file_that_a_table_names_is_missing(tmp_path, run):
    touch(tmp_path / "d", *FILES)
    (tmp_path / "d/t.csv").write_text("image,mask\npics/a.jpg,truth/nothing.png\n")
    result = run("build", tmp_path / "d", tmp_path / "o", "--binary", 1)
    assert result.exit_code == 2
    assert "truth/nothing.png: there is no such file" in result.stderr


def test_pictures_beside_those_of_a_table_are_strays(tmp_path):
    touch(tmp_path, *FILES)
    (tmp_path / "t.csv").write_text("image,mask\npics/a.jpg,truth/x-1.png\n")
    layout = Pairs(binary=1, lists="t.csv")
    found = layout.findings(str(tmp_path), "train", list(layout.samples(str(tmp_path), "train")))
    assert [one.text for one in found] == [
        f"{tmp_path}/{path}: no list has it" for path in ("pics/b.jpg", "truth/y-2.png")
    ]


def test_two_tables_are_for_the_user_to_choose(tmp_path):
    touch(tmp_path, *FILES)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("image,mask\npics/a.jpg,truth/x-1.png\n")
    needs = Pairs.recognise(str(tmp_path), {"binary": "1"}).needs
    assert "--lists a.csv, or --lists b.csv" in needs


@pytest.mark.parametrize("inside", [True, False])
def test_lists_in_any_folder(tmp_path, inside):
    touch(tmp_path / "d", "images/a.jpg", "images/b.jpg", "labels/a.png", "labels/b.png")
    folder = "splits/official" if inside else str(tmp_path / "elsewhere")
    where = tmp_path / "d" / folder
    os.makedirs(where)
    (where / "train.txt").write_text("images/b.jpg labels/b.png\n")
    (where / "fold1.txt").write_text("a\n")
    assert listed(tmp_path / "d", lists=folder) == {
        "fold1": [("a", "images/a.jpg", "labels/a.png")],
        "train": [("b", "images/b.jpg", "labels/b.png")],
    }
    with pytest.raises(LayoutError, match="found no list, expected files such as"):
        listed(tmp_path / "d", lists="images")


def test_the_heading_says_what_divides_columns(tmp_path):
    touch(tmp_path, "pics/a,1.jpg", "pics/b,2.jpg", "truth/a,1.png", "truth/b,2.png")
    rows = "".join(f"pics/{one}.jpg;truth/{one}.png\n" for one in ("a,1", "b,2"))
    (tmp_path / "t.csv").write_text(f"image;label\n{rows}")
    found = listed(tmp_path, lists="t.csv")["train"]
    assert [label for _, _, label in found] == ["truth/a,1.png", "truth/b,2.png"]


def test_a_file_that_is_missing_is_not_taken_from_another_folder(tmp_path):
    touch(tmp_path, "images/1.jpg", "labels/1.png", "masks/b/1.png")
    for cell in ("masks/a/1.png", "masks/1.png"):
        (tmp_path / "t.csv").write_text(f"image,label\nimages/1.jpg,{cell}\n")
        ((_, _, label),) = listed(tmp_path, lists="t.csv")["train"]
        assert label == cell
