"""Stores in processes forked from one that had used a store."""

import contextlib
import ctypes
import inspect
import multiprocessing
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dsbuild import storage
from dsbuild.errors import DsbuildError, NoFileError, StorageError
from dsbuild.storage import forked as forked_room
from dsbuild.storage import forks, objects
from tests.support.processes import alive, children, ended, gone, started, until
from tests.support.stores import files, s3_bucket

FORK = multiprocessing.get_context("fork")
DATA = bytes(range(256)) * 3000


def fresh(call, seconds=120):
    """Return what a function of this module prints in a fresh process; fail where it fails."""
    code = f"import {__name__} as here; here.{call}"
    with started([sys.executable, "-c", code]) as process:
        said = ended(process, seconds)
        assert process.returncode == 0, said
        return said


def forked(call, *arguments):
    """Return what a function returns in a process that is forked."""
    with FORK.Pool(1) as pool:
        return pool.apply(call, arguments)


@pytest.fixture(params=["s3", "gs", "az"])
def store(request):
    """The URL of a bucket of each kind in turn, with some objects."""
    url = request.getfixturevalue(request.param)
    storage.write_all({f"{url}/a": b"one", f"{url}/b/c": DATA, f"{url}/b/d e#%": b""})
    return url


def _functions(module):
    """Return the kinds of arguments of each function of a module."""
    return {
        name: [one.kind for one in inspect.signature(function).parameters.values()]
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__module__ == module.__name__
        if not name.startswith("_")
    }


def test_a_forked_process_has_every_function_of_others():
    assert _functions(forked_room) == _functions(objects)


def look(url):
    """Return what all reading functions say about a store."""
    found = [storage.stamp(f"{url}/{name}") for name in ("a", "b", "b/c", "b/d e#%")]
    found += storage.stamps([f"{url}/a", f"{url}/b/c", f"{url}/b/none", f"{url}/a"])
    found += [storage.is_folder(f"{url}/{name}") for name in ("", "a", "b", "none")]
    found += storage.entries(url), storage.entries(f"{url}/b"), storage.names(f"{url}/none")
    found += storage.read(f"{url}/b/c"), storage.read_part(f"{url}/b/c", 255, 3)
    found += storage.sha256(f"{url}/b/c"), storage.size([f"{url}/a", f"{url}/b/c"])
    for path in (f"{url}/b/c", f"{url}/b/d e#%"):
        with storage.reading(path) as (file, size):
            found += size, file.read(5), file.tell(), file.read(), file.read(1)
            found += file.seek(700_001), file.read(300_000), file.seek(-2, 2), file.read()
    with storage.ahead([f"{url}/a", f"{url}/b/c"] * 70) as read:
        found += [read(path) for path in (f"{url}/a", f"{url}/b/c", f"{url}/b/d e#%")]
    found += storage.is_remote(url), storage.relative(f"{url}/b/c", url), storage.inside(url, "/")
    return [*found, _error(storage.read, f"{url}/none"), _error(storage.read, "s3://x/y?z")]


def _error(call, *arguments):
    with pytest.raises(DsbuildError) as caught:
        call(*arguments)
    assert caught.value.__cause__ is None
    return type(caught.value), str(caught.value)


def check_look(url):
    direct = look(url)
    assert forked(look, url) == direct
    assert direct[-2][0] is NoFileError


def test_a_forked_process_reads_what_others_read(store):
    fresh(f"check_look({store!r})")


def change(url):
    """Write in all possible ways."""
    storage.write(f"{url}/new/small", b"small")
    with storage.writing(f"{url}/new/large") as file:
        file.write(DATA)
    with storage.placing(f"{url}/new/placed") as path, open(path, "wb") as file:
        file.write(b"placed")
    with contextlib.suppress(KeyError), storage.writing(f"{url}/new/left") as file:
        file.write(b"left")
        raise KeyError
    storage.write_all({f"{url}/new/{name}": name.encode() for name in "xyz"})
    storage.move(f"{url}/new/x", f"{url}/new/moved")
    storage.remove(f"{url}/new/y", f"{url}/new/none")
    storage.remove_folder(f"{url}/b")


