"""How pairs and matting divide two folders into splits."""

import itertools
import os
import pathlib
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dsbuild.build.audit import audit
from dsbuild.errors import DsbuildError, LayoutError
from dsbuild.layouts.classes import Classes
from dsbuild.layouts.folders import is_picture, stems
from dsbuild.layouts.matting import Matting
from dsbuild.layouts.pairs import Pairs
from tests.support.runs import requested

PAIRS = Pairs(names=("a", "b"))
MATTING = Matting(images="images", alphas="labels", val_fraction=0.5)
BOTH = pytest.mark.parametrize("layout", [PAIRS, MATTING], ids=["pairs", "matting"])


def draw(root, *paths):
    """Write empty files, and those in images also to labels; return root."""
    for path in paths:
        for one in (path, path.replace("images", "labels").replace(".jpg", ".png")):
            file = pathlib.Path(root, one)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    return str(root)


def write(root, path, text):
    file = pathlib.Path(root, path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def found(layout, root):
    """Return split -> keys as a build finds them."""
    root = layout.find(root)
    planned = audit(requested(root, f"{root}-out", layout=layout)).splits
    return {one.split: [sample.key for sample in one.samples] for one in planned}


PLACES = ["images/{split}/{name}.jpg", "{split}/images/{name}.jpg"]
CALLED = [
    "train val",
    "training validation",
    "train2017 val2017",
    "Train Test Val",
    "dev train",
    "eval extra train",
    "train valid test",
    "testing",
]


@BOTH
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("called", CALLED)
def test_folders_of_splits(tmp_path, layout, place, called):
    names = {split: [f"{split}{i}" for i in range(3)] for split in called.split()}
    paths = [place.format(split=k, name=n) for k, v in names.items() for n in v]
    assert found(layout, draw(tmp_path / "s", *paths)) == dict(sorted(names.items()))


@BOTH
def test_labels_of_a_split_may_have_another_name(tmp_path, layout):
    for i, split in enumerate(("train", "val")):
        write(tmp_path, f"images/{split}2017/{i}.jpg", "")
        write(tmp_path, f"labels/{split}/{i}.png", "")
    assert found(layout, str(tmp_path)) == {"train2017": ["0"], "val2017": ["1"]}


@BOTH
@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["images/train/1.jpg", "images/2.jpg"], "found train in it, the name of a split, beside"),
        (["images/train/1.jpg", "images/val/2.jpg", "images/more/3.jpg"], "found train and val in"),
        (["images/a/train/1.jpg", "images/a/val/2.jpg"], "found images in folders called"),
        (["images/test/val/1.jpg"], "folders called val among those of split test"),
        (["images/1.jpg", "val/2.jpg"], "val: found the pictures of a split beside images"),
        (["train/images/1.jpg", "val/pictures/2.jpg"], "val: expected images in it"),
        (["train/images/1.jpg", "Test/2.jpg"], "Test: expected images in it"),
    ],
)
def test_an_unusable_folder_with_the_name_of_a_split_stops(tmp_path, layout, paths, message):
    root = draw(tmp_path / "s", *paths)
    with pytest.raises(LayoutError, match=message):
        found(layout, root)


@BOTH
@pytest.mark.parametrize("place", PLACES)
def test_half_a_split_stops(tmp_path, layout, place):
    paths = [place.format(split=split, name="1") for split in ("train", "val")]
    root = pathlib.Path(draw(tmp_path / "s", *paths))
    label = root / paths[1].replace("images", "labels").replace("jpg", "png")
    label.unlink()
    label.parent.rmdir()
    with pytest.raises(LayoutError, match=rf"{label.parent}: there is no such folder.*--split"):
        found(layout, str(root))
    assert layout.splits(str(root)) == ("train", "val")
    assert [s.key for s in layout.samples(str(root), "train")] == ["1"]


def test_labels_of_a_split_without_images_stop(tmp_path):
    root = draw(tmp_path, "images/train/1.jpg", "labels/val/1.png")
    with pytest.raises(
        LayoutError, match=r"labels/val: found the labels of a split, expected its im"
    ):
        found(PAIRS, root)


def test_an_empty_folder_of_a_split_names_the_way_out(tmp_path):
    root = draw(tmp_path, "images/1.jpg")
    (tmp_path / "images/val").mkdir()
    with pytest.raises(LayoutError, match=r"images/val: found no image .*--split"):
        found(PAIRS, root)
    assert [sample.key for sample in PAIRS.samples(root, "train")] == ["1"]


