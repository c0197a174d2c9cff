"""Statistics and validation on runners of Beam equal those of this machine's processes."""

import importlib
import json
import os
import subprocess
import sys

import pytest

from dsbuild.engines import Job
from dsbuild.errors import DsbuildError, StorageError
from dsbuild.format import manifest
from dsbuild.format.folder import Folder
from tests.support.damage import invert_byte
from tests.support.runs import make

pytest.importorskip("apache_beam", reason="Apache Beam is not installed")
jobs = importlib.import_module("dsbuild.pipelines.engine")
launch = importlib.import_module("dsbuild.pipelines.run")
options = importlib.import_module("dsbuild.pipelines.options")

PROCESSES = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]


@pytest.fixture
def built(voc, out):
    make(voc, out, splits=("train", "val"), shards=2)
    return out


@pytest.fixture
def damaged(built):
    """A build with a damaged record, a cut file, a missing one, and one of unknown name."""
    first, second, third, fourth = Folder(built).files
    invert_byte(first, record=1, at=60)
    os.truncate(second, manifest.offsets(built, os.path.basename(second))[4] + 9)
    os.remove(third)
    with open(fourth, "rb") as source, open(os.path.join(built, "x.tfrecord"), "wb") as copy:
        copy.write(source.read())
    return built


def document(result):
    return json.loads(result.stdout), result.exit_code


@pytest.mark.parametrize("folder", ["built", "damaged"])
@pytest.mark.parametrize("command", [["statistics"], ["validate"], ["validate", "--level=frames"]])
def test_in_process(command, folder, request, run):
    folder = request.getfixturevalue(folder)
    here = document(run(*command, folder, "--json"))
    assert document(run(*command, folder, "--json", "--runner", "beam")) == here
    if folder.endswith("damaged"):
        assert here[1] == 1


def test_a_source(voc, built, run):
    os.remove(os.path.join(voc, "JPEGImages", "2007_000003.jpg"))
    words = ["validate", built, voc, "--level", "source", "--json"]
    here = document(run(*words))
    assert here[0]["problems"]
    assert document(run(*words, "--runner", "FnApiRunner")) == here


@pytest.mark.slow
@pytest.mark.parametrize("command", ["statistics", "validate"])
def test_in_processes(command, damaged, run, tmp_path):
    here = document(run(command, damaged, "--json"))
    place = f"--temp_location={tmp_path / 'place'}"
    there = run(command, damaged, "--json", "--runner", "beam", "--", *PROCESSES, place)
    assert document(there) == here
    assert not any(files for _, _, files in os.walk(tmp_path / "place"))


@pytest.mark.slow
@pytest.mark.parametrize("command", ["statistics", "validate"])
def test_as_a_program(command, built, run):
    here = document(run(command, built, "--json"))
    words = [sys.executable, "-m", f"dsbuild.pipelines.{command}", built]
    found = subprocess.run([*words, "--runner=FnApiRunner"], capture_output=True, text=True)
    assert (json.loads(found.stdout), found.returncode) == here, found.stderr
    found = subprocess.run([*words, "--what=1"], capture_output=True, text=True)
    assert (found.stdout, found.returncode) == ("", 2)
    assert found.stderr.startswith("error: options of Beam: found --what=1")


@pytest.mark.parametrize("command", ["statistics", "validate"])
def test_errors_are_one_line(command, run, tmp_path):
    result = run(command, tmp_path / "none", "--runner", "beam")
    assert result.exit_code == 2
    assert "no such file or folder" in result.stderr
    result = run(command, tmp_path, "--runner", "beam", "--", "--projekt=p")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: options of Beam: found --projekt=p")


def test_results_are_in_task_order():
    job = Job(["a", "bb", ""], length, 3, "counting")
    assert jobs.Beam(options.parse("beam")).map(job) == [1, 2, 0]
    assert jobs.Beam(options.parse("beam")).map(Job([], length, 0, "counting")) == []


def length(task, advance):
    advance(1, len(task))
    return len(task)


def test_a_missing_result_says_what_to_do(tmp_path):
    with pytest.raises(DsbuildError, match="--temp_location"):
        jobs.kept(str(tmp_path), "result-0")


def test_unreadable_results_are_not_blamed_on_an_unshared_folder(tmp_path, monkeypatch):
    def read(path):
        raise StorageError(f"{path}: cannot be read: Input/output error")

    monkeypatch.setattr(jobs.storage, "read", read)
    with pytest.raises(StorageError, match="cannot be read: Input/output error") as caught:
        jobs.kept(str(tmp_path), "result-0")
    assert "--temp_location" not in str(caught.value)


def test_options_that_a_runner_misses_are_an_error(gs):
    pytest.importorskip("google.cloud.dataflow", reason="Dataflow's part of Beam is not installed")
    with pytest.raises(DsbuildError, match=r"options of Beam: .*option: project. Missing"):
        # The bucket is there, or Beam would look for it, and for credentials, for two minutes.
        given = [f"--temp_location={gs}/tmp", "--no_auth"]
        launch.made(options.parse("DataflowRunner", given))
