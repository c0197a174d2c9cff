import json
import os
import pathlib
import pickle
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from dsbuild import storage
from dsbuild.errors import ImageError, LayoutError
from dsbuild.format import manifest
from dsbuild.layouts.voc import FOLDERS, Voc
from tests.support import fakes
from tests.support.runs import make, masks


def keys(root, split, **options):
    return [sample.key for sample in Voc(**options).samples(root, split)]


def put(root, split, text):
    path = pathlib.Path(root, "ImageSets/Segmentation", f"{split}.txt")
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def copy_labels(root, kind):
    """Copy SegmentationClass as grey PNGs to the folder of another kind."""
    folder = pathlib.Path(root, FOLDERS[kind][0])
    folder.mkdir()
    for path in pathlib.Path(root, "SegmentationClass").iterdir():
        Image.fromarray(np.asarray(Image.open(path))).save(folder / path.name)
    return folder


def test_a_layout_is_a_value():
    assert Voc(labels="aug") == Voc(labels="aug") != Voc()
    assert pickle.loads(pickle.dumps(Voc(labels="raw"))) == Voc(labels="raw")
    assert len(Voc.classes) == 21
    assert Voc.palette[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert Voc.palette[255] == (224, 224, 192)


@pytest.mark.parametrize("source", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_find_takes_three_folders(voc, tmp_path, source):
    assert os.path.samefile(Voc().find(str(tmp_path / source)), voc)


@pytest.mark.parametrize("below", [".", "data"])
def test_find_looks_around_without_a_source(tmp_path, monkeypatch, below):
    root = fakes.voc(tmp_path / below, train=1, val=1)
    monkeypatch.chdir(tmp_path)
    assert os.path.samefile(Voc().find(None), root)


def test_find_takes_the_latest_edition(voc, tmp_path):
    fakes.voc(tmp_path / "old", train=1, val=1)
    (tmp_path / "old/VOCdevkit/VOC2012").rename(tmp_path / "VOCdevkit/VOC2007")
    assert Voc().find(str(tmp_path)).endswith("VOC2012")
    assert Voc().find(str(tmp_path / "VOCdevkit/VOC2007")).endswith("VOC2007")


def test_find_says_what_it_expected(tmp_path):
    with pytest.raises(LayoutError, match=r"found no VOC2012.*dsbuild voc SOURCE"):
        Voc().find(str(tmp_path))
    with pytest.raises(LayoutError, match=r"nowhere: no such folder"):
        Voc().find(str(tmp_path / "nowhere"))


def test_splits_are_the_lists(voc):
    put(voc, "minival", "2007_000000\n")
    put(voc, "train_aug", "2007_000000\n")
    assert Voc().splits(voc) == ("train", "train_aug", "val", "trainval", "minival")


def test_no_list_at_all(voc):
    for path in pathlib.Path(voc, "ImageSets/Segmentation").iterdir():
        path.unlink()
    with pytest.raises(LayoutError, match=r"ImageSets/Segmentation: found no list"):
        Voc().splits(voc)


@pytest.mark.parametrize(
    "text",
    [
        "2007_000001\n2007_000000\n",
        "2007_000001\r\n2007_000000\r\n",
        "\ufeff2007_000001\n2007_000000",
        "\n\n2007_000001\n  2007_000000  \n\n",
        "/JPEGImages/2007_000001.jpg /SegmentationClass/2007_000001.png\n"
        "/JPEGImages/2007_000000.jpg /SegmentationClass/2007_000000.png",
        "JPEGImages/2007_000001.jpg SegmentationClass/2007_000001.png\n"
        "JPEGImages/2007_000000.jpg SegmentationClass/2007_000000.png\n",
        "JPEGImages\\2007_000001.jpg,SegmentationClass\\2007_000001.png\n"
        '"JPEGImages/2007_000000.jpg" "SegmentationClass/2007_000000.png"\n',
        '"2007_000001"\n2007_000000.jpg\n',
        "2007_000001\n2007_000000\n".encode("utf-16"),
    ],
    ids="plain crlf bom blanks paths relative separators extensions utf-16".split(),
)
def test_lists_in_the_wild(voc, text):
    put(voc, "train", text)
    found = list(Voc().samples(voc, "train"))
    assert [s.key for s in found] == ["2007_000001", "2007_000000"]
    assert [s.image for s in found] == [f"JPEGImages/{s.key}.jpg" for s in found]
    assert [s.label for s in found] == [f"SegmentationClass/{s.key}.png" for s in found]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the list is empty"),
        ("\n\r\n \n", "the list is empty"),
        (
            "2007_000001\n2007_000002\n2007_000001\n",
            r"line 3: found '2007_000001' again, which line 1",
        ),
        ("../../etc/passwd\n", "line 1: .* leads out of the data set"),
        ("/etc/passwd\n", "leads out of the data set"),
        ("a\\..\n", None),
        ("JPEGImages/../../x.jpg SegmentationClass/x.png\n", "leads out of the data set"),
        ("/JPEGImages/x.jpg /../x.png\n", "leads out of the data set"),
        ("/JPEGImages/a.jpg /SegmentationClass/b.png\n", "expected a label with the same name"),
        ("a\x07b\n", "control characters"),
        ("2007_000001 -1\n", "line 1: found '2007_000001 -1', expected an id"),
        ("a b c\n", "expected an id"),
        (b"2\x000\x00", "no text"),
    ],
)
def test_bad_lists_are_named(voc, text, message):
    put(voc, "train", text)
    if message is None:
        assert keys(voc, "train", labels="class") == ["a\\.."]
        return
    with pytest.raises(LayoutError, match=message):
        keys(voc, "train")