def test_naming_the_folder_of_a_split_reports_its_split(tmp_path, run):
    root = draw(tmp_path, "images/val/1.jpg", "images/train/2.jpg")
    layout = Pairs(names=("a", "b"), images="images/val", labels="labels/val")
    assert found(layout, root) == {"train": ["1"]}
    findings = audit(requested(root, f"{root}-out", layout=layout)).findings
    texts = [one.text for one in findings]
    assert f"{root}/images/val: its images become train, not val" in texts
    assert any(text.startswith(f"{root}/images/train: no split has its pictures") for text in texts)


# Lists

NAMES = ["b/2", "a/0"]
FORMS = {
    "stems": "{}\n",
    "extensions": "{}.jpg\n",
    "paths": "images/{}.jpg\n",
    "from elsewhere": "/home/me/data/images/{}.jpg\n",
    "dots": "./images/{}.jpg\n",
    "CRLF and backslashes": "images\\{}.jpg\r\n",
    "quotes": '"{}"\n',
    "two paths": "images/{0}.jpg labels/{0}.png\n",
    "two paths by comma": "{0}.jpg,{0}.png\n",
    "two paths by tab": "images/{0}.jpg\tlabels/{0}.png\n",
    "no final newline": "{}",
}
LISTED = ["images/a/0.jpg", "images/a/1.jpg", "images/b/2.jpg", "images/a b.jpg"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lists_as_tools_write_them(tmp_path, form, encoding):
    root = draw(tmp_path, *LISTED)
    text = "".join(
        FORMS[form].format(name.replace("/", "\\") if "\\" in form else name) for name in NAMES
    )
    if form == "no final newline":
        text = "\n".join(NAMES)
    (tmp_path / "val.txt").write_bytes(text.encode(encoding))
    assert found(PAIRS, root) == {"val": NAMES}
    assert [s.label for s in PAIRS.samples(root, "val")] == ["labels/b/2.png", "labels/a/0.png"]


PLACES_OF_LISTS = ["", "ImageSets/Segmentation/", "ImageSets/Main/", "ImageSets/", "splits/", "x/"]


@BOTH
@pytest.mark.parametrize("place", PLACES_OF_LISTS)
def test_lists_are_found_where_they_lie(tmp_path, layout, place):
    root = draw(tmp_path / "s", "images/0.jpg", "images/1.jpg", "images/a b.jpg")
    write(root, f"{place}train.txt", "1\n")
    write(root, f"{place}val.txt", "a b\n0.jpg\n")
    assert found(layout, root) == {"train": ["1"], "val": ["a b", "0"]}


def test_a_list_may_name_labels_with_other_names(tmp_path):
    root = draw(tmp_path, "images/0.jpg")
    (tmp_path / "labels/0.png").rename(tmp_path / "labels/task-7.png")
    write(root, "train.txt", "images/0.jpg labels/task-7.png\n")
    assert [s.label for s in PAIRS.samples(root, "train")] == ["labels/task-7.png"]
    assert not audit(requested(root, f"{root}-out", layout=PAIRS)).findings


@BOTH
@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("val.txt", "", r"val.txt: the list is empty.*--split"),
        ("val.txt", "other\n", r"val.txt, line 1: found 'other'.*--split"),
        (
            "test.csv",
            "image,label\n0.jpg,0.png\n1.jpg,1.png\n",
            r"test.csv: found a table of images",
        ),
        ("index.csv", "image,split\n0,train\n1,val\n", r"index.csv: found a division of images"),
        ("split.json", '{"train": ["0"], "test": ["1"]}', r"split.json: found a division of im"),
        ("../val.txt", "0\n", r"val.txt: found a list of images"),
        ("images/val.txt", "0\n", r"images/val.txt: found the list of a split"),
        ("labels/val.csv", "0\n", r"labels/val.csv: found the list of a split"),
        ("train.txt", "images/0.jpg 3\n", r"train.txt, line 1: found '3' after an image"),
        ("train.txt", "0.jpg ../labels/0.png\n", r"train.txt, line 1: found '../labels/0.png' af"),
    ],
)
def test_lists_that_cannot_be_used_stop(tmp_path, layout, path, text, message, run):
    root = draw(tmp_path / "s", "images/0.jpg", "images/1.jpg")
    write(root, path, text)
    with pytest.raises(DsbuildError, match=message):
        audit(requested(layout.find(root), f"{root}-out", layout=layout)).refuse()


def test_two_lists_with_one_name_stop(tmp_path):
    root = draw(tmp_path, "images/0.jpg")
    for place in ("", "splits/"):
        write(root, f"{place}train.txt", "0\n")
    with pytest.raises(LayoutError, match=r"splits/train.txt: found .*train.txt, a list with"):
        PAIRS.splits(root)


