import errno
import io

import pytest

from dsbuild import storage
from dsbuild.errors import StorageError
from dsbuild.format import tfrecord
from dsbuild.storage import syncing

MEGABYTE = 1 << 20


def written(path, records):
    with storage.writing(str(path)) as file:
        writer = tfrecord.Writer(file)
        with writer.behind():
            for record in records:
                writer.write(record)


def test_a_shard_goes_to_the_disk_while_it_is_written(tmp_path, monkeypatch):
    sizes, sync = [], syncing._SYNC_DATA

    def noted(handle):
        sync(handle)
        sizes.append(io.FileIO(handle, closefd=False).seek(0, io.SEEK_CUR))

    monkeypatch.setattr(syncing, "_SYNC_DATA", noted)
    records = [bytes([number]) * MEGABYTE for number in range(10)]
    written(tmp_path / "a", records)
    assert [size // MEGABYTE for size in sizes] == [4, 8]
    assert [one.data for one in tfrecord.read(str(tmp_path / "a"))] == records


def test_an_error_of_the_disk_names_the_file_and_leaves_nothing(tmp_path, monkeypatch):
    def broken(handle):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(syncing, "_SYNC_DATA", broken)
    with pytest.raises(StorageError, match=r"a: cannot be written: Input/output error"):
        written(tmp_path / "a", [bytes(MEGABYTE)] * 10)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_a_file_of_this_disk_is_left_alone():
    syncing.settle(io.BytesIO())
