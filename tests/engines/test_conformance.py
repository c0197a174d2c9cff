"""What every engine does: the same bytes, resumed, with samples left out, killed, in one line."""

import contextlib
import functools
import importlib.util
import os
import pathlib
import shutil
import signal
import sys

import pytest

from dsbuild.build import array
from dsbuild.build.audit import audit
from dsbuild.engines import Job, Local
from dsbuild.errors import PlanError, SampleError
from dsbuild.format import manifest
from tests.support import fakes
from tests.support.clusters import Cluster
from tests.support.processes import started, until
from tests.support.runs import content, make, requested

ASKED = {"shards": 3, "extras": ("laplacian:raw16", "weights"), "order": "shuffled"}
OPTIONS = ["--shards", "3", "--extra", "laplacian:png16", "--quiet"]
LIBRARY = {"dask": "distributed", "beam": "apache_beam"}


class Builder:
    """A way to build: by an engine, or by an array job; `words` choose it on the command line."""

    def __init__(self, engine=None, words=()):
        self.engine, self.words = engine, words

    def build(self, root, out, **asked):
        """Build a tree."""
        if self.engine is not None:
            return make(root, out, engine=self.engine, **asked)
        request = requested(root, out, **asked)
        array.plan(request, audit(request))
        for number in (2, 1, 3, 2):
            array.share(request, array.Task(number, 3))
        return array.finish(request)

    def command(self, root, out):
        """Return a command that builds a tree; that of an array job does all shares at once."""
        if self.engine is None:
            request = requested(root, out, shards=3, extras=("laplacian:png16",))
            array.plan(request, audit(request))
        return [sys.executable, "-m", "dsbuild", "voc", root, str(out), *OPTIONS, *self.words]


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("dask"))
    made.start(2)
    yield made
    made.close()


def builder(name, request):
    if name in LIBRARY and importlib.util.find_spec(LIBRARY[name]) is None:
        pytest.skip(f"{LIBRARY[name]} is not installed")
    if name == "dask":
        from dsbuild.engines.dask import Dask

        address = request.getfixturevalue("dask").address
        return Builder(Dask(address), ["--runner", "dask", "--scheduler", address])
    if name == "beam":
        from dsbuild.pipelines.build import Beam
        from dsbuild.pipelines.options import parse

        return Builder(Beam(parse("beam")), ["--runner", "beam"])
    if name == "array":
        return Builder(None, ["--task", "1/1"])
    return Builder(Local(int(name[-1])), ["--workers", name[-1]])


@pytest.fixture(params=["local 1", "local 2", "dask", "array", "beam"])
def by(request):
    """A way to build, each in turn."""
    return builder(request.param, request)


@pytest.fixture(params=["local 1", "local 2", "dask", "beam"])
def engine(request):
    """Each engine in turn."""
    return builder(request.param, request).engine


def test_bytes(by, voc, tmp_path):
    here = make(voc, tmp_path / "here", **ASKED)
    there = by.build(voc, tmp_path / "there", **ASKED)
    assert content(tmp_path / "there") == content(tmp_path / "here")
    assert there.manifest == here.manifest
    before = content(tmp_path / "there")
    assert by.build(voc, tmp_path / "there", **ASKED).written == 0
    assert content(tmp_path / "there") == before


def test_resume(by, voc, tmp_path):
    out = tmp_path / "out"
    make(voc, out, shards=3)
    (out / "manifest.json").unlink()
    (out / "val-00001-of-00003.tfrecord").unlink()
    (out / "train-00002-of-00003.tfrecord").write_bytes(b"damaged")
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.tfrecord")}
    by.build(voc, out, shards=3)
    after = {path.name: path.stat().st_mtime_ns for path in out.glob("*.tfrecord")}
    again = {name for name in after if after[name] != before.get(name)}
    assert again == {"val-00001-of-00003.tfrecord", "train-00002-of-00003.tfrecord"}
    make(voc, tmp_path / "fresh", shards=3)
    assert content(out) == content(tmp_path / "fresh")


def test_skip(by, voc, tmp_path):
    os.remove(os.path.join(voc, "JPEGImages", "2007_000004.jpg"))
    here = make(voc, tmp_path / "here", shards=3, on_error="skip")
    there = by.build(voc, tmp_path / "there", shards=3, on_error="skip")
    assert content(tmp_path / "there") == content(tmp_path / "here")
    assert there.rejects == here.rejects != ()


def test_an_error_names_its_sample(by, voc, out, tmp_path):
    path = pathlib.Path(voc, "JPEGImages", "2007_000009.jpg")
    whole = path.read_bytes()
    path.write_bytes(whole[:500])
    with pytest.raises(SampleError, match=r"^sample 2007_000009: [^\n]*$"):
        by.build(voc, out, shards=3)
    assert manifest.load(out) is None
    path.write_bytes(whole)
    until(lambda: not list(pathlib.Path(out).glob(".dsbuild-*")))
    by.build(voc, out, shards=3)
    make(voc, tmp_path / "fresh", shards=3)
    assert content(out) == content(tmp_path / "fresh")


