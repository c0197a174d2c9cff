"""Every command on an object store, beside the same on local files."""

import collections
import pathlib
import time

import pytest

from dsbuild import storage
from dsbuild.storage import clients, lease
from tests.support import azurite, fakes
from tests.support.runs import content
from tests.support.stores import SECRET, built, files, s3_bucket, upload


@azurite.TOO
def test_a_build_has_the_bytes_of_a_local_one(bucket, voc, local, run):
    upload(pathlib.Path(voc), f"{bucket}/VOCdevkit/VOC2012")
    workers = "1" if bucket.startswith("memory") else "2"
    arguments = ("voc", bucket, f"{bucket}/out", "--shards", "4", "--workers", workers)
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert built(f"{bucket}/out") == local
    assert "is complete" in run(*arguments).output


def test_every_command(s3, voc, out, local, tmp_path, run):
    upload(pathlib.Path(voc), f"{s3}/VOC2012")
    source, there = f"{s3}/VOC2012", f"{s3}/out"

    def done(*arguments, code=0):
        result = run(*arguments)
        assert result.exit_code == code, result.output
        assert SECRET not in result.output + result.stderr
        return result.output

    done("voc", source, there, "--shards", "4", "--workers", "1")
    assert run("inspect", there, "--json").output == run("inspect", out, "--json").output.replace(
        f'"{out}"', f'"{there}"'
    )
    done("inspect", there, "--html", f"{s3}/page.html", "--workers", "1")
    assert storage.read(f"{s3}/page.html")[0].count(b"<title>Pascal VOC: out</title>") == 1
    done("inspect", f"{there}/train-00000-of-00004.tfrecord", "--record", "1", "--save", f"{s3}/p")
    assert len(storage.names(f"{s3}/p")) == 3
    assert "no problem" in done("validate", there, source, "--level", "source", "--workers", "1")
    assert "the same recipe, samples and bytes" in done("diff", out, there, "--workers", "1")
    for target in ("webdataset", "parquet", "array_record"):
        for folder, to in ((there, f"{s3}/{target}"), (out, str(tmp_path / target))):
            done("export", folder, to, "--to", target, "--workers", "1")
        for name in storage.names(str(tmp_path / target)):
            if name != ".dsbuild":
                assert storage.sha256(f"{s3}/{target}/{name}") == storage.sha256(
                    str(tmp_path / target / name)
                )
    storage.write(f"{there}/val-00001-of-00004.tfrecord", b"damaged")
    storage.remove(f"{there}/train-00002-of-00004.tfrecord")
    done("validate", there, "--workers", "1", code=1)
    done("repair", there, source, "--workers", "1")
    assert built(there) == local
    assert f"{there}/schema.pbtxt" in done("interop", there, "--pbtxt", "--license", "MIT")
    done("voc", source, f"{source}/JPEGImages/out", code=2)  # inside the source


def test_slices_of_a_json_on_a_store(s3, tmp_path, run):
    root = fakes.coco(tmp_path)
    upload(pathlib.Path(root), f"{s3}/coco")
    assert run("coco", root, tmp_path / "out", "--shards", "3").exit_code == 0
    arguments = ("coco", f"{s3}/coco", f"{s3}/out", "--shards", "3", "--workers", "2")
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert built(f"{s3}/out") == content(tmp_path / "out")
    assert "is complete" in run(*arguments).output
    path = pathlib.Path(root, "annotations", "instances_val.json")
    text = path.read_bytes().replace(b'"category_id": 9', b'"category_id": 4')
    storage.write(f"{s3}/coco/annotations/{path.name}", text)
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert "its source annotations/instances_val.json#" in result.stderr


