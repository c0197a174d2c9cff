"""`dsbuild export`: read back by the loaders that it is for."""

import gc
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild.errors import PlanError, ShardError, StorageError
from dsbuild.format import example, tfrecord
from dsbuild.interop.export import run as export
from dsbuild.interop.export import webdataset as tars
from dsbuild.interop.export.sample import Sample
from dsbuild.layouts.classes import Classes
from dsbuild.layouts.pairs import Pairs
from tests.support import fakes
from tests.support.runs import make
from tests.support.texts import HOSTILE, TEXTS

# webdataset leaves its files to be closed by the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

IMAGE, LABEL = "image/encoded", "image/segmentation/class/encoded"


@pytest.fixture
def built(voc, out):
    make(voc, out, shards=3, splits=("train", "val"), extras=("laplacian:raw16",))
    return out


@pytest.fixture(params=export.TARGETS)
def target(request):
    """Each target whose library is there."""
    need = {"parquet": "pyarrow", "array_record": "array_record"}.get(request.param, "tarfile")
    pytest.importorskip(need)
    return request.param


def records(folder, split="*"):
    """Return the parsed records of a folder, in order."""
    return [
        example.parse(record.data)
        for path in sorted(pathlib.Path(folder).glob(f"{split}-*.tfrecord"))
        for record in tfrecord.read(str(path))
    ]


def files(folder):
    """Return name -> bytes of what readers see in a folder."""
    return {
        path.name: path.read_bytes() for path in pathlib.Path(folder).iterdir() if path.is_file()
    }


def samples(*shards, decode=()):
    """Return the samples of tars as webdataset reads them."""
    wds = pytest.importorskip("webdataset")
    data = wds.WebDataset([str(path) for path in shards], shardshuffle=False)
    found = list(data.decode(*decode) if decode is not None else data)
    del data
    gc.collect()
    return found


def alone(code, *words):
    """Run code in a process of its own, where a library brings threads and warnings; its JSON."""
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, words)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_webdataset_reads_the_same_bytes(built, tmp_path):
    to = str(tmp_path / "tars")
    export.export(built, to, "webdataset")
    shards = sorted(pathlib.Path(to).glob("train-*"))
    assert len(shards) == 3
    found = samples(*shards, decode=None)
    wanted = records(built, "train")
    assert len(found) == len(wanted) == 12
    for one, other in zip(found, wanted, strict=True):
        assert one["__key__"].encode() == other["image/filename"][0]
        assert one["jpg"] == other[IMAGE][0]
        assert one["seg.png"] == other[LABEL][0]
        assert one["gradient_encoded.bin"] == other["image/gradient/encoded"][0]
        said = json.loads(one["json"])
        assert said["key"] == one["__key__"]
        assert (said["height"], said["width"]) == (other["image/height"], other["image/width"])
    assert samples(*shards, decode=("rgb8",))[0]["jpg"].dtype == np.uint8


def test_webdataset_reads_classes(tmp_path, out):
    make(fakes.classes(tmp_path), out, layout=Classes(), shards=1)
    export.export(out, str(tmp_path / "tars"), "webdataset")
    found = samples(tmp_path / "tars/train-00000-of-00001.tar")
    wanted = records(out)
    assert [one["cls"] for one in found] == [int(one["image/class/label"][0]) for one in wanted]
    assert [one["json"]["class_text"] for one in found] == [
        one["image/class/text"][0].decode() for one in wanted
    ]


