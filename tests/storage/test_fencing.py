"""A builder that lost its lease writes nothing more, and overwrites nothing of another one."""

import ast
import concurrent.futures
import contextlib
import os
import pathlib
import pickle
import random
import secrets
import signal
import subprocess
import sys
import threading
import time

import pytest

from dsbuild import storage
from dsbuild.build import tasks
from dsbuild.build.audit import audit
from dsbuild.build.run import build
from dsbuild.errors import LostLease, PlanError
from dsbuild.format import receipts
from dsbuild.storage import clients, fencing, lease
from dsbuild.storage.fencing import Hold
from tests.support.engines import Mapped
from tests.support.gcs import serving
from tests.support.runs import requested
from tests.support.stores import Faulty, files, s3_bucket


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(lease, "BEAT", 0.2)
    monkeypatch.setattr(lease, "WATCH", 1.0)
    monkeypatch.setattr(fencing, "_FRESH", 0.0)


def put(url, data):
    """Write an object like somebody who ignores locks."""
    store, key = clients.at(url)
    clients.library().put(store, key, data)


def lock_of(folder):
    return f"{folder}/.dsbuild/lock"


def take_over(folder):
    put(lock_of(folder), b"someone else")


def write(url, data):
    with storage.writing(url) as file:
        file.write(data)


def place(url, data):
    with storage.placing(url) as path:
        pathlib.Path(path).write_bytes(data)


WRITES = {
    "write": lambda out: write(f"{out}/new", b"1"),
    "write over": lambda out: write(f"{out}/old", b"1"),
    "write as it is": lambda out: write(f"{out}/old", b"old"),
    "place": lambda out: place(f"{out}/new", b"1"),
    "write side by side": lambda out: storage.write_all({f"{out}/a": b"1", f"{out}/b": b"2"}),
    "remove": lambda out: storage.remove(f"{out}/old"),
    "remove a folder": lambda out: storage.remove_folder(f"{out}/below"),
    "move": lambda out: storage.move(f"{out}/old", f"{out}/new"),
}


@pytest.mark.parametrize("what", WRITES)
def test_a_builder_without_its_lease_changes_nothing(bucket, what):
    out = f"{bucket}/out"
    put(f"{out}/old", b"old")
    put(f"{out}/below/old", b"old")
    with pytest.raises(LostLease, match=f"^{out}: another dsbuild took the lock over"):
        with storage.lock(lock_of(out)):
            take_over(out)
            before = files(out)
            WRITES[what](out)
    assert files(out) == before


@pytest.mark.parametrize("what", WRITES)
def test_the_holder_of_the_lease_can_write(bucket, what):
    found = []
    for out, held in ((f"{bucket}/held", storage.lock), (f"{bucket}/free", contextlib.nullcontext)):
        put(f"{out}/old", b"old")
        put(f"{out}/below/old", b"old")
        with held(lock_of(out)):
            WRITES[what](out)
            WRITES["write over"](out)
            WRITES["write over"](out)
        found.append({k: v for k, v in files(out).items() if not k.startswith(".dsbuild")})
    assert found[0] == found[1]


def test_a_delayed_answer_is_not_trusted(faulty, moto, monkeypatch):
    monkeypatch.setattr(fencing, "_FRESH", 0.3)
    bucket = f"waited-{secrets.token_hex(4)}"
    s3_bucket(moto, bucket)
    out = f"s3://{bucket}/out"
    put(lock_of(out), b"me 0\n")

    def late(handler, body):
        status, headers, data = handler.ask(body)
        take_over(out)
        time.sleep(0.5)  # as if the process was suspended before the answer
        handler.tell(status, data, headers)

    faults = iter([late])
    faulty.fault = lambda *_: next(faults, None)
    with pytest.raises(LostLease):
        Hold(lock_of(out), "me").check()


def test_other_folders_are_not_affected(bucket):
    with pytest.raises(LostLease), storage.lock(lock_of(f"{bucket}/out")):
        take_over(f"{bucket}/out")
        storage.write(f"{bucket}/out-2/file", b"1")
        storage.write(f"{bucket}/out/./file", b"1")
    assert storage.names(f"{bucket}/out-2") == ["file"]
    assert storage.names(f"{bucket}/out") == [".dsbuild"]


def test_no_request_that_changes_anything_is_sent(faulty, moto):
    s3_bucket(moto, "after")
    out = "s3://after/out"
    put(f"{out}/old", b"old")
    for write in WRITES.values():
        with pytest.raises(LostLease), storage.lock(lock_of(out)):
            take_over(out)
            faulty.seen.clear()
            write(out)
        sent = {path for method, path in faulty.seen if method not in ("GET", "HEAD")}
        assert sent <= {"/after/out/.dsbuild/lock"}  # renewed only if it is ours, which it is not
        storage.remove(lock_of(out))


