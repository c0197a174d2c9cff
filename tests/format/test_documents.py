"""Whatever a file of a folder holds, reading it ends in a value or in one clear line."""

import copy
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dsbuild
from dsbuild.build.repair import repair
from dsbuild.errors import DsbuildError
from dsbuild.format import documents, manifest, receipts
from dsbuild.validate.run import validate
from tests.support.folders import built, in_memory, put, state

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip
HOSTILE = {
    "nested": b"[" * 100_000,
    "nested and closed": b"[" * 100_000 + b"]" * 100_000,
    "dictionaries": b'{"a":' * 100 + b"1" + b"}" * 100,
    "a key twice": b'{"a": 1, "a": 2}',
    "not a number": b"[NaN]",
    "infinity": b"[-Infinity]",
    "too large a float": b"[1e999]",
    "too large an integer": b"9" * 100_000,
    "beyond 64 bits": str(2**63).encode(),
    "not UTF-8": b'"\xff"',
    "UTF-16": json.dumps({"a": 1}).encode("utf-16"),
    "cut": b'{"a": "b',
    "quotes": b'"' + b'\\"' * 200_000,
    "nothing": b"",
}


@settings(deadline=None, max_examples=50)
@given(JSON)
def test_written_documents_are_read_back(value):
    assert documents.parse(manifest.dump(value).encode()) == value


@pytest.mark.parametrize("name", HOSTILE)
def test_oversized_documents_are_refused_early(name):
    begin = time.monotonic()
    with pytest.raises(ValueError, match=r".+"):
        documents.parse(HOSTILE[name])
    assert time.monotonic() - begin < 5


@given(st.integers(1, 100))
def test_depth_is_bounded(depth):
    text = b"[" * depth + b'"]]]["' + b"]" * depth
    if depth <= documents.DEEPEST:
        documents.parse(text)
    else:
        with pytest.raises(ValueError, match="nested more than"):
            documents.parse(text)


@pytest.fixture(scope="module")
def whole():
    with in_memory() as folder:
        root, out = built(folder)
        yield root, out, state(out)


def readers(root, out):
    """Call what reads control files; whatever they raise is one clear line."""
    for read in (
        lambda: validate(str(out), "records"),
        lambda: list(dsbuild.open(str(out), "train")),
        lambda: repair(str(out), root),
    ):
        try:
            read()
        except DsbuildError as error:
            assert str(error)
            assert "\n" not in str(error)


CONTROL = (
    "manifest.json",
    "schema.json",
    "rejects.jsonl",
    ".dsbuild/recipe.json",
    ".dsbuild/side.json",
    ".dsbuild/terms.json",
    ".dsbuild/plan-train.jsonl",
    ".dsbuild/receipts/train-00000-of-00002.tfrecord.json",
)


@pytest.mark.parametrize("name", CONTROL)
def test_no_hostile_document_ends_in_a_traceback(whole, name):
    root, out, good = whole
    for data in HOSTILE.values():
        put(out, {**good, name: data})
        assert validate(str(out), "records").problems
        readers(root, out)
        assert state(out) == good


STRANGE = ("", "../x", "a/b", "\x1b[31m", "\ud800", "x" * 10_000, [], {}, [1, 2, 3], {"a": 5})
NUMBERS = (-1, 0, 256, 10**15, 2**63 - 1, 1.5, 1e300, [256, 0, 0])
VALUES = st.sampled_from((None, True, *STRANGE, *NUMBERS))


def nodes(document, at=()):
    yield at
    if isinstance(document, dict | list):
        pairs = document.items() if isinstance(document, dict) else enumerate(document)
        for key, value in pairs:
            yield from nodes(value, (*at, key))


HOW = st.sampled_from(["as it is", "without digest", "sealed"])


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(CONTROL), st.integers(0, 10**6), VALUES, HOW)
def test_a_value_of_any_other_kind_ends_in_a_clear_line(whole, name, number, value, how):
    root, out, good = whole
    first, *rest = good[name].splitlines() if name.endswith("jsonl") else [good[name]]
    changed = node = json.loads(first)
    places = [at for at in nodes(changed) if at]
    *path, last = places[number % len(places)]
    for key in path:
        node = node[key]
    node[last] = copy.deepcopy(value)
    if how != "as it is" and isinstance(changed, dict):
        for key in ("digest", "seal"):
            changed.pop(key, None)
        if how == "sealed" and name == "manifest.json":
            changed = manifest.sealed(changed)
    put(out, {**good, name: b"\n".join([json.dumps(changed).encode(), *rest])})
    readers(root, out)


def test_a_receipt_is_held_to_its_seal(whole):
    _, out, good = whole
    put(out, good)
    name = "train-00000-of-00002.tfrecord"
    path = out / f".dsbuild/receipts/{name}.json"
    receipt = receipts.load(str(out), name)
    assert receipt.text() == path.read_bytes()
    for old, new in ((b'"rotated":0', b'"rotated":1'), (b'"rotated":0', b'"rotated": 0')):
        path.write_bytes(path.read_bytes().replace(old, new))
        assert receipts.load(str(out), name) is None
        put(out, good)
