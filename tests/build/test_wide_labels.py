"""Labels of 16 bits, from a folder of pairs to every reader: exact, and never narrowed."""

import base64
import io
import os
import re
import shutil
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

import dsbuild
from dsbuild import images, reader
from dsbuild.build.encode import Rejected
from dsbuild.build.image_policy import Policy
from dsbuild.errors import PlanError
from dsbuild.format import example, manifest, tfrecord
from dsbuild.format.folder import Folder
from dsbuild.images import colour, png
from dsbuild.inspect import diff, gallery
from dsbuild.layouts.pairs import Pairs
from dsbuild.validate import pixels
from dsbuild.validate import run as validation
from tests.support import fakes
from tests.support.pictures import save
from tests.support.runs import make

NAMES = tuple(f"class {i}" for i in range(300))
IGNORE = 65535


def plane(rng, height, width):
    """Return blocks of 300 classes with an ignored border: uint16 (h, w)."""
    cells = rng.integers(0, len(NAMES), (height // 8 + 1, width // 8 + 1))
    made = np.kron(cells, np.ones((8, 8), int))[:height, :width].astype(np.uint16)
    made[0], made[5, :4] = IGNORE, 299
    return made


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return a source, what was built of it, and the labels by key."""
    root, labels = tmp_path_factory.mktemp("wide"), {}
    rng = np.random.default_rng(3)
    for split, count in (("train", 4), ("val", 2)):
        for part in ("images", "labels"):
            os.makedirs(root / split / part)
        for i in range(count):
            key, size = f"{split}{i}", rng.integers(40, 80, 2).tolist()
            labels[key] = plane(rng, *size)
            fakes.photo(rng, *reversed(size)).save(root / split / "images" / f"{key}.jpg")
            Image.fromarray(labels[key]).save(root / split / "labels" / f"{key}.png")
    out = str(root / "out")
    make(str(root), out, layout=Pairs(names=NAMES), extras=("edges", "distance", "weights"))
    return str(root), out, labels


def test_numpy_reads_what_was_written(built):
    _, out, labels = built
    found = {sample.key: sample.label for sample in dsbuild.open(out)}
    assert found.keys() == labels.keys()
    for key, label in found.items():
        assert label.dtype == np.uint16
        np.testing.assert_array_equal(label, labels[key])


def test_stored_labels_are_the_source_files_or_grey_of_16_bits(built):
    root, out, _ = built
    for sample in dsbuild.open(out, "train"):
        (data,) = sample.stored("label")
        with open(f"{root}/train/labels/{sample.key}.png", "rb") as file:
            assert data == file.read()


@pytest.mark.parametrize("cache", [False, pytest.param(True, marks=pytest.mark.slow), "decoded"])
def test_tensorflow_reads_what_was_written(built, cache, tmp_path):
    import tensorflow as tf

    _, out, labels = built
    folder = str(tmp_path) if cache == "decoded" else None
    for _ in range(2):
        found = list(dsbuild.tf_dataset(out, cache=cache, cache_folder=folder))
        assert len(found) == len(labels)
        for sample in found:
            assert sample["label"].dtype == tf.uint16
            wanted = labels[sample["key"].numpy().decode()]
            np.testing.assert_array_equal(sample["label"].numpy()[..., 0], wanted)


def test_tensorflow_reads_a_file_without_a_manifest(built, tmp_path):
    _, out, labels = built
    (name,) = (name for name in os.listdir(out) if name.startswith("train-"))
    os.link(f"{out}/{name}", tmp_path / name)
    shutil.copytree(f"{out}/index", tmp_path / "index")
    for sample in dsbuild.tf_dataset(tmp_path):
        wanted = labels[sample["key"].numpy().decode()]
        np.testing.assert_array_equal(sample["label"].numpy()[..., 0], wanted)


def test_torch_reads_what_was_written(built):
    torch = pytest.importorskip("torch")
    _, out, labels = built
    data = dsbuild.torch_dataset(out)
    for sample in data:
        assert sample["label"].dtype == torch.int32
        np.testing.assert_array_equal(sample["label"].numpy(), labels[sample["key"]])
    batch = data.collate([data[0], data[1]])["label"]
    assert batch.max() == IGNORE
    assert (batch == IGNORE).sum() > 2 * batch.shape[-1]


def test_torch_pads_with_what_the_labels_hold():
    torch = pytest.importorskip("torch")
    from dsbuild.reader.torch.elements import pad

    def batch(dtype):
        return [{"key": str(n), "label": torch.zeros((n, 2), dtype=dtype)} for n in (1, 2)]

    assert pad(batch(torch.uint8))["label"][0].tolist() == [[0, 0], [255, 255]]
    assert pad(batch(torch.int32))["label"][0].tolist() == [[0, 0], [IGNORE, IGNORE]]
    with pytest.raises(PlanError, match="labels of 8 bits to pad with 300"):
        pad(batch(torch.uint8), 300)


def test_augmented_labels_hold_classes_and_ignore_alone(built):
    _, out, _ = built
    settings = dsbuild.Augmentation(crop=(97, 97), scales=(0.5, 2.0))
    whole = dsbuild.tf_dataset(out, "train", cache=True)  # decoded whole
    parts = dsbuild.tf_dataset(out, "train")  # decoded as far as the crop shows
    both = [dsbuild.augmented(data, settings, seed=4) for data in (whole, parts)]
    for one, other in zip(*both, strict=True):
        label = one["label"].numpy()
        assert label.dtype == np.uint16
        assert label.shape == (97, 97, 1)
        assert set(np.unique(label).tolist()) <= {*range(300), IGNORE}
        np.testing.assert_array_equal(label, other["label"].numpy())


def test_padding_that_labels_cannot_hold_is_named():
    import tensorflow as tf

    from dsbuild.reader.tf.augment import augment

    sample = {"image": tf.zeros((4, 4, 3), tf.uint8), "label": tf.zeros((4, 4), tf.uint8)}
    settings = dsbuild.Augmentation(crop=(9, 9), ignore=300)
    with pytest.raises(PlanError, match="ignore: found 300, expected 0 to 255"):
        augment(sample, tf.constant([1, 2]), settings)
    wide = augment({**sample, "label": tf.zeros((4, 4), tf.uint16)}, tf.constant([1, 2]), settings)
    assert set(np.unique(wide["label"]).tolist()) == {0, 300}


def test_the_manifest_counts_every_class(built):
    _, out, labels = built
    document = manifest.load(out)
    assert document["ignore"] == IGNORE
    assert len(document["classes"]) == 300
    pixels = np.zeros(300, int)
    for key, label in labels.items():
        if key.startswith("train"):
            pixels += np.bincount(label[label < 300], minlength=300)
    assert [one["pixels"] for one in document["splits"]["train"]["classes"]] == pixels.tolist()
    comments = [entry["annotation"]["comment"] for entry in Folder.of(out).schema.json["feature"]]
    assert sum("grey 16-bit PNG" in text for (text,) in comments) == 1


def test_it_validates_against_its_sources(built):
    root, out, _ = built
    assert not validation.validate(out, "source", root).problems
    assert not validation.validate(out, "pixels").problems


def test_validation_names_a_label_of_other_bits():
    narrow, wide = (images.write(np.zeros((4, 4), kind)) for kind in (np.uint8, np.uint16))
    photo = save(Image.new("RGB", (4, 4)))
    for label, classes, text in ((narrow, 300, "expected 16 bits"), (wide, 30, "expected 8 bits")):
        expected = pixels.Expected(classes)
        values = {"image": [photo], "label": [label]}
        ((kind, found),) = pixels.problems(values, expected, pixels.Content(), again=False)
        assert kind == "label"
        assert text in found


def test_pictures_show_each_class_in_its_colour(built):
    _, out, labels = built
    table = gallery.colours(out)
    assert table.shape == (65536, 3)
    assert len(np.unique(table, axis=0)) == 65536
    assert (table[:256] == colour.dealt()).all()
    sample = dsbuild.open(out)[0]
    (record,) = [r for r in tfrecord.read(Folder.of(out).files[0]) if r.number == 0]
    shown = gallery.pictures(example.parse(record.data), Folder.of(out).names)
    assert shown.plane is not None
    assert not shown.problems
    files = gallery.files(shown, sample.key, table)
    mask = np.asarray(Image.open(io.BytesIO(files[f"{sample.key}-mask.png"])))
    np.testing.assert_array_equal(mask, table[labels[sample.key]])


def test_a_palette_of_256_colours_shows_the_most_frequent_values():
    label = np.full((40, 40), 7, np.uint16)
    label[:20] = np.arange(800).reshape(20, 40) + 1000
    uri = colour.plane_uri(label, colour.dealt(), 40)
    data = io.BytesIO(base64.b64decode(uri.partition(",")[2]))
    seen = np.asarray(Image.open(data).convert("RGBA"))[..., :3]
    assert (seen[20:] == colour.dealt()[7]).all()
    np.testing.assert_array_equal(seen[0, 0], colour.dealt(16)[1000])


def test_a_diff_sees_one_pixel_of_16_bits(built, tmp_path):
    root, out, labels = built
    other = tmp_path / "source"
    for split in ("train", "val"):
        shutil.copytree(f"{root}/{split}", other / split)
    changed = labels["train0"].copy()
    changed[9, 9] = (changed[9, 9] + 256) % 300  # the lower byte alone would often be the same
    Image.fromarray(changed).save(other / "train/labels/train0.png")
    again = str(tmp_path / "out")
    make(str(other), again, layout=Pairs(names=NAMES), extras=("edges", "distance", "weights"))
    document = diff.diff(diff.read(out), diff.read(again))
    assert document["splits"]["train"]["label"] == ["train0"]


def test_the_readme_and_tfds_decode_16_bits(built):
    import tensorflow_datasets as tfds

    _, out, labels = built
    with open(f"{out}/README.md") as file:
        text = file.read()
    assert "channels=1, dtype=tf.uint16" in text
    assert ".astype(np.int32)" in text
    for one in tfds.builder_from_directory(out).as_dataset(split="train"):
        one = one["image"]
        label = one["segmentation"]["class"]["encoded"].numpy()
        np.testing.assert_array_equal(label[..., 0], labels[one["filename"].numpy().decode()])


def pairs_of(folder, label):
    for part in ("images", "labels"):
        os.makedirs(folder / part)
    fakes.photo(np.random.default_rng(1), label.shape[1], label.shape[0]).save(
        folder / "images" / "x.jpg"
    )
    (folder / "labels" / "x.png").write_bytes(save(Image.fromarray(label)))
    return str(folder)


def read_back(folder, out, **options):
    make(folder, out, layout=Pairs(**options))
    return reader.open(out)[0].label


def test_files_of_8_bits_become_16_where_the_classes_need_it(tmp_path, out):
    label = np.arange(256, dtype=np.uint8).reshape(16, 16)
    found = read_back(pairs_of(tmp_path / "s", label), out, names=NAMES)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, label)


def test_values_without_a_class_are_refused_not_narrowed(tmp_path, out):
    label = np.full((16, 16), 300, np.uint16)
    label[:8] = 44  # 300 & 255
    root = pairs_of(tmp_path / "s", label)
    with pytest.raises(Rejected, match=r"300 \(128 pixels\), expected classes 0 to 299 and 65535"):
        read_back(root, out, names=NAMES)
    with pytest.raises(Rejected, match="values up to 300, expected values below 256"):
        read_back(root, out, names=NAMES[:200])


@pytest.mark.parametrize("value", [300, 65535])
def test_an_ignore_value_above_255_makes_labels_wide(tmp_path, out, value):
    label = np.full((16, 16), value, np.uint16)
    label[:8] = 1
    root = pairs_of(tmp_path / "s", label)
    found = read_back(root, out, names=("a", "b"), ignore_value=value)
    np.testing.assert_array_equal(found, label)
    assert manifest.load(out)["ignore"] == value


def test_the_default_ignore_value_is_no_class():
    assert Pairs(names=NAMES[:255]).ignore == 255
    assert Pairs(names=NAMES[:256]).ignore == IGNORE
    assert Pairs(names=NAMES, ignore_value=-1).ignore is None
    with pytest.raises(PlanError, match=re.escape("--ignore 255: it is the class 'class 255'")):
        Pairs(names=NAMES, ignore_value=255)


def test_16_bits_map_to_few_classes(tmp_path, out):
    label = np.full((16, 16), 1000, np.uint16)
    label[:8], label[0] = 2000, 3000
    root = pairs_of(tmp_path / "s", label)
    rows = (("1000", "0"), ("2000", "1"), ("3000", "ignore"))
    found = read_back(root, out, names=("a", "b"), mapping=rows)
    assert found.dtype == np.uint8
    assert set(np.unique(found).tolist()) == {0, 1, 255}
    assert (found[0] == 255).all()
    assert (found[1:8] == 1).all()


def test_reduce_zero_of_many_classes(tmp_path, out):
    label = np.arange(256, dtype=np.uint16).reshape(16, 16) + 40
    label[0] = 0
    found = read_back(pairs_of(tmp_path / "s", label), out, names=NAMES, zero="ignore")
    np.testing.assert_array_equal(found, np.where(label == 0, IGNORE, label - 1))


@pytest.mark.parametrize("form", ["tiff", "npy", "int32", "interlaced"])
def test_labels_of_16_bits_in_other_files(tmp_path, out, form):
    label = np.arange(256, dtype=np.uint16).reshape(16, 16) + 44
    root = pairs_of(tmp_path / "s", label)
    path = tmp_path / "s" / "labels" / "x.png"
    if form == "tiff":
        path.unlink()
        Image.fromarray(label).save(path.with_suffix(".tif"))
    elif form in ("npy", "int32"):
        path.unlink()
        np.save(path.with_suffix(".npy"), label.astype(np.int32 if form == "int32" else np.uint16))
    else:
        path.write_bytes(interlaced(label))
    np.testing.assert_array_equal(read_back(root, out, names=NAMES), label)


def interlaced(label):
    """Write a plane of 16 bits in Adam7's seven passes."""
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
    rows = b""
    for x, y, across, down in [*passes, (0, 1, 1, 2)]:
        rows += b"".join(b"\0" + row.astype(">u2").tobytes() for row in label[y::down, x::across])
    size = struct.pack(">IIBBBBB", label.shape[1], label.shape[0], 16, 0, 0, 0, 1)
    chunks = [(b"IHDR", size), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return images.PNG + b"".join(png.chunk(*one) for one in chunks)


def test_grey_of_4_bits_is_not_scaled_to_other_classes(tmp_path, out):
    root = pairs_of(tmp_path / "s", np.zeros((16, 16), np.uint16))
    rows = b"".join(b"\0" + bytes([0x11 * i] * 8) for i in range(16))
    size = struct.pack(">IIBBBBB", 16, 16, 4, 0, 0, 0, 0)
    chunks = [(b"IHDR", size), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    data = images.PNG + b"".join(png.chunk(*one) for one in chunks)
    (tmp_path / "s" / "labels" / "x.png").write_bytes(data)
    with pytest.raises(Rejected, match="decoders scale grey of fewer bits"):
        read_back(root, out, names=NAMES)


def test_chunks_that_readers_refuse_are_dropped_from_a_label_of_16_bits(tmp_path, out):
    label = np.arange(256, dtype=np.uint16).reshape(16, 16) + 44
    root = pairs_of(tmp_path / "s", label)
    path = tmp_path / "s" / "labels" / "x.png"
    data = path.read_bytes()
    path.write_bytes(data[:33] + png.chunk(b"gAMA", b"\0") + data[33:])
    found = read_back(root, out, names=NAMES)
    np.testing.assert_array_equal(found, label)
    assert b"gAMA" not in reader.open(out)[0].stored("label")[0]


@pytest.mark.parametrize("verify", ["full", "header"])
def test_labels_are_turned_and_shrunk_without_new_values(tmp_path, out, verify):
    label = np.kron(np.arange(64).reshape(8, 8) + 200, np.ones((8, 8), int)).astype(np.uint16)
    root = pairs_of(tmp_path / "s", label)
    make(root, out, layout=Pairs(names=NAMES), policy=Policy(max_side=32), verify=verify)
    found = reader.open(out)[0].label
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, label[1::2, 1::2])


def test_255_that_seems_to_be_ignored_stops_a_build_of_many_classes(tmp_path, out, run):
    label = np.full((16, 16), 7, np.uint8)
    label[:4] = 255
    root, names = pairs_of(tmp_path / "s", label), ",".join(NAMES)
    asked = ("pairs", root, out, "--classes", names, "--workers", 1)
    result = run(*asked)
    assert result.exit_code
    assert "it seems to mark pixels to ignore, not the class 'class 255'" in result.stderr
    assert run(*asked, "--accept", "ignore-255").exit_code == 0
    wide = label.astype(np.uint16)
    wide[0] = 299
    pairs_of(tmp_path / "wide", wide)
    result = run("pairs", tmp_path / "wide", f"{out}-2", *asked[3:])
    assert result.exit_code == 0, result.stderr
    result = run(*asked[:2], f"{out}-3", *asked[3:], "--map", "255=ignore")
    assert result.exit_code == 0, result.stderr
