import gc
import gzip
import io
import itertools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import dsbuild
from dsbuild import engines, images, storage
from dsbuild.errors import PlanError, ShardError
from dsbuild.layouts.classes import Classes
from dsbuild.reader import records
from dsbuild.reader.tf import order, source
from tests.support import fakes, reads, stores
from tests.support.drawn import DRAWN
from tests.support.runs import make

Failed = tf.errors.InvalidArgumentError


@pytest.fixture
def built(voc, out):
    make(voc, out, splits=("train", "val"), shards=3, extras=("laplacian",))
    return out


@pytest.fixture(autouse=True)
def fresh_indexes():
    records._index.cache_clear()


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


def names(samples):
    return [sample["key"].numpy().decode() for sample in samples]


def keys(path, split=None):
    return [sample.key for sample in dsbuild.open(path, split)]


def test_control_files_are_read_once(built):
    with reads.once() as opened:
        dsbuild.tf_dataset(built, "train", classes=["person"], extras=["laplacian"], repeat=None)
    assert opened["manifest.json"] == opened["schema.json"] == 1


def test_pixels_are_those_of_the_sources(voc, built):
    found = list(dsbuild.tf_dataset(built, "train"))
    assert names(found) == keys(built, "train")
    for sample in found:
        key = sample["key"].numpy().decode()
        photo = Image.open(os.path.join(voc, "JPEGImages", f"{key}.jpg"))
        mask = np.asarray(Image.open(os.path.join(voc, "SegmentationClass", f"{key}.png")))
        np.testing.assert_array_equal(sample["image"], np.asarray(photo.convert("RGB")))
        np.testing.assert_array_equal(sample["label"], mask[..., None])
        assert (sample["width"], sample["height"]) == photo.size


