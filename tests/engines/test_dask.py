"""Builds on a real Dask cluster of this machine, whatever becomes of its workers."""

import errno
import importlib.util
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

import dsbuild
from dsbuild.build.audit import audit
from dsbuild.build.run import build
from dsbuild.engines import Job
from dsbuild.engines.dask import Dask
from dsbuild.errors import DsbuildError, SampleError, StorageError
from dsbuild.format import manifest
from dsbuild.storage import clients
from tests.support import fakes
from tests.support.clusters import REPOSITORY, Cluster, wait_until
from tests.support.faults import calls
from tests.support.runs import content, make, requested
from tests.support.stores import files, s3_bucket

if importlib.util.find_spec("distributed") is None:
    pytest.skip("Dask's distributed is not installed", allow_module_level=True)

SHARDS = {"shards": 8, "splits": ("train", "val")}


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("dask"))
    yield made
    made.close()


@pytest.fixture
def two(dask):
    """The cluster with two workers."""
    dask.start(2 - len(dask.workers))
    return dask


@pytest.fixture
def none(dask):
    """The cluster without any worker."""
    for process in [*dask.workers]:
        dask.kill(process)
    dask.settle()
    yield dask
    for process in [*dask.workers]:
        dask.kill(process)


def make_dask(address, root, out, timeout=20.0, patience=10.0, **asked):
    """Build as `make` does, on a cluster."""
    engine = Dask(address, patience=patience, timeout=timeout)
    return make(root, out, engine=engine, **asked)


@pytest.fixture
def large(tmp_path):
    """A tree that takes some seconds to build."""
    return fakes.voc(tmp_path / "large", train=80, val=40, width=300, height=200)


LARGE = {"shards": 20, "extras": ("laplacian:png16",)}


def receipts(out):
    return [*pathlib.Path(out, ".dsbuild", "receipts").glob("*.json")]


def soon(out, act, after=3):
    """Act from a thread as soon as some shards are done; return the thread."""

    def watch():
        wait_until(lambda: len(receipts(out)) >= after)
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_same_bytes_as_a_local_build(two, voc, tmp_path):
    asked = {"shards": 3, "extras": ("laplacian:raw16", "weights"), "order": "shuffled"}
    here = make(voc, tmp_path / "here", **asked)
    there = make_dask(two.address, voc, tmp_path / "there", **asked)
    assert content(tmp_path / "there") == content(tmp_path / "here")
    assert (there.written, there.kept, there.manifest) == (9, 0, here.manifest)
    again = make_dask(two.address, voc, tmp_path / "there", **asked)
    assert (again.written, again.kept, again.manifest) == (0, 9, here.manifest)


def test_rejects_are_those_of_a_local_build(two, voc, tmp_path):
    os.remove(os.path.join(voc, "JPEGImages", "2007_000004.jpg"))
    here = make(voc, tmp_path / "here", on_error="skip", **SHARDS)
    there = make_dask(two.address, voc, tmp_path / "there", on_error="skip", **SHARDS)
    assert content(tmp_path / "there") == content(tmp_path / "here")
    assert there.rejects == here.rejects != ()


def test_a_bad_sample_stops_the_build_by_name_and_can_be_fixed_elsewhere(two, voc, out, tmp_path):
    path = pathlib.Path(voc, "JPEGImages", "2007_000009.jpg")
    whole = path.read_bytes()
    path.write_bytes(whole[:500])
    with pytest.raises(SampleError, match=r"^sample 2007_000009: [^\n]*$"):
        make_dask(two.address, voc, out, **SHARDS)
    assert manifest.load(str(out)) is None
    path.write_bytes(whole)
    # What was under way may still end; what waited does not begin.
    wait_until(lambda: not list(pathlib.Path(out).glob(".dsbuild-*")))
    done = len(receipts(out))
    summary = make(voc, out, **SHARDS)
    assert summary.kept >= done
    make(voc, tmp_path / "fresh", **SHARDS)
    assert content(out) == content(tmp_path / "fresh")


def test_a_worker_that_is_killed_costs_no_byte(two, large, tmp_path):
    make(large, tmp_path / "here", workers=2, **LARGE)
    out = tmp_path / "there"
    thread = soon(out, lambda: two.kill(two.workers[0]))
    summary = make_dask(two.address, large, out, **LARGE)
    thread.join(120)
    assert content(out) == content(tmp_path / "here")
    assert summary.written + summary.kept == 60