def test_a_removed_lock_is_lost(bucket):
    with pytest.raises(LostLease), storage.lock(lock_of(f"{bucket}/out")):
        store, key = clients.at(lock_of(f"{bucket}/out"))
        clients.library().delete(store, key)
        storage.write(f"{bucket}/out/file", b"1")


def test_errors_under_a_lost_lock_name_the_lock(bucket):
    """A builder's errors may come from what the other one wrote; no lock is left behind."""
    out = f"{bucket}/out"
    with pytest.raises(LostLease), storage.lock(lock_of(out)):
        store, key = clients.at(lock_of(out))
        clients.library().delete(store, key)
        time.sleep(0.6)  # the lock was to be renewed by then
        raise PlanError("found another plan")
    assert not [name for name in files(out) if name.endswith("lock")]
    with pytest.raises(PlanError, match="found another plan"), storage.lock(lock_of(out)):
        raise PlanError("found another plan")


def test_a_late_write_does_not_overwrite_a_newer_one(bucket, monkeypatch):
    """The request was on its way when its builder was suspended; no check came after that."""
    monkeypatch.setattr(fencing, "_FRESH", 60.0)
    out = f"{bucket}/out"
    with pytest.raises(LostLease), storage.lock(lock_of(out)):
        storage.write(f"{out}/twice", b"first")
        take_over(out)
        for name in ("once", "twice"):
            put(f"{out}/{name}", b"another's")
            with pytest.raises(LostLease):
                storage.write(f"{out}/{name}", b"late")
            monkeypatch.setitem(fencing._looked, fencing._HOLDS.get()[0].name, fencing.clock())
    assert {storage.read(f"{out}/{name}")[0] for name in ("once", "twice")} == {b"another's"}


def test_the_last_write_of_a_dead_holder_is_overwritten(bucket):
    out = f"{bucket}/out"
    with storage.lock(lock_of(out)):
        storage.write(f"{out}/file", b"first")
        put(f"{out}/file", b"a late writer's")
        storage.write(f"{out}/file", b"ours")
    assert storage.read(f"{out}/file")[0] == b"ours"


def test_a_lost_answer_does_not_look_like_another_writer(faulty, moto):
    s3_bucket(moto, "answers")
    out = "s3://answers/out"
    with storage.lock(lock_of(out)):
        lost = []

        def fault(_, method, path):
            if method == "PUT" and path.endswith("/file") and len(lost) < 3:
                lost.append(path)
                return "lost"
            return None

        faulty.fault = fault
        storage.write(f"{out}/file", b"first")
        lost.clear()
        storage.write(f"{out}/file", b"second")
    assert storage.read(f"{out}/file")[0] == b"second"


def test_a_store_without_conditions(bucket, monkeypatch):
    library = clients.library()
    plain = library.put

    def without(store, key, data, mode=None, **options):
        if mode not in (None, "overwrite"):
            raise NotImplementedError
        return plain(store, key, data, **options)

    # Such a store cannot refuse a renewal that began before another's write, so none is under way.
    renewing, renew = threading.Lock(), lease._Lease._put_blindly

    def alone(held, content, mode):
        with renewing:
            return renew(held, content, mode)

    monkeypatch.setattr(library, "put", without)
    monkeypatch.setattr(lease._Lease, "_put_blindly", alone)
    out = f"{bucket}/out"
    with pytest.raises(LostLease), storage.lock(lock_of(out)):
        storage.write(f"{out}/file", b"first")
        storage.write(f"{out}/file", b"second")
        assert storage.read(f"{out}/file")[0] == b"second"
        with renewing:
            without(*clients.at(lock_of(out)), b"someone else")
        time.sleep(0.6)  # which must not renew another's lock
        assert storage.read(lock_of(out))[0] == b"someone else"
        storage.write(f"{out}/file", b"third")
    assert storage.read(f"{out}/file")[0] == b"second"


@pytest.mark.parametrize("size", [(8 << 20) + 1, (10 << 20) - 1, (10 << 20) + 1, 16 << 20])
def test_parts_of_an_upload_are_large_enough_for_stores(faulty, moto, size):
    s3_bucket(moto, f"sizes-{size}")
    out = f"s3://sizes-{size}/out"
    data = os.urandom(1 << 20) * 17
    with storage.lock(lock_of(out)):
        write(f"{out}/file", data[:size])
    assert storage.read(f"{out}/file")[0] == data[:size]  # moto refuses parts below 5 MiB