@pytest.mark.filterwarnings("ignore:.*found compressed files")
def test_compressed_shards_are_read_together_and_alone(built):
    plain = dsbuild.open(built)
    expected = [plain.records[int(pick)].data for pick in plain.picks]
    listed = keys(built)
    for path in pathlib.Path(built).glob("train-*"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    data = dsbuild.open(built)
    place = source.Source(data.records, data.picks)
    alone = [place.read(tf.constant(i, tf.int64)) for i in range(len(data))]
    assert [(one.numpy(), error.numpy()) for one, error in alone] == [(x, b"") for x in expected]
    assert names(dsbuild.tf_dataset(built)) == listed


@pytest.mark.parametrize("form", ["int64", "png16", "raw16"])
def test_extras_are_the_same_in_every_form(voc, tmp_path, form):
    out = str(tmp_path / form)
    make(voc, out, splits=("val",), extras=(f"laplacian:{form}", "edges", f"sobel:{_sobel(form)}"))
    for one, other in zip(dsbuild.tf_dataset(out), dsbuild.open(out), strict=True):
        for name in ("laplacian", "edges", "sobel"):
            expected = getattr(other, name)[..., None]
            assert one[name].dtype == expected.dtype
            np.testing.assert_array_equal(one[name], expected)


def _sobel(form):
    return "raw16" if form == "int64" else form


def test_missing_extras_are_computed(voc, built, tmp_path):
    plain, wanted = str(tmp_path / "plain"), ("laplacian", "canny:low=50", "edges:width=2")
    make(voc, plain, splits=("val",))
    make(voc, str(tmp_path / "stored"), splits=("val",), extras=wanted)
    stored = dsbuild.tf_dataset(str(tmp_path / "stored"))
    for one, other in zip(dsbuild.tf_dataset(plain, extras=wanted), stored, strict=True):
        assert set(one) == set(other)
        for name in one:
            assert one[name].dtype == other[name].dtype
            np.testing.assert_array_equal(one[name], other[name])
    with pytest.raises(PlanError, match="extra trimap is computed from the alpha, which the rec"):
        dsbuild.tf_dataset(plain, extras=["trimap"])
    with pytest.raises(PlanError, match="no such extra; there are laplacian"):
        dsbuild.tf_dataset(plain, extras=["laplace"])


QUICK = {"voc", "classes", "matting", "ade20k"}


@pytest.mark.parametrize(
    "given", [one if one.name in QUICK else slow(one) for one in DRAWN], ids=repr
)
def test_every_layout_is_as_the_reader_has_it(given, tmp_path, out):
    extras = {"matting": ("alpha", "trimap"), "classes": ()}.get(given.name, ("edges", "distance"))
    make(DRAWN[given][0](tmp_path / "data"), out, layout=given, extras=extras)
    split = "train" if "train" in dsbuild.inspect(out)["splits"] else "trainval"
    found = list(dsbuild.tf_dataset(out, split))
    assert names(found) == keys(out, split)
    for one, other in zip(found, dsbuild.open(out, split), strict=True):
        for name in ("image", "label", *extras):
            expected = np.asarray(getattr(other, name))
            np.testing.assert_array_equal(one[name], expected.reshape(one[name].shape))


def classes_of(tmp_path):
    for name, count in (("cat", 2), ("dog", 3)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (8, 9), (i, 0, 0)).save(tmp_path / "data" / name / f"{i}.png")
    make(str(tmp_path / "data"), str(tmp_path / "out"), layout=Classes())
    return str(tmp_path / "out")


def test_one_class_per_image(tmp_path):
    data = dsbuild.tf_dataset(classes_of(tmp_path), as_supervised=True)
    image, label = data.element_spec
    assert (image.shape, label.shape, label.dtype) == ((9, 8, 3), (), tf.int64)
    assert [int(label) for _, label in data] == [0, 0, 1, 1, 1]
    assert [int(image[0, 0, 0]) for image, _ in data] == [0, 1, 0, 1, 2]


def test_tuples_are_the_same_in_every_room(voc, tmp_path):
    out = tmp_path / "out"
    make(voc, str(out), splits=("val",), extras=("edges", "sobel:png16"))
    asked = {"extras": ["laplacian", "edges"], "as_supervised": True}
    data = dsbuild.tf_dataset(out, **asked, cache=tmp_path / "cache")
    assert [one.dtype.name for one in data.element_spec] == ["uint8", "uint8", "int16", "uint8"]
    torch = dsbuild.torch_dataset(out, **asked)
    for _ in range(2):  # the second epoch from the cache
        for one, other, tensors in zip(data, dsbuild.open(out, **asked), torch, strict=True):
            assert len(one) == len(other) == len(tensors) == 4
            for i, plane in enumerate(other):
                np.testing.assert_array_equal(one[i], plane.reshape(one[i].shape))
                axes = (1, 2, 0) if tensors[i].ndim == 3 else (0, 1)
                there = tensors[i].permute(*axes).numpy()
                np.testing.assert_array_equal(there.reshape(plane.shape), plane)


def test_the_earlier_name_of_the_key(built):
    (one,) = dsbuild.tf_dataset(built, "train[:1]")
    assert one["image_name"] == one["key"] == b"2007_000000"


def test_samples_without_labels(voc, out):
    fakes.write_list(voc, "test", ["a"])
    photos = os.path.join(voc, "JPEGImages")
    shutil.copy(os.path.join(photos, "2007_000000.jpg"), os.path.join(photos, "a.jpg"))
    make(voc, out, splits=("train", "test"))
    assert "label" not in dsbuild.tf_dataset(out, "test").element_spec
    assert "label" in dsbuild.tf_dataset(out, "train").element_spec
    for splits in (None, "test+train", "train+test"):
        with pytest.raises(PlanError, match="found labels in some splits and none in others"):
            dsbuild.tf_dataset(out, splits)
    with pytest.raises(PlanError, match=r"no label in record .*expected one for"):
        dsbuild.tf_dataset(out, "test", as_supervised=True)


def test_parts_and_shares(built):
    assert names(dsbuild.tf_dataset(built, "val[:2]+train[50%:]")) == keys(
        built, "val[:2]+train[50%:]"
    )
    assert dsbuild.tf_dataset(built, "train").cardinality() == 12
    assert dsbuild.tf_dataset(built, "train", seed=1, repeat=3, start=5).cardinality() == 31
    assert dsbuild.tf_dataset(built, repeat=None).cardinality() == tf.data.INFINITE_CARDINALITY
    with pytest.raises(PlanError, match="share 2 of 2"):
        dsbuild.tf_dataset(built, index=2, count=2)
    with pytest.raises(PlanError, match="no sample in 'train\\[3:3\\]'"):
        dsbuild.tf_dataset(built, "train[3:3]")
    with pytest.raises(PlanError, match="no split 'test'"):
        dsbuild.tf_dataset(built, "test")


@pytest.mark.parametrize("count", [2, slow(1), slow(5), slow(20)])
def test_shares_have_every_sample_once(built, count):
    shares = [
        names(dsbuild.tf_dataset(built, "train", seed=3, index=i, count=count))
        for i in range(count)
    ]
    assert sorted(itertools.chain(*shares)) == sorted(keys(built, "train"))


@pytest.mark.parametrize("window", [4, slow(1), slow(100)])
def test_every_epoch_has_an_order_of_its_own(built, window):
    data = dsbuild.tf_dataset(built, "train", seed=1, window=window)
    orders = [names(data) for _ in range(8)]
    assert all(sorted(order) == sorted(keys(built, "train")) for order in orders)
    # In windows of 1 there are but the six orders of three shards.
    assert len({tuple(order) for order in orders}) > (1 if window == 1 else 7)
    again = dsbuild.tf_dataset(built, "train", seed=1, window=window, repeat=2)
    assert names(again) == names(
        dsbuild.tf_dataset(built, "train", seed=1, window=window, repeat=2)
    )
    assert names(again) != names(
        dsbuild.tf_dataset(built, "train", seed=2, window=window, repeat=2)
    )


@pytest.mark.parametrize("start", [17, slow(0), slow(5), slow(12), slow(24)])
def test_a_run_resumes_where_it_stopped(built, start):
    whole = names(dsbuild.tf_dataset(built, "train", seed=7, repeat=2))
    rest = dsbuild.tf_dataset(built, "train", seed=7, repeat=2, start=start)
    assert names(rest) == whole[start:]


@pytest.mark.parametrize(
    ("index", "count", "seed", "starts"),
    [
        (1, 2, 7, (7,)),
        *(
            slow(i, n, seed, (1, 4, 7, 100))
            for i, n in ((0, 3), (2, 3), (1, 2))
            for seed in (None, 7)
        ),
    ],
)
def test_a_share_resumes_where_it_stopped(built, index, count, seed, starts):
    asked = {"seed": seed, "repeat": 3, "index": index, "count": count}
    whole = names(dsbuild.tf_dataset(built, "train", **asked))
    for start in starts:
        assert names(dsbuild.tf_dataset(built, "train", start=start, **asked)) == whole[start:]


def test_orders_depend_on_seed_and_epoch_alone(built):
    def found(iterations, chance):
        tf.random.set_seed(chance)
        data = dsbuild.tf_dataset(built, "train", seed=7, repeat=None)
        for _ in range(iterations):
            next(iter(data))
        return names(data.take(36))

    first = found(0, 0)
    assert first == found(0, 1) == found(3, 0)
    tf.random.set_seed(None)
    epochs = [tuple(first[i : i + 12]) for i in (0, 12, 24)]
    assert len(set(epochs)) == 3
    assert all(sorted(one) == sorted(keys(built, "train")) for one in epochs)


BLOCKS = st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any)


