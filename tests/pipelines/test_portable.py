"""A job service on loopback: the Job API, staging of dsbuild to bare workers, counters."""

import contextlib
import importlib
import os
import pathlib
import socket
import subprocess
import sys
import time

import pytest

from tests.support.fake_dataflow import bare_python
from tests.support.runs import content, make

pytest.importorskip("apache_beam", reason="Apache Beam is not installed")
pytestmark = pytest.mark.slow

BOOT = pathlib.Path(__file__).parents[1] / "support" / "boot.py"


@contextlib.contextmanager
def running(*words, **options):
    """Run a program of Beam until the block ends; stop it by its handle."""
    process = subprocess.Popen([sys.executable, "-m", *words], **options)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def service(tmp_path):
    """Return the address of a job service."""
    folder = tmp_path / "service"
    folder.mkdir()
    words = ["apache_beam.runners.portability.local_job_service_main", "--port", "0"]
    words += ["--port_file", str(folder / "port"), "--staging_dir", str(folder / "staging")]
    with open(folder / "log.txt", "w") as log:
        with running(*words, stdout=log, stderr=log, cwd=folder) as process:
            while not (folder / "port").exists():
                assert process.poll() is None
                time.sleep(0.1)
            time.sleep(0.1)
            yield f"localhost:{(folder / 'port').read_text().strip()}"


@pytest.fixture
def pool(tmp_path):
    """Return the address of a pool of workers, each booted in an empty folder."""
    folder = tmp_path / "worker"
    folder.mkdir()
    python = bare_python(folder)
    code = "import dsbuild"
    assert subprocess.run([python, "-c", code], cwd=folder, capture_output=True).returncode
    boot = folder / "boot.sh"
    boot.write_text(f'#!/bin/sh\nexec {sys.executable} {BOOT} {python} {folder} "$@"\n')
    boot.chmod(0o755)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    words = ["apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"]
    with open(folder / "log.txt", "w") as log:
        words.append(f"--container_executable={boot}")
        with running(*words, stdout=log, stderr=log, cwd=folder) as process:
            while not answers(port):
                assert process.poll() is None
                time.sleep(0.1)
            yield f"localhost:{port}"


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("localhost", port)) == 0


def drive(source, out, service, *flags):
    """Build on the job service as a user does."""
    words = [sys.executable, "-m", "dsbuild", "voc", source, out, "--shards", "3", "--quiet"]
    words += ["--runner", "PortableRunner", "--", f"--job_endpoint={service}", *flags]
    return subprocess.run(words, capture_output=True, text=True, timeout=120)


SUBPROCESS = [
    "--environment_type=beam:env:harness_subprocess_python:v1",
    f"--environment_config={sys.executable} -m apache_beam.runners.worker.sdk_worker_main",
]


@pytest.mark.parametrize("flags", [["--environment_type=LOOPBACK"], SUBPROCESS])
def test_the_same_bytes(flags, service, voc, out, tmp_path):
    make(voc, tmp_path / "here", shards=3)
    done = drive(voc, out, service, *flags)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert content(out) == content(tmp_path / "here")


def test_a_bare_worker_is_sent_dsbuild(service, pool, voc, out, tmp_path):
    make(voc, tmp_path / "here", shards=3)
    flags = ["--environment_type=EXTERNAL", f"--environment_config={pool}"]
    # An image is said to hold it, so that it is not sent.
    done = drive(voc, out, service, *flags, "--sdk_container_image=image")
    assert done.returncode == 2
    assert done.stderr.startswith("error: PortableRunner: its workers have no dsbuild; ")
    assert len(done.stderr.splitlines()) == 1
    assert not os.path.exists(os.path.join(out, "manifest.json"))
    done = drive(voc, out, service, *flags)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert content(out) == content(tmp_path / "here")


def test_counters_come_back(service, voc, out):
    """What was kept is known by a counter of the job."""
    building = importlib.import_module("dsbuild.pipelines.build")
    options = importlib.import_module("dsbuild.pipelines.options")
    audit = importlib.import_module("dsbuild.build.audit")
    recipe = importlib.import_module("dsbuild.build.recipe").Recipe
    voc_layout = importlib.import_module("dsbuild.layouts.voc").Voc
    make(voc, out, splits=("train",), shards=3)
    os.remove(os.path.join(out, "train-00001-of-00003.tfrecord"))
    request = audit.Request(
        recipe=recipe(layout=voc_layout().bind(voc)), root=voc, out=out, splits=("train",), shards=3
    )
    flags = options.parse(
        "PortableRunner", [f"--job_endpoint={service}", "--environment_type=LOOPBACK"]
    )
    summary = building.build(request, audit.audit(request), flags)
    assert (summary.written, summary.kept) == (1, 2)


def test_a_missing_service(voc, out):
    done = drive(voc, out, "localhost:1", "--environment_type=LOOPBACK", "--job_server_timeout=2")
    assert done.returncode == 2
    assert done.stderr.startswith("error: PortableRunner: no answer (FutureTimeoutError); check")
    assert len(done.stderr.splitlines()) == 1
