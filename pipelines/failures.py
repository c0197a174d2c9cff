"""Turn a failed pipeline into one error that a user can fix; a bug keeps its traceback.

Other processes report only the text of a traceback, so most is read from that.
"""

import builtins
import contextlib
import re
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from dsbuild import errors
from dsbuild.errors import DsbuildError, SampleError
from dsbuild.pipelines.options import IN_PROCESS
from dsbuild.pipelines.processes import Gone, Processes

Where = Callable[[Sequence[Any]], str]  # names the tasks that were lost

# The error follows the frames, which are indented; Beam may add another class before it and the
# step after it.
_RAISED = re.compile(
    r"(?:^|^ .*\n+)(?:RuntimeError: )*(?P<name>[A-Za-z_][\w.]*)"
    r"(?:: (?P<text>.*?))?(?: \[while running .*)?$",
    re.MULTILINE,
)
_STEP = re.compile(r" \[while running [^\n]*$")
_FRAME = re.compile(r'^ +File ".*[/\\](?:dsbuild|pipelines)[/\\].*", line \d', re.MULTILINE)
_OURS = ("dsbuild.errors.", "dsbuild.build.encode.")
# Errors from outside a worker: disks, memory, somebody who stops it.
_WORLD = (OSError, MemoryError, KeyboardInterrupt, SystemExit)
# Libraries through which Beam talks to services: their errors are not bugs of dsbuild.
_SERVICES = ("google", "grpc", "requests", "urllib3")
_AGAIN = "finished shards are kept: run the same command again to resume"


@contextlib.contextmanager
def clear(options: PipelineOptions, processes: Processes, where: Where) -> Iterator[None]:
    """Raise a failure as one DsbuildError; a bug of dsbuild keeps its traceback."""
    try:
        yield
    except Exception as error:
        runner = options.view_as(StandardOptions).runner
        explained = _explained(error, runner, processes, where)
        if explained is None:
            raise
        raise explained from error


class _Raised(NamedTuple):
    """The error that was raised last, in this process or in another."""

    name: str
    text: str
    ours: bool  # whether dsbuild's code raised it


def _explained(
    error: Exception, runner: str, processes: Processes, where: Where
) -> DsbuildError | None:
    """Return the error that says what to do; None for a bug or an error that already says so."""
    if isinstance(error, DsbuildError) and not _STEP.search(str(error)):
        return None
    raised, lines = _raised(error), [line for line in str(error).splitlines() if line.strip()]
    if raised.name.startswith(_OURS):
        kind = getattr(errors, raised.name.rpartition(".")[2], SampleError)
        return kind(raised.text)
    if isinstance(error, Gone) or processes.exits:
        return DsbuildError(_lost(processes, where))
    if "No module named 'dsbuild" in str(error):
        return DsbuildError(
            f"{runner}: its workers have no dsbuild; install it in their image, or omit "
            "--sdk_container_image and --setup_file, so that it is sent to them"
        )
    if type(error).__name__ == "DataflowRuntimeException":
        return DsbuildError(f"{runner}: {_of_job(lines)}")
    package = type(error).__module__.partition(".")[0]
    # A worker's bug comes with its traceback as text; Beam's own errors about a service do not.
    beams = isinstance(error, RuntimeError) and "Traceback" not in str(error)
    if runner != IN_PROCESS and (beams or isinstance(error, OSError) or package in _SERVICES):
        text = lines[0] if lines else f"no answer ({type(error).__name__})"
        return DsbuildError(
            f"{runner}: {text}; check its options, buckets, permissions, and the network"
        )
    kind = getattr(builtins, raised.name, None)
    cause = f"{raised.name}: {raised.text}" if raised.text else raised.name
    if isinstance(kind, type) and issubclass(kind, _WORLD):
        return DsbuildError(f"{runner}: a worker was stopped by {cause}; {_AGAIN}")
    if raised.ours:
        return None
    log = processes.keep_log("".join(traceback.format_exception(error)))
    more = f"; its output is in {log}" if log else ""
    return DsbuildError(f"{runner}: it failed with {cause}; {_AGAIN}{more}")


def _raised(error: Exception) -> _Raised:
    text = str(error)
    if "Traceback (most recent call last)" in text:
        *_, last = _RAISED.finditer(text)
        return _Raised(last["name"], last["text"] or "", bool(_FRAME.search(text)))
    (*_, line) = traceback.format_exception_only(error)
    name, _, text = _STEP.sub("", line.strip()).partition(": ")
    packages = [
        frame.f_globals.get("__name__", "").partition(".")[0]
        for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    inner = packages[packages.index("apache_beam") :] if "apache_beam" in packages else packages
    return _Raised(name, text, "dsbuild" in inner)


def _lost(processes: Processes, where: Where) -> str:
    processes.look()
    how = ""
    if processes.exits:
        code = processes.exits[0]
        number = -code if code < 0 else code - 128 if code > 128 else 0
        how = f" (exit code {code})"
        if number in list(signal.Signals):
            how = f" (signal {signal.Signals(number).name})"
    return (
        f"a worker process of the pipeline died{how}: {where(processes.lost)}; the system "
        "may have killed it because memory ran out: give it more, or use more --shards or fewer "
        f"workers; {_AGAIN}"
    )


def _of_job(lines: list[str]) -> str:
    """Return a failed job's state and last line, as the service reports them."""
    state, last = lines[0].removesuffix(", Error:"), lines[-1]
    why = "the service gives no reason" if last in (lines[0], "None") else last.rstrip(".")
    return f"{state}: {why}; {_AGAIN}"
