"""Same bytes whatever happens: resume, crashes, workers, listings, changed sources."""

import dataclasses
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

import dsbuild
from dsbuild import storage
from dsbuild.build import run, shard
from dsbuild.build.audit import audit
from dsbuild.build.image_policy import Policy
from dsbuild.build.request import shard_size
from dsbuild.errors import LayoutError, PlanError, ShardError, StorageError
from dsbuild.format import manifest, tfrecord
from dsbuild.layouts.pairs import Pairs
from dsbuild.layouts.voc import Voc
from tests.support import fakes
from tests.support.engines import Mapped
from tests.support.runs import content, make, requested

CLI = [sys.executable, "-m", "dsbuild"]


def notes_of(root, out, **options):
    notes = []
    summary = make(root, out, note=notes.append, **options)
    return summary, "\n".join(notes)


def unsealed(receipt):
    """Return a receipt as earlier versions wrote it."""
    return {key: value for key, value in receipt.items() if key not in ("digest", "seal")}


def touch(path, data=None, mtime=None):
    """Rewrite a file; keep its mtime where one is given."""
    path = pathlib.Path(path)
    path.write_bytes(path.read_bytes() if data is None else data)
    if mtime is not None:
        os.utime(path, ns=(mtime, mtime))


def test_what_a_build_leaves(voc, out):
    make(voc, out, shards=2, splits=("train", "val"))
    shards = [f"{s}-{i:05d}-of-00002.tfrecord" for s in ("train", "val") for i in range(2)]
    state = [".dsbuild/plan-train.jsonl", ".dsbuild/plan-val.jsonl"]
    state += [".dsbuild/recipe.json", ".dsbuild/side.json"]
    assert sorted(content(out)) == sorted(
        [
            *shards,
            *(f"index/{name}.{kind}" for name in shards for kind in ("idx", "values")),
            *state,
            "manifest.json",
            "schema.json",
            "dataset_info.json",
            "features.json",
            "image-segmentation-class-encoded.labels.txt",
            "croissant.json",
            "README.md",
        ]
    )
    # Nothing but shards matches what DeepLab globs.
    assert sorted(p.name for p in pathlib.Path(out).glob("train-*")) == shards[:2]


def test_manifest_describes_the_shards(voc, out):
    import hashlib

    make(voc, out, shards=4)
    document = json.loads(pathlib.Path(out, "manifest.json").read_text())
    assert set(document["splits"]) == {"train", "val", "trainval"}
    for split in document["splits"].values():
        assert split["records"] == sum(entry["records"] for entry in split["shards"])
        for entry in split["shards"]:
            data = pathlib.Path(out, entry["name"]).read_bytes()
            assert entry["bytes"] == len(data)
            assert entry["sha256"] == hashlib.sha256(data).hexdigest()
            records = list(tfrecord.read(os.path.join(out, entry["name"])))
            assert entry["records"] == len(records)
            index = pathlib.Path(out, "index", entry["name"] + ".idx").read_text()
            assert index == "".join(f"{r.offset} {len(r.data) + 16}\n" for r in records)
    assert document["classes"][15] == "person"
    assert document["palette"]["255"] == [224, 224, 192]


def test_manifest_counts_pixels_and_images(voc, out):
    import numpy as np
    from PIL import Image

    make(voc, out, splits=("val",))
    planes = [
        np.asarray(Image.open(os.path.join(voc, f"SegmentationClass/2007_{i:06d}.png")))
        for i in range(12, 18)
    ]
    entry = manifest.load(out)["splits"]["val"]
    for value, row in [*enumerate(entry["classes"]), (255, entry["ignore"])]:
        assert row["pixels"] == sum(int((plane == value).sum()) for plane in planes)
        assert row["images"] == sum(bool((plane == value).any()) for plane in planes)
    assert entry["heights"] == [44, 60]
    assert entry["widths"] == [44, 60]
    assert entry["formats"] == {"jpeg": 6}