def test_an_upload_without_the_lease_is_not_completed(faulty, moto):
    s3_bucket(moto, "parts")
    out = "s3://parts/out"

    def fault(_, method, path):
        if method == "PUT" and "partNumber=1&" in path:
            threading.Timer(0.5, later).start()
            return taken
        return None

    def later():  # all parts are handed over by then
        direct.put("out/.dsbuild/lock", b"someone else")
        taken.set()

    from obstore.store import S3Store

    taken, direct = threading.Event(), S3Store("parts", endpoint=f"http://127.0.0.1:{moto}")
    large = os.urandom(1 << 20) * 24
    with storage.lock(lock_of(out)):
        write(f"{out}/whole", large)
    assert storage.sha256(f"{out}/whole")[1] == len(large)
    faulty.fault = fault
    with pytest.raises(LostLease, match="took the lock over"), storage.lock(lock_of(out)):
        write(f"{out}/late", large)
    assert storage.stamp(f"{out}/late") is None
    assert taken.is_set()


def test_the_clock_counts_while_the_process_is_suspended(bucket, monkeypatch):
    monkeypatch.setattr(fencing, "_FRESH", 1.0)
    now = [fencing.clock()]
    monkeypatch.setattr(fencing, "clock", lambda: now[0])
    out = f"{bucket}/out"
    with pytest.raises(LostLease), storage.lock(lock_of(out)):
        storage.write(f"{out}/a", b"1")
        take_over(out)
        storage.write(f"{out}/b", b"1")  # within a second of a check
        now[0] += 30
        storage.write(f"{out}/c", b"1")
    assert storage.names(out) == [".dsbuild", "a", "b"]


def test_a_hold_travels_with_the_work(s3):
    out = f"{s3}/out"
    work = storage.carried(storage.write)
    assert work is storage.write  # without a lock
    with pytest.raises(LostLease), storage.lock(lock_of(out)):
        work = pickle.loads(pickle.dumps(storage.carried(storage.write)))
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(work, f"{out}/first", b"1").result()
            take_over(out)
            with pytest.raises(LostLease):
                pool.submit(work, f"{out}/second", b"1").result()
            with pytest.raises(LostLease):
                pool.submit(storage.unheld(work), f"{out}/third", b"1").result()
            # Work that outlives this process holds no lock.
            pool.submit(storage.unheld(storage.write), f"{out}/fourth", b"1").result()
    assert storage.names(out) == [".dsbuild", "first", "fourth"]
    hold = Hold("s3://b/out/.dsbuild/lock", "name", 3)
    assert pickle.loads(pickle.dumps(hold)) == hold


def test_a_local_file_system_has_no_holds(tmp_path):
    out = str(tmp_path / "out")
    with storage.lock(lock_of(out)):
        assert storage.carried(storage.write) is storage.write
        assert storage.tenure(f"{out}/file") is None
        pathlib.Path(lock_of(out)).write_bytes(b"someone else")
        storage.write(f"{out}/file", b"1")
    assert storage.names(os.path.join(out, ".dsbuild")) == ["lock"]


def test_each_holder_has_a_higher_tenure(bucket):
    out, numbers = f"{bucket}/out", []
    for _ in range(3):
        with storage.lock(lock_of(out)):
            numbers.append(storage.tenure(f"{out}/file"))
    with pytest.raises(LostLease), storage.lock(lock_of(out)):
        take_over(out)
    with storage.lock(lock_of(out)):  # taken from a dead holder
        numbers.append(storage.tenure(f"{out}/file"))
    assert numbers == [1, 2, 3, 5]
    assert storage.tenure(f"{out}/file") is None


@pytest.mark.parametrize("parts", [1, 3])
def test_workers_of_an_engine_write_nothing_more(s3, voc, parts, monkeypatch):
    """They outlive the builder that is stopped."""
    monkeypatch.setattr(tasks, "count_parts", lambda *_: parts)
    out = f"{s3}/out"

    def engine(job):
        take_over(out)
        before.update(files(out))
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            tasks = [pool.submit(job.work, task, lambda *_: None) for task in job.tasks]
            concurrent.futures.wait(tasks)
        assert all(isinstance(task.exception(), LostLease) for task in tasks)
        raise tasks[0].exception()

    before = {}
    request = requested(voc, out)
    with pytest.raises(LostLease):
        build(request, audit(request), Mapped(engine, 2))
    assert files(out) == before


def let_go(first, finished):
    """Resume a suspended build and its request; return its output until it ends."""
    finished.set()
    os.killpg(first.pid, signal.SIGCONT)
    return first.communicate(timeout=60)[1]


