"""Files of classes as tools write them are read correctly or refused, never shifted."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.errors import DsbuildError, StorageError
from dsbuild.layouts.class_files import read_classes, read_colours, read_names

NAMES = ("background", "cat", "dog")
COLOURS = (("background", 0, 0, 0), ("cat", 48, 112, 32), ("dog", 176, 112, 32))

READ = {
    "lines": "background\ncat\ndog\n",
    "no end": "\n\nbackground\n cat \ndog",
    "CRLF": "background\r\ncat\r\ndog\r\n",
    "CR": "background\rcat\rdog",
    "BOM": "\ufeffbackground\ncat\ndog\n",
    "UTF-16": "background\ncat\ndog\n".encode("utf-16"),
    "UTF-16 BE": b"\xfe\xff" + "background\ncat\ndog\n".encode("utf-16-be"),
    "UTF-32": "background\ncat\ndog\n".encode("utf-32"),
    "with colon": "0: background\n1: cat\n2: dog\n",
    "with blank": "0 background\n1 cat\n2 dog\n",
    "with tab": "0\tbackground\n1\tcat\n2\tdog\n",
    "with comma": "0,background\n1,cat\n2,dog\n",
    "Roboflow": "Pixel Value, Class\n0, background\n1, cat\n2, dog\n",
    "heading": "id name\n0 background\n1 cat\n2 dog\n",
    "JSON list": '["background", "cat", "dog"]',
    "JSON": '{\n "0": "background",\n "1": "cat",\n "2": "dog"\n}\n',
    "JSON in another order": '{"2": "dog", "0": "background", "1": "cat"}',
}
REFUSED = {
    "nothing": "",
    "twice": "cat\ncat\n",
    "heading": "class\nbackground\ncat\ndog\n",
    "heading of colours": "name,r,g,b\nbackground,0,0,0\ncat,48,112,32\n",
    "colours": "background,0,0,0\ncat,48,112,32\ndog,176,112,32\n",
    "CVAT": "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:48,112,32::\n",
    "comment": "# my classes\nbackground\ncat\ndog\n",
    "LabelMe": "__ignore__\ncat\ndog\n",
    "from 1": "1: cat\n2: dog\n",
    "a gap": "0: cat\n2: dog\n",
    "from -1": "-1 void\n0 background\n1 cat\n",
    "half": "0 background\ncat\ndog\n",
    "index behind": "background 0\ncat 1\ndog 2\n",
    "index behind a comma": "background,0\ncat,1\n",
    "columns": "background,void\ncat,animal\n",
    "tabs": "n01\tbackground\nn02\tcat\n",
    "ADE20K": "Idx\tRatio\tTrain\tVal\tStuff\tName\n1\t0.1\t1\t1\t1\twall\n",
    "YAML": "names:\n- background\n- cat\n",
    "YAML list": "- background\n- cat\n",
    "YAML line": "names: [background, cat]\nnc: 2\n",
    "YAML of indices": "names:\n  0: background\n  1: cat\n",
    "JSON from 1": '{"1": "cat", "2": "dog"}',
    "JSON turned": '{"background": 0, "cat": 2}',
    "JSON of objects": '[{"title": "cat"}]',
    "JSON cut": '["background", "cat"',
    "JSON deep": "[" * 100_000,
    "JSON of numbers": "[1, 2]",
    "protobuf": "item {\n  id: 1\n  name: 'cat'\n}\n",
    "quotes": '"background"\n"cat"\n',
    "one line": "background, cat, dog\n",
    "words": "background cat dog\n",
    "Latin-1": "caf\xe9\ncat\n".encode("latin-1"),
    "UTF-16 without mark": "background\ncat\n".encode("utf-16-le"),
    "control": "background\nc\x07at\n",
    "XML": "<class>cat</class>\n",
}


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "file"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


@pytest.mark.parametrize("form", READ)
def test_names(file, form):
    assert read_names(file(READ[form])) == NAMES


@pytest.mark.parametrize("form", REFUSED)
def test_ambiguous_files_are_refused(file, form):
    with pytest.raises(DsbuildError, match=r"file: found .*(expected|save it)"):
        read_names(file(REFUSED[form]))


def test_a_missing_file(tmp_path):
    with pytest.raises(StorageError, match="no such file"):
        read_names(str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "names",
    [
        ("wall", "building, edifice", "sky"),
        ("class 0", "class 1", "class 2"),
        ("0", "1", "2"),
        ("3 wheeler", "car"),
        ("\u00e9clair", "C++", "tv/monitor", "o'clock"),
        ("n01440764",),
    ],
)
def test_names_that_look_strange(file, names):
    assert read_names(file("\n".join(names))) == names


def test_one_unicode_form(file):
    assert read_names(file("cafe\u0301\ncat\n")) == ("caf\u00e9", "cat")


@given(st.lists(st.text("ab1 ,:;#-{}[]\"'=\t", min_size=1, max_size=5).map(str.strip), max_size=4))
def test_names_are_lines_or_refused(tmp_path_factory, lines):
    """Whatever is read has one name per line, or one per index."""
    path = tmp_path_factory.getbasetemp() / "drawn"
    path.write_text("\n".join(lines))
    lines = [line for line in lines if line]
    try:
        names = read_names(str(path))
    except DsbuildError:
        return
    assert (
        list(names) == lines
        or all(
            line.startswith(str(i)) and line.endswith(name)
            for i, (line, name) in enumerate(zip(lines, names, strict=True))
        )
        or lines[0][0] in "[{"
    )


@pytest.mark.parametrize(
    "text",
    [
        "background, 0,0,0\ncat,48, 112,32\n\ndog,176,112,32",
        "name,r,g,b\nbackground,0,0,0\ncat,48,112,32\ndog,176,112,32\n",
        "r,g,b,class\n0,0,0,background\n48,112,32,cat\n176,112,32,dog\n",
        "id,name,red,green,blue\n0,background,0,0,0\n1,cat,48,112,32\n2,dog,176,112,32\n",
        "0 0 0\tbackground\n48 112 32\tcat\n176 112 32\tdog\n",
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:48,112,32::\ndog:176,112,32::\n",
    ],
)
def test_colours(file, text):
    assert read_colours(file(text)) == COLOURS
    assert read_colours(file(text.encode("utf-16"))) == COLOURS


@pytest.mark.parametrize(
    "text",
    [
        *("sky 1 2 3", "sky, 1, 2", "sky, 1, 2, 256", "a,1,2,3\nb,1,2,3", ""),
        *("a,0,0,0\na,1,0,0\n", "name,color\na,#ff0000", "id,name,r,g,b\n1,a,1,2,3", "1,2,3,a"),
        *('{"a": [1, 2, 3]}', "a,1,2,3,4", "0,a,1,2,3", "background\ncat", "a,\u00b2,1,1"),
    ],
)
def test_bad_colours(file, text):
    with pytest.raises(DsbuildError, match="file: found"):
        read_colours(file(text))


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("data.yaml", "path: x\nnames: [road, 'a, b', \"c\"]  # three\nnc: 3\n", "road|a, b|c"),
        ("data.yaml", "names:\n  0: road\n  1: big tree # tall\nnc: 2\n", "road|big tree"),
        ("data.yml", "nc: 2\nnames:\n- road\n- tree\ntrain: a\n", "road|tree"),
        ("data.yaml", "names: {0: road,\n 1: tree}\n", "road|tree"),
        ("data.yaml", "names: [\n  road,\n  tree,\n]\n", "road|tree"),
        ("labels.txt", "__ignore__\n_background_\ncat\n", "_background_|cat"),
        ("_classes.csv", "Pixel Value, Class\n0, background\n1, cat\n", "background|cat"),
        ("a.json", '{"road": 0, "tree": 1}', "road|tree"),
        ("a.json", '{"id2label": {"1": "tree", "0": "road"}}', "road|tree"),
        ("a.json", '[{"id": 1, "name": "tree"}, {"id": 0, "name": "road"}]', "road|tree"),
        ("dataset_meta.json", '{"label_map": {"0": "road", "1": "tree"}}', "road|tree"),
        ("c.json", '{"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]}', "|a|b"),
        ("o.txt", "Idx\tRatio\tTrain\tVal\tStuff\tName\n1\t.1\t5\t2\t1\twall, x\n", "|wall, x"),
    ],
)
def test_files_as_tools_write_them(tmp_path, name, text, names):
    (tmp_path / name).write_text(text)
    assert read_classes(str(tmp_path / name)) == tuple(names.split("|"))
    if names[0] == "|":
        with pytest.raises(DsbuildError, match="as 1, expected indices from 0"):
            read_names(str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("data.yaml", "train: a\n"),
        ("data.yaml", "names: [road, tree\n"),
        ("data.yaml", "names: &x\n"),
        ("data.yaml", "names:\n  2: road\n"),
        ("o.txt", "Idx\tRatio\tName\n1\t.1\n"),
        ("a.json", '[{"id": 1, "name": "tree"}, {"id": 7, "name": "road"}]'),
    ],
)
def test_files_of_tools_that_are_broken_are_refused(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(DsbuildError, match=re.escape(name)):
        read_classes(str(tmp_path / name))


def test_names_on_the_command_line():
    assert read_classes("sky, road,tree") == ("sky", "road", "tree")
    with pytest.raises(DsbuildError, match="found 3 names, 2 of them different"):
        read_classes("sky,road,sky")
    with pytest.raises(StorageError, match="no such file"):
        read_classes("nowhere,/names.txt")