def test_fewer_samples_than_shards_leave_empty_shards(voc, out):
    make(voc, out, shards=8, splits=("val",))
    sizes = [os.path.getsize(path) for path in sorted(pathlib.Path(out).glob("val-*"))]
    assert [size > 0 for size in sizes] == [True] * 6 + [False] * 2


def test_same_bytes_for_any_worker_count_listing_and_process(voc, tmp_path, shuffled_listing):
    options = {"shards": 3, "extras": ("laplacian:raw16",)}
    make(voc, tmp_path / "one", **options)
    expected = content(tmp_path / "one")
    make(voc, tmp_path / "two", workers=2, **options)
    assert content(tmp_path / "two") == expected
    shuffled_listing()
    make(voc, tmp_path / "three", **options)
    assert content(tmp_path / "three") == expected
    for name, seed in (("four", "1"), ("five", "2")):
        arguments = ["voc", voc, tmp_path / name, "--shards", "3", "--extra", "laplacian:raw16"]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([*CLI, *arguments, "--quiet"], check=True, env=environment)
        assert content(tmp_path / name) == expected


def test_moving_the_sources_changes_no_byte(tmp_path):
    for name in ("here", "there"):
        make(fakes.voc(tmp_path / name), tmp_path / f"{name}-out")
    assert content(tmp_path / "here-out") == content(tmp_path / "there-out")


# resume


def test_a_finished_build_does_nothing(voc, out):
    first = make(voc, out, shards=2)
    before = {path: os.stat(path).st_mtime_ns for path in pathlib.Path(out).rglob("*")}
    again, notes = notes_of(voc, out, shards=2)
    assert (again.written, again.kept) == (0, first.written)
    assert again.manifest == first.manifest
    assert notes == ""
    after = {path: os.stat(path).st_mtime_ns for path in pathlib.Path(out).rglob("*")}
    assert {p: t for p, t in after.items() if p.name != "lock"} == {
        p: t for p, t in before.items() if p.name != "lock"
    }


DAMAGES = {
    "missing": lambda path: path.unlink(),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-7]),
    "flipped": lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?"),
    "empty": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_shard_is_written_again(voc, out, damage):
    make(voc, out, shards=3, splits=("train",))
    expected = content(out)
    DAMAGES[damage](pathlib.Path(out, "train-00001-of-00003.tfrecord"))
    summary, notes = notes_of(voc, out, shards=3, splits=("train",))
    assert (summary.written, summary.kept) == (1, 2)
    assert "writing train-00001-of-00003.tfrecord again: its bytes" in notes or damage == "missing"
    assert "resuming: 2 of 3 shards are valid" in notes
    assert content(out) == expected


@pytest.mark.parametrize(
    "name",
    [
        "manifest.json",
        "index/train-00001-of-00003.tfrecord.idx",
        "index/train-00001-of-00003.tfrecord.values",
        ".dsbuild/receipts/train-00001-of-00003.tfrecord.json",
    ],
)
@pytest.mark.parametrize("how", ["missing", "garbage"])
def test_lost_descriptions_are_written_again(voc, out, name, how):
    make(voc, out, shards=3, splits=("train",))
    expected = content(out)
    path = pathlib.Path(out, name)
    if how == "missing":
        path.unlink()
    elif name == "manifest.json":
        path.write_bytes(b"{")
        with pytest.raises(ShardError, match="found damaged JSON"):
            make(voc, out, shards=3, splits=("train",))
        path.unlink()
    elif "receipts" in name:
        path.write_bytes(b'{"name": 3}')
    else:
        return
    make(voc, out, shards=3, splits=("train",))
    assert content(out) == expected


def test_changed_sources_are_noticed(voc, out):
    make(voc, out, shards=3, splits=("train",))
    other = pathlib.Path(voc, "JPEGImages/2007_000003.jpg").read_bytes()
    image = pathlib.Path(voc, "JPEGImages/2007_000006.jpg")
    touch(image, other)
    summary, notes = notes_of(voc, out, shards=3, splits=("train",))
    assert (summary.written, summary.kept) == (1, 2)
    assert "source JPEGImages/2007_000006.jpg changed" in notes
    fresh = out + "-fresh"
    make(voc, fresh, shards=3, splits=("train",))
    assert content(out) == content(fresh)