def test_kill(by, tmp_path):
    voc = fakes.voc(tmp_path, train=30, val=15, width=200, height=150)
    out = tmp_path / "out"
    receipts = out / ".dsbuild" / "receipts"
    with started(by.command(voc, out)) as process:
        until(lambda: receipts.is_dir() and len(list(receipts.glob("*.json"))) >= 2)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert manifest.load(str(out)) is None
    asked = {"shards": 3, "extras": ("laplacian:png16",)}
    until(lambda: not by.engine or _still(out))
    by.build(voc, out, **asked)
    make(voc, tmp_path / "fresh", **asked)
    assert content(out) == content(tmp_path / "fresh")


def _still(out):
    """Tell whether nothing of a killed build is written any more, by a worker elsewhere."""
    import fcntl

    for path in pathlib.Path(out).glob(".dsbuild-*"):
        with contextlib.suppress(FileNotFoundError), open(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
    return True


def length(task, advance):
    advance(1, len(task))
    return len(task)


def test_results_are_in_the_order_of_their_tasks(engine):
    tasks = ["a", "bb", "", "bb", "cccc", "d"]
    assert engine.map(Job(iter(tasks), length, 6, "counting")) == [1, 2, 0, 2, 4, 1]
    assert engine.map(Job([], length, 0, "counting")) == []
    assert engine.map(Job(["one"], length, 1, "counting", seconds=0.0)) == [3]


def fail(task, advance, *, text):
    if task == 3:
        raise PlanError(text)
    advance(1, 0)
    return task


def test_an_error_of_the_work_is_raised_as_it_is(engine):
    work = functools.partial(fail, text="three is too many")
    with pytest.raises(PlanError, match=r"^three is too many$"):
        engine.map(Job(range(5), work, 5, "failing"))


def test_engines_say_how_much_they_do_at_once(engine):
    assert engine.workers >= 1
    assert engine.task_seconds > 0


def _options(name, request):
    return builder(name, request).words


@pytest.fixture(params=["dask", "beam"])
def words(request):
    """The options of each engine elsewhere, in turn."""
    return _options(request.param, request)


@pytest.fixture
def built(voc, out):
    make(voc, out, shards=2, splits=("train", "val"))
    return out


def test_commands_that_read(words, voc, built, tmp_path, run):
    make(voc, tmp_path / "other", shards=3, splits=("train", "val"), order="shuffled")
    pathlib.Path(built, "val-00001-of-00002.tfrecord").write_bytes(b"damaged")
    pathlib.Path(built, "manifest.json").rename(tmp_path / "manifest.json")
    for command in (
        ["validate", built, "--level", "frames"],
        ["validate", built],
        ["validate", tmp_path / "other", voc, "--level", "source"],
        ["statistics", built],
        ["diff", tmp_path / "other", tmp_path / "other"],
        ["inspect", built],
    ):
        here, there = (run(*command, "--json", *more) for more in ([], words))
        assert there.stdout == here.stdout != ""
        assert there.exit_code == here.exit_code


def test_commands_that_write(words, voc, built, tmp_path, run):
    before = content(built)
    pathlib.Path(built, "train-00001-of-00002.tfrecord").write_bytes(b"damaged")
    found = run("repair", built, voc, *words)
    assert found.exit_code == 0, found.output
    assert content(built) == before
    shutil.copytree(built, tmp_path / "twin")
    pages = []
    for name, more in (("here", []), ("there", words)):
        found = run("export", built, tmp_path / name, "--to", "webdataset", "--quiet", *more)
        assert (found.exit_code, found.output) == (0, "")
        found = run("inspect", built, "--html", tmp_path / f"{name}.html", *more)
        assert found.exit_code == 0, found.output
        pages.append((tmp_path / f"{name}.html").read_text())
        merged = ("merge", f"a={built}", f"b={tmp_path / 'twin'}", tmp_path / f"{name}-merged")
        found = run(*merged, "--quiet", *more)
        assert (found.exit_code, found.output) == (0, "")
    assert content(tmp_path / "there") == content(tmp_path / "here")
    assert content(tmp_path / "there-merged") == content(tmp_path / "here-merged")
    assert pages[0] == pages[1]


def test_a_build_on_the_command_line(words, voc, tmp_path, run):
    make(voc, tmp_path / "here", shards=2)
    found = run("voc", voc, tmp_path / "there", "--shards", "2", "--quiet", *words)
    assert (found.exit_code, found.output) == (0, "")
    assert content(tmp_path / "there") == content(tmp_path / "here")


def test_a_scheduler_is_asked_for_wherever_there_is_a_runner(run):
    from dsbuild.cli import main

    for name, command in main.commands.items():
        options = {option for one in command.params for option in one.opts}
        if "--runner" in options:
            assert {"--scheduler", "--workers"} <= options
            places = [one.name for one in command.params if one.param_type_name == "argument"]
            more = {"export": ["--to", "webdataset"], "convert": ["--to", "png"]}.get(name, [])
            found = run(name, *["x"] * len(places), *more, "--runner", "dask")
            assert "--runner dask and --scheduler ADDRESS go together" in found.stderr
