import json
import os
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from dsbuild.errors import LayoutError, PlanError
from dsbuild.format import example as wire
from dsbuild.format import manifest, tfrecord
from dsbuild.layouts.classes import Classes
from tests.support import fakes
from tests.support.runs import content, make

COUNTS = {"cat": 6, "dog": 4, "horse": 3}


@pytest.fixture
def root(tmp_path):
    return fakes.classes(tmp_path, COUNTS)


@pytest.fixture
def divided(tmp_path):
    """Folders of classes in folders of splits."""
    return fakes.classes(tmp_path, COUNTS, splits=("train", "val"))


def put(root, path, data=b""):
    path = pathlib.Path(root, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def records(out):
    """Return key -> features for all records in a folder."""
    paths = sorted(pathlib.Path(out).glob("*.tfrecord"))
    values = [wire.parse(record.data) for path in paths for record in tfrecord.read(str(path))]
    return {value["image/filename"][0].decode(): value for value in values}


def keys(layout, root):
    return {s: [x.key for x in layout.samples(root, s)] for s in layout.splits(root)}


def found(layout, root, kind):
    layout = layout.bind(root)
    return [
        (finding.split, finding.text)
        for split in layout.splits(root)
        for finding in layout.findings(root, split, list(layout.samples(root, split)))
        if finding.kind == kind
    ]


def slim(path):
    """Parse and decode a shard with the keys and defaults of TF-slim's datasets."""
    import tensorflow as tf

    features = {
        "image/encoded": tf.io.FixedLenFeature((), tf.string, default_value=""),
        "image/format": tf.io.FixedLenFeature((), tf.string, default_value="jpeg"),
        "image/class/label": tf.io.FixedLenFeature([], tf.int64, default_value=-1),
        "image/class/text": tf.io.FixedLenFeature([], tf.string, default_value=""),
        "image/filename": tf.io.FixedLenFeature((), tf.string, default_value=""),
        "image/height": tf.io.FixedLenFeature((), tf.int64, default_value=0),
        "image/width": tf.io.FixedLenFeature((), tf.int64, default_value=0),
    }
    for record in tf.data.TFRecordDataset(path):
        values = tf.io.parse_single_example(record, features)
        jpeg = values["image/format"] == b"jpeg"
        decode = tf.io.decode_jpeg if jpeg else tf.io.decode_png
        options = {"dct_method": "INTEGER_ACCURATE"} if jpeg else {}
        image = decode(values["image/encoded"], channels=3, **options).numpy()
        assert image.shape[:2] == (values["image/height"], values["image/width"])
        text = values["image/class/text"].numpy().decode()
        label = int(values["image/class/label"])
        yield values["image/filename"].numpy().decode(), image, label, text


def test_a_folder_is_a_class(root):
    layout = Classes().bind(root)
    assert layout.classes == ("cat", "dog", "horse")
    samples = list(layout.samples(root, "train"))
    assert [sample.label for sample in samples] == [0] * 6 + [1] * 4 + [2] * 3
    assert samples[0].key == "cat/000"
    assert samples[0].image == "cat/000.png"
    assert {sample.image for sample in samples} >= {"cat/deeper/001.jpg", "horse/002.jpg"}
    assert samples == list(Classes().samples(root, "train"))


@pytest.mark.heavy
def test_tf_slim_reads_images_and_labels(root, out):
    make(root, out, layout=Classes(), shards=1)
    read = list(slim(f"{out}/train-00000-of-00001.tfrecord"))
    assert len(read) == 13
    for key, image, label, text in read:
        name = key.split("/")[0]
        assert (text, label) == (name, sorted(COUNTS).index(name))
        (path,) = pathlib.Path(root).glob(f"{key}.*")
        np.testing.assert_array_equal(image, np.asarray(Image.open(path)))


def test_a_file_sets_the_order_of_classes(root, tmp_path, run):
    names = tmp_path / "names.txt"
    names.write_text("horse\ncat\ndog\n")
    result = run("classes", root, tmp_path / "out", "--classes", names, "--quiet")
    assert result.exit_code == 0, result.output
    document = manifest.load(str(tmp_path / "out"))
    assert document["classes"] == ["horse", "cat", "dog"]
    assert document["recipe"]["options"]["names"] == ["horse", "cat", "dog"]
    for key, values in records(tmp_path / "out").items():
        label = ["horse", "cat", "dog"].index(key.split("/")[0])
        assert values["image/class/label"].tolist() == [label]
        assert values["image/class/text"] == [key.split("/")[0].encode()]


def test_the_order_of_classes_belongs_to_the_recipe(root, out, run):
    run("classes", root, out, "--quiet")
    assert manifest.load(out)["recipe"]["classes"] == ["cat", "dog", "horse"]
    assert "nothing to do" in run("classes", root, out).stdout
    put(root, "ant/000.png", pathlib.Path(root, "cat/000.png").read_bytes())
    result = run("classes", root, out)
    assert 'classes was ["cat","dog","horse"]' in result.stderr
    assert records(out)["cat/000"]["image/class/label"].tolist() == [0]
    assert run("classes", root, out, "--overwrite").exit_code == 0
    assert records(out)["cat/000"]["image/class/label"].tolist() == [1]


def test_a_folder_missing_from_the_file(root):
    with pytest.raises(
        LayoutError, match=r"found a folder 'horse', expected only the 2 classes that"
    ):
        Classes(names=("dog", "cat")).bind(root)


def test_a_listed_class_without_a_folder(root):
    layout = Classes(names=("dog", "cat", "unicorn", "horse"))
    assert found(layout, root, "classes") == [
        ("train", f"{root}: there is no folder 'unicorn', which --classes lists")
    ]
    assert {sample.label for sample in layout.samples(root, "train")} == {0, 1, 3}


@pytest.mark.parametrize("count", [257, 1000])
def test_more_than_256_classes(tmp_path, out, count):
    data = pathlib.Path(fakes.classes(tmp_path, {"a": 1}), "a/000.png").read_bytes()
    for i in range(count):
        put(tmp_path / "many", f"n{i:04d}/x.png", data)
    make(tmp_path / "many", out, layout=Classes(), shards=1)
    labels = [value["image/class/label"].tolist() for value in records(out).values()]
    assert labels == [[i] for i in range(count)]


def test_folders_of_splits(divided, out):
    assert {k: len(v) for k, v in keys(Classes(), divided).items()} == {"train": 13, "val": 13}
    assert [x.image for x in Classes().samples(divided, "val")][:2] == [
        "val/cat/deeper/v001.jpg",
        "val/cat/deeper/v003.png",
    ]
    make(divided, out, layout=Classes())
    assert set(records(out)) == {
        f"{name}/{at}{split}{i:03d}"
        for name, count in COUNTS.items()
        for split in "tv"
        for i in range(count)
        for at in ("deeper/" if i % 2 else "",)
    }
    assert found(Classes(), divided, "classes") == []


def test_a_class_missing_from_a_split(divided, out):
    shutil.rmtree(os.path.join(divided, "train", "cat"))
    text = "class 'cat': train has no picture of it"
    assert found(Classes(), divided, "classes") == [("train", text)]
    make(divided, out, layout=Classes())
    document = manifest.load(out)
    assert document["classes"] == ["cat", "dog", "horse"]
    assert [row["images"] for row in document["splits"]["train"]["classes"]] == [0, 4, 3]
    os.makedirs(os.path.join(divided, "train", "cat"))
    assert found(Classes(), divided, "classes") == [("train", text)]


def test_a_class_left_out_by_the_division(root):
    layout = Classes(val_fraction=0.2)
    lacking = {text for split, text in found(layout, root, "classes") if split == "val"}
    there = {key.split("/")[0] for key in keys(layout, root)["val"]}
    expected = {f"class {name!r}: val has no picture of it" for name in COUNTS.keys() - there}
    assert lacking == expected


def test_the_division_does_not_depend_on_other_pictures(root, tmp_path):
    few = keys(Classes(val_fraction=0.4), root)
    more = {"cat": 9, "cow": 5, "dog": 8, "horse": 8}
    many = keys(Classes(val_fraction=0.4), fakes.classes(tmp_path / "more", more))
    assert few.keys() == {"train", "val"}
    assert few != keys(Classes(val_fraction=0.4, split_seed=1), root)
    for split, names in few.items():
        assert set(names) <= set(many[split])


def test_strays_are_reported_and_hidden_folders_ignored(root, out):
    for path in ("cat/notes.txt", "dog/deeper/.DS_Store", "lost.jpg"):
        put(root, path)
    for path in ("readme.txt", ".git/x.jpg", "dog/.ipynb_checkpoints/000-checkpoint.png"):
        put(root, path)
    assert found(Classes(val_fraction=0.4), root, "stray") == [
        ("train", f"{root}/lost.jpg"),
        ("train", f"{root}/cat/notes.txt"),
        ("train", f"{root}/dog/deeper/.DS_Store"),
    ]
    make(root, out, layout=Classes())
    assert manifest.load(out)["splits"]["train"]["records"] == 13


def test_strays_of_splits(divided):
    for path in ("train/cat/a.txt", "val/dog/b.md", "c.png"):
        put(divided, path)
    assert found(Classes(), divided, "stray") == [
        ("train", f"{divided}/c.png"),
        ("train", f"{divided}/train/cat/a.txt"),
        ("val", f"{divided}/val/dog/b.md"),
    ]


@pytest.mark.parametrize("split", ["", "train/"])
def test_two_pictures_with_one_name(tmp_path, run, out, split):
    root = fakes.classes(tmp_path, COUNTS, splits=("train", "val") if split else ())
    data = pathlib.Path(root, f"{split}dog/{split[:1]}000.png").read_bytes()
    for ending in ("jpg", "png"):
        put(root, f"{split}cat/x.{ending}", data)
    result = run("classes", root, out)
    assert result.exit_code == 2
    clash = f"{root}/{split}cat/x.png: found {split}cat/x.jpg with the same name"
    assert f"error: sample cat/x: {clash}" in result.stderr
    result = run("classes", root, out, "--on-error", "skip", "--json")
    assert result.exit_code == 0, result.output
    assert manifest.load(out)["splits"]["train"]["records"] == 13
    (finding,) = json.loads(result.stdout)["findings"]
    assert (finding["kind"], finding["key"]) == ("same-name", "cat/x")
    assert clash in finding["text"]


def test_one_name_in_two_unicode_forms(root, out):
    data = pathlib.Path(root, "cat/000.png").read_bytes()
    composed, apart = "caf\u00e9", "cafe\u0301"
    put(root, f"{apart}/{composed}.png", data)
    layout = Classes(names=("cat", "dog", "horse", composed))
    assert f"{composed}/{composed}" in [s.key for s in layout.samples(root, "train")]
    put(root, f"{apart}/{apart}.png", data)
    (clash,) = found(layout, root, "same-name")
    assert "with the same name in another Unicode form" in clash[1]
    put(root, f"{composed}/x.png", data)
    with pytest.raises(LayoutError, match="with the same name in another Unicode form"):
        Classes().find(root)


def test_pictures_beside_folders_of_splits(divided):
    put(divided, "test/x.jpg")
    with pytest.raises(LayoutError, match=r"found train without pictures of its own beside test"):
        Classes().find(divided)


@pytest.mark.parametrize("path", ["nothing", "train/nothing", "val/nothing"])
def test_folders_without_pictures(divided, path):
    put(divided, f"{path}/notes.txt")
    with pytest.raises(LayoutError, match=rf"{path}: found no picture below this folder"):
        Classes().find(divided)


def test_no_folders(tmp_path):
    put(tmp_path, "x.jpg")
    with pytest.raises(LayoutError, match=r"found no folders, expected .*dsbuild classes SOURCE"):
        Classes().find(str(tmp_path))
    with pytest.raises(LayoutError, match="nowhere: no such folder"):
        Classes().find(str(tmp_path / "nowhere"))


def test_a_share_that_is_none():
    with pytest.raises(PlanError, match=r"val_fraction: found 1\.5"):
        Classes(val_fraction=1.5)


@pytest.mark.parametrize("verify", ["full", "header"])
def test_the_manifest_counts_images(root, out, verify):
    make(root, out, layout=Classes(), verify=verify, extras=("weights",))
    document = manifest.load(out)
    entry = document["splits"]["train"]
    assert entry["labels"] == entry["records"] == 13
    assert entry["classes"] == [{"name": n, "images": count} for n, count in COUNTS.items()]
    assert (document["ignore"], entry["ignore"], document["palette"]) == (None, None, {})
    shares = [count / 13 for count in COUNTS.values()]
    np.testing.assert_allclose(entry["weights"]["frequency"], shares)
    expected = [(4 / 13) / share for share in shares]
    np.testing.assert_allclose(entry["weights"]["median_frequency"], expected)
    effective = np.array([(1 - 0.999) / (1 - 0.999**count) for count in COUNTS.values()])
    np.testing.assert_allclose(entry["weights"]["effective_number"], effective / effective.mean())


def test_extras_of_the_image(root, out):
    from dsbuild import extras

    make(root, out, layout=Classes(), extras=("laplacian",))
    for key, values in records(out).items():
        (path,) = pathlib.Path(root).glob(f"{key}.*")
        image = np.asarray(Image.open(path))
        np.testing.assert_array_equal(values["image/gradient"], extras.laplacian(image).ravel())


@pytest.mark.parametrize("name", ["edges", "distance", "alpha", "trimap"])
def test_extras_of_a_label_are_refused(root, out, run, name):
    result = run("classes", root, out, "--extra", name)
    assert result.exit_code == 2
    assert f"error: --extra {name}: it is computed from the" in result.stderr
    assert "samples of dsbuild classes have none" in result.stderr
    assert not os.path.exists(out)


def test_resume(root, out, tmp_path):
    make(root, tmp_path / "whole", layout=Classes(), shards=3)
    make(root, out, layout=Classes(), shards=3)
    os.remove(f"{out}/train-00001-of-00003.tfrecord")
    summary = make(root, out, layout=Classes(), shards=3)
    assert (summary.written, summary.kept) == (1, 2)
    assert make(root, out, layout=Classes(), shards=3).written == 0
    assert content(out) == content(tmp_path / "whole")


def test_a_bad_picture(root, out, run):
    put(root, "cat/bad.jpg", b"\xff\xd8\xff\xe0 nothing")
    result = run("classes", root, out)
    assert result.exit_code == 2
    assert f"sample cat/bad: {root}/cat/bad.jpg: " in result.stderr
    assert run("classes", root, out, "--on-error", "skip").exit_code == 0
    entry = manifest.load(out)["splits"]["train"]
    assert (entry["rejects"], entry["classes"][0]["images"]) == (1, 6)


def test_the_plan_says_where_labels_come_from(root, out, run):
    shown = run("classes", root, out, "--dry-run").stdout
    assert ["train", "13", "folders", "1", "13"] in [x.split()[:5] for x in shown.splitlines()]


def rows(text):
    """Return the class table of an inspection."""
    lines = [line.split() for line in text.splitlines()]
    return lines[next(i for i, line in enumerate(lines) if line[:1] == ["class"]) :]


def test_inspect(root, out, run):
    run("classes", root, out, "--quiet", "--shards", 1)
    shares = ["46.2 %", "30.8 %", "23.1 %"]
    named = [
        [str(i), name, *share.split(), str(count)]
        for i, ((name, count), share) in enumerate(zip(COUNTS.items(), shares, strict=True))
    ]
    assert rows(run("inspect", out).stdout) == [["class", "train", "images"], *named]
    (shown,) = json.loads(run("inspect", out, "--json").stdout)["splits"].values()
    assert shown["classes"][2] == {"value": 2, "name": "horse", "images": 3}
    assert rows(run("inspect", out, "--record", 12).stdout) == [["class"], ["2", "horse"]]
    shard = f"{out}/train-00000-of-00001.tfrecord"
    nameless = [[row[0], *row[2:]] for row in named]
    assert rows(run("inspect", shard).stdout) == [["class", "train", "images"], *nameless]
    assert rows(run("inspect", shard, "--record", 12).stdout) == [["class"], ["2"]]
    os.remove(os.path.join(out, "manifest.json"))
    (shown,) = json.loads(run("inspect", out, "--json").stdout)["splits"].values()
    assert shown["labels"] == 13
    assert shown["classes"][2] == {"value": 2, "name": None, "images": 3}


@pytest.mark.heavy
def test_tfds_opens_the_folder(divided, out):
    import tensorflow_datasets as tfds

    make(divided, out, layout=Classes(), shards=2)
    builder = tfds.builder_from_directory(out)
    assert builder.info.features["image"]["class"]["label"].dtype == np.int64
    for split in ("train", "val"):
        read = list(builder.as_dataset(split=split))
        assert len(read) == 13
        for example in read:
            example = example["image"]
            name, _, rest = example["filename"].numpy().decode().partition("/")
            assert example["class"]["label"].numpy() == sorted(COUNTS).index(name)
            assert example["class"]["text"].numpy() == name.encode()
            (path,) = pathlib.Path(divided, split, name).glob(f"{rest}.*")
            image = np.asarray(Image.open(path)).astype(int)
            assert np.abs(example["encoded"].numpy() - image).max() <= 8


@pytest.mark.heavy
@pytest.mark.shared
def test_animals(shared, out, run):
    root = shared / "classification" / "animals"
    result = run("classes", root, out, "--shards", 1)
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in root.iterdir())
    assert manifest.load(out)["classes"] == names == ["cat", "cow", "dog", "horse", "sheep"]
    read = list(slim(f"{out}/train-00000-of-00001.tfrecord"))
    there = [str(path.relative_to(root).with_suffix("")) for path in root.rglob("*.jpeg")]
    assert [key for key, *_ in read] == sorted(there)
    assert len(read) == 20
    for key, image, label, text in read:
        assert names[label] == text == key.split("/")[0]
        np.testing.assert_array_equal(image, np.asarray(Image.open(root / f"{key}.jpeg")))
    for key, values in records(out).items():
        assert values["image/encoded"] == [(root / f"{key}.jpeg").read_bytes()]


