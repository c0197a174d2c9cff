"""Builds as array jobs: planned once, done in shares at any time, in any order, finished once."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys

import pytest

from dsbuild import storage
from dsbuild.build import array, output
from dsbuild.build.array import Task
from dsbuild.build.audit import audit
from dsbuild.errors import LostLease, PlanError, SampleError, StorageError
from dsbuild.format import manifest
from dsbuild.storage import fencing
from tests.support import fakes
from tests.support.processes import until
from tests.support.runs import content, make, requested
from tests.support.stores import files

SHARES = 8
ASKED = {"shards": 8, "extras": ("laplacian:png16",)}
OPTIONS = ["--shards", "8", "--extra", "laplacian:png16", "--quiet", "--workers", "1"]


def start(voc, out, number):
    """Start a share as a process of its own."""
    words = ["voc", voc, out, *OPTIONS, "--task", f"{number}/{SHARES}"]
    command = [sys.executable, "-m", "dsbuild", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ended(process):
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 0, said
    assert said == ""


def plan(root, out, **asked):
    request = requested(root, out, **asked)
    array.plan(request, audit(request))
    return request


def share_all(request, count, engine=None):
    for number in range(1, count + 1):
        array.share(request, Task(number, count), engine)


def test_eight_shares_two_of_them_twice_one_killed(tmp_path, run):
    voc = fakes.voc(tmp_path, train=30, val=10, width=300, height=200)
    out = tmp_path / "out"
    make(voc, tmp_path / "here", **ASKED)
    assert run("voc", voc, out, *OPTIONS, "--plan-only").exit_code == 0
    planned = _planned(out)
    order = [*range(1, SHARES + 1), 3, 5]
    random.Random(os.urandom(4)).shuffle(order)
    victim = start(voc, out, 7)
    receipt = out / ".dsbuild" / "receipts" / f"{planned[6]}.json"
    until(receipt.exists)
    victim.kill()
    victim.communicate(timeout=60)
    assert victim.returncode == -signal.SIGKILL
    assert not all(
        (out / ".dsbuild" / "receipts" / f"{name}.json").exists() for name in planned[6::SHARES]
    )
    for some in (order[:5], order[5:]):
        for process in [start(voc, out, number) for number in some]:
            ended(process)
    finished = run("voc", voc, out, *OPTIONS, "--finish")
    assert (finished.exit_code, finished.output) == (0, "")
    assert content(out) == content(tmp_path / "here")


def _planned(out):
    """Return the names of the planned shards, in the order in which shares take them."""
    with open(out / ".dsbuild" / "array.json") as file:
        splits = json.load(file)["splits"]
    texts = [(out / ".dsbuild" / f"plan-{split}.jsonl").read_text() for split in splits]
    return [json.loads(line)["name"] for text in texts for line in text.splitlines()]


@pytest.mark.parametrize("count", [1, 3, 9])
def test_any_number_of_shares_up_to_that_of_shards(voc, tmp_path, count):
    request = plan(voc, tmp_path / "out", shards=3)
    share_all(request, count)
    summary = array.finish(request)
    assert (summary.written, summary.kept) == (9, 0)
    here = make(voc, tmp_path / "here", shards=3)
    assert content(tmp_path / "out") == content(tmp_path / "here")
    assert summary.manifest == here.manifest


def test_shares_and_finish_of_a_finished_build_do_nothing(voc, out):
    request = plan(voc, out, shards=2)
    share_all(request, 2)
    array.finish(request)
    before = content(out)
    assert array.share(request, Task(1, 2)) == []
    again = array.finish(request)
    assert (again.written, again.kept) == (0, 6)
    assert array.plan(request, audit(request)) == 0
    assert content(out) == before


def test_splits_one_after_another(voc, out, tmp_path):
    for split in ("train", "val"):
        request = plan(voc, out, shards=2, splits=(split,))
        share_all(request, 2)
        array.finish(request)
        make(voc, tmp_path / "here", shards=2, splits=(split,))
    assert content(out) == content(tmp_path / "here")


def test_a_finished_build_of_another_plan_is_no_plan(voc, out):
    make(voc, out, shards=2, splits=("train",))
    for asked in ({"splits": ("val",)}, {"splits": ("train",), "order": "shuffled"}):
        request = requested(voc, out, shards=2, **asked)
        with pytest.raises(PlanError, match="found no plan of an array job"):
            array.share(request, Task(1, 2))
        with pytest.raises(PlanError, match="found no plan of an array job"):
            array.finish(request)


def test_shards_that_stand_are_kept_and_a_plain_build_finishes_a_plan(voc, out, tmp_path):
    request = plan(voc, out, shards=2)
    assert [one.kept for one in array.share(request, Task(1, 2))] == [False] * 3
    assert [one.kept for one in array.share(request, Task(1, 2))] == [True] * 3
    assert make(voc, out, shards=2).kept == 3
    make(voc, tmp_path / "here", shards=2)
    assert content(out) == content(tmp_path / "here")


def test_rejects_are_those_of_a_local_build(voc, out, tmp_path):
    os.remove(os.path.join(voc, "JPEGImages", "2007_000004.jpg"))
    asked = {"shards": 2, "on_error": "skip"}
    request = plan(voc, out, **asked)
    share_all(request, 3)
    here = make(voc, tmp_path / "here", **asked)
    assert array.finish(request).rejects == here.rejects != ()
    assert content(out) == content(tmp_path / "here")


def test_a_bad_sample_ends_its_share_alone(voc, out):
    request = plan(voc, out, shards=2, splits=("train",))
    path = pathlib.Path(voc, "JPEGImages", "2007_000009.jpg")
    whole = path.read_bytes()
    path.write_bytes(whole[:500])
    array.share(request, Task(1, 2))
    with pytest.raises(SampleError, match="sample 2007_000009"):
        array.share(request, Task(2, 2))
    with pytest.raises(PlanError, match=r"1 of 2 shards .* train-00001-of-00002.*run --task 2/2"):
        array.finish(request)
    path.write_bytes(whole)
    array.share(request, Task(2, 2))
    assert array.finish(request).written == 2


def test_a_shard_that_changed_after_its_share_is_not_finished(voc, out):
    request = plan(voc, out, shards=2, splits=("train",))
    share_all(request, 2)
    path = pathlib.Path(out, "train-00001-of-00002.tfrecord")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(PlanError, match=r"its bytes changed.*run --task 2/2 again"):
        array.finish(request)
    assert manifest.load(out) is None
    array.share(request, Task(2, 2))
    array.finish(request)


@pytest.mark.parametrize("lost", ["", "index", "values"])
def test_a_receipt_that_survived_a_power_cut_alone_is_not_believed(voc, out, tmp_path, lost):
    request = plan(voc, out, shards=2, splits=("train",))
    share_all(request, 2)
    name = "train-00001-of-00002.tfrecord"
    path = {"index": manifest.index_path, "values": manifest.values_path}.get(lost, storage.join)
    os.remove(path(str(out), name))
    with pytest.raises(PlanError, match=r"missing.*run --task 2/2 again"):
        array.finish(request)
    assert manifest.load(out) is None
    array.share(request, Task(2, 2))
    array.finish(request)
    make(voc, tmp_path / "other", shards=2, splits=("train",))
    assert content(out) == content(tmp_path / "other")


def test_nobody_opens_the_folder_while_a_share_is_at_work(voc, out):
    request = plan(voc, out, shards=2)
    paths = (output.state(out, "lock"), output.state(out, output.ARRAY))
    with storage.sharing(*paths):
        with storage.sharing(*paths):
            array.share(request, Task(1, 2))
        for act in (lambda: array.finish(request), lambda: make(voc, out, shards=2)):
            with pytest.raises(StorageError, match="another dsbuild is at work in this folder"):
                act()
    with storage.lock(output.state(out, "lock")), pytest.raises(StorageError, match="at work"):
        array.share(request, Task(2, 2))


def test_on_a_store(s3, voc, tmp_path):
    out = f"{s3}/out"
    request = plan(voc, out, shards=2)
    with pytest.raises(PlanError, match="6 of 6 shards are not written"):
        array.finish(request)
    share_all(request, 3)
    array.share(request, Task(2, 3))
    array.finish(request)
    make(voc, tmp_path / "here", shards=2)
    here = content(tmp_path / "here")
    there = {name: data for name, data in files(out).items() if name in here}
    assert there == here
    assert not {".dsbuild/array.json", ".dsbuild/shares.json"} & set(files(out))


def test_on_a_store_a_share_of_another_plan_writes_nothing_more(s3, voc, monkeypatch):
    monkeypatch.setattr(fencing, "_FRESH", 0.0)  # each write looks at the plan
    out = f"{s3}/out"
    request = plan(voc, out, shards=2, splits=("train",))

    class Late:
        workers, task_seconds = 1, 0.3

        def map(self, job):
            plan(voc, out, shards=2, splits=("train",), order="shuffled")
            before.update(files(out))
            return [job.work(task, lambda *_: None) for task in job.tasks]

    before = {}
    with pytest.raises(LostLease):
        array.share(request, Task(1, 2), Late())
    assert files(out) == before


WRONG = {
    "9/8": (["--task", "9/8"], 2, "found '9/8'; expected K/N with K from 1 to N"),
    "0/8": (["--task", "0/8"], 2, "found '0/8'; expected K/N with K from 1 to N"),
    "words": (["--task", "three"], 2, "found 'three'; expected K/N"),
    "too many": (["--task", "3/64"], 2, "is planned in 6 shards, so there are at most as many"),
    "recipe": (["--task", "1/2", "--exif", "apply"], 2, '--exif was "keep" and is "apply"'),
    "order": (["--task", "1/2", "--order", "shuffled"], 2, "--order was listed and is shuffled"),
    "early": (["--finish"], 2, "6 of 6 shards are not written as planned: train-00000-of-00002"),
    "two": (["--finish", "--task", "1/2"], 2, "found --task and --finish; expected one of them"),
    "again": (["--task", "1/2", "--overwrite"], 2, "--task does not go with --overwrite"),
    "dry": (["--task", "1/2", "--dry-run"], 2, "--task does not go with --dry-run"),
    "dry finish": (["--finish", "--dry-run"], 2, "--finish does not go with --dry-run"),
    "beam": (["--task", "1/2", "--runner", "beam"], 2, "--task is for --runner local"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_uses_are_one_clear_line(voc, out, run, name):
    words, code, text = WRONG[name]
    plan(voc, out, shards=2)
    before = content(out)
    found = run("voc", voc, out, "--shards", "2", *words)
    assert found.exit_code == code
    assert text in found.stderr.splitlines()[-1]
    assert content(out) == before


@pytest.mark.parametrize("words", [["--task", "1/2"], ["--finish"]])
def test_without_a_plan_nothing_is_written(voc, out, run, words):
    found = run("voc", voc, out, *words)
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr == (
        f"error: {out}: found no plan of an array job; run the same command with --plan-only "
        "first\n"
    )
    assert not os.path.exists(out)


def test_what_the_commands_say(voc, out, run):
    words = ["voc", voc, out, "--shards", "2"]
    assert "6 shards planned; run the same command" in run(*words, "--plan-only").stdout
    assert f"{out}: share 1/2: 3 shards written, 0 kept\n" in run(*words, "--task", "1/2").stdout
    found = json.loads(run(*words, "--task", "2/2", "--json").stdout)
    assert found == {"out": out, "task": "2/2", "written": 3, "kept": 0, "rejects": 0}
    assert "36 records in 6 shards" in run(*words, "--finish").stdout
    assert "nothing to do" in run(*words, "--task", "1/2").stdout
    assert "this build is finished" in run(*words, "--plan-only").stdout
