"""What fails in a pipeline is one line that says what it is; a bug keeps its traceback."""

import importlib
import pathlib
import re

import pytest

from dsbuild.errors import DsbuildError, SampleError, StorageError

pytest.importorskip("apache_beam", reason="Apache Beam is not installed")
failures = importlib.import_module("dsbuild.pipelines.failures")
options = importlib.import_module("dsbuild.pipelines.options")
processes = importlib.import_module("dsbuild.pipelines.processes")

IN_PROCESS = []
ELSEWHERE = ["--job_endpoint=localhost:1"]


def told(error, folder, flags=ELSEWHERE, exits=()):
    """Return what is raised of an error of Beam."""
    name = "PortableRunner" if flags is ELSEWHERE else "beam"
    with (
        processes.watched(str(folder)) as mine,
        pytest.raises(Exception, match=r".") as caught,
        failures.clear(options.parse(name, flags), mine, lambda lost: f"at {len(lost)} shards"),
    ):
        mine.exits.extend(exits)
        raise error
    return caught.value


def trace(*lines, frame="/x/dsbuild/build/encode.py"):
    """Return the text of a traceback that a worker sends."""
    head = ["Traceback (most recent call last):", f'  File "{frame}", line 9, in f', "    call()"]
    return "\n".join([*head, *lines])


def test_what_beam_says_of_a_service_is_one_line(tmp_path):
    found = told(RuntimeError("Unable to fetch the jar\nmore"), tmp_path)
    assert type(found) is DsbuildError
    assert str(found).startswith("PortableRunner: Unable to fetch the jar; check its options")


WHILE = " [while running 'Build/write']"


@pytest.mark.parametrize("end", ["", WHILE])
@pytest.mark.parametrize("flags", [IN_PROCESS, ELSEWHERE], ids=["here", "elsewhere"])
def test_an_error_of_ours_keeps_its_kind(flags, end, tmp_path):
    text = trace(f"dsbuild.errors.StorageError: s3://b/x: cannot be read{end}")
    found = told(RuntimeError(f"bundle failed: {text}"), tmp_path, flags)
    assert (type(found), str(found)) == (StorageError, "s3://b/x: cannot be read")
    error = StorageError(f"s3://b/x: cannot be read{end}")  # as Beam raises it in this process
    found = told(error, tmp_path, flags)
    assert (type(found), str(found)) == (StorageError, "s3://b/x: cannot be read")
    text = trace(f"dsbuild.build.encode.Rejected: sample a: bad{end}")
    found = told(RuntimeError(text), tmp_path, flags)
    assert (type(found), str(found)) == (SampleError, "sample a: bad")


WORLD = ["MemoryError", "OSError: [Errno 28] No space left on device", "KeyboardInterrupt"]


@pytest.mark.parametrize("end", ["", WHILE])
@pytest.mark.parametrize("raised", [*WORLD, *(f"RuntimeError: {one}" for one in WORLD)])
def test_trouble_around_a_worker_is_one_line(raised, end, tmp_path):
    found = told(RuntimeError(trace(raised + end)), tmp_path)
    assert isinstance(found, DsbuildError)
    plain = raised.removeprefix("RuntimeError: ")
    assert f"a worker was stopped by {plain}; finished shards are kept" in str(found)


BUGS = ["KeyError: 'a bug'", "RuntimeError: KeyError: 'a bug'"]


@pytest.mark.parametrize("flags", [IN_PROCESS, ELSEWHERE], ids=["here", "elsewhere"])
@pytest.mark.parametrize("raised", BUGS)
def test_a_bug_keeps_its_traceback(raised, flags, tmp_path):
    error = RuntimeError(trace(raised))
    assert told(error, tmp_path, flags) is error
    # Of what was raised while another error was told the last one counts.
    earlier = trace("dsbuild.errors.StorageError: x: cannot be read")
    more = "During handling of the above exception, another exception occurred:"
    error = RuntimeError("\n\n".join([earlier, more, trace(raised)]))
    assert told(error, tmp_path, flags) is error
    error = KeyError("a bug")
    assert told(error, tmp_path, flags) is error


def test_a_failure_of_beam_is_one_line_and_its_traceback_in_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(processes.tempfile, "tempdir", str(tmp_path))
    error = RuntimeError(trace("ValueError: no such coder", frame="/x/apache_beam/runner.py"))
    found = told(error, tmp_path, IN_PROCESS)
    assert isinstance(found, DsbuildError)
    match = re.fullmatch(
        r"FnApiRunner: it failed with ValueError: no such coder; .*; its output is in (\S+)",
        str(found),
    )
    assert "no such coder" in pathlib.Path(match[1]).read_text()


@pytest.mark.parametrize(
    ("code", "how"),
    [(-9, "signal SIGKILL"), (137, "signal SIGKILL"), (-11, "signal SIGSEGV"), (3, "exit code 3")],
)
def test_a_process_that_died_is_named_by_its_end(code, how, tmp_path):
    closed = RuntimeError("Channel closed prematurely.")
    found = told(closed, tmp_path, IN_PROCESS, exits=[code])
    assert str(found).startswith(f"a worker process of the pipeline died ({how}): at 0 shards; ")
    assert "\n" not in str(found)
