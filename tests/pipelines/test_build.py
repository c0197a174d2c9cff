"""A build on Beam leaves what a build on this machine's processes leaves, byte for byte."""

import contextlib
import importlib
import json
import os
import pathlib
import re
import secrets
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from dsbuild import storage
from dsbuild.build import plan_files
from dsbuild.build.audit import audit
from dsbuild.build.run import prepare
from dsbuild.cli import pipeline as program
from dsbuild.errors import DsbuildError, PlanError, SampleError, StorageError
from dsbuild.format import manifest
from dsbuild.layouts.cityscapes import Cityscapes
from dsbuild.layouts.classes import Classes
from dsbuild.layouts.matting import Matting
from dsbuild.layouts.pairs import Pairs
from dsbuild.layouts.voc import Voc
from dsbuild.storage import fencing
from tests.support import fakes, stores
from tests.support.clusters import wait_until
from tests.support.runs import content, make, requested

beam = pytest.importorskip("apache_beam", reason="Apache Beam is not installed")
pipelines = importlib.import_module("dsbuild.pipelines.build")
options = importlib.import_module("dsbuild.pipelines.options")

TRAIN = {"splits": ("train",), "shards": 4}
THREADS = ["--direct_running_mode=multi_threading", "--direct_num_workers=2"]
PROCESSES = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]


def make_beam(root, out, note=lambda _: None, flags=(), **asked):
    """Build as `make` does, by a pipeline."""
    request = requested(root, out, **asked)
    return pipelines.build(request, audit(request), options.parse("beam", flags), note)


BOTH = pytest.mark.parametrize(
    ("first", "second"), [(make_beam, make), (make, make_beam), (make_beam, make_beam)]
)


def spoil(root, key="2007_000005"):
    """Cut an image short; return what mends it."""
    path = pathlib.Path(root, "JPEGImages", f"{key}.jpg")
    whole = path.read_bytes()
    path.write_bytes(whole[:500])
    return lambda: path.write_bytes(whole)


# same bytes


LAYOUTS = {
    Voc(): fakes.voc,
    Cityscapes(): fakes.cityscapes,
    Matting(): fakes.matting,
    Pairs(names=("a", "b", "c"), val_fraction=0.4): fakes.pairs,
    Classes(val_fraction=0.4): fakes.classes,
}


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_same_bytes_of_every_layout(layout, tmp_path):
    root = LAYOUTS[layout](tmp_path)
    here = make(root, tmp_path / "here", layout=layout, shards=3)
    there = make_beam(root, tmp_path / "there", layout=layout, shards=3)
    assert content(tmp_path / "there") == content(tmp_path / "here")
    assert (there.written, there.kept) == (here.written, here.kept)
    assert there.manifest == json.loads(json.dumps(here.manifest))