def test_keys_with_dots_stay_apart(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    made = [b"a.b", b"a_b", b"x.y/c.d", b"", b"/abs/e"]
    image = b"\xff\xd8\xff"
    with open(folder / "train-00000-of-00001.tfrecord", "wb") as file:
        writer = tfrecord.Writer(file)
        for key in made:
            writer.write(example.serialize({IMAGE: image, "image/filename": key}))
    export.export(str(folder), str(tmp_path / "tars"), "webdataset")
    found = samples(tmp_path / "tars/train-00000-of-00001.tar", decode=None)
    number = "train-00000-of-00001-000003"
    names = ["a%2Eb", "a_b", "x.y/c%2Ed", number, "%2Fabs/e"]
    assert [one["__key__"] for one in found] == names
    keys = [json.loads(one["json"])["key"] for one in found]
    assert keys == ["a.b", "a_b", "x.y/c.d", number, "/abs/e"]


def written(path, *features):
    with open(path, "wb") as file:
        writer = tfrecord.Writer(file)
        for one in features:
            writer.write(example.serialize(one))
    return str(path)


def test_no_name_leads_out_of_a_tar(tmp_path):
    made = [
        {
            IMAGE: b"\xff\xd8\xff",
            "image/filename": key,
            f"image/../../{i}\x1b": b"\0",
            "/etc/x": b"\1",
        }
        for i, key in enumerate([*(k.encode(errors="surrogateescape") for k in HOSTILE), b"\xff"])
    ]
    source = written(tmp_path / "x.tfrecord", *made)
    export.export(source, str(tmp_path / "tars"), "webdataset")
    with tarfile.open(tmp_path / "tars/x.tar") as tar:
        names = tar.getnames()
        tar.extractall(tmp_path / "unpacked", filter="data")
    assert len(set(names)) == len(names) == 4 * len(made)
    there = [path for path in (tmp_path / "unpacked").rglob("*") if path.is_file()]
    assert len(there) == len(names)
    assert all(name.isprintable() and "\\" not in name for name in names)
    keys = {json.loads(path.read_text())["key"] for path in there if path.suffix == ".json"}
    assert {key for key in HOSTILE if key and "\udcff" not in key} < keys


@given(st.lists(TEXTS, min_size=1, max_size=4), TEXTS)
def test_no_key_and_no_feature_leads_out_of_a_tar(keys, feature):
    rest = {feature: b"\0"}
    file = io.BytesIO()
    made = [Sample(key, b"\xff\xd8\xff", None, rest) for key in keys]
    try:
        tars.write(made, file)
    except ShardError:
        assert f".{feature.lower()}.".endswith((".jpg.", ".json."))
        return
    file.seek(0)
    with tarfile.open(fileobj=file) as tar:
        members = tar.getmembers()
    assert len({one.name for one in members}) == 3 * len(keys)
    for one in members:
        tarfile.data_filter(one, "/nowhere")
        assert not one.name.startswith("/")
        assert ".." not in one.name.split("/")


def test_features_that_would_share_a_file_are_named(tmp_path):
    image = {IMAGE: b"\xff\xd8\xff", "image/filename": b"a"}
    twins = written(tmp_path / "x.tfrecord", {**image, "a/b": b"\0", "a.b": b"\1"})
    with pytest.raises(ShardError, match=r"feature 'a/b' would become a second a_b.bin; rename it"):
        export.export(twins, str(tmp_path / "to"), "webdataset")
    apart = written(tmp_path / "y.tfrecord", {**image, "x": 1, "image/x": 2, "key": 3})
    export.export(apart, str(tmp_path / "to"), "webdataset")
    with tarfile.open(tmp_path / "to/y.tar") as tar:
        said = json.load(tar.extractfile("a.json"))
    assert said == {"key": "a", "x": 1, "image_x": 2, "key_": 3}


@pytest.mark.parametrize("known", [True, False])
def test_all_images_of_a_tar_have_the_same_extension(tmp_path, out, known, two_processes):
    root = fakes.pairs(tmp_path, count=5)  # two JPEGs, three PNGs
    make(root, out, layout=Pairs(names=("a", "b", "c")), shards=2)
    wanted = {one["image/filename"][0]: one[IMAGE][0] for one in records(out)}
    if not known:
        shutil.rmtree(pathlib.Path(out, ".dsbuild"))
        pathlib.Path(out, "manifest.json").unlink()
    export.export(out, str(tmp_path / "tars"), "webdataset", engine=two_processes)
    found = samples(*sorted((tmp_path / "tars").glob("*.tar")), decode=None)
    assert {one["__key__"].encode(): one["png"] for one in found} == wanted
    formats = [json.loads(one["json"])["format"] for one in found]
    assert sorted(formats) == ["jpeg"] * 2 + ["png"] * 3


TARS = """
import json, sys
import datasets
files = sys.argv[1] + "/train-*.tar"
data = datasets.load_dataset("webdataset", data_files=files, split="train", cache_dir=sys.argv[2])
names = [name for name, kind in data.features.items() if isinstance(kind, datasets.Image)]
print(json.dumps([names, [[one[name] is not None for name in names] for one in data]]))
"""


def test_datasets_has_one_column_of_images_for_pngs_among_jpegs(tmp_path, out):
    pytest.importorskip("datasets")
    make(fakes.pairs(tmp_path, count=5), out, layout=Pairs(names=("a", "b", "c")), shards=2)
    export.export(out, str(tmp_path / "tars"), "webdataset")
    names, there = alone(TARS, tmp_path / "tars", tmp_path / "cache")
    assert sorted(names) == ["png", "seg.png"]
    assert there == [[True, True]] * 5


def test_files_are_the_same_every_time(built, tmp_path, target, two_processes):
    first, second = str(tmp_path / "one"), str(tmp_path / "two")
    export.export(built, first, target)
    export.export(built, second, target, engine=two_processes)
    assert files(first) == files(second)


def test_a_tar_has_the_bytes_that_tarfile_writes():
    keys = ["a", "a/b", "ü", "k" * 91, "k" * 92, "k" * 93, "d/" + "k" * 110, "x" * 170]
    contents = [(key, b"\xff\xd8\xff" + bytes(number * 509)) for number, key in enumerate(keys)]
    file, expected = io.BytesIO(), io.BytesIO()
    assert tars.write((Sample(key, data, None) for key, data in contents), file) == len(keys)
    with tarfile.open(fileobj=expected, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for key, data in contents:
            for ending, content in (("jpg", data), ("json", json.dumps({"key": key}).encode())):
                entry = tarfile.TarInfo(f"{tars.stem(key)}.{ending}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    assert file.getvalue() == expected.getvalue()


def test_tar_entries_contain_no_time_or_owner(built, tmp_path):
    export.export(built, str(tmp_path / "to"), "webdataset")
    with tarfile.open(tmp_path / "to/val-00000-of-00003.tar") as tar:
        for one in tar:
            assert (one.mtime, one.uid, one.gid, one.uname, one.mode) == (0, 0, 0, "", 0o644)


DATASETS = """
import hashlib, json, sys
import datasets
digest = lambda data: hashlib.sha256(data).hexdigest()
folder, split, label = sys.argv[1:]
files = {split: folder + f"/{split}-*.parquet"}
data = datasets.load_dataset("parquet", data_files=files, split=split, cache_dir=folder + "-cache")
decoded = data[0]
raw = data.cast_column("image", datasets.Image(decode=False))
if label == "mask":
    raw = raw.cast_column("label", datasets.Image(decode=False))
rows = [[one["key"], digest(one["image"]["bytes"]),
         digest(one["label"]["bytes"]) if label == "mask" else one["label"]] for one in raw]
kinds = {name: type(value).__name__ for name, value in data.features.items()}
names = data.features["label"].names if label == "class" else None
print(json.dumps([rows, kinds, names, list(decoded["image"].size),
                  {k: v for k, v in decoded.items() if isinstance(v, (int, str))}]))
"""


def test_splits_one_after_another_are_the_same_as_at_once(built, tmp_path, target):
    whole, parts = str(tmp_path / "whole"), str(tmp_path / "parts")
    export.export(built, whole, target)
    export.export(built, parts, target, splits=("val",))
    assert {name.partition("-")[0] for name in files(parts)} == {"val"}
    found = export.export(built, parts, target, splits=("train",))
    assert [one.kept for one in found] == [False] * 3
    assert files(parts) == files(whole)
    with pytest.raises(PlanError, match=r"no split 'vall'; expected one of train, val; did you"):
        export.export(built, parts, target, splits=("vall",))


def test_a_split_that_is_named_twice_is_exported_once(built, tmp_path, run):
    done = run("export", built, tmp_path / "twice", "--to", "png", "--split", "train,train")
    assert done.exit_code == 0, done.output
    assert "train, train" not in done.output
    assert run("export", built, tmp_path / "once", "--to", "png", "--split", "train").exit_code == 0
    receipts = [(tmp_path / name / "receipt.json").read_bytes() for name in ("twice", "once")]
    assert receipts[0] == receipts[1]


def test_a_split_is_not_added_to_those_of_another_folder(built, voc, tmp_path):
    to, other = str(tmp_path / "to"), str(tmp_path / "other")
    make(voc, other, shards=1, splits=("train", "val"))
    export.export(other, to, "webdataset", splits=("train",))
    before = files(to)
    with pytest.raises(PlanError, match=r"train-00000-of-00001\.tar: it was made from other rec"):
        export.export(built, to, "webdataset", splits=("val",))
    assert files(to) == before
    export.export(built, to, "webdataset")
    assert len(files(to)) == 6


def test_datasets_reads_the_same_bytes(built, tmp_path):
    import hashlib

    pytest.importorskip("datasets")
    to = str(tmp_path / "parquet")
    export.export(built, to, "parquet")
    rows, kinds, _, size, first = alone(DATASETS, to, "train", "mask")
    wanted = records(built, "train")
    assert rows == [
        [
            one["image/filename"][0].decode(),
            hashlib.sha256(one[IMAGE][0]).hexdigest(),
            hashlib.sha256(one[LABEL][0]).hexdigest(),
        ]
        for one in wanted
    ]
    assert (kinds["image"], kinds["label"], kinds["height"]) == ("Image", "Image", "Value")
    assert size == [first["width"], first["height"]]
    assert first["format"] == "jpeg"


@pytest.mark.parametrize("form", ["int64", "png16"])
def test_datasets_reads_classes_by_name(tmp_path, out, form):
    pytest.importorskip("datasets")
    made = (f"laplacian:{form}",)
    make(fakes.classes(tmp_path), out, layout=Classes(), shards=2, extras=made)
    to = str(tmp_path / "parquet")
    export.export(out, to, "parquet")
    rows, kinds, names, _, first = alone(DATASETS, to, "train", "class")
    assert (kinds["label"], names) == ("ClassLabel", ["cat", "dog", "horse"])
    assert [row[2] for row in rows] == [int(one["image/class/label"][0]) for one in records(out)]
    assert first["class_text"] in names
    assert kinds["gradient" if form == "int64" else "gradient_encoded"] in ("List", "Value")


def test_array_record_reads_the_same_records(built, tmp_path):
    module = pytest.importorskip("array_record.python.array_record_module")
    to = str(tmp_path / "arrays")
    export.export(built, to, "array_record")
    for path in sorted(pathlib.Path(built).glob("*.tfrecord")):
        reader = module.ArrayRecordReader(f"{to}/{path.stem}.array_record")
        found = reader.read_all()
        assert found == [record.data for record in tfrecord.read(str(path))]
        assert reader.read([1]) == found[1:2]
        reader.close()


def test_finished_files_are_kept(built, tmp_path, target, run, two_processes):
    to = str(tmp_path / "to")
    first = export.export(built, to, target)
    assert not any(one.kept for one in first)
    before = files(to)
    assert len(before) == 6
    again = export.export(built, to, target)
    assert all(one.kept for one in again)
    assert [one.records for one in again] == [one.records for one in first] == [4, 4, 4, 2, 2, 2]
    # Damaged, missing, without its note, and made of other bytes: each is written again.
    names = sorted(before)
    pathlib.Path(to, names[0]).write_bytes(b"damaged")
    os.remove(f"{to}/{names[1]}")
    os.remove(f"{built}/val-00002-of-00003.tfrecord")
    shutil.copy(f"{built}/val-00001-of-00003.tfrecord", f"{built}/val-00002-of-00003.tfrecord")
    again = export.export(built, to, target, engine=two_processes)
    assert [one.kept for one in again] == [False, False, True, True, True, False]
    after = files(to)
    assert {name: after[name] for name in names[:5]} == {name: before[name] for name in names[:5]}
    result = run("export", built, to, "--to", target)
    assert "18 records" in result.output
    assert "6 unchanged files kept" in result.output


def test_an_interrupted_export_is_finished(built, tmp_path, monkeypatch):
    to, whole = str(tmp_path / "to"), str(tmp_path / "whole")
    export.export(built, whole, "webdataset")
    plain, calls = tars.write, []

    def write(samples, *rest):
        calls.append(1)
        if len(calls) == 3:
            next(iter(samples))
            raise KeyboardInterrupt
        return plain(samples, *rest)

    monkeypatch.setattr(tars, "write", write)
    with pytest.raises(KeyboardInterrupt):
        export.export(built, to, "webdataset")
    assert len(files(to)) == 2
    again = export.export(built, to, "webdataset")
    assert [one.kept for one in again] == [True, True, False, False, False, False]
    assert files(to) == files(whole)


def test_shards_of_an_earlier_export_are_removed(voc, built, tmp_path):
    to = str(tmp_path / "to")
    export.export(built, to, "webdataset")
    make(voc, built, shards=2, splits=("train", "val"), extras=("laplacian:raw16",), overwrite=True)
    export.export(built, to, "webdataset")
    assert sorted(files(to)) == [
        f"{s}-{i:05d}-of-00002.tar" for s in ("train", "val") for i in (0, 1)
    ]


@pytest.mark.parametrize("name", ["train-00000-of-00003.tar", "train-mine.tar"])
def test_foreign_files_are_refused(built, tmp_path, name):
    to = tmp_path / "to"
    to.mkdir()
    (to / name).write_text("mine")
    with pytest.raises(PlanError, match=f"{name}: this export did not write it"):
        export.export(built, str(to), "webdataset")
    assert files(to) == {name: b"mine"}


def test_it_never_writes_among_tfrecords(voc, built, tmp_path):
    for to in (built, f"{built}/tars"):
        with pytest.raises(PlanError, match="contains TFRecords"):
            export.export(built, to, "webdataset")
    make(voc, tmp_path / "other", splits=("val",))
    with pytest.raises(PlanError, match="contains TFRecords"):
        export.export(built, str(tmp_path / "other"), "webdataset")


def test_folders_written_by_others_are_exported(tmp_path, out):
    """As DeepLab's own scripts leave them: no manifest, no schema, no channels."""
    make(fakes.pairs(tmp_path), out, layout=Pairs(names=("a", "b", "c")), shards=1)
    folder = tmp_path / "theirs"
    folder.mkdir()
    wanted = records(out)
    with open(folder / "train-00000-of-00001.tfrecord", "wb") as file:
        writer = tfrecord.Writer(file)
        for values in wanted:
            values.pop("image/channels")
            writer.write(
                example.serialize(
                    {k: v[0] if isinstance(v, list) else v for k, v in values.items()}
                )
            )
    for target in ("webdataset", "parquet"):
        (one,) = export.export(str(folder), str(tmp_path / target), target)
        assert one.records == len(wanted)
    pq = pytest.importorskip("pyarrow.parquet")
    rows = pq.read_table(tmp_path / "parquet/train-00000-of-00001.parquet").to_pylist()
    assert [row["image"]["bytes"] for row in rows] == [one[IMAGE][0] for one in wanted]
    assert [row["label"]["bytes"] for row in rows] == [one[LABEL][0] for one in wanted]
    assert {row["channels"] for row in rows} == {None}
    (single,) = export.export(
        f"{folder}/train-00000-of-00001.tfrecord", f"{tmp_path}/s", "webdataset"
    )
    assert single.name == "train-00000-of-00001.tar"


def test_what_cannot_be_exported_is_named(tmp_path, built, run):
    path = tmp_path / "x.tfrecord"
    with open(path, "wb") as file:
        tfrecord.Writer(file).write(example.serialize({"other": 1}))
    with pytest.raises(
        ShardError, match=r"x.tfrecord: record 0 at byte 0: found no image in image/"
    ):
        export.export(str(path), str(tmp_path / "to"), "webdataset")
    damaged = pathlib.Path(built, "train-00001-of-00003.tfrecord")
    damaged.write_bytes(damaged.read_bytes()[:-5])
    result = run("export", built, tmp_path / "to2", "--to", "webdataset", "--workers", "2")
    assert result.exit_code == 2
    assert "the file is cut" in result.stderr
    assert "train-00001-of-00003.tar" not in files(tmp_path / "to2")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        export.export(built, str(tmp_path / "file"), "webdataset")