def test_a_mixed_list_follows_the_labels_that_it_names(voc):
    copy_labels(voc, "aug")
    put(
        voc,
        "train",
        "2007_000001\n/JPEGImages/2007_000002.jpg /SegmentationClassAug/2007_000002.png\n",
    )
    found = [sample.label for sample in Voc().samples(voc, "train")]
    assert found == ["SegmentationClass/2007_000001.png", "SegmentationClassAug/2007_000002.png"]
    found = [sample.label for sample in Voc(labels="aug").samples(voc, "train")]
    assert found == [f"SegmentationClassAug/2007_00000{i}.png" for i in (1, 2)]


def test_ids_in_folders_find_their_labels(voc):
    for folder, ending in (("JPEGImages", "jpg"), ("SegmentationClass", "png")):
        os.makedirs(os.path.join(voc, folder, "sub"))
        pathlib.Path(voc, folder, f"2007_000001.{ending}").rename(
            pathlib.Path(voc, folder, "sub", f"x.{ending}")
        )
    put(voc, "train", "sub/x\n")
    assert next(Voc().samples(voc, "train")).label == "SegmentationClass/sub/x.png"


def test_side_files_of_macos_are_not_lists(voc):
    put(voc, "._train", b"\0\5\x16\7")
    assert "._train" not in Voc().splits(voc)


def test_pairs_are_made_by_key_not_by_position(voc):
    put(voc, "train", "2007_000003\n2007_000001\n")
    os.remove(os.path.join(voc, "SegmentationClass/2007_000000.png"))
    found = list(Voc().samples(voc, "train"))
    assert [(s.image[-8:], s.label[-8:]) for s in found] == [
        ("0003.jpg", "0003.png"),
        ("0001.jpg", "0001.png"),
    ]


