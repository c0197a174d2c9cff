"""What others make of an output folder: DeepLab's reader, tf.data, TFDS."""

import json
import os
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

import dsbuild
from dsbuild import interop
from dsbuild.build.recipe import Recipe
from dsbuild.format import example as wire
from dsbuild.format import receipts, schema, tfrecord
from dsbuild.format.folder import Folder
from dsbuild.layouts.classes import Classes
from dsbuild.layouts.pairs import Pairs
from dsbuild.layouts.voc import Voc
from tests.support import fakes
from tests.support.runs import make

# TFDS calls what protobuf 6 warns of, which Apache Beam holds; protobuf 7 does not.
pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")


def sources(root, key):
    """Return a sample's pixels as Pillow decodes them."""
    image = np.asarray(Image.open(os.path.join(root, f"JPEGImages/{key}.jpg")))
    label = np.asarray(Image.open(os.path.join(root, f"SegmentationClass/{key}.png")))
    return image, label


def deeplab(pattern):
    """Parse and decode what a pattern matches as DeepLab's datasets/data_generator.py does."""
    import tensorflow as tf

    features = {
        "image/encoded": tf.io.FixedLenFeature((), tf.string, default_value=""),
        "image/filename": tf.io.FixedLenFeature((), tf.string, default_value=""),
        "image/format": tf.io.FixedLenFeature((), tf.string, default_value="jpeg"),
        "image/height": tf.io.FixedLenFeature((), tf.int64, default_value=0),
        "image/width": tf.io.FixedLenFeature((), tf.int64, default_value=0),
        "image/segmentation/class/encoded": tf.io.FixedLenFeature((), tf.string, default_value=""),
        "image/segmentation/class/format": tf.io.FixedLenFeature(
            (), tf.string, default_value="png"
        ),
    }

    def decoded(content, form, channels):
        # data_generator.py decodes by cond on the format; libjpeg's accurate IDCT is Pillow's.
        return tf.cond(
            tf.equal(form, "jpeg"),
            lambda: tf.io.decode_jpeg(content, channels, dct_method="INTEGER_ACCURATE"),
            lambda: tf.io.decode_png(content, channels),
        )

    files = sorted(tf.io.gfile.glob(pattern))
    for record in tf.data.TFRecordDataset(files):
        found = tf.io.parse_single_example(record, features)
        image = decoded(found["image/encoded"], found["image/format"], 3)
        label = decoded(
            found["image/segmentation/class/encoded"], found["image/segmentation/class/format"], 1
        )
        assert (found["image/height"], found["image/width"]) == image.shape[:2]
        yield found["image/filename"].numpy().decode(), image.numpy(), label.numpy()[..., 0]


@pytest.mark.parametrize("verify", ["full", "header"])
def test_deeplab_reads_the_pixels_of_the_sources(voc, out, verify):
    make(voc, out, shards=2, splits=("train",), verify=verify)
    keys = []
    for key, image, label in deeplab(f"{out}/train-*"):
        keys.append(key)
        expected_image, expected_label = sources(voc, key)
        np.testing.assert_array_equal(image, expected_image)
        np.testing.assert_array_equal(label, expected_label)
    assert keys == [f"2007_{i:06d}" for i in range(12)]


def test_deeplab_decodes_by_the_format(tmp_path, out):
    root = fakes.pairs(tmp_path)
    make(root, out, layout=Pairs(names=("a", "b", "c")), shards=2)
    formats = set()
    for key, image, label in deeplab(f"{out}/train-*"):
        (path,) = pathlib.Path(root, "images").glob(f"{key}.*")
        formats.add(path.suffix)
        np.testing.assert_array_equal(image, np.asarray(Image.open(path)))
        expected = np.asarray(Image.open(f"{root}/labels/{key}.png"))
        np.testing.assert_array_equal(label, expected)
    assert formats == {".jpg", ".png"}


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_labels_of_fewer_bits_keep_their_classes(voc, out, bits):
    plane = np.random.default_rng(bits).integers(0, 1 << bits, (44, 60), np.uint8)
    image = fakes.with_palette(Image.fromarray(plane))
    image.save(os.path.join(voc, "SegmentationClass/2007_000000.png"), bits=bits)
    for verify in ("full", "header"):
        make(voc, out, shards=1, splits=("train",), verify=verify, overwrite=True)
        _, _, label = next(deeplab(f"{out}/train-00000-of-00001.tfrecord"))
        np.testing.assert_array_equal(label, plane)