def test_it_ends_when_no_worker_is_left(two, large, tmp_path):
    out = tmp_path / "out"
    thread = soon(out, lambda: [two.kill(worker) for worker in [*two.workers]])
    with pytest.raises(DsbuildError, match=r"found no worker.*dask worker tcp://"):
        make_dask(two.address, large, out, timeout=1.5, patience=0.5, **LARGE)
    thread.join(120)
    assert manifest.load(str(out)) is None
    done = len(receipts(out))
    assert make(large, out, workers=2, **LARGE).kept >= done >= 3
    make(large, tmp_path / "fresh", workers=2, **LARGE)
    assert content(out) == content(tmp_path / "fresh")


def test_it_ends_when_the_scheduler_is_lost(large, tmp_path):
    (tmp_path / "dask").mkdir()
    mine = Cluster(tmp_path / "dask")
    try:
        mine.start(1)
        thread = soon(tmp_path / "out", mine.scheduler.kill)
        with pytest.raises(DsbuildError, match=r"--scheduler tcp://.*lost"):
            make_dask(mine.address, large, tmp_path / "out", **LARGE)
        thread.join(120)
    finally:
        mine.close()


def test_no_scheduler_is_named_before_anything_is_written(voc, out):
    with pytest.raises(DsbuildError, match=r"--scheduler tcp://127.0.0.1:9: found no Dask sched"):
        make_dask("tcp://127.0.0.1:9", voc, out, timeout=0.5)
    with pytest.raises(DsbuildError, match=r"--scheduler nonsense://x: found no Dask scheduler"):
        make_dask("nonsense://x", voc, out, timeout=0.5)
    assert not os.path.exists(out)


COLLECTED = """
import gc, threading
from distributed.utils import LoopRunner
from dsbuild.engines.dask import Dask
from dsbuild.errors import DsbuildError

plain = threading.Thread.__init__

def init(thread, *words, **named):
    if LoopRunner._lock.locked():
        gc.collect()  # as it may happen at any time
    plain(thread, *words, **named)

def ask():
    try:
        Dask("nonsense://x", timeout=0.5).workers
    except DsbuildError as error:
        held = [error]
        held.append(held)  # a cycle, as tests and notebooks keep errors in

gc.disable()
ask()
threading.Thread.__init__ = init
ask()
"""


def test_a_client_that_failed_is_not_waited_for():
    subprocess.run([sys.executable, "-c", COLLECTED], check=True, timeout=120)


def test_no_worker_is_named(none, voc, out):
    with pytest.raises(DsbuildError, match=r"found no worker; start some: dask worker tcp://"):
        make_dask(none.address, voc, out, timeout=0.5)


def test_a_worker_with_another_dsbuild_is_named(none, voc, out, tmp_path):
    (tmp_path / "dsbuild").mkdir()
    text = f"__version__ = '9.9'\n__path__.append({os.path.dirname(dsbuild.__file__)!r})\n"
    (tmp_path / "dsbuild" / "__init__.py").write_text(text)
    none.start(1, PYTHONPATH=str(tmp_path))
    with pytest.raises(DsbuildError, match=r"found dsbuild 9\.9 at tcp://127.* expected 0"):
        make_dask(none.address, voc, out)


def test_a_worker_without_dsbuild_is_named(none, voc, out, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(name, *_):\n"
        "        if name.startswith('dsbuild'):\n"
        "            raise ModuleNotFoundError(f'No module named {name}', name=name)\n"
        "sys.meta_path.insert(0, Missing)\n"
    )
    none.start(1, PYTHONPATH=str(tmp_path))
    with pytest.raises(DsbuildError, match=r"a worker has no dsbuild \(.*No module named dsbuild"):
        make_dask(none.address, voc, out)


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    made = calls.build_shim(tmp_path_factory.mktemp("shim"))
    if made is None:
        pytest.skip("no compiler of C")
    return made


