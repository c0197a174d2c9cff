import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild.errors import ShardError
from dsbuild.format import example as wire

INT64 = st.integers(-(2**63), 2**63 - 1)
VALUES = st.one_of(
    st.lists(st.binary(max_size=300), max_size=4),
    st.lists(INT64, max_size=20).map(lambda v: np.array(v, np.int64)),
    st.lists(st.floats(width=32), max_size=20).map(lambda v: np.array(v, np.float32)),
)


def by_tensorflow(features):
    """Return what tf.train.Example makes of features."""
    import tensorflow as tf

    example = tf.train.Example()
    example.features.SetInParent()
    for name, value in features.items():
        feature = example.features.feature[name]
        if isinstance(value, int):
            value = np.array([value])
        if isinstance(value, float):
            value = np.array([value], np.float32)
        if isinstance(value, bytes):
            value = [value]
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            feature.float_list.SetInParent()
            feature.float_list.value.extend(value.tolist())
        elif isinstance(value, np.ndarray):
            feature.int64_list.SetInParent()
            feature.int64_list.value.extend(value.tolist())
        else:
            feature.bytes_list.SetInParent()
            feature.bytes_list.value.extend(value)
    return example.SerializeToString(deterministic=True)


@pytest.mark.heavy
@pytest.mark.parametrize(
    "features",
    [
        {},
        {"a": b""},
        {"": b"x"},
        {"b": b"1", "a": b"2", "Z": b"3", "é": b"4", "a/b": b"5", "\U0001f600": b"6", "￿": b"7"},
        {"empty bytes": [], "empty ints": np.empty(0, np.int64), "empty floats": np.empty(0)},
        {"one": 1, "zero": 0, "minus": -1, "least": -(2**63), "most": 2**63 - 1},
        {"float": 0.5, "floats": np.array([1.5, -0.0, np.inf], np.float32)},
        {"ints": np.arange(-300, 300), "small": np.arange(-5, 5, dtype=np.int16)},
        {"unsigned": np.array([0, 255], np.uint8), "long": [b"x" * 200, b"", b"y" * 70000]},
        {f"n{i}": i for i in range(200)},
    ],
    ids=lambda features: ",".join(list(features)[:2]) or "nothing",
)
def test_serialize_equals_tensorflow(features):
    assert wire.serialize(features) == by_tensorflow(features)


@pytest.mark.heavy
@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.text(max_size=40), VALUES, max_size=6))
def test_serialize_equals_tensorflow_on_anything(features):
    data = wire.serialize(features)
    assert data == by_tensorflow(features)
    parsed = wire.parse(data)
    assert parsed.keys() == features.keys()
    for name, value in features.items():
        np.testing.assert_array_equal(parsed[name], value)
        assert isinstance(value, list) or parsed[name].dtype == value.dtype


@given(st.lists(INT64, max_size=50))
def test_varints_round_trip(values):
    values = np.array(values, np.int64)
    np.testing.assert_array_equal(wire.unpack_varints(wire.pack_varints(values)), values)


def test_parse_reads_what_other_writers_write():
    # Unpacked integers and floats, an unknown field, a map entry without a value.
    ints = b"\x1a\x04\x08\x05\x08\x07"
    floats = b"\x12\x05\x0d\x00\x00\x80\x3f"
    entries = b"".join(
        b"\x0a" + bytes([len(e)]) + e
        for e in (
            b"\x0a\x01i\x12" + bytes([len(ints)]) + ints,
            b"\x0a\x01f\x12" + bytes([len(floats)]) + floats,
            b"\x0a\x01n",
            b"\x0a\x01e\x12\x00",
        )
    )
    parsed = wire.parse(b"\x78\x01" + b"\x0a" + bytes([len(entries)]) + entries)
    assert parsed["i"].tolist() == [5, 7]
    assert parsed["f"].tolist() == [1.0]
    assert parsed["n"] is None
    assert parsed["e"] is None


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a\xff\xff\xff\xff\x0f",  # a length of 4 GB
        b"\x0a\x05abc",
        b"\x0b\x00",  # a group
        b"\x0a" + b"\xff" * 11,
        b"\x08",
        b"\x0a\x02\x0a\x05",
        b"\x0a\x05\x0a\x03\x0a\x01\xff",  # a name that is not UTF-8
        b"\x0a\x0f\x0a\x0d\x0a\x01a\x12\x08\x12\x06\x08\x80\x80\x80\x80\x40",  # a float as a varint
        b"\x0a\x0b\x0a\x09\x0a\x01a\x12\x04\x1a\x02\x0a\x80",  # a cut varint
    ],
)
def test_parse_refuses_damage(data):
    with pytest.raises(ShardError):
        wire.parse(data)


@given(st.binary(max_size=200))
def test_parse_survives_anything(data):
    try:
        wire.parse(data)
    except ShardError:
        pass


def test_serialize_refuses_what_no_list_holds():
    with pytest.raises(TypeError, match="1-D"):
        wire.serialize({"a": np.zeros((2, 2))})
    with pytest.raises(TypeError, match="numbers"):
        wire.serialize({"a": np.array(["x"])})


def varint(value):
    return wire.pack_varints(np.array([value]))


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def example(feature):
    return field(1, field(1, field(1, b"a") + field(2, feature)))


@given(st.lists(INT64 | st.integers(0, 300), min_size=1, max_size=60), st.integers(20, 64))
def test_long_lists_are_unpacked_part_by_part(values, part):
    packed = wire.pack_varints(np.array(values, np.int64))
    assert wire.unpack_varints(packed, part).tolist() == values
    with pytest.raises(ValueError, match="a varint is longer than ten bytes"):
        wire.unpack_varints(packed + b"\xff" * 11 + packed * 20, part)


@given(st.lists(st.lists(INT64, max_size=4) | INT64, max_size=6))
def test_numbers_packed_or_not_are_read_in_order(groups):
    content, floats, wanted = b"", b"", []
    for group in groups:
        some = np.array(group, np.int64).reshape(-1)
        wanted += some.tolist()
        single = np.array(some, np.float32)
        if isinstance(group, list):
            content += field(1, wire.pack_varints(some) if len(some) else b"")
            floats += field(1, single.astype("<f4").tobytes())
        else:
            content += b"\x08" + varint(group)
            floats += b"\x0d" + single.astype("<f4").tobytes()
    assert wire.parse(example(field(3, content)))["a"].tolist() == wanted
    assert wire.parse(example(field(2, floats)))["a"].tolist() == np.float32(wanted).tolist()


@pytest.mark.parametrize(
    "content",
    [b"\x01" * (1 << 20), b"\xff\x01" * (1 << 19), b"\x08\x01" * (1 << 17)],
    ids=["packed", "wide", "single"],
)
def test_memory_is_bounded_by_the_data(content):
    part = 1 << 13
    tracemalloc.start()
    if content[0] == 8:
        wire.parse(example(field(3, content)))
    else:
        wire.unpack_varints(content, part)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * len(content) + 100 * part
