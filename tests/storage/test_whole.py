"""Answers that were cut on their way but claim to be complete."""

import time

import pytest

from dsbuild import storage
from dsbuild.errors import NoFileError, StorageError
from dsbuild.format import tfrecord
from dsbuild.layouts import texts
from dsbuild.storage import whole
from tests.support.stores import s3_bucket

DATA = bytes(range(256)) * 4


@pytest.fixture
def url(faulty, moto):
    """An object behind the proxy, which can make GETs fail."""
    name = f"whole-{time.time_ns()}"
    s3_bucket(moto, name)
    storage.write(f"s3://{name}/object", DATA)
    storage.write(f"s3://{name}/empty", b"")
    storage.write(f"s3://{name}/list.txt", b"one\ntwo\nthree\nfour\n")
    return f"s3://{name}/object"


def failing(faulty, fault):
    faulty.fault = lambda _, method, __: fault if method == "GET" else None
    faulty.seen.clear()


@pytest.mark.parametrize("fault", ["short", "plain short"])
def test_a_cut_answer_is_an_error(url, faulty, fault):
    failing(faulty, fault)
    with pytest.raises(StorageError, match=r"shorter than the store says.*512 bytes, .* 1,024"):
        storage.read(url)
    with storage.ahead([url]) as read, pytest.raises(StorageError, match="arrived shorter"):
        read(url)
    with pytest.raises(StorageError, match="arrived shorter"):
        storage.read_part(url, 0, 1000)


def test_a_cut_range_is_not_a_damaged_record(url, faulty):
    failing(faulty, "short")
    with pytest.raises(StorageError, match="arrived shorter"):
        list(tfrecord.read(url))
    with pytest.raises(StorageError, match="arrived shorter"):
        tfrecord.one(url, 0, 0, 500)


def test_without_ranges_whole_objects_are_read(url, faulty):
    failing(faulty, "plain")
    assert storage.read(url)[0] == DATA
    assert storage.read_part(url, 100, 20) == DATA[100:120]


@pytest.mark.parametrize("fault", ["short", "shrunk", "plain short"])
def test_the_size_of_a_list_is_checked_with_the_store(url, faulty, fault):
    path = url.replace("object", "list.txt")
    assert texts.lines(path) == ["one", "two", "three", "four"]
    failing(faulty, fault)
    with pytest.raises(StorageError, match=r"list\.txt: arrived shorter than the store says"):
        texts.lines(path)


def test_one_request_per_object(url, faulty):
    faulty.seen.clear()
    assert storage.read(url)[0] == DATA
    assert [method for method, _ in faulty.seen] == ["GET"]


def test_ends_of_objects(bucket):
    storage.write(f"{bucket}/object", DATA)
    storage.write(f"{bucket}/empty", b"")
    assert storage.read(f"{bucket}/empty")[0] == b""
    assert storage.read_part(f"{bucket}/empty", 0, 9) == b""
    assert storage.read_part(f"{bucket}/object", 1000, 999) == DATA[1000:]
    assert storage.read_part(f"{bucket}/object", 1024, 9) == b""
    with pytest.raises(NoFileError):
        storage.read(f"{bucket}/nowhere")


def test_an_object_larger_than_any_record_is_at_fault(bucket, monkeypatch):
    storage.write(f"{bucket}/object", DATA)
    monkeypatch.setattr(whole, "LARGEST", 1000)
    with pytest.raises(NoFileError, match="found 1,024 bytes, expected at most 1,000"):
        storage.read(f"{bucket}/object")
