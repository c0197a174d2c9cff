import errno
import io
import os

import pytest

from dsbuild import storage
from dsbuild.errors import StorageError
from dsbuild.format import tfrecord
from dsbuild.storage import syncing

MEGABYTE = 1 << 20
pytestmark = pytest.mark.skipif(not hasattr(os, "fdatasync"), reason="a system without fdatasync")


@pytest.fixture(autouse=True)
def on_a_disk(monkeypatch):
    """Let every file be on a block device, also where the tests run in a container."""
    monkeypatch.setattr(os, "major", lambda _: 8)


def written(path, records):
    with storage.writing(str(path)) as file:
        writer = tfrecord.Writer(file)
        with writer.behind():
            for record in records:
                writer.write(record)


def test_a_shard_goes_to_the_disk_while_it_is_written(tmp_path, monkeypatch):
    sizes, sync = [], os.fdatasync

    def noted(handle):
        sync(handle)
        sizes.append(io.FileIO(handle, closefd=False).seek(0, io.SEEK_CUR))

    monkeypatch.setattr(os, "fdatasync", noted)
    records = [bytes([number]) * MEGABYTE for number in range(10)]
    written(tmp_path / "a", records)
    assert [size // MEGABYTE for size in sizes] == [4, 8]
    assert [one.data for one in tfrecord.read(str(tmp_path / "a"))] == records


def test_an_error_of_the_disk_names_the_file_and_leaves_nothing(tmp_path, monkeypatch):
    def broken(handle):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", broken)
    with pytest.raises(StorageError, match=r"a: cannot be written: Input/output error"):
        written(tmp_path / "a", [bytes(MEGABYTE)] * 10)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_on_a_disk_is_left_alone(tmp_path, monkeypatch):
    """Where a bucket is mounted as a folder, each sync sends the whole file again."""
    monkeypatch.setattr(os, "fdatasync", None)
    syncing.settle(io.BytesIO())
    monkeypatch.setattr(os, "major", lambda _: 0)
    written(tmp_path / "a", [bytes(MEGABYTE)] * 10)
    assert (tmp_path / "a").stat().st_size > 10 * MEGABYTE
