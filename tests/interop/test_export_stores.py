"""Exports onto object stores and off them: the bytes of a local one, whatever fails meanwhile."""

import contextlib
import os
import pathlib
import random
import signal
import subprocess
import sys

import pytest

from dsbuild import storage
from dsbuild.interop.export import run
from dsbuild.storage import clients, lease
from tests.support import gcs, stores
from tests.support.runs import make
from tests.support.stores import SECRET, files, upload

NEEDS = {"parquet": "pyarrow", "array_record": "array_record"}
ROOMS = [
    pytest.param((kind, target), marks=[] if first else pytest.mark.slow, id=f"{kind}-{target}")
    for kind in ("s3", "gs")
    for target in run.TARGETS
    for first in [(kind, target) == ("s3", "array_record")]
]


@contextlib.contextmanager
def serving(kind, moto):
    """Give a proxy before a store, the URL of an empty bucket, and what a user exports for it."""
    with contextlib.ExitStack() as stack:
        if kind == "s3":
            name = f"exports-{random.randrange(1 << 40)}"
            stores.s3_bucket(moto, name)
            proxy = stack.enter_context(gcs.serving(stores.Faulty(moto)))
            yield proxy, f"s3://{name}", stores.s3_environment(proxy.server_port)
            return
        server = stack.enter_context(gcs.serving(gcs.gcs("bucket")))
        proxy = stack.enter_context(gcs.serving(stores.Faulty(server.server_port)))
        environment = {"STORAGE_EMULATOR_HOST": f"127.0.0.1:{proxy.server_port}"}
        yield proxy, "gs://bucket", environment


@pytest.fixture
def asked(request, moto, monkeypatch, voc, out, tmp_path):
    """A target, a proxy before a store, a bucket, a build on both, its export."""
    kind, target = request.param
    pytest.importorskip(NEEDS.get(target, "tarfile"))
    make(voc, out, shards=2, splits=("train",))
    local = tmp_path / "local"
    run.export(out, str(local), target)
    with serving(kind, moto) as (proxy, url, environment):
        for name, text in environment.items():
            monkeypatch.setenv(name, text)
        clients.open_store.cache_clear()
        upload(pathlib.Path(out), f"{url}/out")
        yield target, proxy, url, out, seen(local)
        clients.open_store.cache_clear()


def seen(folder):
    """Return name -> bytes of what readers see of an export, and its notes."""
    if storage.is_remote(str(folder)):
        found = files(str(folder))
    else:
        paths = [path for path in pathlib.Path(folder).rglob("*") if path.is_file()]
        found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    alone = ("/lock", f"/{lease.TENURE}")  # which are of the folder, and not of what is in it
    return {name: data for name, data in found.items() if not name.endswith(alone)}


def command(source, to, target):
    words = [sys.executable, "-m", "dsbuild", "export", source, to, "--to", target]
    return [*words, "--workers", "1", "--quiet"]


def done(source, to, target):
    """Export in a process of its own; return its exit code and what it said."""
    end = subprocess.run(
        command(source, to, target), capture_output=True, text=True, timeout=120, check=False
    )
    assert SECRET not in end.stderr
    assert "Traceback" not in end.stderr
    return end.returncode, end.stderr


@pytest.mark.parametrize("asked", ROOMS, indirect=True)
def test_an_export_has_the_bytes_of_a_local_one(asked, tmp_path):
    target, proxy, url, out, expected = asked
    proxy.fault = lambda number, *_: {3: 500, 8: "lost"}.get(number % 10)
    for n, (source, to) in enumerate(
        [(f"{url}/out", f"{url}/exp"), (out, f"{url}/off"), (f"{url}/out", str(tmp_path / "on"))]
    ):
        assert done(source, to, target) == (0, ""), n
        assert seen(to) == expected


@pytest.mark.slow
@pytest.mark.parametrize("asked", ROOMS, indirect=True)
def test_an_export_that_is_refused_is_one_line_and_goes_on(asked):
    target, proxy, url, out, expected = asked
    proxy.seen.clear()
    assert done(out, f"{url}/all", target)[0] == 0
    puts = sum(one in ("PUT", "POST") for one, _ in proxy.seen)
    for first in range(puts // 2, puts, 2):
        seen_puts = []

        def refuse(_, method, path, first=first, seen_puts=seen_puts):
            if method in ("PUT", "POST"):
                seen_puts.append(path)
            return 403 if len(seen_puts) > first and method in ("PUT", "POST") else None

        proxy.fault = refuse
        code, said = done(out, f"{url}/exp", target)
        proxy.fault = lambda *_: None
        assert code in (0, 2)  # of the last one the answer may not matter
        assert code == 0 or (said.count("\n") == 1 and said.startswith("error: ")), said
        _whole(url, expected)
        assert done(out, f"{url}/exp", target) == (0, "")
        assert seen(f"{url}/exp") == expected
        storage.remove_folder(f"{url}/exp")


def _whole(url, expected):
    """Hold what lies on the store: nothing half-written, nothing of another name."""
    for name, data in seen(f"{url}/exp").items():
        assert data == expected[name] or name.endswith(".json"), name
    storage.remove(f"{url}/exp/.dsbuild/lock")


@pytest.mark.slow
@pytest.mark.parametrize("asked", ROOMS, indirect=True)
def test_an_export_that_is_killed_is_finished_by_the_same_command(asked, tmp_path, monkeypatch):
    target, proxy, url, out, expected = asked
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = set(os.listdir(tmp_path))
    proxy.seen.clear()
    assert done(out, f"{url}/all", target)[0] == 0
    count = len(proxy.seen)
    for last in sorted(random.Random(0).sample(range(1, count + 1), min(count, 12))):
        proxy.seen.clear()
        process = subprocess.Popen(command(out, f"{url}/exp", target), stderr=subprocess.PIPE)

        def kill(number, *_, process=process, last=last):
            if number == last:
                process.send_signal(signal.SIGKILL)

        proxy.fault = kill
        with process:
            assert process.wait(120) in (0, -signal.SIGKILL)
        proxy.fault = lambda *_: None
        assert set(os.listdir(tmp_path)) == before
        _whole(url, expected)
        assert done(out, f"{url}/exp", target) == (0, "")
        assert seen(f"{url}/exp") == expected
        storage.remove_folder(f"{url}/exp")