@given(BLOCKS, st.integers(1, 40), st.integers(0, 9))
@settings(deadline=None)
def test_every_number_is_there_in_windows_over_shuffled_blocks(blocks, window, seed):
    total = sum(blocks)
    places = np.arange(2 * total, dtype=np.int64)
    found = order.Run(blocks, seed, window, 2).known()(places // total, places % total).tolist()
    for epoch in (found[:total], found[total:]):
        assert sorted(epoch) == list(range(total))
    if window == 1:
        stops = np.cumsum(blocks)
        parts = {tuple(range(stop - size, stop)) for size, stop in zip(blocks, stops, strict=True)}
        at = 0
        while at < total:
            part = next(part for part in parts if part and part[0] == found[at])
            assert tuple(found[at : at + len(part)]) == part
            at += len(part)


@given(
    BLOCKS,
    st.integers(1, 40),
    st.integers(0, 1 << 64),
    st.sampled_from([None, 0, 5]),
    st.sampled_from([1, 3, 1024]),
)
@settings(deadline=None, max_examples=5)
def test_portable_datasets_have_the_same_order(blocks, window, seed, start, part):
    asked = {"repeat": 3, "start": start or 0, "seed": None if start is None else seed}
    run = order.Run(blocks, window=window, index=1, count=2, **asked)
    with mock.patch.object(order, "_PART", part):
        one, other = (list(run.numbers(portable).as_numpy_iterator()) for portable in (False, True))
    assert one == other


SHARE = {"start": 1, "index": 1, "count": 2}


@pytest.mark.parametrize(
    ("blocks", "seed", "window", "repeat", "asked", "expected"),
    [
        ([3, 4, 5], 7, 1, 2, {}, [*range(7, 12), *range(3, 7), 0, 1, 2] * 2),
        ([3, 4, 5], 7, 5, 2, SHARE, [8, 4, 5, 6, 2, 11, 7, 3, 4, 5, 2]),
        ([3, 4, 5], 7, 4, None, {"start": 9}, [0, 1, 6, 8, 10, 9, 7, 4, 11, 3, 5, 6, 1, 0, 2]),
        ([12], 7, 5, 2, {"start": 14}, [2, 0, 3, 5, 8, 6, 9, 7, 10, 11]),
        ([2, 0, 3], 1, 2, 3, {}, [1, 0, 3, 2, 4, 0, 1, 3, 2, 4, 2, 3, 0, 4, 1]),
    ],
)
def test_an_order_never_changes(blocks, seed, window, repeat, asked, expected):
    """A run that an earlier version began continues in its order."""
    for portable in (False, True):
        found = order.Run(blocks, seed, window, repeat, **asked).numbers(portable)
        for _ in range(2):
            assert list(found.take(len(expected)).as_numpy_iterator()) == expected
        assert found.cardinality() == (len(expected) if repeat else tf.data.INFINITE_CARDINALITY)


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("asked", [{}, SHARE])
def test_single_epochs_are_reshuffled_in_orders_that_never_change(asked, portable):
    tf.random.set_seed(None)
    found = order.Run([3, 4, 5], 7, 5, 1, **asked).numbers(portable)
    first, second = [4, 6, 5, 3, 0, 1, 2, 7, 9, 8, 11, 10], [2, 4, 1, 3, 0, 6, 5, 8, 9, 7, 10, 11]
    share = slice(3, None, 2) if asked else slice(None)
    for expected in (first[share], second[share]):
        assert list(found.as_numpy_iterator()) == expected
    assert found.cardinality() == len(first[share])


def test_an_iterator_is_saved_and_restored(built, tmp_path):
    data = dsbuild.tf_dataset(built, "train", seed=7, repeat=2)
    iterator = iter(data)
    first = names(next(iterator) for _ in range(7))
    saved = tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / "state"))
    rest = names(iterator)
    again = iter(dsbuild.tf_dataset(built, "train", seed=7, repeat=2))
    tf.train.Checkpoint(iterator=again).read(saved)
    assert names(again) == rest
    assert len(first + rest) == 24