def start_full(dask, folder, shim, out, number=errno.ENOSPC, calls="w"):
    """Start a worker for which every such call on OUT fails, as on a full disk of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(
        "import ctypes\n"
        f"ctypes.CDLL({shim!r}).arm(ctypes.c_char({calls!r}.encode()), 1, {number}, "
        f"{str(out)!r}.encode(), 1)\n"
    )
    dask.start(1, LD_PRELOAD=shim, PYTHONPATH=f"{folder}:{REPOSITORY}")


FULL = [(errno.ENOSPC, "w"), (errno.EDQUOT, "s"), (errno.EROFS, "o")]


@pytest.mark.parametrize(("number", "calls"), FULL, ids=["full", "quota", "read only"])
def test_a_full_disk_moves_tasks_to_another_worker(none, shim, voc, tmp_path, number, calls):
    make(voc, tmp_path / "here", **SHARDS)
    out = tmp_path / "there"
    start_full(none, tmp_path / "full", shim, out, number, calls)
    none.start(1)
    notes = []
    request = requested(voc, out, **SHARDS)
    summary = build(request, audit(request), Dask(none.address, note=notes.append))
    assert content(out) == content(tmp_path / "here")
    assert summary.written == 16
    (line,) = notes
    assert re.fullmatch(r"no more is given to one whose own disk fails: worker tcp://.*", line)
    assert os.strerror(number) in line
    assert str(out) in line


def test_one_worker_is_named_if_every_disk_is_full(none, shim, voc, tmp_path):
    out = tmp_path / "out"
    for name in ("one", "other"):
        start_full(none, tmp_path / name, shim, out)
    with pytest.raises(StorageError, match=r"^worker tcp://\S+: /.*No space left on [^\n]*$"):
        make_dask(none.address, voc, out, **SHARDS)
    assert manifest.load(str(out)) is None
    make(voc, out, **SHARDS)
    make(voc, tmp_path / "fresh", **SHARDS)
    assert content(out) == content(tmp_path / "fresh")


def test_a_worker_that_does_not_see_the_sources_leaves_no_sample_out(two, voc, out, tmp_path):
    request = requested(voc, out, on_error="skip", **SHARDS)
    found = audit(request)
    os.rename(voc, tmp_path / "elsewhere")  # as of a machine on which nothing is mounted
    with pytest.raises(StorageError, match=r"^worker tcp://\S+: .* there is no such folder"):
        build(request, found, Dask(two.address))
    assert manifest.load(str(out)) is None


FAULTS = {"busy": 503, "broken": 500, "forbidden": 403, "cut": "lost"}


@pytest.mark.slow
@pytest.mark.parametrize("on_error", ["stop", "skip"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_store_in_trouble_ends_a_build_that_is_finished_later(
    fault, on_error, moto, faulty, voc, tmp_path
):
    url = f"s3://engines-{time.time_ns()}"
    s3_bucket(moto, url.removeprefix("s3://"))
    asked = {"on_error": on_error, **SHARDS}
    make(voc, tmp_path / "here", **asked)
    mine = Cluster(tmp_path)
    try:
        mine.start(2, **{clients.SECONDS: "2"})
        faulty.fault = lambda _, method, path: (
            fault if method == "PUT" and "train-00003" in path.partition("?")[0] else None
        )
        with pytest.raises(StorageError, match=r"^worker tcp://\S+: s3://.*train-00003[^\n]*$"):
            make_dask(mine.address, voc, f"{url}/out", **asked)
        assert manifest.load(f"{url}/out") is None
        faulty.fault = lambda *_: None
        assert make_dask(mine.address, voc, f"{url}/out", **asked).rejects == ()
        there = {name: data for name, data in files(f"{url}/out").items() if "-of-" in name}
        here = content(tmp_path / "here")
        assert {name: data for name, data in there.items() if "/" not in name} == {
            name: data for name, data in here.items() if "-of-" in name and "/" not in name
        }
        assert files(f"{url}/out")["manifest.json"] == here["manifest.json"]
    finally:
        mine.close()


def test_results_are_in_task_order(two):
    job = Job(["a", "bb", "", "bb"], length, 4, "counting")
    assert Dask(two.address).map(job) == [1, 2, 0, 2]
    assert Dask(two.address).map(Job([], length, 0, "counting")) == []


def length(task, advance):
    advance(1, len(task))
    return len(task)


def test_interrupt_keeps_finished_shards_and_leaves_the_rest_undone(two, large, out):
    words = ["voc", large, out, "--shards", "20", "--extra", "laplacian:png16"]
    dask = ["--runner", "dask", "--scheduler", two.address]
    process = subprocess.Popen(
        [sys.executable, "-m", "dsbuild", *words, *dask],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: len(receipts(out)) >= 3)
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert errors.splitlines()[-1].startswith("interrupted: finished shards are kept")
    assert "Traceback" not in errors
    time.sleep(0.5)
    done = len(receipts(out))
    assert done < 60
    time.sleep(1)
    assert len(receipts(out)) == done