def test_rehash_notices_what_size_and_mtime_hide(voc, out):
    make(voc, out, shards=3, splits=("train",))
    label = pathlib.Path(voc, "SegmentationClass/2007_000000.png")
    data, mtime = label.read_bytes(), label.stat().st_mtime_ns
    changed = data[:-17] + b"!" + data[-16:]  # same size
    touch(label, changed, mtime)
    assert make(voc, out, shards=3, splits=("train",)).written == 0
    with pytest.raises(Exception, match=r"SegmentationClass/2007_000000\.png"):
        make(voc, out, shards=3, splits=("train",), sources="content")
    touch(label, data, mtime)
    assert make(voc, out, shards=3, splits=("train",), sources="content").written == 1
    assert make(voc, out, shards=3, splits=("train",), sources="content").written == 0


def refused(root, out, match, **options):
    """Hold a build over a finished one to a refusal that changes nothing; then overwrite it."""
    before = everything(out)
    with pytest.raises(PlanError, match=match) as caught:
        make(root, out, **options)
    assert "--overwrite" in str(caught.value)
    assert everything(out) == before
    make(root, out, overwrite=True, **options)
    fresh = f"{out}-{len(os.listdir(os.path.dirname(out)))}"
    make(root, fresh, **options)
    assert content(out) == content(fresh)


def everything(out):
    """Return file -> bytes and time of change of all that lies in a folder, but for the lock."""
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in pathlib.Path(out).rglob("*")
        if path.is_file() and path.name != "lock"
    }


def test_a_finished_build_is_not_replaced_by_another_recipe(voc, out):
    make(voc, out, shards=2)
    match = (
        r"holds a finished build of Pascal VOC \(voc\): train \(12 records in 2 shards\).*; "
        r'extras was \[\] and is \["laplacian:raw16"\]'
    )
    refused(voc, out, match, shards=2, extras=("laplacian:raw16",))
    refused(voc, out, 'verify was "full" and is "header"', shards=2, verify="header")
    policy = Policy(max_side=20)
    refused(voc, out, "images.max_side was null and is 20", shards=2, policy=policy)


def test_a_finished_build_is_not_replaced_by_another_layout(voc, out, tmp_path):
    make(voc, out, shards=2)
    root = fakes.pairs(tmp_path)
    match = r"Pascal VOC \(voc\).*this build is of .* \(pairs\)"
    layout = Pairs(names=("a", "b", "c"))
    refused(root, out, match, layout=layout)


def test_a_finished_build_is_not_replaced_by_other_samples(voc, out):
    make(voc, out, shards=4, splits=("train",))
    names = [f"2007_{i:06d}" for i in range(12)]
    fakes.write_list(voc, "train", [*names[:4], names[5], names[4], *names[6:]])
    match = "of split train with other samples, or in another order, and would replace or remove"
    refused(voc, out, match, shards=4, splits=("train",))
    refused(voc, out, match, shards=4, splits=("train",), limit=3)
    refused(voc, out, match, shards=4, splits=("train",), order="shuffled")


def test_a_finished_build_is_not_replaced_by_another_source(voc, out, tmp_path):
    make(voc, out, shards=3)
    other = fakes.voc(tmp_path / "other", seed=1)
    refused(other, out, "has the same files in .*: another source", shards=3)


def test_a_copied_source_is_the_same(voc, out, tmp_path):
    make(voc, out, shards=3)
    before = content(out)
    copy = tmp_path / "copy"
    shutil.copytree(voc, copy)
    for path in copy.rglob("*"):
        os.utime(path)
    make(copy, out, shards=3)
    assert content(out) == before