def test_a_cache_on_a_store_is_refused(built):
    with pytest.raises(PlanError, match="cache: found s3://bucket/x, expected a local folder"):
        dsbuild.tf_dataset(built, "val", cache="s3://bucket/x/")


@pytest.mark.parametrize(
    ("cache", "seed"), [(True, 3), ("files", None), slow(True, None), slow("files", 3)]
)
def test_what_is_cached_is_the_same(built, tmp_path, cache, seed):
    path = cache if cache is True else str(tmp_path / cache)
    data = dsbuild.tf_dataset(built, "val", cache=path, seed=seed, repeat=2)
    expected = {sample.key: sample.image for sample in dsbuild.open(built, "val")}
    for _ in range(2):
        found = list(data)
        assert sorted(names(found)) == sorted([*expected] * 2)
        for sample in found:
            key = sample["key"].numpy().decode()
            np.testing.assert_array_equal(sample["image"], expected[key])


def test_any_order_has_every_sample(built):
    data = dsbuild.tf_dataset(built, "train", deterministic=False, parallel=4)
    assert sorted(names(data)) == sorted(keys(built, "train"))


def flip(path, record, at):
    offset, size = records.index(path)[record]
    with open(path, "r+b") as file:
        file.seek(offset + at % size)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    return offset


@pytest.mark.parametrize(
    ("at", "asked"),
    [
        (0, {}),
        (500, {"deterministic": False}),
        (500, {"portable": True}),
        (12, {"cache": True}),
        *(slow(at, {}) for at in (9, 12, 500, -3)),
        *(slow(at, {"deterministic": False}) for at in (0, 9, 12, -3)),
        *(slow(at, {"portable": True, "deterministic": False}) for at in (0, 9, 12, 500, -3)),
    ],
)
def test_a_flipped_bit_is_named_with_file_and_record(built, at, asked):
    data = dsbuild.tf_dataset(built, "val", **asked)
    good = keys(built, "val")
    path = os.path.join(built, "val-00001-of-00003.tfrecord")
    alone = dsbuild.open(path)
    bad = good.index(alone[1].key)
    offset = flip(path, 1, at)
    said = "found bytes that are da"
    if not asked.get("portable"):  # then the error is that of `dsbuild.open`
        with pytest.raises(ShardError) as raised:
            alone.records[1]
        said = str(raised.value).partition(f"{path}: record 1 at byte {offset}: ")[2]
        assert said
        said = re.escape(said.replace("'", "\\'"))  # as TensorFlow prints it
    with pytest.raises(Failed, match=f"{path}: record 1 at byte {offset}: {said}"):
        list(data)
    assert sorted(names(data.ignore_errors())) == sorted(good[:bad] + good[bad + 1 :])