def check_change(url):
    assert storage.names(url)
    forked(change, url)
    found = files(url)
    change(url)
    assert files(url) == found
    assert sorted(found) == ["a", *(f"new/{name}" for name in "large moved placed small z".split())]


def test_a_forked_process_writes_what_others_write(store):
    fresh(f"check_change({store!r})")


def check_refusals(url):
    memory = "memory://bucket/x"
    storage.write(memory, b"x")
    for call in (storage.read, storage.names):
        assert "memory:// exists in one process" in forked(_error, call, memory)[1]
    found = forked(_locked, url)
    assert found == (StorageError, f"{url}/lock: {forks.REFUSED}")


def _locked(url):
    with pytest.raises(StorageError) as caught, storage.lock(f"{url}/lock"):
        pass
    return type(caught.value), str(caught.value)


def test_unsupported_calls_in_a_forked_process_are_errors(s3):
    fresh(f"check_refusals({s3!r})", seconds=60)


def read_meanwhile(url, told):
    """Read while the helper is killed; return the errors, then read again."""
    storage.read(url)
    (helper,) = children(os.getpid())
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(storage.read, url) for _ in range(8)]
        until(lambda: all(one.running() for one in waiting))
        told.send(helper)
        found = {str(one.exception()).partition(";")[0] for one in waiting}
    return found, len(storage.read(url)[0])


def check_killed(url):
    storage.read(url)
    ours, theirs = FORK.Pipe()
    child = FORK.Process(target=lambda: theirs.send(read_meanwhile(url, theirs)))
    child.start()
    helper = ours.recv()
    time.sleep(0.7)
    os.kill(helper, signal.SIGKILL)
    died = f"{url}: the helper process that uses object stores for this forked process died"
    assert ours.recv() == ({died}, 3)
    child.join(60)
    assert child.exitcode == 0


def test_a_dead_helper_is_an_error_not_a_hang(faulty, moto):
    s3_bucket(moto, "killed")
    storage.write("s3://killed/a", b"one")
    faulty.latency = 2
    fresh("check_killed('s3://killed/a')")


def be_read(url):
    """Fork a child that reads forever and has a child of its own, which only sleeps."""
    storage.read(url)
    if os.fork() == 0:
        storage.read(url)
        (helper,) = children(os.getpid())
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
        print(os.getpid(), helper, flush=True)
        while True:
            storage.read(url)
    with contextlib.suppress(KeyboardInterrupt):
        os.wait()
    os.wait()


@pytest.mark.parametrize("end", ["killed", "interrupted"])
def test_a_helper_ends_with_its_process(s3, end):
    storage.write(f"{s3}/a", b"one")
    code = f"import {__name__} as here; here.be_read({s3 + '/a'!r})"
    with started([sys.executable, "-c", code]) as process:
        pid, helper = map(int, process.stdout.readline().split())
        assert alive(helper)
        time.sleep(0.2)
        if end == "killed":
            os.kill(pid, signal.SIGKILL)
        else:
            os.killpg(process.pid, signal.SIGINT)  # like a terminal
        until(lambda: not alive(helper))
        if end == "interrupted":
            said = ended(process)
            assert "serving.py" not in said
            assert gone(process.pid)


def check_forks_amid_requests(url):
    storage.read(url)
    done = threading.Event()

    def ask():
        while not done.is_set():
            storage.read(url)

    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(ask)
        for _ in range(8):
            child = FORK.Process(target=lambda: storage.read(url))
            child.start()
            child.join(60)
            assert child.exitcode == 0
        done.set()


def test_forks_during_requests(s3):
    storage.write(f"{s3}/a", b"one")
    fresh(f"check_forks_amid_requests({s3 + '/a'!r})")


def _read_alone(url):
    return len(storage.read(url)[0]), forks.cut(), children(os.getpid())