def test_what_is_missing_or_damaged_is_no_loss(voc, out):
    make(voc, out, shards=2, splits=("train",))
    for path in pathlib.Path(out).glob("*.tfrecord"):
        path.write_bytes(path.read_bytes()[:-1])
    make(voc, out, shards=3, splits=("train",))
    fresh = out + "-fresh"
    make(voc, fresh, shards=3, splits=("train",))
    assert content(out) == content(fresh)


def test_an_unfinished_build_resumes_only_with_its_own_recipe(voc, out):
    make(voc, out, shards=4, splits=("train",))
    os.remove(os.path.join(out, "manifest.json"))
    with pytest.raises(PlanError, match="holds an unfinished build of layout voc; verify was"):
        make(voc, out, shards=4, splits=("train",), verify="header")
    make(voc, out, shards=4, splits=("train",))


def test_overwrite_reads_before_it_removes(voc, out):
    make(voc, out, shards=2, splits=("train",))
    before = everything(out)
    path = pathlib.Path(voc, "JPEGImages/2007_000000.jpg")
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(shard.encode.Rejected, match="2007_000000"):
        make(voc, out, shards=3, splits=("train",), overwrite=True)
    assert everything(out) == before


def test_only_affected_shards_are_rewritten(voc, out):
    make(voc, out, shards=4, splits=("train",))
    path = pathlib.Path(voc, "JPEGImages/2007_000004.jpg")
    path.write_bytes(pathlib.Path(voc, "JPEGImages/2007_000003.jpg").read_bytes())
    summary = make(voc, out, shards=4, splits=("train",))
    assert (summary.written, summary.kept) == (1, 3)
    fresh = out + "-fresh"
    make(voc, fresh, shards=4, splits=("train",))
    assert content(out) == content(fresh)


def test_another_shard_count_for_an_unfinished_build_leaves_no_old_shards(voc, out):
    make(voc, out, shards=4, splits=("train",))
    os.remove(os.path.join(out, "manifest.json"))
    _, notes = notes_of(voc, out, shards=3, splits=("train",))
    assert "removing 4 shards of an earlier plan" in notes
    fresh = out + "-fresh"
    make(voc, fresh, shards=3, splits=("train",))
    assert content(out) == content(fresh)
    assert len(os.listdir(os.path.join(out, ".dsbuild", "receipts"))) == 3


def test_overwrite_starts_over_and_touches_nothing_else(voc, out):
    make(voc, out, shards=4, splits=("train",))
    mine = pathlib.Path(out, "notes.txt")
    mine.write_text("keep")
    summary = make(voc, out, shards=4, splits=("val",), overwrite=True)
    assert (summary.written, summary.kept) == (4, 0)
    assert not list(pathlib.Path(out).glob("train-*"))
    assert mine.read_text() == "keep"


def test_splits_can_be_built_one_after_another(voc, out, tmp_path):
    make(voc, out, shards=2, splits=("train",))
    make(voc, out, shards=2, splits=("val",))
    make(voc, tmp_path / "both", shards=2, splits=("train", "val"))
    assert content(out) == content(tmp_path / "both")


def test_one_folder_is_one_recipe(voc, out):
    make(voc, out, splits=("train",))
    before = content(out)
    with pytest.raises(PlanError, match=r"verify was .full. and is .header.;.* --overwrite"):
        make(voc, out, splits=("val",), verify="header")
    assert content(out) == before


def test_an_unfinished_split_is_not_dropped(voc, out):
    make(voc, out, splits=("train",), shards=2)
    os.remove(os.path.join(out, "manifest.json"))
    with pytest.raises(
        PlanError, match="unfinished build of split train; build all splits together"
    ):
        make(voc, out, splits=("val",), shards=2)
    make(voc, out, splits=("train", "val"), shards=2)
    assert set(manifest.load(out)["splits"]) == {"train", "val"}