@pytest.mark.parametrize("portable", [False, True])
def test_a_shard_that_was_cut_or_removed_is_named(built, portable):
    data = dsbuild.tf_dataset(built, "val", portable=portable)
    path = os.path.join(built, "val-00001-of-00003.tfrecord")
    os.truncate(path, os.path.getsize(path) - 20)
    with pytest.raises(Failed, match=f"{path}: record 1 at byte"):
        list(data)
    os.remove(path)
    with pytest.raises(Failed, match=f"{path}: record 0 at byte 0"):
        list(data)


def write(path, *features):
    """Write records as others do."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for one in features:
            made = {
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                for name, value in one.items()
            }
            example = tf.train.Example(features=tf.train.Features(feature=made))
            writer.write(example.SerializeToString())


def record(key, image, label):
    names = ("image/filename", "image/encoded", "image/segmentation/class/encoded")
    return dict(zip(names, (key, image, label), strict=True))


def png(pixels, palette=False):
    plane = Image.fromarray(pixels)
    plane = fakes.with_palette(plane) if palette else plane
    data = io.BytesIO()
    plane.save(data, "PNG")
    return data.getvalue()


PHOTO = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
PLANE = np.arange(20, dtype=np.uint8).reshape(4, 5)


@pytest.mark.filterwarnings("ignore:.*found no index")
def test_labels_with_a_palette_are_not_read_as_luma(tmp_path):
    path = tmp_path / "val-00000-of-00001.tfrecord"
    photo, jpeg = png(PHOTO), images.encode(PHOTO, 90)
    write(
        path,
        record(b"grey", photo, png(PLANE)),
        record(b"palette", jpeg, png(PLANE, palette=True)),
        record(b"bits", photo, images.write(PLANE % 2)),
    )
    found = list(dsbuild.tf_dataset(str(tmp_path)))
    assert names(found) == ["grey", "palette", "bits"]
    for sample, plane in zip(found, (PLANE, PLANE, PLANE % 2), strict=True):
        np.testing.assert_array_equal(sample["label"][..., 0], plane)
    np.testing.assert_array_equal(found[0]["image"], PHOTO)
    np.testing.assert_array_equal(found[1]["image"], images.decode(jpeg, images.header(jpeg)))


@pytest.mark.filterwarnings("ignore:.*found no index")
@pytest.mark.parametrize(
    ("image", "label", "text"),
    [
        (images.encode(PHOTO, 90)[:-30], png(PLANE), "found bytes that are damaged"),
        slow(images.encode(PHOTO, 90)[:200] + b"\xff\xd9", png(PLANE), ""),
        slow(b"no image", png(PLANE), "found bytes that are damaged"),
        slow(b"", png(PLANE), "found bytes that are damaged"),
        slow(png(PHOTO), png(PLANE)[:-20], "found bytes that are damaged"),
        (png(PHOTO), images.encode(PHOTO, 90), "found bytes that are damaged"),
        (png(PHOTO), png(PLANE[1:]), "found a label or an extra whose size"),
        slow(png(PHOTO), png(PLANE.T), "found a label or an extra whose size"),
    ],
)
def test_undecodable_records_are_named(tmp_path, image, label, text):
    path = tmp_path / "val-00000-of-00001.tfrecord"
    good = record(b"good", png(PHOTO), png(PLANE))
    write(path, good, record(b"bad", image, label), good)
    data = dsbuild.tf_dataset(str(tmp_path))
    with pytest.raises(Failed, match=f"{path}: record 1 at byte .*: {text}" if text else None):
        list(data)


@pytest.mark.filterwarnings("ignore:.*found no index")
def test_a_record_missing_a_feature_is_named(tmp_path):
    path = tmp_path / "val-00000-of-00001.tfrecord"
    good = record(b"good", png(PHOTO), png(PLANE))
    bad = {name: value for name, value in good.items() if "class" not in name}
    write(path, good, bad)
    with pytest.raises(Failed, match=f"{path}: record 1 at byte"):
        list(dsbuild.tf_dataset(str(tmp_path)))


def test_devices_share_batches(built):
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    data = dsbuild.tf_dataset(built, "train").map(lambda sample: sample["key"])
    found = strategy.experimental_distribute_dataset(data.batch(4))
    assert [key.decode() for batch in found for key in batch.numpy()] == keys(built, "train")


WORKER = """
import sys, tensorflow as tf
config = tf.data.experimental.service.WorkerConfig(dispatcher_address=sys.argv[1])
worker = tf.data.experimental.service.WorkerServer(config)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def dispatcher():
    """A dispatcher of tf.data's service, with a worker that is another process."""
    dispatcher = tf.data.experimental.service.DispatchServer()
    address = dispatcher.target.partition("://")[2]
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as worker:
        try:
            assert worker.stdout.readline() == b"ready\n"
            yield dispatcher
        finally:
            worker.kill()  # its own end takes long on a busy machine