NAMES = [
    "cityscapes",
    "coco",
    "ade20k",
    "ade20k-full",
    "pascal-context",
    "oxford-pets",
    "mapillary",
    "bdd100k",
    "labelme",
    "yolo",
    "cvat",
    "supervisely",
    "matting",
    "pairs",
    "classes",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_layout(name, tmp_path, run):
    drawn = getattr(fakes, name.replace("-", "_"))(tmp_path)
    url = f"memory://layout/{name}"
    source = f"{url}/{pathlib.Path(drawn).name}"
    upload(pathlib.Path(drawn), source)
    (tmp_path / "names").write_text("a\nb\nc\n")
    options = ("--alpha-threshold", "50") if name == "matting" else ()
    options += ("--classes", str(tmp_path / "names")) if name == "pairs" else ()
    results = [
        run(name, root, to, *options, "--workers", "1", "--check-duplicates")
        for root, to in ((drawn, tmp_path / "out"), (source, f"{url}/out"))
    ]
    assert [result.exit_code for result in results] == [0, 0], results[0].output + results[1].output
    assert built(f"{url}/out") == content(tmp_path / "out")
    places = {source: drawn, f"{url}/out": str(tmp_path / "out")}
    texts = [result.stderr for result in results]
    for there, here in places.items():
        texts = [text.replace(there, here) for text in texts]
    findings = [text.split() for text in texts]
    assert findings[0] == findings[1]


def test_sbd_beside_voc(tmp_path, run):
    pytest.importorskip("scipy")
    voc = fakes.voc(tmp_path)
    keys = [f"2007_{i:06d}" for i in range(18)]
    fakes.sbd(tmp_path, [*keys[:4], "2008_000001", *keys[12:14]], ["2008_000002"])
    upload(tmp_path / "VOCdevkit", "memory://sbd/VOCdevkit")
    upload(tmp_path / "benchmark_RELEASE", "memory://sbd/benchmark_RELEASE")
    for root, to in ((voc, tmp_path / "out"), ("memory://sbd", "memory://sbd/out")):
        result = run("voc", root, to, "--split", "train_aug", "--workers", "1")
        assert result.exit_code == 0, result.output
    assert built("memory://sbd/out") == content(tmp_path / "out")


def test_memory_belongs_to_one_process(voc, run):
    upload(pathlib.Path(voc), "memory://alone/VOC2012")
    result = run("voc", "memory://alone", "memory://alone/out", "--workers", "2")
    assert result.exit_code == 2
    assert "memory://alone: is in the memory of another process" in result.stderr


@pytest.fixture
def behind(faulty, moto, voc):
    """A bucket behind the proxy, with a VOC tree in it."""
    name = f"behind-{time.time_ns()}"
    s3_bucket(moto, name)
    upload(pathlib.Path(voc), f"s3://{name}/VOC2012")
    faulty.seen.clear()
    return f"s3://{name}"


@pytest.mark.slow
def test_faults_lose_and_duplicate_nothing(behind, faulty, local, run):
    faults = {7: 503, 11: "cut", 13: 500, 17: "lost", 19: 429}
    faulty.fault = lambda number, *_: next((faults[n] for n in faults if not number % n), None)
    arguments = ("voc", f"{behind}/VOC2012", f"{behind}/out", "--shards", "4", "--workers", "2")
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    faulty.fault = lambda *_: None
    assert built(f"{behind}/out") == local


def test_an_interrupted_build_is_finished(behind, faulty, local, run, monkeypatch):
    monkeypatch.setenv(clients.SECONDS, "1")
    clients.open_store.cache_clear()
    arguments = ("voc", f"{behind}/VOC2012", f"{behind}/out", "--shards", "4", "--workers", "1")
    broken = "/out/val-00001-of-00004.tfrecord"
    faulty.fault = lambda _, method, path: (
        503 if method == "PUT" and path.partition("?")[0].endswith(broken) else None
    )
    begin = time.monotonic()
    result = run(*arguments)
    assert result.exit_code == 2
    assert f"{behind}{broken}: cannot be written: the store is busy or broken" in result.stderr
    assert time.monotonic() - begin < 30
    there = files(f"{behind}/out")
    assert "manifest.json" not in there
    assert "val-00001-of-00004.tfrecord" not in there
    assert ".dsbuild/lock" not in there
    kept = sum(name.startswith(".dsbuild/receipts/") for name in there)
    assert 3 <= kept < 12  # others were at work on the shards around it
    faulty.fault = lambda *_: None
    faulty.seen.clear()
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert f"resuming: {kept} of 12 shards are valid" in result.stderr
    assert built(f"{behind}/out") == local
    put = [path for method, path in faulty.seen if method == "PUT" and path.endswith(".tfrecord")]
    assert len(put) == len(set(put)) == 12 - kept


def test_requests(behind, faulty, run):
    arguments = ("voc", f"{behind}/VOC2012", f"{behind}/out", "--split", "train", "--workers", "1")
    assert run(*arguments, "--shards", "2").exit_code == 0
    counts = collections.Counter(faulty.seen)
    sources = {key: n for key, n in counts.items() if "/JPEGImages/" in key[1]}
    # Once by the audit, which opens a few samples, and once for the record.
    assert set(sources.values()) == {2}
    assert {method for method, _ in sources} == {"GET"}
    faulty.seen.clear()
    assert "is complete" in run(*arguments, "--shards", "2").output
    assert not [key for key in faulty.seen if "/2007_" in key[1]]  # listings are enough


def test_two_builds_into_one_folder(s3, voc, run, monkeypatch):
    monkeypatch.setattr(lease, "BEAT", 0.5)
    with storage.lock(f"{s3}/out/.dsbuild/lock"):
        result = run("voc", voc, f"{s3}/out", "--workers", "1")
    assert result.exit_code == 2
    assert f"{s3}/out: another dsbuild is at work in this folder" in result.stderr
    assert built(f"{s3}/out") == {}