ASKED = {
    "extras": {"extras": ("laplacian:raw16", "edges:width=2", "weights")},
    "shuffled": {"order": "shuffled", "seed": 7, "limit": 9},
    "one split": {"splits": ("val",)},
    "empty shards": {"splits": ("val", "train"), "shards": 15},
    "by size": {"shards": None, "shard_size": 9000},
    "header": {"verify": "header"},
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_same_bytes_of_every_plan(voc, asked, tmp_path):
    asked = {"shards": 3, **asked}
    make(voc, tmp_path / "here", **asked)
    make_beam(voc, tmp_path / "there", **asked)
    assert content(tmp_path / "there") == content(tmp_path / "here")


@pytest.mark.parametrize(
    "flags",
    [THREADS, PROCESSES],
    ids=["threads", "processes"],
)
def test_same_bytes_by_several_workers(voc, flags, tmp_path):
    make(voc, tmp_path / "here", shards=4)
    summary = make_beam(voc, tmp_path / "there", flags=flags, shards=4)
    assert content(tmp_path / "there") == content(tmp_path / "here")
    assert (summary.written, summary.kept) == (12, 0)
    summary = make_beam(voc, tmp_path / "there", flags=flags, shards=4)
    assert (summary.written, summary.kept) == (0, 12)


# what is wrong with samples


def test_rejects_are_those_of_a_local_build(voc, tmp_path):
    spoil(voc)
    os.remove(os.path.join(voc, "SegmentationClass", "2007_000014.png"))
    here = make(voc, tmp_path / "here", shards=3, on_error="skip")
    there = make_beam(voc, tmp_path / "there", shards=3, on_error="skip")
    assert content(tmp_path / "there") == content(tmp_path / "here")
    assert [reject.key for reject in there.rejects] == [reject.key for reject in here.rejects]
    assert len(there.rejects) == 4  # each is in trainval, too


@BOTH
def test_one_engine_finishes_what_another_began(first, second, voc, out, tmp_path):
    mend = spoil(voc)
    with pytest.raises(SampleError, match=r"^sample 2007_000005: .*2007_000005\.jpg"):
        first(voc, out, **TRAIN)
    assert manifest.load(out) is None
    finished = {path.name for path in pathlib.Path(out).glob("train-*")}
    assert "train-00001-of-00004.tfrecord" not in finished
    if first is make_beam:
        assert len(finished) == 3  # all others
    mend()
    summary = second(voc, out, **TRAIN)
    assert (summary.written, summary.kept) == (4 - len(finished), len(finished))
    make(voc, tmp_path / "fresh", **TRAIN)
    assert content(out) == content(tmp_path / "fresh")


def test_the_first_of_several_bad_samples_is_named(voc, out):
    for key in ("2007_000009", "2007_000002", "2007_000013"):
        spoil(voc, key)
    with pytest.raises(SampleError) as caught:
        make_beam(voc, out, shards=4, splits=("train", "val"))
    assert str(caught.value).startswith("sample 2007_000002: ")
    assert str(caught.value).endswith(" (and 2 shards more failed)")
    assert "\n" not in str(caught.value)


def test_a_bad_sample_in_another_process_has_its_name(voc, out):
    spoil(voc)
    with pytest.raises(SampleError, match=r"^sample 2007_000005: [^\n]*$"):
        make_beam(voc, out, flags=PROCESSES, **TRAIN)
    assert manifest.load(out) is None


def test_errors_of_files_have_no_traceback(voc, out, monkeypatch):
    monkeypatch.setattr(pipelines, "ensure_shard", full)
    with pytest.raises(DsbuildError) as caught:
        make_beam(voc, out, **TRAIN)
    assert str(caught.value) == "train-0: cannot be written: No space left on device"
    assert manifest.load(out) is None


def full(place, advance, *, request):
    raise StorageError("train-0: cannot be written: No space left on device")


# resume


@BOTH
def test_a_second_build_keeps_everything(first, second, voc, out):
    made = first(voc, out, shards=2)
    before = content(out)
    stamps = {path: path.stat().st_mtime_ns for path in pathlib.Path(out).glob("*-of-*")}
    again = second(voc, out, shards=2)
    assert (again.written, again.kept) == (0, 6)
    assert again.manifest == made.manifest
    assert content(out) == before
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


@pytest.mark.parametrize(
    "name",
    [
        "train-00001-of-00004.tfrecord",
        "index/train-00001-of-00004.tfrecord.idx",
        "index/train-00001-of-00004.tfrecord.values",
        ".dsbuild/receipts/train-00001-of-00004.tfrecord.json",
    ],
)
def test_shards_damaged_between_builds_are_rewritten(voc, out, name):
    make_beam(voc, out, **TRAIN)
    expected = content(out)
    path = pathlib.Path(out, name)
    path.write_bytes(path.read_bytes()[:-3] + b"???")
    summary = make_beam(voc, out, **TRAIN)
    assert (summary.written, summary.kept) == (1, 3)
    assert content(out) == expected


def test_sources_that_changed_are_read_again(voc, out, tmp_path):
    make_beam(voc, out, **TRAIN)
    image = pathlib.Path(voc, "JPEGImages/2007_000003.jpg")
    image.write_bytes(pathlib.Path(voc, "JPEGImages/2007_000006.jpg").read_bytes())
    assert make_beam(voc, out, **TRAIN).written == 1
    make(voc, tmp_path / "fresh", **TRAIN)
    assert content(out) == content(tmp_path / "fresh")


def test_overwrite_starts_over(voc, out, tmp_path):
    make_beam(voc, out, shards=3)
    pathlib.Path(out, "notes.txt").write_text("mine")
    summary = make_beam(voc, out, splits=("val",), shards=3, overwrite=True)
    assert (summary.written, summary.kept) == (3, 0)
    make(voc, tmp_path / "fresh", splits=("val",), shards=3)
    assert content(out) == content(tmp_path / "fresh") | {"notes.txt": b"mine"}


def test_shards_of_another_count_are_removed(voc, out, tmp_path):
    make(voc, out, splits=("train",), shards=5)
    os.remove(os.path.join(out, "manifest.json"))  # a build that was broken off
    notes = []
    make_beam(voc, out, notes.append, **TRAIN)
    (note,) = notes
    assert note.startswith("removing 5 shards of an earlier plan")
    make(voc, tmp_path / "fresh", **TRAIN)
    assert content(out) == content(tmp_path / "fresh")


@BOTH
def test_splits_are_built_one_after_another(first, second, voc, out, tmp_path):
    spoil(voc)
    first(voc, out, splits=("train",), shards=2, on_error="skip")
    before = manifest.load(out)["splits"]["train"]
    second(voc, out, splits=("val",), shards=2, on_error="skip")
    assert manifest.load(out)["splits"]["train"] == before
    make(voc, tmp_path / "both", splits=("train", "val"), shards=2, on_error="skip")
    assert content(out) == content(tmp_path / "both")


def test_another_recipe_is_named(voc, out, tmp_path):
    make(voc, out, **TRAIN)
    notes = []
    with pytest.raises(
        PlanError, match=r'extras was \[\] and is \["laplacian:raw16"\].*--overwrite'
    ):
        make_beam(voc, out, notes.append, extras=("laplacian:raw16",), **TRAIN)
    make_beam(voc, out, notes.append, extras=("laplacian:raw16",), overwrite=True, **TRAIN)
    make(voc, tmp_path / "fresh", extras=("laplacian:raw16",), **TRAIN)
    assert content(out) == content(tmp_path / "fresh")


def test_a_second_build_at_the_same_time_stops(voc, out):
    with (
        storage.lock(os.path.join(out, ".dsbuild", "lock")),
        pytest.raises(StorageError, match="another dsbuild is at work in this folder"),
    ):
        make_beam(voc, out)


@pytest.mark.parametrize("flags", [[], THREADS], ids=["one", "threads"])
def test_a_pipeline_that_lost_the_lock_writes_nothing_more(voc, out, flags, monkeypatch):
    bucket = f"memory://{secrets.token_hex(4)}/out"
    run = pipelines.run.run

    def late(*arguments):
        storage.write(f"{bucket}/.dsbuild/lock", b"someone else")
        before.update(stores.files(bucket))
        return run(*arguments)

    before = {}
    monkeypatch.setattr(fencing, "_FRESH", 0.0)
    monkeypatch.setattr(pipelines.run, "run", late)
    with pytest.raises(DsbuildError, match="took the lock over"):
        make_beam(voc, bucket, flags=flags, **TRAIN)
    assert stores.files(bucket) == before
    monkeypatch.setattr(pipelines.run, "run", run)
    storage.remove(f"{bucket}/.dsbuild/lock")
    make_beam(voc, bucket, flags=flags, **TRAIN)
    make(voc, out, **TRAIN)
    found = {name: data for name, data in stores.files(bucket).items() if ".dsbuild" not in name}
    assert found == {k: v for k, v in content(out).items() if ".dsbuild" not in k}


@pytest.mark.parametrize("flags", [[], THREADS], ids=["one", "threads"])
def test_a_build_that_was_killed_is_finished_here(tmp_path, flags):
    voc = fakes.voc(tmp_path, train=60, val=30, width=300, height=200)
    asked = {"shards": 10, "extras": ("laplacian:png16",)}
    out = tmp_path / "out"
    words = ["voc", voc, str(out), "--shards=10", "--extra=laplacian:png16", "--runner=beam"]
    with subprocess.Popen(
        [sys.executable, "-m", "dsbuild", *words, "--quiet", "--", *flags]
    ) as one:
        while one.poll() is None and len([*out.glob(".dsbuild/receipts/*.json")]) < 3:
            time.sleep(0.01)
        one.kill()
    assert manifest.load(str(out)) is None
    done = len([*out.glob(".dsbuild/receipts/*.json")])
    summary = make(voc, out, workers=2, **asked)
    assert 3 <= done <= summary.kept < 30
    make(voc, tmp_path / "fresh", workers=2, **asked)
    assert content(out) == content(tmp_path / "fresh")


# processes that die, are interrupted, have no room


@pytest.fixture
def large(tmp_path):
    """A tree that takes some seconds to build."""
    return fakes.voc(tmp_path / "large", train=80, val=40, width=300, height=200)


@contextlib.contextmanager
def building(root, out, flags, after=3):
    """Start a build in a process group of its own, and wait until some shards are done."""
    words = ["voc", root, str(out), "--shards=20", "--extra=laplacian:png16", "--runner=beam"]
    process = subprocess.Popen(
        [sys.executable, "-m", "dsbuild", *words, "--quiet", "--", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        receipts = pathlib.Path(out, ".dsbuild", "receipts")
        wait_until(
            lambda: process.poll() is not None or len([*receipts.glob("*.json")]) >= after, 120
        )
        assert process.poll() is None
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def harnesses(group):
    """Return the processes that Beam started for a build."""
    found = subprocess.run(["ps", "-ewwo", "pid,pgid,args"], capture_output=True, text=True).stdout
    rows = [line.split(None, 2) for line in found.splitlines()[1:]]
    return [int(pid) for pid, own, args in rows if own == str(group) and "sdk_worker_main" in args]


def finished_here(root, out, tmp_path):
    """Finish a build by processes of this machine, and compare it with a fresh one."""
    assert manifest.load(str(out)) is None
    asked = {"shards": 20, "extras": ("laplacian:png16",), "workers": 2}
    assert not list(pathlib.Path(out).rglob(".dsbuild-*"))
    done = len([*pathlib.Path(out, ".dsbuild", "receipts").glob("*.json")])
    assert make(root, out, **asked).kept >= done >= 3
    make(root, tmp_path / "fresh", **asked)
    assert content(out) == content(tmp_path / "fresh")


@pytest.mark.slow
@pytest.mark.parametrize("killed", [1, 2])
def test_a_process_that_is_killed_is_one_line_with_its_shard(large, out, tmp_path, killed):
    with building(large, out, PROCESSES) as build:
        for pid in harnesses(build.pid)[:killed]:
            os.kill(pid, signal.SIGKILL)
        said = build.communicate(timeout=120)[1]
    assert build.returncode == 2
    assert re.fullmatch(
        r"error: a worker process of the pipeline died \(signal SIGKILL\): (it was writing|not "
        r"finished:) \w+-000\d\d-of-00020\.tfrecord.*run the same command again to resume\n",
        said,
    )
    finished_here(large, out, tmp_path)


@pytest.mark.slow
def test_a_process_killed_before_it_reports_blocks_nobody(large, out, tmp_path):
    words = ["voc", large, out, "--shards=20", "--runner=beam", "--quiet", "--", *PROCESSES]
    build = subprocess.Popen(
        [sys.executable, "-m", "dsbuild", *words],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_until(lambda: harnesses(build.pid), 120)
        for pid in harnesses(build.pid):
            os.kill(pid, signal.SIGKILL)
        said = build.communicate(timeout=120)[1]
    finally:
        if build.poll() is None:
            os.killpg(build.pid, signal.SIGKILL)
    assert build.returncode == 2
    assert re.fullmatch(r"error: a worker process of the pipeline died .*\n", said)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
@pytest.mark.parametrize("flags", [[], THREADS, PROCESSES], ids=["one", "threads", "processes"])
def test_an_interruption_is_one_line_and_leaves_finished_shards(
    large, out, tmp_path, flags, number
):
    with building(large, out, flags) as build:
        if number == signal.SIGINT:
            os.killpg(build.pid, number)  # as a terminal does
        else:
            build.send_signal(number)
        said = build.communicate(timeout=120)[1]
        assert harnesses(build.pid) == []
    assert build.returncode == 128 + number
    assert said == "interrupted: finished shards are kept; run the same command again to resume\n"
    finished_here(large, out, tmp_path)


# pipelines


def counters(result):
    return {found.key.metric.name: found.result for found in result.metrics().query()["counters"]}


def test_counters_of_a_job(voc, out, monkeypatch):
    spoil(voc)
    results = []
    plain = beam.Pipeline.run

    def run(pipeline):
        results.append(plain(pipeline))
        return results[-1]

    monkeypatch.setattr(beam.Pipeline, "run", run)
    make_beam(voc, out, on_error="skip", **TRAIN)
    size = sum(path.stat().st_size for path in pathlib.Path(out).glob("train-*"))
    frame = 16  # of each of 11 records
    ours = {"samples": 12, "bytes": size - 11 * frame, "shards written": 4, "rejects unreadable": 1}
    assert counters(results[-1]) == ours
    make_beam(voc, out, on_error="skip", **TRAIN)
    found = counters(results[-1])
    assert found == {"shards kept": 4, "samples": 12, "bytes": 0, "rejects unreadable": 1}


def graph(root, out, samples):
    """Return the size of a pipeline's graph over so many samples."""
    fakes.write_list(root, "train", [f"2007_{i:06d}" for i in range(samples)])
    request = requested(root, out, splits=("train",), shards=max(1, samples // 10))
    prepare(request, audit(request).splits, {}, print)
    pipeline = beam.Pipeline(options=options.parse("beam"))
    places = pipeline | beam.Create([plan_files.path(out, "train")])
    _ = places | pipelines.Build(request, ["train"])
    return len(pipeline.to_runner_api().SerializeToString())


def test_the_graph_is_as_large_for_many_samples(voc, out, tmp_path):
    for kind, ending in (("JPEGImages", "jpg"), ("SegmentationClass", "png")):
        first = os.path.join(voc, kind, f"2007_000000.{ending}")
        for i in range(18, 10_000):
            os.link(first, os.path.join(voc, kind, f"2007_{i:06d}.{ending}"))
    few, many = (graph(voc, out, samples) for samples in (10, 10_000))
    assert abs(many - few) < 200  # its names for what it serialises vary
    assert many < 100_000


def test_shards_spread_and_the_manifest_waits_for_them(voc, out):
    request = requested(voc, out, shards=2)
    prepare(request, audit(request).splits, {}, print)
    names = ["train", "val", "trainval"]
    with beam.Pipeline(options=options.parse("beam")) as pipeline:
        places = pipeline | beam.Create([plan_files.path(out, name) for name in names])
        _ = places | pipelines.Build(request, names)
    make(voc, out + "-fresh", shards=2)
    assert content(out) == content(out + "-fresh")


# commands


def test_a_command_on_beam(voc, out, tmp_path, run):
    words = ["voc", voc, out, "--shards", 2, "--split", "train", "--runner", "beam", "--json"]
    found = json.loads(run(*words, "--", *THREADS).stdout)
    here = json.loads(run(*words[:2], tmp_path / "here", *words[3:-3], "--json").stdout)
    drop = {"out", "seconds"}
    assert {k: v for k, v in found.items() if k not in drop} == {
        k: v for k, v in here.items() if k not in drop
    }
    assert content(out) == content(tmp_path / "here")


def test_errors_of_a_command_are_one_line(voc, out, run):
    spoil(voc)
    result = run("voc", voc, out, "--runner", "beam")
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert result.stderr.splitlines()[-1].startswith("error: sample 2007_000005: ")
    result = run("voc", voc, out, "--runner", "beam", "--", "--projekt=p")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: options of Beam: found --projekt=p")


PROGRAM = [sys.executable, "-m", "dsbuild.pipelines.build"]


def call(*words):
    return subprocess.run([*PROGRAM, *map(str, words)], capture_output=True, text=True)


def test_as_a_program(voc, tmp_path):
    make(voc, tmp_path / "here", shards=2, splits=("train",))
    plain = ["--shards=2", "--split=train", "--labels", "class", "--quiet"]
    place = ["--layout=voc", f"--source={voc}", f"--out={tmp_path / 'named'}"]
    for name, words in (("plain", ["voc", voc, tmp_path / "plain"]), ("named", place)):
        found = call(*words, *plain, "--runner=FnApiRunner", "--direct_num_workers=1")
        assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
        # The option is part of the recipe, and of the plans' digests.
        assert shards(tmp_path / name) == shards(tmp_path / "here")


def shards(out):
    return {name: data for name, data in content(out).items() if "-of-" in name}


def test_errors_of_the_program_are_one_line(voc, out):
    found = call("voc", voc, out, "--what=1")
    assert (found.returncode, found.stdout) == (2, "")
    assert re.fullmatch(r"error: options of Beam: found --what=1, .*\n", found.stderr)
    found = call("--layout=vox", f"--source={voc}")
    assert (found.returncode, found.stdout) == (2, "")
    assert "error: there is no layout 'vox'; expected one of voc, " in found.stderr
    root = fakes.voc(os.path.join(out, "more"), train=60)
    spoil(root, "2007_000007")  # which is not among the few that are examined before
    found = call("voc", root, out, "--quiet")
    assert (found.returncode, found.stdout) == (2, "")
    assert re.fullmatch(
        r"error: sample 2007_000007: .* \(and 1 shard more failed\)\n", found.stderr
    )


ARRANGED = {
    "voc a b": "voc a b --runner=beam",
    "voc": "voc --runner=beam",
    "voc --runner=DataflowRunner a": "voc --runner=DataflowRunner a",
    "voc a --runner DataflowRunner --project=p": "voc a --runner DataflowRunner -- --project=p",
    "--layout=voc --out=o --source=s --shards=2": "voc s o --shards=2 --runner=beam",
    "--shards=2 --source=s --layout=voc": "voc s --shards=2 --runner=beam",
    "voc --labels aug --labels=x=y a": "voc --labels aug --labels=x=y a --runner=beam",
    "voc --quiet --project=p a": "voc --quiet a --runner=beam -- --project=p",
    "voc a -- --project=p --shards 3": "voc a --shards 3 --runner=beam -- --project=p",
    "voc --help": "voc --help --runner=beam",
    "pairs --binary 3 a --streaming": "pairs --binary 3 a --runner=beam -- --streaming",
}


@pytest.mark.parametrize("given", ARRANGED)
def test_beam_options_follow_the_dashes(given):
    assert program.arrange(given.split()) == ARRANGED[given].split()


@pytest.mark.parametrize("given", ["", "vox", "--layout=vox voc", "--shards=2 voc"])
def test_a_program_without_a_layout_says_so(given):
    with pytest.raises(
        program.click.UsageError, match=r"there is no layout .*; expected one of voc, "
    ):
        program.arrange(given.split())


OWN = st.sampled_from(["--shards=3", "--quiet", "--split=train", "--labels=aug", "--order=listed"])
BEAM = st.sampled_from(
    ["--project=p", "--region=r", "--streaming", "--labels2=x", "--job_name=a=b"]
)


@given(st.lists(OWN | BEAM), st.lists(st.sampled_from("ab"), max_size=2))
def test_options_reach_the_right_side_and_none_are_lost(words, places):
    found = program.arrange(["voc", *words, *places])
    at = found.index("--") if "--" in found else len(found)
    own = [word for word in words if word.split("=")[0] in ("--shards", "--quiet", "--split")]
    own += [word for word in words if word.split("=")[0] in ("--labels", "--order")]
    assert sorted(found[:at]) == sorted(["voc", *places, *own, "--runner=beam"])
    assert found[at + 1 :] == [word for word in words if word not in own]
    assert [word for word in found[:at] if word in places] == places


def test_help_of_the_program_names_what_it_takes(voc):
    found = CliRunner().invoke(program.commands, program.arrange(["voc", "--help"]))
    assert found.exit_code == 0
    assert "[-- BEAM OPTIONS]" in found.output