def end(first, finished):
    """Leave nothing of a build behind, however it ended."""
    finished.set()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(first.pid, signal.SIGKILL)


SLOW = "from dsbuild.storage import lease; lease.BEAT = 0.2\nfrom dsbuild.cli import main; main()"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_suspended_build_leaves_another_recipe_alone(
    faulty, moto, voc, run, tmp_path, monkeypatch, workers
):
    """Its first shard is on its way when it is suspended, and arrives after the other ended."""
    monkeypatch.setattr(fencing, "_FRESH", 1.0)
    name = f"stopped-{workers}"
    s3_bucket(moto, name)
    out = f"s3://{name}/out"
    options = ["--shards", "2", "--split", "train"]
    reached, finished = threading.Event(), threading.Event()

    def fault(_, method, path):
        if method == "PUT" and "/out/train-0000" in path:
            reached.set()
            return finished
        return None

    faulty.fault = fault
    command = [sys.executable, "-c", SLOW, "voc", voc, out, *options, "--workers", workers]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert reached.wait(60)
        os.killpg(first.pid, signal.SIGSTOP)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{moto}")
        clients.open_store.cache_clear()
        arguments = ("voc", voc, out, *options, "--workers", "1", "--max-side", "20")
        result = run(*arguments)
        assert result.exit_code == 0, result.stderr
        assert "another dsbuild locked it" in result.stderr
        before = files(out)
        faulty.seen.clear()
        said = let_go(first, finished)
    finally:
        end(first, finished)
    assert first.returncode == 2
    assert f"error: {out}: another dsbuild took the lock over" in said
    assert "Traceback" not in said
    assert files(out) == before
    sent = {path for method, path in faulty.seen if method not in ("GET", "HEAD")}
    # The shard of the second worker may have been on its way, too, and is refused.
    assert {path for path in sent if "/out/train-0000" not in path} <= {
        f"/{name}/out/.dsbuild/lock"
    }
    assert len(sent) < 3
    assert run("validate", out, "--workers", "1").exit_code == 0
    alone = run("voc", voc, tmp_path / "alone", *arguments[3:])
    assert alone.exit_code == 0
    made = (tmp_path / "alone" / "manifest.json").read_bytes()
    assert storage.read(f"{out}/manifest.json")[0] == made


def test_the_tenure_does_not_change_the_digest_of_a_receipt(s3, voc, out, run):
    for to in (out, f"{s3}/out"):
        assert run("voc", voc, to, "--shards", "1", "--workers", "1").exit_code == 0
    name = "train-00000-of-00001.tfrecord"
    here, there = receipts.load(out, name), receipts.load(f"{s3}/out", name)
    assert (here.tenure, there.tenure) == (None, 1)
    assert here.digest == there.digest


@pytest.fixture
def taken_over(voc, run):
    """A finished folder, and a manifest and a receipt of another recipe from an earlier builder."""
    out = f"memory://{secrets.token_hex(4)}/out"
    arguments = ("voc", voc, out, "--shards", "2", "--workers", "1")
    assert run(*arguments, "--max-side", "20").exit_code == 0
    late = storage.read(f"{out}/manifest.json")[0]
    receipt = storage.read(receipts.receipt_path(out, "val-00000-of-00002.tfrecord"))[0]
    assert run(*arguments, "--overwrite").exit_code == 0
    assert run("validate", out, "--workers", "1").exit_code == 0
    return out, late, receipt


def test_a_manifest_from_a_lost_lock_is_found_and_repaired(taken_over, voc, run):
    out, late, _ = taken_over
    whole = files(out)
    put(f"{out}/manifest.json", late)
    found = run("validate", out, "--workers", "1")
    assert found.exit_code == 1
    assert "builder 2 held this folder's lock last" in found.output
    repaired = run("repair", out, voc, "--workers", "1")
    assert repaired.exit_code == 0, repaired.stderr
    assert storage.read(f"{out}/manifest.json")[0] == whole["manifest.json"]
    assert run("validate", out, "--workers", "1").exit_code == 0


