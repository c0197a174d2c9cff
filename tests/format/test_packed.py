"""Compressed files are read as what was compressed, and no cut or damage is passed over."""

import gzip
import io
import random
import struct
import tracemalloc
import zlib

import pytest

from dsbuild.errors import ShardError
from dsbuild.format import packed, tfrecord

RECORDS = [random.Random(i).randbytes(40 * i) for i in range(9)]


def plain():
    """The bytes of an uncompressed file, and where its records are."""
    file = io.BytesIO()
    writer = tfrecord.Writer(file)
    for record in RECORDS:
        writer.write(record)
    return file.getvalue(), writer.index


PLAIN, INDEX = plain()
FORMS = {
    "gzip": gzip.compress(PLAIN),
    "zlib": zlib.compress(PLAIN),
    "several": gzip.compress(b"") + gzip.compress(PLAIN[:5]) + gzip.compress(PLAIN[5:]) + bytes(99),
    "twice": gzip.compress(gzip.compress(PLAIN)),
    "zlib in gzip": gzip.compress(zlib.compress(PLAIN)),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.tfrecord"


def read(path, data):
    path.write_bytes(data)
    return [record.data for record in tfrecord.read(str(path))]


@pytest.mark.parametrize("form", FORMS)
def test_records_and_places_are_those_of_the_plain_file(path, form):
    assert read(path, FORMS[form]) == RECORDS
    assert tfrecord.compressed(str(path))
    assert tfrecord.walk(str(path)) == INDEX
    places = [(number, INDEX[number][0]) for number in (5, 3, 8, 8, 0)]
    assert [one.data for one in tfrecord.at(str(path), places)] == [RECORDS[i] for i, _ in places]
    offsets = [offset for offset, _ in INDEX]
    with open(path, "rb") as file:
        size, start = len(FORMS[form]), (3, offsets[3])
        some = list(tfrecord.frames(file, size, offsets[3:6], start, offsets[6]))
    assert [one.data for one in some] == RECORDS[3:6]


@pytest.mark.heavy
@pytest.mark.parametrize("form", ["GZIP", "ZLIB"])
def test_what_tensorflow_compresses_is_read(path, form):
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path), form) as writer:
        for record in RECORDS:
            writer.write(record)
    assert [record.data for record in tfrecord.read(str(path))] == RECORDS


@pytest.mark.parametrize("form", ["gzip", "zlib", "several"])
def test_every_cut_is_found(path, form):
    data = FORMS[form].rstrip(b"\0") if form == "several" else FORMS[form]
    ends = {len(gzip.compress(b"")), len(gzip.compress(b"") + gzip.compress(PLAIN[:5]))}
    for end in {*range(1, len(data), 7), len(data) - 1} - ends:
        with pytest.raises(ShardError, match=r"x.tfrecord: record \d+ at byte \d+: "):
            read(path, data[:end])
    with pytest.raises(ShardError, match=f"record 9 at byte {len(PLAIN)}: the .* data is cut"):
        read(path, data[:-1])


@pytest.mark.parametrize("form", ["gzip", "zlib"])
def test_no_flipped_bit_changes_a_record(path, form):
    for bit in range(8 * 16):
        for place in (bit, 8 * len(FORMS[form]) - 1 - bit, 997 * bit % (8 * len(FORMS[form]))):
            data = bytearray(FORMS[form])
            data[place // 8] ^= 1 << place % 8
            try:
                assert read(path, data) == RECORDS  # of the time, say, in gzip's header
            except ShardError as error:
                assert "x.tfrecord: record" in str(error)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (FORMS["gzip"] + b"tail", "record 9 at .* bytes after the end of the gzip data"),
        (gzip.compress(PLAIN[:-9]), "record 8 at .* ends within this record"),
        (gzip.compress(b"no records here"), "record 0 at byte 0: .* not a TFRecord file"),
        (gzip.compress(FORMS["twice"]), "record 0 at byte 0: .* not a TFRecord file"),
        (FORMS["gzip"][:-8] + bytes(8), r"gzip data is damaged \(incorrect data check\)"),
    ],
    ids=["tail", "cut before", "text", "thrice", "checksum"],
)
def test_what_is_wrong_is_named(path, data, text):
    with pytest.raises(ShardError, match=text):
        read(path, data)
    assert packed.opened(io.BytesIO(PLAIN)) is None


def test_a_small_file_does_not_fill_memory(path):
    length = struct.pack("<Q", 1 << 30)
    claim = length + struct.pack("<I", tfrecord.masked_crc(length))
    with gzip.open(path, "wb", 1) as file:
        for _ in range(64):
            file.writelines(tfrecord.frame(bytes(1 << 20)))
        file.write(claim + bytes(1 << 20))
    tracemalloc.start()
    found = 0
    with pytest.raises(ShardError, match=r"record 64 at .* 1,073,741,824 bytes, but in"):
        for record in tfrecord.read(str(path)):
            found += len(record.data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == 64 << 20
    assert peak < 8 << 20