def check_first_use(url):
    assert "obstore" not in sys.modules
    assert forked(_read_alone, url) == (3, False, [])
    assert _read_alone(url) == (3, False, [])


def test_a_fork_before_the_first_use_needs_no_helper(s3):
    storage.write(f"{s3}/a", b"one")
    fresh(f"check_first_use({s3 + '/a'!r})")


LATE = """
import multiprocessing, sys, obstore
from obstore.store import S3Store

def late(url):
    assert "dsbuild" not in sys.modules
    from dsbuild import storage
    from dsbuild.storage import forks
    return storage.read(url)[0], forks.cut()

if __name__ == "__main__":
    bucket, method = sys.argv[1:]
    assert bytes(obstore.get(S3Store(bucket), "a").bytes()) == b"one"
    with multiprocessing.get_context(method).Pool(1) as pool:
        print(pool.apply(late, (f"s3://{bucket}/a",)))
"""


@pytest.mark.parametrize(("method", "cut"), [("fork", True), ("spawn", False)])
def test_dsbuild_may_be_imported_after_the_fork(s3, tmp_path, method, cut):
    storage.write(f"{s3}/a", b"one")
    script = tmp_path / "late.py"
    script.write_text(LATE)
    with started([sys.executable, script, s3.removeprefix("s3://"), method]) as process:
        assert ended(process).strip() == f"(b'one', {cut})"


def _with_endpoint(url, endpoint):
    os.environ["AWS_ENDPOINT_URL"] = endpoint
    return storage.read(url)[0]


def check_environment(url, endpoint):
    with pytest.raises(StorageError):
        storage.read(url)
    assert forked(_with_endpoint, url, endpoint) == b"one"


def test_the_first_use_decides_the_environment(s3, monkeypatch):
    storage.write(f"{s3}/a", b"one")
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("DSBUILD_STORE_SECONDS", "1")
    fresh(f"check_environment({s3 + '/a'!r}, {endpoint!r})")


def check_left_over(url):
    """Check that a worker reaps its helper, by adopting all orphans."""
    storage.read(url)
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    child = FORK.Process(target=storage.read, args=(url,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_worker_leaves_no_zombie(s3):
    storage.write(f"{s3}/a", b"one")
    fresh(f"check_left_over({s3 + '/a'!r})")


def check_unstartable(url):
    storage.read(url)
    multiprocessing.set_executable("/bin/false")
    found = forked(_error_with_cause, url)
    assert "did not start" in found
    assert "spawn" in found


def _error_with_cause(url):
    with pytest.raises(StorageError) as caught:
        storage.read(url)
    return str(caught.value)


def test_a_helper_that_does_not_start_is_an_error(s3):
    storage.write(f"{s3}/a", b"one")
    fresh(f"check_unstartable({s3 + '/a'!r})")


def check_held(url):
    """Continue reading in a forked process, which must fail."""
    with storage.reading(url) as (file, _):
        file.read(1)
        ours, theirs = FORK.Pipe()
        FORK.Process(target=lambda: theirs.send(_error(file.seek(600_000) and file.read))).start()
        assert ours.poll(60)
        assert ours.recv() == (StorageError, forks.REFUSED)


def test_a_file_that_was_open_at_a_fork_is_an_error(s3):
    storage.write(f"{s3}/c", DATA)
    fresh(f"check_held({s3 + '/c'!r})")


def check_shadowed(url, folder):
    """Read in a forked process whose path has another `typing`, as during the import of OpenCV."""
    assert storage.read(url)[0] == b"one"
    sys.path.insert(1, folder)
    assert forked(storage.read, url)[0] == b"one"


def test_a_module_named_like_one_of_python_does_not_stop_a_helper(s3, tmp_path):
    (tmp_path / "typing").mkdir()
    (tmp_path / "typing" / "__init__.py").write_text("raise ImportError('another typing')")
    storage.write(f"{s3}/a", b"one")
    fresh(f"check_shadowed({s3 + '/a'!r}, {str(tmp_path)!r})")