@pytest.mark.parametrize("policy", ["DYNAMIC", slow("OFF")])
def test_workers_of_the_data_service_read(built, dispatcher, policy):
    service = tf.data.experimental.service
    data = dsbuild.tf_dataset(built, "train", seed=1, portable=True)
    sharing = getattr(service.ShardingPolicy, policy)
    found = list(data.apply(service.distribute(sharing, dispatcher.target)))
    assert sorted(names(found)) == sorted(keys(built, "train"))
    assert all(sample["image"].shape[-1] == 3 for sample in found)


@pytest.mark.slow
def test_workers_of_the_data_service_augment_large_images(dispatcher, tmp_path):
    voc = fakes.voc(str(tmp_path / "voc"), 2, 0, 1000, 750)
    make(voc, str(tmp_path / "out"), splits=("train",))
    data = dsbuild.tf_dataset(str(tmp_path / "out"), portable=True)
    data = dsbuild.augmented(data, dsbuild.Augmentation(crop=(65, 33)), seed=1)
    service = tf.data.experimental.service
    found = list(data.apply(service.distribute(service.ShardingPolicy.OFF, dispatcher.target)))
    for one, other in zip(found, data, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("asked", [{}, {"seed": 1, "cache": "decoded"}, {"extras": ["canny"]}])
def test_functions_of_another_process_are_never_called(built, dispatcher, asked):
    service = tf.data.experimental.service
    data = dsbuild.tf_dataset(built, "train", **asked)
    found = data.apply(service.distribute(service.ShardingPolicy.OFF, dispatcher.target))
    with pytest.raises(Failed, match=r"found a dataset outside the process .*portable=True"):
        list(found)


@pytest.mark.filterwarnings("ignore:.*found no index")
def test_labels_with_a_palette_fail_in_workers_of_the_data_service(dispatcher, tmp_path):
    path = tmp_path / "val-00000-of-00001.tfrecord"
    write(path, record(b"palette", png(PHOTO), png(PLANE, palette=True)))
    data = dsbuild.tf_dataset(str(tmp_path), portable=True)
    assert names(data) == ["palette"]
    service = tf.data.experimental.service
    found = data.apply(service.distribute(service.ShardingPolicy.OFF, dispatcher.target))
    with pytest.raises(Failed, match=r"found a dataset outside .*build the records with dsbuild"):
        list(found)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"cache": "decoded"}, "cache='decoded' is read by Python"),
        ({"extras": ["canny"]}, "extra canny is computed by Python"),
    ],
)
def test_a_portable_dataset_needs_no_python(built, asked, text):
    with pytest.raises(PlanError, match=f"portable: {text}, which other processes cannot do"):
        dsbuild.tf_dataset(built, "train", portable=True, **asked)