def test_records_are_what_tf_train_would_write(voc, out):
    import tensorflow as tf

    make(voc, out, shards=1, splits=("val",), extras=("laplacian",))
    for record in tfrecord.read(f"{out}/val-00000-of-00001.tfrecord"):
        example = tf.train.Example.FromString(record.data)
        assert example.SerializeToString(deterministic=True) == record.data


@pytest.mark.parametrize("form", [None, "int64", "png16", "raw16"])
def test_tfds_opens_the_folder(voc, out, form):
    import tensorflow_datasets as tfds

    from dsbuild import extras

    make(voc, out, shards=3, extras=() if form is None else (f"laplacian:{form}",))
    builder = tfds.builder_from_directory(out)
    assert builder.info.splits["train"].num_examples == 12
    assert builder.info.splits["train"].shard_lengths == [4, 4, 4]
    read = tfds.ReadConfig(interleave_cycle_length=1)
    found = list(builder.as_dataset(split="val[:50%]", read_config=read))
    assert len(found) == 3
    for example in found:
        example = example["image"]
        key = example["filename"].numpy().decode()
        image, label = sources(voc, key)
        # TFDS decodes JPEG by TensorFlow's default, which is up to 8 levels off.
        assert np.abs(example["encoded"].numpy().astype(int) - image).max() <= 8
        np.testing.assert_array_equal(
            example["segmentation"]["class"]["encoded"].numpy()[..., 0], label
        )
        if form == "int64":
            np.testing.assert_array_equal(
                example["gradient"].numpy(), extras.laplacian(image).ravel()
            )
        elif form is not None:
            assert example["gradient"]["format"].numpy() == form.encode()


def test_tfds_gives_pairs_and_keys_by_a_map(voc, out):
    import tensorflow_datasets as tfds

    make(voc, out, splits=("val",))
    samples = tfds.builder_from_directory(out).as_dataset(split="val")
    keys = {one["image"]["filename"].numpy().decode() for one in samples}
    assert keys == {sample.key for sample in dsbuild.open(out, "val")}
    pairs = samples.map(
        lambda one: (one["image"]["encoded"], one["image"]["segmentation"]["class"]["encoded"])
    )
    for image, label in pairs:
        assert image.shape == (*label.shape[:2], 3)


def test_tfds_knows_the_classes_of_masks(voc, out):
    import tensorflow_datasets as tfds

    make(voc, out, shards=3)
    builder = tfds.builder_from_directory(out)
    label = builder.info.features["image"]["segmentation"]["class"]["encoded"]
    assert isinstance(label, tfds.features.LabeledImage)
    assert (label.num_classes, label.names) == (21, list(Voc.classes))
    read = tfds.ReadConfig(interleave_cycle_length=1)
    found = list(builder.as_dataset(split="train[:50%]", read_config=read))
    keys = [example["image"]["filename"].numpy().decode() for example in found]
    assert keys == [f"2007_{i:06d}" for i in range(6)]
    for key, example in zip(keys, found, strict=True):
        plane = example["image"]["segmentation"]["class"]["encoded"].numpy()
        assert plane.dtype == np.uint8
        np.testing.assert_array_equal(plane[..., 0], sources(voc, key)[1])


def test_tfds_knows_the_classes_of_images(tmp_path, out):
    import tensorflow_datasets as tfds

    make(fakes.classes(tmp_path), out, layout=Classes())
    builder = tfds.builder_from_directory(out)
    label = builder.info.features["image"]["class"]["label"]
    assert isinstance(label, tfds.features.ClassLabel)
    assert label.names == ["cat", "dog", "horse"]
    found = list(builder.as_dataset(split="train[:50%]"))
    assert len(found) in (6, 7)
    for example in found:
        name = example["image"]["filename"].numpy().decode().split("/")[0]
        assert label.int2str(example["image"]["class"]["label"]) == name
        assert example["image"]["class"]["text"].numpy().decode() == name


@pytest.mark.parametrize("names", [("a", "a"), ("a", " b"), ("a", ""), ("a", "b\nc")])
def test_tfds_gets_no_names_that_it_would_change(names):
    found = interop.side_files(schema.load("segmentation"), _document(names), interop.Terms())
    assert not [name for name in found if name.endswith(".labels.txt")]


