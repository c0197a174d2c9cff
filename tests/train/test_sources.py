import os

import pytest

from dsbuild.errors import TrainError
from dsbuild.train.predict import sources


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in ("a.jpg", "sub/b.PNG", "sub/c.mp4", "sub/notes.txt", ".hidden.png", "x/y/b.tif"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return "in"


def found(*asked, out=None):
    return [(one.path, one.name) for one in sources.find(asked, out)]


def test_folders_are_searched_and_names_keep_sub_folders(tree):
    assert found(tree) == [
        ("in/a.jpg", "a"),
        ("in/sub/b.PNG", "sub/b"),
        ("in/sub/c.mp4", "sub/c"),
        ("in/x/y/b.tif", "x/y/b"),
    ]
    assert [one.video for one in sources.find([tree])] == [False, False, True, False]


def test_named_files_may_have_any_ending(tree):
    assert found("in/sub/notes.txt", "./in/x/y/b.tif") == [
        ("in/sub/notes.txt", "notes"),
        ("in/x/y/b.tif", "b"),
    ]


def test_patterns_keep_folders_after_their_first_wildcard(tree):
    assert found("in/**/b.*") == [("in/sub/b.PNG", "sub/b"), ("in/x/y/b.tif", "x/y/b")]
    assert found("in/s*/*") == [("in/sub/b.PNG", "sub/b"), ("in/sub/c.mp4", "sub/c")]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tree):
    with open("in/a[1].jpg", "w"):
        pass
    assert found("in/a[1].jpg") == [("in/a[1].jpg", "a[1]")]


def test_each_source_is_listed_once(tree):
    assert found("in/a.jpg", "in//a.jpg", "in/*.jpg") == [("in/a.jpg", "a")]


def test_results_are_not_read_again(tree):
    os.makedirs("in/out/deeper")
    for name in ("in/out/a.png", "in/out/deeper/a.png"):
        with open(name, "w"):
            pass
    assert all("out" not in path for path, _ in found(tree, out="in/out"))
    assert all("out" not in path for path, _ in found("in/**/*.*[gG]", out="in/out/"))
    assert found("in/out/a.png", out="in/out") == [("in/out/a.png", "a")]


@pytest.mark.parametrize("out", [".", "in"])
def test_sources_in_the_output_folder_are_read_if_it_is_the_folder_named(tree, out):
    assert [path for path, _ in found(tree, out=out)] == [path for path, _ in found(tree)]
    assert found("in/*.jpg", out=out) == [("in/a.jpg", "a")]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("in/none.jpg", "in/none.jpg: no such file or folder"),
        ("none", "none: no such file or folder"),
        ("in/*.gif", "found no image or video that matches this pattern"),
        ("in/empty", "in/empty: found no image or video in this folder"),
    ],
)
def test_finding_nothing_is_an_error(tree, path, message):
    os.makedirs("in/empty")
    with pytest.raises(TrainError, match=message.replace("*", r"\*")):
        sources.find(["in/a.jpg", path])