def test_a_store_is_not_portable(built):
    stores.upload(pathlib.Path(built), "memory://portable/out")
    with pytest.raises(PlanError, match="portable: memory://portable/out is on a store"):
        dsbuild.tf_dataset("memory://portable/out", portable=True)


def test_objects_of_a_store(built):
    url = "memory://decode/out"
    stores.upload(pathlib.Path(built), url)
    for one, other in zip(
        dsbuild.tf_dataset(url, "val"), dsbuild.tf_dataset(built, "val"), strict=True
    ):
        for name in other:
            np.testing.assert_array_equal(one[name], other[name])


def together(monkeypatch, count):
    """Let reads wait until so many wait at a time; return the event that tells it."""
    plain, now, several = storage.read_part, [], threading.Event()

    def read(*place):
        now.append(place)
        if len(now) >= count:
            several.set()
        several.wait(20)
        now.remove(place)
        return plain(*place)

    monkeypatch.setattr(storage, "read_part", read)
    return several


def test_a_store_is_asked_for_many_records_at_a_time(built, monkeypatch):
    url = "memory://ahead/tf"
    stores.upload(pathlib.Path(built), url)
    data = dsbuild.tf_dataset(url, "train", seed=1, window=4)
    several = together(monkeypatch, 5)
    assert sorted(names(data)) == sorted(keys(built, "train"))
    assert several.is_set()


def test_datasets_of_a_store_share_their_threads(built):
    """TensorFlow keeps a dataset's functions for ever, and would keep threads that they own."""
    url = "memory://sharing/tf"
    stores.upload(pathlib.Path(built), url)
    before = set(threading.enumerate())
    for _ in range(3):
        assert names(dsbuild.tf_dataset(url, "train")) == keys(built, "train")
    gc.collect()
    new = [one.name for one in {*threading.enumerate()} - before]
    new = [name for name in new if name.startswith("dsbuild-records")]
    assert len(new) == len({*new})  # a second set of threads would have the names of the first


def test_the_first_record_of_a_split_is_read_once_to_open_it(built, monkeypatch):
    plain, seen = storage.read_part, []

    def read(path, offset, size):
        seen.append((os.path.basename(path).partition("-")[0], offset))
        return plain(path, offset, size)

    monkeypatch.setattr(storage, "read_part", read)
    dsbuild.tf_dataset(built, "val+train")
    assert sorted(split for split, offset in seen if offset == 0) == ["train", "val"]


@pytest.mark.parametrize(("cache", "threads"), [(False, 6), (True, 20), ("decoded", 20)])
def test_more_threads_than_cores_wait_for_a_store(built, tmp_path, monkeypatch, cache, threads):
    url = "memory://waiting/tf"
    stores.upload(pathlib.Path(built), url)
    monkeypatch.setattr(source, "_MOST", 1)
    monkeypatch.setattr(engines, "cores", lambda: 2)
    folder = tmp_path if cache == "decoded" else None
    data = dsbuild.tf_dataset(url, "train", cache=cache, cache_folder=folder)
    assert data.options().threading.private_threadpool_size == threads
    several = together(monkeypatch, 4)
    assert names(data) == keys(built, "train")
    assert several.is_set()