@pytest.mark.parametrize("text", ["0\n1\n", "train/images/0.jpg\ntrain/images/1.jpg\n"])
def test_a_list_that_agrees_with_the_folders_is_accepted(tmp_path, text):
    root = draw(tmp_path, *(f"train/images/{i}.jpg" for i in range(2)))
    write(root, "train.txt", text)
    assert found(PAIRS, root) == {"train": ["0", "1"]}
    write(root, "train.txt", "0\n")
    with pytest.raises(LayoutError, match=r"train.txt, line 1"):
        found(PAIRS, root)


def test_other_texts_are_not_lists(tmp_path):
    root = draw(tmp_path, "images/0.jpg", "images/1.jpg")
    write(root, "README.txt", "Of train and val.\n")
    write(root, "names.txt", "cat\ndog\n")
    write(root, "captions.csv", "0.jpg,a train at a station\n")
    write(root, "training.json", '{"rate": 0.1, "epochs": 1}')
    assert found(PAIRS, root) == {"train": ["0", "1"]}


# Names


@BOTH
def test_one_name_in_two_unicode_forms(tmp_path, layout):
    name = "caf\u00e9"
    write(tmp_path, f"images/{unicodedata.normalize('NFD', name)}.jpg", "")
    write(tmp_path, f"labels/{name}.png", "")
    (sample,) = layout.samples(str(tmp_path), layout.splits(str(tmp_path))[0])
    assert sample.key == name
    assert os.path.exists(tmp_path / sample.image)
    assert os.path.exists(tmp_path / sample.label)
    write(tmp_path, f"images/{name}.jpg", "")
    with pytest.raises(LayoutError, match="with the same name in another Unicode form"):
        list(layout.samples(str(tmp_path), "train"))


@pytest.mark.parametrize("ending", "jfif heic jpe avif jp2 JPG tif webp pgm".split())
def test_pictures_of_any_kind_are_seen(tmp_path, ending):
    root = draw(tmp_path, f"images/0.{ending}")
    assert found(PAIRS, root) == {"train": ["0"]}


# Whatever the tree: a picture is in a sample, in a finding, or the build stops.

WORDS = "images labels train val test training Dev a b more".split()
FOLDERS = st.lists(st.sampled_from(WORDS), max_size=3).map("/".join)
FILES = st.sampled_from("0.jpg 1.png 2.JPEG 3.heic notes.txt".split())
TREES = st.tuples(
    st.sampled_from(
        [
            [],
            ["images/9.jpg"],
            ["images/a/9.jpg", "b/images/9.jpg"],
            ["images/train/9.jpg", "images/val/9.jpg"],
            ["train/images/9.jpg", "test/images/9.jpg"],
            ["train/a/9.jpg", "Dev/b/9.jpg"],
        ]
    ),
    st.lists(st.tuples(FOLDERS, FILES).map("/".join), max_size=5, unique=True),
).map(lambda parts: [*parts[0], *parts[1]])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a function that returns a new folder each time."""
    numbers = itertools.count()
    return lambda: tmp_path_factory.mktemp("tree") / str(next(numbers))


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(
    "layout", [PAIRS, MATTING, Classes(), Classes(names=("a", "b", "more"))], ids=repr
)
@settings(max_examples=60, deadline=None)
@given(paths=TREES)
@example(paths=["images/train/0.jpg", "images/val/0.jpg", "labels/1.png"])
@example(paths=["train/images/0.jpg", "train/more/1.png", "more/a/2.JPEG", "3.heic"])
def test_no_picture_is_left_out_in_silence(place, layout, paired, paths):
    root = place()
    for path in paths:
        both = {path, path.replace("images", "labels", 1).rpartition(".")[0] + ".png"}
        for one in both if paired else [path]:
            write(root, one.lstrip("/"), "")
    try:
        audited = audit(requested(layout.find(str(root)), f"{root}-out", layout=layout))
        audited.refuse()
    except DsbuildError:
        return
    samples = [sample for planned in audited.splits for sample in planned.samples]
    said = {f"{root}/{part}" for sample in samples for part in (sample.image, sample.label)}
    texts = [finding.text for finding in audited.findings]
    known = [stems(str(root), one) for one in ("images", "labels")]
    for path in root.rglob("*"):
        if path.is_file() and is_picture(path.name):
            within = path.relative_to(root).parts[:-1]
            tops = ["/".join(within[: i + 1]) for i in range(len(within))]
            if any(stems(str(root), top) in known for top in tops):
                continue  # another form of the same samples
            above = [str(one) for one in (path, *path.parents) if root in one.parents]
            assert said & {above[0]} or any(one in text for text in texts for one in above), path