def test_auto_takes_the_first_folder_and_names_missing_labels(voc):
    copy_labels(voc, "aug")
    copy_labels(voc, "raw")
    assert next(Voc().samples(voc, "train")).label.startswith("SegmentationClass/")
    os.remove(os.path.join(voc, "SegmentationClass/2007_000003.png"))
    lost = f"{voc}/SegmentationClass/2007_000003.png: there is no such file, but "
    with pytest.raises(LayoutError, match=re.escape(f"{lost}SegmentationClassRaw has a label")):
        keys(voc, "train")
    os.remove(os.path.join(voc, "SegmentationClassRaw/2007_000003.png"))
    with pytest.raises(LayoutError, match=r"SegmentationClassAug.*--labels class or --labels aug"):
        keys(voc, "train")
    assert next(Voc(labels="aug").samples(voc, "train")).label.startswith("SegmentationClassAug/")
    assert next(Voc().samples(voc, "val")).label.startswith("SegmentationClass/")
    os.remove(os.path.join(voc, "SegmentationClassAug/2007_000003.png"))
    assert next(Voc().samples(voc, "train")).label.startswith("SegmentationClass/")


def test_auto_takes_augmented_labels_for_augmented_lists(voc):
    folder = copy_labels(voc, "aug")
    shutil.copy(folder / "2007_000000.png", folder / "2008_000000.png")
    put(voc, "train_aug", "2007_000000\n2008_000000\n")
    labels = [sample.label for sample in Voc().samples(voc, "train_aug")]
    assert labels == [f"SegmentationClassAug/{key}.png" for key in ("2007_000000", "2008_000000")]


def test_auto_without_any_label_says_where_it_looked(voc):
    put(voc, "train", "nothing\n")
    with pytest.raises(LayoutError, match=r"found no label.*SegmentationClassAug"):
        keys(voc, "train")


@pytest.mark.parametrize("kind", ["class", "raw", "aug"])
def test_labels_by_name(voc, kind):
    os.makedirs(os.path.join(voc, FOLDERS[kind][0]), exist_ok=True)
    assert next(Voc(labels=kind).samples(voc, "val")).label.startswith(FOLDERS[kind][0] + "/")


def test_labels_from_a_missing_folder(voc):
    with pytest.raises(LayoutError, match=r"--labels raw needs it; there are SegmentationClass$"):
        next(Voc(labels="raw").samples(voc, "val"))


def test_a_test_split_without_labels(voc):
    for i in range(2):
        os.remove(os.path.join(voc, f"SegmentationClass/2007_{i:06d}.png"))
    put(voc, "test", "2007_000000\n/JPEGImages/2007_000001.jpg\n")
    found = list(Voc().samples(voc, "test"))
    assert [(s.key, s.label) for s in found] == [("2007_000000", None), ("2007_000001", None)]


def test_a_test_split_with_labels_keeps_them(voc):
    """VOC 2007 publishes the labels of its test split."""
    put(voc, "test", "2007_000000\n")
    assert next(Voc().samples(voc, "test")).label == "SegmentationClass/2007_000000.png"


def test_published_counts_are_those_of_2012(voc, tmp_path):
    assert Voc().published(voc) == {
        "train": 1464,
        "val": 1449,
        "trainval": 2913,
        "train_aug": 10582,
        "trainaug": 10582,
        "aug": 10582,
    }
    assert Voc().published(str(tmp_path / "VOC2007")) == {}


@pytest.mark.parametrize("ending", [".png", ".jpeg", ".JPG", ".webp"])
def test_images_under_other_extensions(voc, ending):
    for path in pathlib.Path(voc, "JPEGImages").iterdir():
        path.rename(path.with_suffix(ending))
    found = [sample.image for sample in Voc().samples(voc, "val")]
    assert found == [f"JPEGImages/2007_{i:06d}{ending}" for i in range(12, 18)]


def test_two_images_with_one_id(voc):
    for ending in (".png", ".jpeg"):
        pathlib.Path(voc, f"JPEGImages/2007_000000{ending}").touch()
    assert next(Voc().samples(voc, "train")).image == "JPEGImages/2007_000000.jpg"
    os.remove(f"{voc}/JPEGImages/2007_000000.jpg")
    with pytest.raises(
        LayoutError, match=r"2007_000000.png: found .*2007_000000.jpeg with the same"
    ):
        keys(voc, "train")