@pytest.mark.shared
@pytest.mark.filterwarnings("ignore:.*found no index")
def test_real_shards_of_deeplab(shared):
    path = str(shared / "tfrecords/takayu99_voc/tfrecord")
    found = 0
    for one, other in zip(dsbuild.tf_dataset(path), dsbuild.open(path), strict=True):
        np.testing.assert_array_equal(one["image"], other.image)
        np.testing.assert_array_equal(one["label"][..., 0], other.label)
        assert one["image_name"].numpy().decode() == other.key
        found += 1
    assert found


def test_tensorflow_is_imported_only_for_its_own_api():
    code = "import dsbuild, sys; dsbuild.open; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


PART = {"repeat": 3, "start": 7, "index": 1, "count": 2}


@pytest.mark.parametrize(
    ("cache", "asked"),
    [
        ("files", PART),
        slow(True, PART),
        slow(True, {"repeat": 2}),
        slow("files", {"repeat": 2}),
    ],
)
def test_a_cache_changes_no_order(built, tmp_path, cache, asked):
    path = cache if cache is True else str(tmp_path / cache)
    expected = names(dsbuild.tf_dataset(built, "train", seed=3, window=4, **asked))
    data = dsbuild.tf_dataset(built, "train", seed=3, window=4, cache=path, **asked)
    assert [names(data) for _ in range(3)] == [expected] * 3
    assert expected[:6] != expected[-6:]


def test_what_is_cached_is_not_decoded_again(built, tmp_path):
    for cache in (True, str(tmp_path / "files")):
        data = dsbuild.tf_dataset(built, "val", cache=cache, repeat=2)
        shards = list(pathlib.Path(built).glob("val-*"))
        first = [sample["image"].numpy() for sample in data]
        away = [shard.rename(shard.with_suffix(".away")) for shard in shards]
        again = [sample["image"].numpy() for sample in data]
        for path, shard in zip(away, shards, strict=True):
            path.rename(shard)
        for one, other in zip(first, again, strict=True):
            np.testing.assert_array_equal(one, other)


def test_truncated_or_foreign_cache_files_are_ignored(built, tmp_path):
    asked = {"cache": str(tmp_path / "files"), "extras": ["canny"]}
    data = dsbuild.tf_dataset(built, "val", **asked)
    expected = [sample["image"].numpy() for sample in data]
    files = sorted(path for path in (tmp_path / "files").rglob("*") if path.is_file())
    assert len(files) == len(expected)
    files[0].write_bytes(files[0].read_bytes()[:-5])
    files[1].write_bytes(b"")
    files[2].write_bytes(files[2].read_bytes()[:-1] + b"?")
    for one, image in zip(data, expected, strict=True):
        np.testing.assert_array_equal(one["image"], image)
    assert names(dsbuild.tf_dataset(built, "train", **asked)) == keys(built, "train")
    assert "canny" not in next(iter(dsbuild.tf_dataset(built, "val", cache=asked["cache"])))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"repeat": 2, "start": 12}, 1),
        slow({}, 1),
        slow({"repeat": 2}, 2),
        slow({"cache": True}, 1),
    ],
)
def test_workers_of_the_data_service_divide_epochs(built, asked, expected):
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer()
    address = dispatcher.target.partition("://")[2]
    config = service.WorkerConfig(dispatcher_address=address)
    workers = [service.WorkerServer(config) for _ in range(2)]
    data = dsbuild.tf_dataset(built, "train", seed=1, portable=True, **asked)
    found = data.apply(service.distribute("distributed_epoch", dispatcher.target))
    for _ in range(2):
        assert sorted(names(found)) == sorted(keys(built, "train") * expected)
    assert len(workers) == 2


def test_no_iteration_waits_for_the_tuner_at_its_end(built):
    data = dsbuild.tf_dataset(built, seed=1)
    crops = dsbuild.augmented(data, dsbuild.Augmentation(crop=(33, 33)), 1)
    pictures = crops.map(lambda sample: sample["image"], tf.data.AUTOTUNE).batch(2)
    for one in (data, dsbuild.tf_dataset(built, cache=True), crops, pictures):
        assert one.options().autotune.enabled is False
    assert len(list(pictures)) == len(list(data)) // 2