@pytest.mark.parametrize("shards", [1, 2])
def test_a_split_whose_rebuild_failed_is_not_taken_for_finished(voc, out, shards):
    make(voc, out, splits=("train", "val"), shards=2)
    path = pathlib.Path(voc, "JPEGImages/2007_000012.jpg")
    whole = path.read_bytes()
    path.write_bytes(whole[:500])
    with pytest.raises(shard.encode.Rejected, match="2007_000012"):
        make(voc, out, splits=("train", "val"), shards=2)
    for _ in range(2):
        with pytest.raises(PlanError, match="holds an unfinished build of"):
            make(voc, out, splits=("train",), shards=shards)
    path.write_bytes(whole)
    make(voc, out, splits=("train", "val"), shards=2)
    fresh = out + "-fresh"
    make(voc, fresh, splits=("train", "val"), shards=2)
    assert content(out) == content(fresh)


def test_a_failed_rebuild_by_another_recipe_is_not_mixed_in(voc, out):
    make(voc, out, splits=("train", "val"), shards=2)
    path = pathlib.Path(voc, "JPEGImages/2007_000017.jpg")
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(shard.encode.Rejected):
        make(voc, out, splits=("train", "val"), shards=2, extras=("edges",), overwrite=True)
    with pytest.raises(PlanError, match="unfinished build of"):
        make(voc, out, splits=("train",), shards=2)


def test_an_unfinished_build_may_be_replaced_by_another_recipe(voc, tmp_path, out):
    path = pathlib.Path(voc, "JPEGImages/2007_000009.jpg")
    whole = path.read_bytes()
    path.write_bytes(whole[:500])
    with pytest.raises(shard.encode.Rejected):
        make(voc, out, shards=6)
    assert list(pathlib.Path(out, ".dsbuild/receipts").iterdir())
    path.write_bytes(whole)
    request, notes = requested(voc, out, shards=6, extras=("edges",)), []
    run.build(request, audit(request), note=notes.append)
    assert any("the recipe changed: extras" in line for line in notes)
    assert any("again: its recipe or its samples changed" in line for line in notes)
    make(voc, str(tmp_path / "fresh"), shards=6, extras=("edges",))
    assert content(out) == content(tmp_path / "fresh")


def test_a_finished_build_without_its_manifest_is_never_replaced(voc, out):
    make(voc, out, shards=2)
    os.remove(os.path.join(out, "manifest.json"))
    before = content(out)
    with pytest.raises(PlanError, match="extras"):
        make(voc, out, shards=2, extras=("edges",))
    assert content(out) == before


@pytest.mark.parametrize(
    "name",
    ["schema.json", "features.json", "dataset_info.json", "rejects.jsonl", "index", "README.md"],
)
def test_foreign_files_are_not_replaced(voc, out, name):
    os.makedirs(out)
    pathlib.Path(out, name).write_text("mine")
    with pytest.raises(PlanError, match=f"{name}: dsbuild did not write this"):
        make(voc, out)
    assert pathlib.Path(out, name).read_text() == "mine"


def test_a_shard_that_no_plan_lists_is_foreign(voc, out):
    make(voc, out, shards=2, splits=("val",))
    mine = pathlib.Path(out, "val-00000-of-00010.tfrecord")
    mine.write_bytes(b"mine")
    with pytest.raises(PlanError, match="dsbuild did not write this file"):
        make(voc, out, shards=2, splits=("val",))
    assert mine.read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["schema.json", "features.json", "README.md"])
def test_a_description_lost_beside_its_manifest_is_written_again(voc, out, name):
    make(voc, out, shards=2, splits=("val",))
    expected = content(out)
    os.remove(os.path.join(out, name))
    make(voc, out, shards=2, splits=("val",))
    assert content(out) == expected


def test_a_cut_index_is_written_again(voc, out):
    make(voc, out, shards=2, splits=("val",))
    expected = content(out)
    pathlib.Path(out, "index/val-00001-of-00002.tfrecord.idx").write_bytes(b"")
    assert make(voc, out, shards=2, splits=("val",)).written == 1
    assert content(out) == expected