def test_a_test_tree_without_labels_has_no_finding(voc, run, out):
    shutil.rmtree(f"{voc}/SegmentationClass")
    for path in pathlib.Path(voc, "ImageSets/Segmentation").iterdir():
        path.unlink()
    put(voc, "test", "".join(f"2007_{i:06d}\n" for i in range(18)))
    result = run("voc", voc, out, "--strict", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["findings"] == []


def test_an_empty_list_names_the_way_out(voc, run, out):
    put(voc, "test", "")
    result = run("voc", voc, out)
    assert "test.txt: the list is empty" in result.stderr
    assert "--split" in result.stderr
    assert run("voc", voc, out, "--split", "train", "--split", "val").exit_code == 0


def test_labels_without_a_list_are_found(voc):
    for name in ("val", "trainval"):
        os.remove(f"{voc}/ImageSets/Segmentation/{name}.txt")
    found = Voc().findings(voc, "train", list(Voc().samples(voc, "train")))
    assert [one.text for one in found] == [
        f"{voc}/SegmentationClass/2007_000012.png: no list has it, nor 5 more with image and label"
    ]


def test_lists_in_other_folders_are_named(voc):
    sets = pathlib.Path(voc, "ImageSets")
    (sets / "Segmentation").rename(sets / "Main")
    with pytest.raises(LayoutError, match=r"found no list.*found .*ImageSets/Main/train.txt: move"):
        Voc().splits(voc)


@pytest.mark.parametrize("name", ["VOC2012_train_val", "anything", "VOC2012"])
def test_a_folder_may_have_any_name(voc, tmp_path, name):
    copy_labels(voc, "aug")
    other = tmp_path / name / name
    shutil.move(voc, other)
    root = Voc().find(str(tmp_path / name))
    assert os.path.samefile(root, other)
    assert "train_aug" in Voc().splits(root)


def test_one_name_in_two_unicode_forms(voc):
    composed, apart = "caf\u00e9", "cafe\u0301"
    for folder, ending in (("JPEGImages", "jpg"), ("SegmentationClass", "png")):
        shutil.copy(f"{voc}/{folder}/2007_000000.{ending}", f"{voc}/{folder}/{apart}.{ending}")
    put(voc, "val", f"{composed}\n")
    (sample,) = Voc().samples(voc, "val")
    assert sample.key == composed
    assert os.path.exists(f"{voc}/{sample.image}")
    assert os.path.exists(f"{voc}/{sample.label}")


# Classes of one's own

OWN_CLASSES = {
    "labelmap.txt": "# label:color_rgb:parts:actions\nbackground:0,0,0::\nlane:128,0,0::\n",
    "class_names.txt": "_background_\nlane\ncar\n",
    "classes.txt": "background\nbird\naeroplane\n",
    "label.names": "lane\n",
    "labels.json": '["background", "lane"]',
}


@pytest.mark.parametrize("name", OWN_CLASSES)
def test_other_classes_are_not_mistaken_for_those_of_voc(voc, name):
    pathlib.Path(voc, name).write_text(OWN_CLASSES[name])
    with pytest.raises(LayoutError, match=rf"{name}: found the class '.*dsbuild pairs SOURCE"):
        Voc().splits(voc)


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(Voc.classes),
        "\n".join(["_background_", *Voc.classes[1:-1], "tv/monitor", "void"]),
        "# label:color_rgb:parts:actions\nperson:192,128,128::\nbackground:0,0,0::\n",
    ],
)
def test_a_file_with_the_classes_of_voc_is_accepted(voc, text):
    pathlib.Path(voc, "labelmap.txt").write_text(text)
    assert Voc().splits(voc) == ("train", "val", "trainval")


