"""Samples encoded some at a time become what they become alone, and fail in their order."""

import gc
import pathlib
import tempfile
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsbuild import errors, images, storage
from dsbuild.build import batched, encode
from dsbuild.build.image_policy import Policy
from dsbuild.errors import MachineError, StorageError
from dsbuild.layouts import Sample
from tests.support import fakes
from tests.support.runs import requested

FAULTS = ("", "image", "label", "both", "no image", "no label")


def sample_of(key):
    return Sample(key, f"JPEGImages/{key}.jpg", f"SegmentationClass/{key}.png")


def garbled(photo):
    """Return a JPEG with an impossible Huffman table, which only decoding finds."""
    counts = photo.index(b"\xff\xc4") + 5
    found = photo[:counts] + b"\xff" * 16 + photo[counts + 16 :]
    images.header(found)
    return found


def damaged(root, faults):
    """Return samples of a VOC, after damaging their files."""
    samples = [sample_of(f"2007_{number:06d}") for number in range(len(faults))]
    for one, fault in zip(samples, faults, strict=True):
        photo, mask = pathlib.Path(root, one.image), pathlib.Path(root, one.label)
        if fault in ("image", "both"):
            photo.write_bytes(garbled(photo.read_bytes()))
        if fault in ("label", "both"):
            mask.write_bytes(mask.read_bytes()[:-20])
        if fault.startswith("no "):
            (photo if fault == "no image" else mask).unlink()
    return samples


def outcome(make):
    """Return the records of a sample, or all that is said of why it has none."""
    try:
        return list(make())
    except encode.Rejected as error:
        return str(error), error.kind, error.file, error.sources


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.sampled_from(FAULTS), min_size=1, max_size=6),
    st.sampled_from([1, 2, 32]),
    st.sampled_from([1, 1 << 22]),
    st.sampled_from(["full", "header"]),
)
def test_batches_of_any_size_have_the_outcomes_of_single_samples(faults, most, size, verify):
    with tempfile.TemporaryDirectory() as folder:
        root = fakes.voc(folder, 6, 0)
        samples = damaged(root, faults)
        recipe = requested(root, f"{folder}/out", verify=verify).recipe
        alone = [outcome(lambda one=one: [encode.encode(one, root, recipe)]) for one in samples]
        limits = {"_SAMPLES": most, "_BYTES": size}
        with mock.patch.multiple(batched, **limits):
            made = batched.records(samples, root, recipe, storage.read)
            found = [(one, outcome(lambda records=records: records)) for one, records in made]
    assert found == list(zip(samples, alone, strict=True))
    assert [isinstance(one, list) for one in alone] == [
        fault == "" or (fault == "image" and verify == "header") for fault in faults
    ]


def test_photos_are_decoded_in_a_row(voc, out, monkeypatch):
    calls = []
    monkeypatch.setattr(images, "check", lambda *_: calls.append("photo"))
    recipe = requested(voc, out).recipe

    def read(path):
        calls.append("read")
        return storage.read(path)

    samples = [sample_of(f"2007_{number:06d}") for number in range(5)]
    monkeypatch.setattr(batched, "_SAMPLES", 3)
    assert len(list(batched.records(samples, voc, recipe, read))) == 5
    assert calls == ["read"] * 6 + ["photo"] * 3 + ["read"] * 4 + ["photo"] * 2


def test_a_record_that_was_taken_is_held_no_longer(voc, out):
    def held():
        gc.collect()
        return sum(type(one) is encode.Encoded for one in gc.get_objects())

    samples = [sample_of(f"2007_{number:06d}") for number in range(6)]
    before, left = held(), []
    for _, records in batched.records(samples, voc, requested(voc, out).recipe, storage.read):
        del records
        left.append(held() - before)
    assert left == [6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (StorageError("s3://b/k: cannot be read: the store is busy"), StorageError),
        (errors.DeniedError("s3://b/k: cannot be read: not allowed"), StorageError),
        (OSError(5, "Input/output error"), StorageError),
        (MemoryError(), MachineError),
    ],
    ids=["store", "rights", "disk", "memory"],
)
def test_trouble_comes_after_the_bad_samples_before_it(voc, out, trouble, kind):
    samples = damaged(voc, ["", "image", "", ""])

    def read(path):
        if "2007_000003" in path:
            raise trouble
        return storage.read(path)

    made = batched.records(samples, voc, requested(voc, out).recipe, read)
    found = [outcome(lambda records=records: records) for _, records in (next(made) for _ in "123")]
    assert [isinstance(one, list) for one in found] == [True, False, True]
    with pytest.raises(kind, match=r"^sample 2007_000003: .*2007_000003\.jpg: "):
        next(made)


def test_memory_that_runs_out_while_photos_are_decoded_is_no_bad_sample(voc, out, monkeypatch):
    def check(*_):
        raise MemoryError

    monkeypatch.setattr(images, "check", check)
    ((_, records),) = batched.records(
        [sample_of("2007_000000")], voc, requested(voc, out).recipe, storage.read
    )
    # Encoded again, alone, by the function that `load` has by default.
    assert len(list(records)) == 1


@pytest.mark.parametrize("tile", [None, 32])
def test_samples_whose_pixels_are_needed_are_made_one_by_one(voc, out, tile):
    samples = [sample_of(f"2007_{number:06d}") for number in range(3)]
    extras, policy = ((), Policy(tile=tile)) if tile else (("laplacian:png16",), None)
    recipe = requested(voc, out, extras=extras, policy=policy).recipe
    seen = []

    def read(path):
        seen.append(path)
        return storage.read(path)

    for number, (_, records) in enumerate(batched.records(samples, voc, recipe, read), start=1):
        assert len(list(records)) == (4 if tile else 1)
        assert len(seen) == 2 * number