def test_malformed_receipts_are_ignored(voc, out):
    make(voc, out, shards=2, splits=("val",))
    expected = content(out)
    path = pathlib.Path(out, ".dsbuild/receipts/val-00000-of-00002.tfrecord.json")
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "sources": document["sources"][:1]}))
    assert make(voc, out, shards=2, splits=("val",)).written == 1
    assert content(out) == expected
    assert make(voc, out, shards=2, splits=("val",)).written == 0
    path.write_text(json.dumps(unsealed({**document, "versions": {"other": "1"}})))
    assert make(voc, out, shards=2, splits=("val",)).written == 0


def test_splits_with_clashing_file_names_are_refused(voc, out):
    fakes.write_list(voc, "train-extra", ["2007_000001"])
    with pytest.raises(LayoutError, match=r"splits train and train-extra, .* look for train-\*"):
        make(voc, out)
    make(voc, out, splits=("train-extra",))
    with pytest.raises(PlanError, match="split train-extra: readers"):
        make(voc, out, splits=("train",))


def test_out_that_is_a_file(voc, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="found a file, expected a folder"):
        make(voc, tmp_path / "file")


def test_rejects_of_other_splits_stay_listed(voc, out):
    os.remove(os.path.join(voc, "JPEGImages/2007_000001.jpg"))
    make(voc, out, splits=("train",), on_error="skip")
    make(voc, out, splits=("val",), on_error="skip")
    lines = pathlib.Path(out, "rejects.jsonl").read_text().splitlines()
    assert [json.loads(line)["key"] for line in lines] == ["2007_000001"]


def test_a_failed_build_is_finished_by_the_same_call(voc, out, tmp_path):
    path = pathlib.Path(voc, "JPEGImages/2007_000009.jpg")
    whole = path.read_bytes()
    path.write_bytes(whole[:500])
    with pytest.raises(shard.encode.Rejected, match="2007_000009"):
        make(voc, out, shards=6, splits=("train",))
    assert manifest.load(out) is None
    path.write_bytes(whole)
    summary = make(voc, out, shards=6, splits=("train",))
    assert (summary.written, summary.kept) == (2, 4)
    make(voc, tmp_path / "fresh", shards=6, splits=("train",))
    assert content(out) == content(tmp_path / "fresh")


def test_kept_shards_of_other_library_versions_are_named(voc, out):
    make(voc, out, shards=2, splits=("val",))
    for path in pathlib.Path(out, ".dsbuild/receipts").iterdir():
        document = json.loads(path.read_text())
        document["versions"]["pillow"] = "1.0"
        path.write_text(json.dumps(unsealed(document)))
    summary, notes = notes_of(voc, out, shards=2, splits=("val",))
    assert summary.written == 0
    assert "kept shards were written with pillow 1.0" in notes


# engines


def in_this_process(job):
    return [job.work(task, lambda *_: None) for task in job.tasks]


def backwards_and_twice(job):
    tasks = [*job.tasks]
    in_this_process(dataclasses.replace(job, tasks=tasks[2:]))
    return in_this_process(dataclasses.replace(job, tasks=tasks[::-1]))


def losing_workers(job):
    receipts = in_this_process(job)
    out = job.work.keywords["request"].out
    for place in (out, os.path.join(out, ".dsbuild", "receipts")):
        pathlib.Path(place, ".dsbuild-train-00001-of-00003.tfrecord-4711-ab").write_bytes(b"half")
    return receipts


@pytest.mark.parametrize("engine", [in_this_process, backwards_and_twice, losing_workers])
def test_an_engine_may_run_tasks_in_any_order_and_repeatedly(voc, out, tmp_path, engine):
    asked = requested(voc, out, shards=3)
    summary = run.build(asked, audit(asked), Mapped(engine))
    here = make(voc, tmp_path / "here", shards=3)
    assert content(out) == content(tmp_path / "here")
    assert summary.manifest == here.manifest
    assert summary.written + summary.kept == 9
    assert not list(pathlib.Path(out).rglob(".dsbuild-*"))


# crashes