def test_a_tree_with_its_own_classes_is_built_as_pairs(voc, run, out):
    """This is the remedy that the message names."""
    names = ["background", "lane"]
    for path in pathlib.Path(voc, "SegmentationClass").iterdir():
        plane = np.asarray(Image.open(path))
        Image.fromarray(np.array([(0, 0, 0), (9, 8, 7)], np.uint8)[plane % 2]).save(path)
    colours = "background:0,0,0::\nlane:9,8,7::\n"
    path = pathlib.Path(voc, "labelmap.txt")
    path.write_text(f"# label:color_rgb:parts:actions\n{colours}")
    os.remove(f"{voc}/ImageSets/Segmentation/trainval.txt")
    options = ("--images", "JPEGImages", "--labels", "SegmentationClass", "--colormap", path)
    result = run("pairs", voc, out, *options, "--quiet")
    assert result.exit_code == 0, result.output
    document = manifest.load(out)
    assert document["classes"] == names
    assert {k: v["records"] for k, v in document["splits"].items()} == {"train": 12, "val": 6}


# SBD


def mat(path, plane):
    from scipy.io import savemat

    savemat(path, {"GTcls": {"Segmentation": plane, "Boundaries": 0}})


def test_sbd_labels(voc, tmp_path):
    plane = np.array([[0, 15, 255], [1, 2, 20]], np.uint8)
    mat(tmp_path / "x.mat", plane)
    found = Voc().plane((tmp_path / "x.mat").read_bytes(), "x.mat")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, plane)


@pytest.mark.parametrize(
    "where",
    [
        "cls",
        "../../benchmark_RELEASE/dataset/cls",
        "../VOCaug/dataset/cls",
        "../../sbd/cls",
        "../SBD/dataset/cls",
    ],
)
def test_sbd_labels_are_found(voc, where):
    os.makedirs(os.path.join(voc, where))
    assert next(Voc(labels="sbd").samples(voc, "val")).label == f"{where}/2007_000012.mat"


AUGMENTED_PLACES = pytest.mark.parametrize(
    "where",
    [
        "SegmentationClassAug",
        "SegmentationClassAug/SegmentationClassAug",
        "../SegmentationClassAug",
        "../../SegmentationClassAug",
        "../VOCaug/dataset/SegmentationClassAug",
    ],
)


@AUGMENTED_PLACES
def test_augmented_labels_are_found_on_a_store(where):
    root = "memory://augmented/data/VOC2012"
    storage.remove_folder("memory://augmented")
    files = ("ImageSets/Segmentation/aug.txt", "JPEGImages/a.jpg", f"{where}/a.png")
    storage.write_all({f"{root}/{name}": b"a" for name in files})
    assert [sample.label for sample in Voc().samples(root, "aug")] == [f"{where}/a.png"]
    with storage.listed_once(root):
        assert [sample.label for sample in Voc().samples(root, "aug")] == [f"{where}/a.png"]


@AUGMENTED_PLACES
@pytest.mark.parametrize("name", ["aug", "trainaug", "train_aug"])
def test_augmented_labels_are_found(voc, where, name, out):
    root, source = pathlib.Path(voc), pathlib.Path(voc, "SegmentationClass")
    shutil.copytree(source, root / where)
    ids = [path.stem for path in sorted(source.glob("*.png"))][:5]
    (root / f"ImageSets/Segmentation/{name}.txt").write_text("\n".join(ids))
    (source / f"{ids[0]}.png").unlink()  # one that only SBD has
    found = list(Voc().samples(voc, name))
    assert [sample.label for sample in found] == [f"{where}/{key}.png" for key in ids]
    make(voc, out, splits=(name,))
    assert list(masks(out)) == ids