def test_no_side_file_is_read_as_a_shard():
    for split in ("image", "image-segmentation", "dataset_info", "README", "croissant", "schema"):
        document = _document(("a", "b"), split)
        found = interop.side_files(schema.load("segmentation"), document, interop.Terms())
        assert not [name for name in found if name.startswith(f"{split}-")]


def _document(classes, split="train"):
    """Return a manifest of one split without records."""
    layout = Pairs(names=classes)
    entry = receipts.split_entry([], classes, 255, "")
    return {
        "dsbuild": "0",
        "title": layout.title,
        "classes": list(classes),
        "ignore": 255,
        "palette": {},
        "recipe": Recipe(layout=layout).document(),
        "versions": {},
        "splits": {split: entry},
    }


def test_tfds_opens_a_folder_with_an_unlabelled_split(voc, out):
    import tensorflow_datasets as tfds

    for name in ("a", "b"):
        shutil.copy(f"{voc}/JPEGImages/2007_000000.jpg", f"{voc}/JPEGImages/{name}.jpg")
    fakes.write_list(voc, "test", ["a", "b"])
    make(voc, out)
    assert set(tfds.builder_from_directory(out).info.splits) == {"train", "val", "trainval"}
    found = Folder(out).schema
    assert not found["label"].required
    (record, _) = tfrecord.read(f"{out}/test-00000-of-00001.tfrecord")
    assert "image/segmentation/class/encoded" not in wire.parse(record.data)
    make(voc, out + "-test", splits=("test",))
    builder = tfds.builder_from_directory(out + "-test")
    (first, *_) = builder.as_dataset(split="test")
    assert set(first["image"]) == {"encoded", "filename", "format", "height", "width", "channels"}


def test_the_exported_schema_describes_the_records(voc, out):
    from google.protobuf import json_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    make(voc, out, splits=("val",), extras=("laplacian:raw16",))
    with open(os.path.join(out, "schema.json")) as file:
        text = file.read()
    json_format.Parse(text, schema_pb2.Schema())
    found = schema.parse(json.loads(text), "schema.json")
    for record in tfrecord.read(f"{out}/val-00000-of-00001.tfrecord"):
        values = wire.parse(record.data)
        assert set(values) == {feature.name for feature in found.features if feature.required}
        for feature in found.features:
            value = values[feature.name]
            assert (feature.type == "INT") == isinstance(value, np.ndarray)
            assert not feature.scalar or len(value) == 1
            assert not feature.domain or value[0].decode() in feature.domain


@pytest.mark.shared
def test_records_equal_those_of_deeplabs_own_scripts(shared, out):
    """Feature by feature and in order; their bytes differ from run to run, and their shards."""
    make(shared / "voc/VOCdevkit/VOC2012", out, shards=4, splits=("train", "val"))

    def records(folder, split):
        return [
            wire.parse(record.data)
            for index in range(4)
            for record in tfrecord.read(f"{folder}/{split}-{index:05d}-of-00004.tfrecord")
        ]

    for split in ("train", "val"):
        ours = records(out, split)
        theirs = records(shared / "oracle/voc_deeplab/tfrecord", split)
        assert len(ours) == len(theirs) == 24
        label = "image/segmentation/class/encoded"
        for one, other in zip(ours, theirs, strict=True):
            assert one.keys() == other.keys()
            for name in one.keys() - {label}:
                np.testing.assert_array_equal(one[name], other[name], name)
            # Their label was decoded and encoded anew, so its pixels are compared.
            np.testing.assert_array_equal(_plane(one[label]), _plane(other[label]))


def _plane(value):
    import tensorflow as tf

    return tf.io.decode_png(value[0], channels=1).numpy()


@pytest.mark.shared
def test_every_real_pair_reads_back(shared, out):
    root = shared / "voc/VOCdevkit/VOC2012"
    make(root, out, shards=2, splits=("train_aug",), workers=2)
    keys = []
    for index in range(2):
        for key, image, label in deeplab(f"{out}/train_aug-{index:05d}-of-00002.tfrecord"):
            keys.append(key)
            np.testing.assert_array_equal(
                image, np.asarray(Image.open(root / f"JPEGImages/{key}.jpg"))
            )
            expected = np.asarray(Image.open(root / f"SegmentationClassAug/{key}.png"))
            np.testing.assert_array_equal(label, expected)
    assert keys == (root / "ImageSets/Segmentation/train_aug.txt").read_text().split()
