import gzip
import io
import struct

import pytest

from dsbuild.errors import ShardError, StorageError
from dsbuild.format import tfrecord
from dsbuild.format.index import index_text

# crc32c test vectors of RFC 3720, appendix B.4, and one record that TensorFlow wrote.
VECTORS = [
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
]
GOLDEN = bytes.fromhex("0300000000000000b099490e6162636e57f121")  # the record `abc`


def written(path, *records):
    with open(path, "wb") as file:
        writer = tfrecord.Writer(file)
        for record in records:
            writer.write(record)
    return writer


@pytest.mark.parametrize(("data", "crc"), VECTORS)
def test_checksum(data, crc):
    rotated = ((crc >> 15) | (crc << 17)) & 0xFFFFFFFF
    assert tfrecord.masked_crc(data) == (rotated + 0xA282EAD8) & 0xFFFFFFFF


@pytest.mark.heavy
def test_bytes_equal_tensorflow(tmp_path):
    import tensorflow as tf

    records = [b"", b"abc", b"x" * 100_000]
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in records:
            writer.write(record)
    written(tmp_path / "ours", *records)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    theirs = tf.data.TFRecordDataset(str(tmp_path / "ours"))
    assert [r.numpy() for r in theirs] == records
    assert [r.data for r in tfrecord.read(str(tmp_path / "theirs"))] == records


def test_writer_keeps_index_size_and_hash(tmp_path):
    import hashlib

    writer = written(tmp_path / "a", b"abc", b"", b"defgh")
    data = (tmp_path / "a").read_bytes()
    assert writer.size == len(data)
    assert writer.sha256.hexdigest() == hashlib.sha256(data).hexdigest()
    assert index_text(writer.index) == "0 19\n19 16\n35 21\n"
    assert [(r.number, r.offset, r.data) for r in tfrecord.read(str(tmp_path / "a"))] == [
        (0, 0, b"abc"),
        (1, 19, b""),
        (2, 35, b"defgh"),
    ]


def test_an_empty_file_is_valid(tmp_path):
    (tmp_path / "empty").touch()
    assert list(tfrecord.read(str(tmp_path / "empty"))) == []


def test_every_cut_is_found_and_located(tmp_path):
    written(tmp_path / "a", b"abc", b"defgh")
    whole = (tmp_path / "a").read_bytes()
    for end in range(1, len(whole)):
        (tmp_path / "cut").write_bytes(whole[:end])
        if end == 19:  # between two records there is nothing to notice
            continue
        where = "record 0 at byte 0" if end < 19 else "record 1 at byte 19"
        with pytest.raises(ShardError, match=where):
            list(tfrecord.read(str(tmp_path / "cut")))


def test_every_flipped_bit_is_found_and_located(tmp_path):
    written(tmp_path / "a", b"abc", b"defgh")
    whole = (tmp_path / "a").read_bytes()
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        (tmp_path / "flip").write_bytes(damaged)
        where = "record 0 at byte 0" if bit // 8 < 19 else "record 1 at byte 19"
        with pytest.raises(ShardError, match=where):
            list(tfrecord.read(str(tmp_path / "flip")))


def test_a_hostile_length_allocates_nothing(tmp_path):
    length = struct.pack("<Q", 1 << 62)
    (tmp_path / "big").write_bytes(
        length + struct.pack("<I", tfrecord.masked_crc(length)) + bytes(50)
    )
    with pytest.raises(ShardError, match=r"4,611,686,018,427,387,904 bytes, but only 46 are left"):
        list(tfrecord.read(str(tmp_path / "big")))


def test_what_protobuf_does_not_read_is_not_taken_into_memory(tmp_path):
    size = (1 << 31) + 5
    length = struct.pack("<Q", size)
    with open(tmp_path / "big", "wb") as file:
        file.write(length + struct.pack("<I", tfrecord.masked_crc(length)))
        file.truncate(size + 16)
    with pytest.raises(ShardError, match=r"record 0 at byte 0: .* which protobuf does not read"):
        list(tfrecord.read(str(tmp_path / "big")))


def test_damaged_data_is_passed_over(tmp_path):
    written(tmp_path / "a", b"abc", b"defgh", b"i")
    data = bytearray((tmp_path / "a").read_bytes())
    data[19 + 12] ^= 1  # of the second record's data
    data[40] ^= 1  # of the third's length
    first, second, third = tfrecord.frames(io.BytesIO(data), len(data))
    assert first == (0, 0, b"abc", "")
    assert second[:3] == (1, 19, b"")
    assert "the record's 5 bytes is wrong" in second.problem
    assert "the record's length is wrong" in third.problem
    found = list(tfrecord.frames(io.BytesIO(data), len(data), (0, 19, 40)))
    assert [record.number for record in found] == [0, 1, 2]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StorageError, match="nowhere: there is no such file"):
        list(tfrecord.read(str(tmp_path / "nowhere")))


def test_golden_bytes():
    file = io.BytesIO()
    tfrecord.Writer(file).write(b"abc")
    assert file.getvalue() == GOLDEN


def test_damage_is_not_mistaken_for_compression(tmp_path):
    path = tmp_path / "a.tfrecord"
    for head in (b"\x78\x9c\0\0\0\0\0\0", b"\x78\x9d\1\2\3\4\5\6"):
        path.write_bytes(head + bytes(40))
        with pytest.raises(ShardError, match="the checksum of the record's length is wrong"):
            list(tfrecord.read(str(path)))
    with open(path, "wb") as file:
        tfrecord.Writer(file).write(b"a")
        file.write(gzip.compress(b"b"))
    with pytest.raises(ShardError, match="record 1 at byte 17: the checksum"):
        list(tfrecord.read(str(path)))