def test_damaged_sbd_labels_are_named(tmp_path):
    from scipy.io import savemat

    savemat(tmp_path / "other.mat", {"x": 1})
    with pytest.raises(ImageError, match="without GTcls"):
        Voc().plane((tmp_path / "other.mat").read_bytes(), "x.mat")
    mat(tmp_path / "big.mat", np.array([[0, 300]], np.int32))
    with pytest.raises(ImageError, match="values up to 300"):
        Voc().plane((tmp_path / "big.mat").read_bytes(), "x.mat")
    mat(tmp_path / "float.mat", np.array([[0.5]]))
    with pytest.raises(ImageError, match="float64"):
        Voc().plane((tmp_path / "float.mat").read_bytes(), "x.mat")
    whole = (tmp_path / "big.mat").read_bytes()
    for end in range(6, len(whole), 7):
        with pytest.raises(ImageError):
            Voc().plane(whole[:end], "x.mat")


# The augmented list where there is none

# SBD has three ids of its own, ten of VOC's twelve in train, and two of its six in val.
OWN = ["2008_000003", "2008_000001", "2009_000007"]
BOTH = [f"2007_{i:06d}" for i in range(10)]
EXPECTED = [
    *("2007_000000 2007_000001 2007_000002 2007_000003 2007_000004 2007_000005".split()),
    *("2007_000006 2007_000007 2007_000008 2007_000009 2007_000010 2007_000011".split()),
    *("2008_000001 2008_000003 2009_000007".split()),
]
CLS = "../../benchmark_RELEASE/dataset/cls"


@pytest.fixture
def sbd(voc, tmp_path):
    """SBD beside the VOC tree, with VOC's val in both of its lists."""
    train, val = [OWN[0], "2007_000013", *BOTH[4:], OWN[1]], ["2007_000017", OWN[2], *BOTH[:4]]
    return pathlib.Path(fakes.sbd(tmp_path, train, val))


def test_train_aug_is_made_from_the_lists(voc, sbd):
    assert Voc().splits(voc) == ("train", "train_aug", "val", "trainval")
    assert keys(voc, "train_aug") == EXPECTED
    assert not set(EXPECTED) & set(keys(voc, "val"))


def test_train_aug_has_images_and_labels_of_their_own(voc, sbd, out):
    """Two images of VOC's train have no label in SBD; theirs come from VOC."""
    from scipy.io import loadmat

    make(voc, out, splits=("train_aug",))
    stored = masks(out)
    assert sorted(stored) == EXPECTED
    for sample in Voc().samples(voc, "train_aug"):
        assert sample.image == f"JPEGImages/{sample.key}.jpg"
        if sample.key in ("2007_000010", "2007_000011"):
            assert sample.label == f"SegmentationClass/{sample.key}.png"
            expected = np.asarray(Image.open(os.path.join(voc, sample.label)))
        else:
            assert sample.label == f"{CLS}/{sample.key}.mat"
            expected = loadmat(sbd / f"cls/{sample.key}.mat")["GTcls"][0, 0]["Segmentation"]
        np.testing.assert_array_equal(stored[sample.key], expected)


def test_train_aug_says_what_it_is(voc, sbd, run, out):
    (finding,) = Voc().findings(voc, "train_aug", list(Voc().samples(voc, "train_aug")))
    assert (finding.kind, finding.split) == ("source", "train_aug")
    assert finding.text == f"2 labels are from SegmentationClass, since {CLS} has none"
    assert Voc().findings(voc, "train", list(Voc().samples(voc, "train"))) == []
    result = run("voc", voc, out, "--split", "train_aug", "--dry-run", "--json")
    (split,) = json.loads(result.stdout)["splits"].values()
    assert (split["listed"], split["published"]) == (15, 10582)
    found = {(one["kind"], one["text"]) for one in json.loads(result.stdout)["findings"]}
    assert ("published", "15 samples, but 10,582 were published") in found


def test_train_aug_by_name_of_the_labels(voc, sbd):
    found = {sample.label for sample in Voc(labels="sbd").samples(voc, "train_aug")}
    assert found == {f"{CLS}/{key}.mat" for key in EXPECTED}