def test_a_receipt_from_a_lost_lock_is_found_and_repaired(taken_over, voc, run):
    out, late, receipt = taken_over
    whole = files(out)
    name = "val-00000-of-00002.tfrecord"
    put(receipts.receipt_path(out, name), receipt)
    found = run("validate", out, "--workers", "1")
    assert found.exit_code == 1
    assert "builder 1 wrote it, but builder 2 finished the folder" in found.output
    for manifest in (whole["manifest.json"], late):  # that of the folder, and a late one
        put(f"{out}/manifest.json", manifest)
        put(receipts.receipt_path(out, name), receipt)
        repaired = run("repair", out, voc, "--workers", "1")
        assert repaired.exit_code == 0, repaired.stderr
        assert storage.read(f"{out}/manifest.json")[0] == whole["manifest.json"]
        assert storage.read(f"{out}/{name}")[0] == whole[name]
        assert run("validate", out, "--workers", "1").exit_code == 0


def test_a_local_copy_is_not_checked_against_a_builder(s3, voc, out, run):
    arguments = ("--shards", "1", "--workers", "1")
    assert run("voc", voc, f"{s3}/out", *arguments).exit_code == 0
    for name, data in files(f"{s3}/out").items():
        storage.write(os.path.join(out, name), data)
    assert run("validate", out, "--workers", "1").exit_code == 0
    assert run("interop", out, "--license", "MIT").exit_code == 0
    assert run("validate", out, "--workers", "1").exit_code == 0
    assert run("voc", voc, out, *arguments, "--max-side", "20", "--overwrite").exit_code == 0
    assert run("validate", out, "--workers", "1").exit_code == 0
    assert not os.path.exists(os.path.join(out, ".dsbuild", "holder.json"))


@pytest.mark.parametrize("command", ["build", "export", "interop", "repair"])
@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_a_wait_is_reported_at_once(voc, run, command, quiet):
    url = f"memory://{secrets.token_hex(4)}"
    one = ("--shards", "1", "--workers", "1")
    assert run("voc", voc, f"{url}/out", *one).exit_code == 0
    arguments, folder = {
        "build": (("voc", voc, f"{url}/out", *one), "out"),
        "export": (("export", f"{url}/out", f"{url}/to", "--to", "webdataset"), "to"),
        "interop": (("interop", f"{url}/out", "--license", "MIT"), "out"),
        "repair": (("repair", f"{url}/out", voc), "out"),
    }[command]
    put(lock_of(f"{url}/{folder}"), b"someone who died")
    result = run(*arguments, *quiet)
    assert result.exit_code == 0, result.stderr
    assert f"note: {url}/{folder}: another dsbuild locked it" in result.stderr


def test_every_wait_has_a_listener():
    root = pathlib.Path(storage.__file__).parents[1]
    found = 0
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "storage.lock":
                found += 1
                assert len(node.args) == 2, f"{path}:{node.lineno}: who waits here is told nothing"
    assert found >= 5


@pytest.fixture
def stack():
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["s3", "gs"])
@pytest.mark.parametrize("seed", range(12))
def test_wherever_a_build_is_suspended_the_other_one_is_intact(
    request, voc, run, monkeypatch, kind, seed
):
    """It is suspended while a request, drawn by seed, is on its way or was just answered."""
    monkeypatch.setattr(fencing, "_FRESH", 1.0)
    drawn, options = random.Random(seed), ["--shards", "2"]
    out = f"{request.getfixturevalue(kind)}/out"
    variable, http = {"s3": ("AWS_ENDPOINT_URL", "http://"), "gs": ("STORAGE_EMULATOR_HOST", "")}[
        kind
    ]
    direct = os.environ[variable]
    proxy = Faulty(int(direct.rpartition(":")[2]))
    request.getfixturevalue("stack").enter_context(serving(proxy))
    behind = os.environ | {variable: f"{http}127.0.0.1:{proxy.server_port}"}
    reached, finished = threading.Event(), threading.Event()
    number, held = drawn.randrange(60), drawn.random() < 0.5

    def fault(count, method, path):
        if count >= number and not reached.is_set() and storage.stamp(lock_of(out)):
            reached.set()
            return finished if held else None
        return None

    command = [sys.executable, "-c", SLOW, "voc", voc, out, *options]
    command += ["--workers", drawn.choice("12"), "--overwrite"]
    proxy.fault = fault
    first = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True, env=behind
    )
    try:
        assert reached.wait(60) or first.wait(60) == 0
        time.sleep(drawn.random() * 0.05)
        os.killpg(first.pid, signal.SIGSTOP)
        one = ("--workers", "1", "--max-side", "20", "--overwrite")
        result = run("voc", voc, out, *options, *one)
        assert result.exit_code == 0, result.stderr
        before = files(out)
        said = let_go(first, finished)
    finally:
        end(first, finished)
    assert files(out) == before, f"seed {seed}: request {number}, held {held}: {said}"
    assert first.returncode == 2
    assert "took the lock over" in said
    assert run("validate", out, "--workers", "1").exit_code == 0
