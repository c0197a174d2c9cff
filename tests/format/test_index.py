"""index/<shard>.idx, as the `tfrecord` package and DALI make it and read it."""

import hashlib
import json
import os
import pathlib
import struct
import subprocess
import sys

import pytest

from dsbuild.format import example
from dsbuild.format import tfrecord as records
from tests.support.runs import make


def dali(path):
    """Return what NVIDIA DALI's tools/tfrecord2idx writes, its algorithm written anew."""
    lines = []
    with open(path, "rb") as file:
        while True:
            current = file.tell()
            length = file.read(8)
            if not length:
                return "".join(lines)
            file.seek(4, os.SEEK_CUR)
            file.seek(struct.unpack("<q", length)[0] + 4, os.SEEK_CUR)
            lines.append(f"{current} {file.tell() - current}\n")


@pytest.fixture
def shards(voc, out):
    """Return the paths of shards: some of several records, those of val of one."""
    make(voc, out, splits=("train", "val"), shards=6)
    found = sorted(pathlib.Path(out).glob("*.tfrecord"))
    assert len(found) == 12
    return found


def index_of(path):
    return path.parent / "index" / f"{path.name}.idx"


def alone(code, *words):
    """Run code in a process of its own: `tfrecord` and TensorFlow name the same messages."""
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_it_is_byte_for_byte_what_others_make(shards, tmp_path):
    code = """
import sys
from tfrecord.tools.tfrecord2idx import create_index
for path in sys.argv[2:]:
    create_index(path, sys.argv[1] + "/" + path.rpartition("/")[2] + ".idx")
"""
    alone(code, tmp_path, *shards)
    for path in shards:
        ours = index_of(path).read_bytes()
        assert ours == (tmp_path / f"{path.name}.idx").read_bytes()
        assert ours == dali(path).encode()


def test_it_leads_to_every_record(shards):
    for path in shards:
        data = path.read_bytes()
        expected = [record.data for record in records.read(str(path))]
        rows = [map(int, line.split()) for line in index_of(path).read_text().splitlines()]
        assert [data[at + 12 : at + size - 4] for at, size in rows] == expected


def test_the_tfrecord_package_reads_by_it(shards):
    """A part by its byte range, in order, and the whole from a random record on."""
    code = """
import hashlib, json, sys
from tfrecord.reader import tfrecord_iterator, tfrecord_loader
path, index = sys.argv[1:]
digest = lambda data: hashlib.sha256(data).hexdigest()
parts = [list(map(digest, tfrecord_iterator(path, index, shard=(i, 2)))) for i in range(2)]
whole = list(map(digest, tfrecord_iterator(path, index)))
values = [one["image/filename"].decode() for one in tfrecord_loader(path, index, shard=(1, 2))]
print(json.dumps([parts, whole, values]))
"""
    path = shards[0]  # of two records; that package's reader fails at an index of one line
    found = list(records.read(str(path)))
    expected = [hashlib.sha256(record.data).hexdigest() for record in found]
    parts, whole, values = json.loads(alone(code, path, index_of(path)))
    assert parts == [expected[:1], expected[1:]]
    assert sorted(whole) == sorted(expected)
    assert values == [example.parse(found[1].data)["image/filename"][0].decode()]