@pytest.mark.parametrize("name", ["train_aug", "trainaug", "aug"])
def test_an_existing_list_is_preferred(voc, sbd, name):
    put(voc, name, "2007_000004\n2007_000001\n")
    assert Voc().splits(voc) == ("train", name, "val", "trainval")
    assert keys(voc, name) == ["2007_000004", "2007_000001"]


def test_train_aug_with_sbd_inside_voc(voc, sbd):
    for name in ("cls", "train.txt", "val.txt"):
        (sbd / name).rename(pathlib.Path(voc, name))
    assert keys(voc, "train_aug") == EXPECTED
    labels = {sample.label for sample in Voc().samples(voc, "train_aug")}
    assert f"cls/{OWN[0]}.mat" in labels


@pytest.mark.parametrize("name", ["train.txt", "val.txt"])
def test_train_aug_from_the_labels_of_sbd(voc, sbd, name):
    (sbd / name).unlink()
    assert keys(voc, "train_aug") == EXPECTED


def test_train_aug_from_augmented_labels(voc):
    folder = copy_labels(voc, "aug")
    for key in OWN:
        shutil.copy(folder / "2007_000000.png", folder / f"{key}.png")
    (folder / "._2008_000009.png").touch()
    assert keys(voc, "train_aug") == EXPECTED
    labels = [sample.label for sample in Voc().samples(voc, "train_aug")]
    assert labels == [f"SegmentationClassAug/{key}.png" for key in EXPECTED]


def test_images_that_only_sbd_has(voc, sbd):
    (sbd / "img").mkdir()
    for key in (OWN[0], BOTH[0]):
        shutil.copy(os.path.join(voc, f"JPEGImages/{key}.jpg"), sbd / "img")
    os.remove(os.path.join(voc, f"JPEGImages/{OWN[0]}.jpg"))
    images = {sample.key: sample.image for sample in Voc().samples(voc, "train_aug")}
    expected = {key: f"JPEGImages/{key}.jpg" for key in EXPECTED}
    assert images == expected | {OWN[0]: f"../../benchmark_RELEASE/dataset/img/{OWN[0]}.jpg"}


@pytest.mark.parametrize("name", ["train", "val"])
def test_train_aug_needs_the_lists_of_voc(voc, sbd, name):
    os.remove(os.path.join(voc, f"ImageSets/Segmentation/{name}.txt"))
    assert "train_aug" not in Voc().splits(voc)


def test_train_aug_needs_sbd(voc, run, out):
    assert "train_aug" not in Voc().splits(voc)
    result = run("voc", voc, out, "--split", "train_aug")
    assert "found no split 'train_aug'; expected one of train, val, trainval" in result.stderr


def test_train_aug_belongs_to_the_edition_of_sbd(voc, sbd):
    other = voc.replace("VOC2012", "VOC2007")
    os.rename(voc, other)
    assert Voc().splits(other) == ("train", "val", "trainval")


@pytest.mark.shared
def test_train_aug_without_its_list_on_real_data(shared, tmp_path):
    real, root = shared / "voc/VOCdevkit/VOC2012", tmp_path / "VOC2012"
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    for name in ("JPEGImages", "SegmentationClass", "SegmentationClassAug"):
        (root / name).symlink_to(real / name)
    for path in (real / "ImageSets/Segmentation").iterdir():
        if path.name != "train_aug.txt":
            (root / "ImageSets/Segmentation" / path.name).symlink_to(path)
    listed = (real / "ImageSets/Segmentation/train_aug.txt").read_text().split()
    assert len(listed) == 36
    assert keys(str(root), "train_aug") == sorted(listed)
    labels = [sample.label for sample in Voc().samples(str(root), "train_aug")]
    assert labels == [f"SegmentationClassAug/{key}.png" for key in sorted(listed)]