def test_pictures_in_folders_of_splits_are_an_error(tmp_path, run):
    animals = fakes.classes(tmp_path)
    for split in ("train", "val"):
        shutil.copytree(animals, tmp_path / "s" / split)
        shutil.copy(tmp_path / "animals/cat/000.png", tmp_path / "s" / split)
    result = run("classes", tmp_path / "s", tmp_path / "out")
    assert "found pictures directly in train, which is the name of a split" in result.stderr


def test_links(tmp_path, run):
    root = pathlib.Path(fakes.classes(tmp_path))
    (root / "gone").symlink_to("nowhere")
    (root / "kitten").symlink_to("cat")
    result = run("classes", root, tmp_path / "out")
    assert "train: gone\n" in result.stderr
    assert "19 records" in result.stdout
    (root / "cat/loop").symlink_to("..")
    result = run("classes", root, tmp_path / "out")
    assert "cat/loop: found a link to a folder above it" in result.stderr


def nested(tmp_path, *paths):
    """Draw animals in several places; return the folder that holds all."""
    animals = fakes.classes(tmp_path)
    for path in paths:
        shutil.copytree(animals, tmp_path / "s" / path)
    return str(tmp_path / "s")


@pytest.mark.parametrize(
    "names", ["train val", "Train Test", "train2017 val2017", "dev eval extra"]
)
def test_folders_with_names_of_splits_are_splits(tmp_path, names):
    root = nested(tmp_path, *names.split())
    assert Classes().splits(Classes().find(root)) == tuple(sorted(names.split()))


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["data/train", "data/val"], r"s/data: found train and val in it"),
        (["x/Training/y", "x/Validation/y"], r"s/x: found Training and Validation in it"),
        (["train/train", "train/val"], r"s/train: found train and val in it"),
        (["train", "more"], r"found more beside train, .*--classes FILE"),
        (["one", "two"], r"found folders like one without pictures .*--classes FILE"),
        (["train/images", "val/images"], r"s/train/images: found only one class"),
    ],
)
def test_folders_that_may_be_splits_or_classes_are_named(tmp_path, paths, message):
    with pytest.raises(LayoutError, match=message):
        Classes().find(nested(tmp_path, *paths))


def test_names_of_classes_distinguish_them_from_splits(tmp_path):
    root = nested(tmp_path, "one", "two")
    layout = Classes(names=("cat", "dog", "horse"))
    assert layout.splits(layout.find(root)) == ("one", "two")
    layout = Classes(names=("one", "two"))
    assert layout.splits(layout.find(root)) == ("train",)
    assert {sample.label for sample in layout.samples(root, "train")} == {0, 1}


def test_splits_within_classes_are_an_error(root):
    for split in ("train", "val"):
        put(root, f"cat/{split}/x.jpg")
    with pytest.raises(LayoutError, match=r"animals/cat: found train and val in it"):
        Classes().find(root)


def test_a_class_may_be_called_train(root):
    put(root, "train/x.jpg")
    assert Classes().bind(root).classes == ("cat", "dog", "horse", "train")


@pytest.mark.parametrize("name", ["train.txt", "val.csv"])
def test_lists_beside_classes_are_named(root, name):
    put(root, name, b"cat/000.png\ncat/deeper/001.jpg\n")
    with pytest.raises(LayoutError, match=rf"{name}: found the list of a split beside folders of"):
        Classes().splits(root)
