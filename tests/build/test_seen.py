"""Stamps that an audit saw are compared with receipts as those of a fresh look are."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsbuild import storage
from dsbuild.build import encode, seen
from dsbuild.build.audit import audit
from dsbuild.build.recipe import Recipe
from dsbuild.build.request import Request
from dsbuild.build.shard import check_shard, unseen, write_shard
from dsbuild.layouts.voc import Voc
from dsbuild.storage import Stamp
from tests.support.runs import make, requested

NUMBER = st.integers(0, 2**62)


@given(st.lists(st.none() | st.builds(Stamp, NUMBER, NUMBER), max_size=9), st.integers(0, 9))
def test_stamps_come_back_in_parts(stamps, first):
    kept = seen.Seen()
    assert list(kept.adding(stamps)) == stamps
    first = min(first, len(stamps))
    parts = map(seen.unpacked, kept.parts([first, len(stamps) - first]))
    assert list(parts) == [stamps[:first], stamps[first:]]


def test_many_stamps_are_kept_in_a_file(monkeypatch):
    monkeypatch.setattr(seen, "_FLUSHED", 4)
    stamps = [Stamp(i, i) for i in range(11)]
    kept = seen.Seen()
    assert list(kept.adding(stamps)) == stamps
    assert [one for part in kept.parts([3, 8]) for one in seen.unpacked(part)] == stamps


def _removed(path):
    os.remove(path)


def _touched(path):
    os.utime(path, ns=(1, os.stat(path).st_mtime_ns + 1))


def _longer(path):
    before = os.stat(path)
    with open(path, "ab") as file:
        file.write(b"!")
    os.utime(path, ns=(1, before.st_mtime_ns))


@pytest.mark.parametrize("known", [True, False], ids=["seen", "looked up"])
@pytest.mark.parametrize("change", [_removed, _touched, _longer])
@pytest.mark.parametrize("folder", ["JPEGImages", "SegmentationClass"])
def test_any_change_of_a_source_is_noticed(voc, out, known, change, folder):
    request = Request(recipe=Recipe(layout=Voc()), root=voc, out=out, splits=("val",), shards=1)
    (plan,) = audit(request).splits[0].plans()
    write_shard(plan, unseen, out=out)
    path = plan.samples[3].image if folder == "JPEGImages" else plan.samples[3].label

    def check():
        stamps = None
        if known:
            kept = seen.Seen()
            files = list(kept.adding(storage.stamps(encode.paths(plan.samples, voc))))
            (stamps,) = kept.parts([len(files)])
        how = {"out": out, "on_error": "stop", "compare": "stamp"}
        return check_shard(plan, unseen, **how, stamps=stamps)

    assert check().receipt
    change(f"{voc}/{path}")
    assert check().reason == f"its source {path} changed"


def test_times_beyond_64_bits_are_kept_and_compared(voc, out):
    far = (1 << 63) + 5  # ns: in the year 2262
    for name in ("JPEGImages", "SegmentationClass"):
        with os.scandir(f"{voc}/{name}") as files:
            for file in files:
                os.utime(file.path, ns=(far, far))
    how = {"splits": ("val",), "shards": 1}
    assert make(voc, out, **how).written
    assert not make(voc, out, **how).written
    request = requested(voc, out, **how)
    (planned,) = audit(request).splits
    (plan,), (stamps,) = planned.plans(), planned.stamps()
    source = plan.samples[0].image
    known = {"out": out, "on_error": "stop", "compare": "stamp"}
    assert check_shard(plan, unseen, **known, stamps=stamps).receipt
    os.utime(f"{voc}/{source}", ns=(far, far + 1))
    assert check_shard(plan, unseen, **known).reason == f"its source {source} changed"
