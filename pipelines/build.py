"""Build an output folder by a Beam pipeline: plans, read from the folder -> shards -> manifest.

    plan files | places of lines | reshuffle | WriteShards | finish

If the runner's options ask for more workers than there are shards, shards are written in parts,
and joined after a shuffle by shard.

Each element is the place of a shard's plan, so the pipeline's graph holds names of files, not
samples, and does not grow with the data set. Workers need only the folder and the sources. The
pipeline writes the manifest itself, so a submitted job finishes the folder without the process
that submitted it.

Also a program: `python -m dsbuild.pipelines.build voc SOURCE OUT --runner=NAME ...`.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    StandardOptions,
)
from apache_beam.pvalue import PCollection

from dsbuild import storage
from dsbuild.build import output, plan_files
from dsbuild.build import run as building
from dsbuild.build.audit import Audit
from dsbuild.build.parts import count_parts
from dsbuild.build.plan_files import Place
from dsbuild.build.request import Request
from dsbuild.build.run import Note, Summary, finish, tell
from dsbuild.build.shard import Outcome
from dsbuild.build.tasks import Shards, ensure_joined, ensure_part, ensure_shard, name
from dsbuild.errors import DsbuildError, SampleError, StorageError
from dsbuild.format import manifest
from dsbuild.inspect import tables
from dsbuild.pipelines import engine, run
from dsbuild.pipelines.options import DATAFLOW, IN_PROCESS
from dsbuild.pipelines.processes import at, settle, token

_SPACE = "dsbuild"  # of the counters
_FAILED = "failed"


def build(
    request: Request,
    audit: Audit,
    options: PipelineOptions,
    note: Note = lambda _: None,
) -> Summary | None:
    """Build or finish an output folder as `dsbuild.build.run.build` does, on a Beam runner.

    Returns None if the pipeline was not run: it became a template, or this was a dry run.
    """
    return building.build(request, audit, Beam(options), note)


@dataclass(frozen=True)
class Beam(engine.Beam):
    """The engine of Beam, which builds by one pipeline that also writes the manifest."""

    def rehearse(self, request: Request, splits: Sequence[str], shards: Shards, note: Note) -> bool:
        """For a dry run, make the pipeline's graph; return whether it is one.

        Raises DsbuildError if the workers cannot reach the folders of the request.
        """
        _refuse_local(request, self.options)
        if not run.is_dry(self.options):
            return False
        run.run(self.options, self._graph(request, splits, shards))
        note("Beam's --dry_run made the pipeline's graph; nothing was written or sent")
        return True

    def complete(
        self, request: Request, splits: Sequence[str], shards: Shards, note: Note
    ) -> Summary | None:
        """Run the pipeline on a prepared folder; return None if it was only staged."""
        out, options = request.out, self.options
        graph = self._graph(request, splits, shards)
        staged = options.view_as(GoogleCloudOptions).template_location
        # The job of a template begins when this lock is free again.
        graph = storage.unheld(graph) if staged else storage.carried(graph)
        with _explained(out), _swept(out, options):
            result = run.run(options, graph, note, functools.partial(_where, out))
        if result is None:
            note(f"{out}: the pipeline was staged, not run; its job completes the folder")
            return None
        document = manifest.load(out)
        if document is None:
            raise DsbuildError(
                f"{out}: the job ended and there is no manifest: its workers see other files; "
                "name an OUT and a SOURCE that all machines reach"
            )
        # A bundle that is retried counts twice.
        kept = min(_counted(result, "shards kept"), shards.count)
        rejects = output.rejects(out)
        tell(rejects, note)
        return Summary(document, shards.count - kept, kept, rejects)

    def _graph(
        self, request: Request, splits: Sequence[str], shards: Shards
    ) -> Callable[[beam.Pipeline], None]:
        parts = count_parts(shards.count, shards.samples, self)
        return functools.partial(_graph, request=request, splits=splits, parts=parts)


def _refuse_local(request: Request, options: PipelineOptions) -> None:
    if options.view_as(StandardOptions).runner == DATAFLOW:
        for path in (request.root, request.out):
            if not path.startswith("gs://"):
                raise DsbuildError(
                    f"{path}: found a path that Dataflow's workers cannot reach, expected "
                    "gs://BUCKET/... for SOURCE and OUT; `gcloud storage cp -r` copies data there"
                )


def _graph(
    pipeline: beam.Pipeline, request: Request, splits: Sequence[str], parts: int = 1
) -> None:
    plans = [plan_files.path(request.out, split) for split in splits]
    _ = pipeline | "plans" >> beam.Create(plans) | Build(request, splits, parts)


class Build(beam.PTransform[PCollection[str], PCollection[Sequence[str]]]):
    """Turn plan files into a complete folder; yield the names of its splits."""

    def __init__(self, request: Request, splits: Sequence[str], parts: int = 1) -> None:
        super().__init__()
        self.request, self.splits, self.parts = request, list(splits), parts

    def expand(self, plans: PCollection[str]) -> PCollection[Sequence[str]]:
        """Return the names of the splits, once."""
        shards = (
            plans
            | "places" >> beam.FlatMap(plan_files.places)
            | WriteShards(self.request, self.parts)
        )
        names: PCollection[Sequence[str]] = (
            plans.pipeline
            | "once" >> beam.Create([None])
            | "manifest"
            >> beam.Map(
                storage.carried(_finish),
                beam.pvalue.AsList(shards["written"]),
                beam.pvalue.AsList(shards[_FAILED]),
                request=self.request,
                splits=self.splits,
            )
        )
        return names


class WriteShards(beam.PTransform[PCollection[Place], Mapping[str, PCollection[Any]]]):
    """Turn places of plans into Outcomes, and (place, error) as `failed` if a sample is bad.

    With several `parts`, each shard is written by that many workers.
    """

    def __init__(self, request: Request, parts: int = 1) -> None:
        super().__init__()
        self.request, self.parts = request, parts

    def expand(self, places: PCollection[Place]) -> Mapping[str, PCollection[Any]]:
        """Return outcomes as `written`, errors as `failed`."""
        request, parts = self.request, self.parts
        if parts == 1:
            # Without a shuffle one worker would write all shards.
            made = places | beam.Reshuffle() | "write" >> _mapped(ensure_shard, request=request)
            return {"written": made.written, _FAILED: made[_FAILED]}
        made = (
            places
            | "divide" >> beam.FlatMap(lambda place: [(place, i) for i in range(parts)])
            | beam.Reshuffle()
            | "write parts" >> _mapped(ensure_part, request=request, parts=parts)
        )
        whole = (
            made.written
            | "by shard" >> beam.GroupBy(lambda part: part[0])
            | "shards" >> beam.Filter(lambda group: len(set(group[1])) == parts)
            | beam.Keys()
            | "join" >> _mapped(ensure_joined, request=request, parts=parts)
        )
        failed = (made[_FAILED], whole[_FAILED]) | beam.Flatten()
        return {"written": whole.written, _FAILED: failed}


def _mapped(work: Callable[..., Any], **options: Any) -> beam.ParDo:
    work = storage.carried(work)
    transform: beam.ParDo = beam.ParDo(_Work(work, options)).with_outputs(_FAILED, main="written")
    return transform


class _Work(beam.DoFn):
    """Do a task; yield its outcome, or the task itself if there is none."""

    def __init__(self, work: Callable[..., Any], options: Mapping[str, Any]) -> None:
        self.work, self.options, self.driver = work, options, token()

    def setup(self) -> None:
        settle(self.driver)

    def process(self, task: Place | tuple[Place, int]) -> Iterator[Any]:
        try:
            with at(task if isinstance(task, Place) else task[0]):
                outcome = self.work(task, _count, **self.options)
        except SampleError as error:
            # It would fail at every retry. A storage error is raised, so that Beam retries.
            place = task if isinstance(task, Place) else task[0]
            yield beam.pvalue.TaggedOutput(_FAILED, (place, str(error)))
            return
        if outcome is None:
            yield task
            return
        Metrics.counter(_SPACE, "shards kept" if outcome.kept else "shards written").inc()
        for reject in outcome.receipt.rejects:
            Metrics.counter(_SPACE, f"rejects {reject.kind}").inc()
        yield outcome


def _count(samples: int, size: int) -> None:
    run.going()
    # For monitoring only: a retried bundle counts twice here, though not in the manifest.
    Metrics.counter(_SPACE, "samples").inc(samples)
    Metrics.counter(_SPACE, "bytes").inc(size)


def _finish(
    _: None,
    outcomes: Sequence[Outcome],
    failed: Sequence[tuple[Place, str]],
    request: Request,
    splits: Sequence[str],
) -> Sequence[str]:
    """Write the manifest, or raise the first failure in the order of the plans."""
    out = request.out
    if failed:
        plans = [plan_files.path(out, split) for split in splits]
        ranked = sorted(failed, key=lambda pair: (plans.index(pair[0].path), pair[0].offset))
        rest = tables.count(len(failed) - 1, "shard")
        text = ranked[0][1] + (f" (and {rest} more failed)" if len(failed) > 1 else "")
        storage.write(output.state(out, output.FAILED), text.encode())
        raise SampleError(text)
    others = output.other_splits(out, splits, request.recipe)
    receipts = [outcome.receipt for outcome in outcomes]
    accept, weights = request.accept, request.weights
    finish(out, request.recipe, splits, receipts, others, accept, weights)
    return splits


@contextlib.contextmanager
def _explained(out: str) -> Iterator[None]:
    """Raise the error that `_finish` wrote to a file in the pipeline."""
    path = output.state(out, output.FAILED)
    try:
        yield
    except Exception:
        if storage.stamp(path):
            raise SampleError(storage.read(path)[0].decode()) from None
        raise


@contextlib.contextmanager
def _swept(out: str, options: PipelineOptions) -> Iterator[None]:
    """Remove half-written files if all workers ended with the pipeline."""
    try:
        yield
    except BaseException:
        if options.view_as(StandardOptions).runner == IN_PROCESS:
            with contextlib.suppress(StorageError):
                output.sweep(out)
        raise


def _where(out: str, lost: Sequence[Place]) -> str:
    """Say which shards a dead worker was writing, or which are not finished."""
    if lost:
        return f"it was writing {', '.join(map(name, lost))}"
    done = set(storage.names(output.state(out, "receipts")))
    left = [line.name for line in plan_files.lines(out) if f"{line.name}.json" not in done]
    more = f" and {len(left) - 1} more" if len(left) > 1 else ""
    return f"not finished: {left[0]}{more}" if left else "all shards are finished"


def _counted(result: Any, name: str) -> int:
    counters = result.metrics().query(MetricsFilter().with_name(name))["counters"]
    return sum(counter.result for counter in counters)


if __name__ == "__main__":
    import runpy

    # As a program this is a command; imports only go down, from commands to pipelines.
    runpy.run_module("dsbuild.cli.pipeline", run_name="__main__")