def gone(group):
    """Return whether all processes of a group end within ten seconds."""
    for _ in range(1000):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


def kill_at_random(voc, out, rng, options, longest):
    """Start a build, kill it with SIGKILL at a random moment; return whether it ended before."""
    process = subprocess.Popen(
        [*CLI, "voc", voc, out, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(rng.uniform(0.0, longest))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        assert gone(process.pid), "a worker outlived its parent"
        return False
    return process.returncode == 0


@pytest.mark.parametrize(
    ("workers", "kills"),
    [(2, 2), *(pytest.param(one, 10, marks=pytest.mark.slow) for one in (1, 2))],
)
def test_killed_at_random_moments_and_resumed(tmp_path, workers, kills):
    voc = fakes.voc(tmp_path, train=60, val=30, width=300, height=200)
    options = ["--shards", "20", "--workers", str(workers), "--extra", "laplacian:png16", "--quiet"]
    begin = time.monotonic()
    subprocess.run([*CLI, "voc", voc, str(tmp_path / "whole"), *options], check=True)
    longest = time.monotonic() - begin
    expected = content(tmp_path / "whole")
    rng = random.Random(workers)
    out, killed = str(tmp_path / "out"), 0
    while killed < kills:
        if kill_at_random(voc, out, rng, options, longest):
            # Finished before the shot: what it left is right, and the next round begins anew.
            assert content(out) == expected
            shutil.rmtree(out)
            continue
        killed += 1
        if os.path.exists(os.path.join(out, "manifest.json")):
            shards = {name: data for name, data in expected.items() if "-of-" in name}
            assert content(out).items() >= shards.items()
        for receipt in pathlib.Path(out, ".dsbuild/receipts").glob("*.json"):
            name = receipt.name.removesuffix(".json")
            assert pathlib.Path(out, name).read_bytes() == expected[name]
    subprocess.run([*CLI, "voc", voc, out, *options], check=True)
    assert content(out) == expected


def test_interrupt_keeps_finished_shards(tmp_path):
    voc = fakes.voc(tmp_path, train=60, val=30, width=400, height=300)
    out = str(tmp_path / "out")
    options = ["--shards", "30", "--workers", "2", "--extra", "laplacian:png16"]
    process = subprocess.Popen(
        [*CLI, "voc", voc, out, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    receipts = pathlib.Path(out, ".dsbuild/receipts")
    while process.poll() is None and len(storage.names(str(receipts))) < 3:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to parent and workers alike
    errors = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 130
    assert "finished shards are kept; run the same command again to resume" in errors
    assert "Traceback" not in errors
    assert not [name for name in content(out) if ".dsbuild-" in name]
    kept = len(storage.names(str(receipts)))
    notes = subprocess.run(
        [*CLI, "voc", voc, out, *options], check=True, capture_output=True, text=True
    ).stderr
    assert f"resuming: {kept} of 90 shards are valid" in notes


def test_a_second_build_into_the_folder_stops(voc, out):
    with (
        storage.lock(os.path.join(out, ".dsbuild", "lock")),
        pytest.raises(StorageError, match=r"another dsbuild is at work in this folder"),
    ):
        make(voc, out)
    make(voc, out)


def test_two_builds_at_once_end_in_one_right_folder(voc, out, tmp_path):
    make(voc, tmp_path / "alone", shards=4)
    ends = []

    def build():
        ends.append(subprocess.run([*CLI, "voc", voc, out, "--shards", "4", "--quiet"]).returncode)

    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert 0 in ends
    assert set(ends) <= {0, 2}
    assert content(out) == content(tmp_path / "alone")


def limited(bytes_a_file):
    """Return what lets a child write only so many bytes a file, as a full disk does."""
    import resource

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, bytes_a_file))

    return limit


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_limit_in_the_middle_of_a_shard(voc, out, tmp_path, workers):
    arguments = [*CLI, "voc", voc, out, "--shards", "2", "--split", "train", "--workers", workers]
    result = subprocess.run(arguments, capture_output=True, text=True, preexec_fn=limited(9000))
    assert result.returncode == 2
    assert "cannot be written: File too large; nothing was left under this name" in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(pathlib.Path(out).glob("*.tfrecord"))
    assert not list(pathlib.Path(out).glob(".dsbuild-*"))
    subprocess.run(arguments, check=True, capture_output=True)
    make(voc, tmp_path / "fresh", shards=2, splits=("train",))
    assert content(out) == content(tmp_path / "fresh")


def test_a_full_disk(voc, tmp_path):
    """Build onto a file system of 64 kB, in a mount namespace of its own."""
    out = tmp_path / "small"
    out.mkdir()
    script = f'mount -t tmpfs -o size=64k none {out} && exec "$@"'
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*unshare, script, "sh", "true"], capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a small file system of his own")
    script = f'mount -t tmpfs -o size=64k none {out} && "$@"; code=$?; ls -A {out}; exit $code'
    command = [
        *unshare,
        script,
        "sh",
        *CLI,
        "voc",
        voc,
        str(out),
        "--shards",
        "2",
        "--workers",
        "1",
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert "cannot be written: No space left on device" in result.stderr
    assert "make room" in result.stderr
    assert "manifest.json" not in result.stdout
    assert ".dsbuild-" not in result.stdout


# plans


def test_shard_size_is_a_number_or_a_text():
    sizes = {"1MB": 10**6, "1 MiB": 1 << 20, "1.5k": 1500, "7": 7, 9: 9}
    assert {given: shard_size(given) for given in sizes} == sizes
    for wrong in ("", "1XB", "0MB", "-1"):
        with pytest.raises(PlanError, match=r"shard_size: found .*expected a size such as 128MB"):
            shard_size(wrong)


def test_python_takes_a_shard_size_as_the_command_does(voc, out):
    built = dsbuild.build("voc", voc, out, split="train", shard_size="2kB", workers=1)
    assert built.written > 1


def test_what_a_build_did_is_one_line(voc, out):
    planned = dsbuild.build("voc", voc, out, split="train", dry_run=True)
    count = planned.audit.splits[0].listed
    assert repr(planned) == f"<Built {out}: nothing was written, {count} samples are planned>"
    for new in (2, 0):
        built = dsbuild.build("voc", voc, out, split="train", shards=2, workers=1)
        what = f"{count} records, 2 shards, of which {new} are new, 0 samples were left out"
        assert repr(built) == f"<Built {out}: {what}>"


def test_an_empty_out_is_not_the_current_folder(voc, tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    with pytest.raises(PlanError, match="out: found an empty text, expected a folder"):
        dsbuild.build("voc", voc, "")
    assert os.listdir(here) == []


def test_shard_size_decides_the_number_of_shards(voc, out):
    sources = sum(
        os.path.getsize(os.path.join(voc, folder, f"2007_{i:06d}{extension}"))
        for folder, extension in (("JPEGImages", ".jpg"), ("SegmentationClass", ".png"))
        for i in range(12)
    )
    summary = make(voc, out, splits=("train",), shard_size=sources // 3)
    assert len(summary.manifest["splits"]["train"]["shards"]) == 3
    # What extras add is counted in.
    summary = make(
        voc, out, splits=("train",), shard_size=sources // 3, extras=("laplacian",), overwrite=True
    )
    shards = summary.manifest["splits"]["train"]["shards"]
    mean = sum(entry["bytes"] for entry in shards) / len(shards)
    assert 0.6 < mean / (sources // 3) < 1.7


def test_limit_and_order(voc, out):
    summary = make(voc, out, splits=("train",), limit=5, order="shuffled", seed=3)
    assert summary.manifest["splits"]["train"]["records"] == 5


def test_labels_by_option(voc, out):
    os.makedirs(os.path.join(voc, "SegmentationClassAug"))
    with pytest.raises(Exception, match=r"SegmentationClassAug/2007_000000\.png"):
        make(voc, out, layout=Voc(labels="aug"))
