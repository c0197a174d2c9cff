"""Build an output folder by a Beam pipeline: plans, read from the folder -> shards -> manifest.

    plan files | places of lines | reshuffle | WriteShards | finish

The element is a shard's plan, so that a runner only maps, and the pipeline's graph holds
names of files, not samples: it is as large for a million samples as for a thousand. What
workers need is the folder and the sources. The pipeline writes the manifest itself, so
that a submitted job ends complete without the process that submitted it.

Also a program: `python -m dsbuild.pipelines.build voc SOURCE OUT --runner=NAME ...`.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions

from dsbuild import folder, job, manifest, storage, tables
from dsbuild.audit import Audit, Request
from dsbuild.build import Note, Outcome, Summary, ensure_shard, finish, opened, prepare, tell
from dsbuild.errors import DsbuildError, SampleError
from dsbuild.pipelines.options import quiet
from dsbuild.plan import files
from dsbuild.plan.files import Place

_SPACE = "dsbuild"  # of the counters
_FAILED = "failed"
_ERROR = re.compile(
    r"^dsbuild\.(?:errors|example)\.\w+: (?P<text>.*?)(?: \[while running .*)?$", re.MULTILINE
)


def build(
    request: Request,
    audit: Audit,
    options: PipelineOptions,
    note: Note = lambda _: None,
) -> Summary:
    """Build or finish an output folder as `dsbuild.build.build` does, by a Beam runner.

    Shards that stand as planned are kept. Raises a DsbuildError, which leaves a folder
    without manifest but with all finished shards; any engine then finishes it.
    """
    with opened(request, audit, note) as others:
        prepare(request, audit.splits, others, note)
        splits = [found.split for found in audit.splits]
        pipeline = beam.Pipeline(options=options)
        places = pipeline | "plans" >> beam.Create([files.path(request.out, s) for s in splits])
        _ = places | Build(request, splits)
        with quiet(options), _clear(request.out):
            result = pipeline.run()
            result.wait_until_finish()
        document = manifest.load(request.out)
        if document is None:
            raise DsbuildError(
                f"{request.out}: the pipeline was staged, not run; its job completes the folder"
            )
        total = sum(len(found.shards) for found in audit.splits)
        kept = _counted(result, "shards kept")
        rejects = folder.rejects(request.out)
        tell(rejects, note)
        return Summary(document, total - kept, kept, rejects)


class Build(beam.PTransform):
    """Plan files -> a complete folder; the manifest's names of splits come out."""

    def __init__(self, request: Request, splits: Sequence[str]):
        super().__init__()
        self.request, self.splits = request, list(splits)

    def expand(self, plans):
        """Return what `finish` gives, once."""
        shards = plans | "places" >> beam.FlatMap(files.places) | WriteShards(self.request)
        return (
            plans.pipeline
            | "once" >> beam.Create([None])
            | "manifest"
            >> beam.Map(
                _finish,
                beam.pvalue.AsList(shards.written),
                beam.pvalue.AsList(shards[_FAILED]),
                request=self.request,
                splits=self.splits,
            )
        )


class WriteShards(beam.PTransform):
    """Places of plans -> Outcomes, and of samples that stop a build (shard, error) as `failed`."""

    def __init__(self, request: Request):
        super().__init__()
        self.request = request

    def expand(self, places):
        """Return outcomes as `written`, errors as `failed`."""
        # Without a shuffle all shards would be one worker's.
        return (
            places
            | beam.Reshuffle()
            | "write" >> beam.ParDo(_WriteShard(self.request)).with_outputs(_FAILED, main="written")
        )


class _WriteShard(beam.DoFn):
    def __init__(self, request: Request):
        self.request = request

    def setup(self) -> None:
        job.tune()

    def process(self, place: Place):
        try:
            outcome = ensure_shard(place, _count, request=self.request)
        except SampleError as error:
            # It would fail at every retry. An error of storage is raised, and retried.
            yield beam.pvalue.TaggedOutput(_FAILED, (place, str(error)))
            return
        Metrics.counter(_SPACE, "shards kept" if outcome.kept else "shards written").inc()
        for reject in outcome.receipt.rejects:
            Metrics.counter(_SPACE, f"rejects {reject.kind}").inc()
        yield outcome


def _count(samples: int, size: int) -> None:
    # For those who watch: a bundle that is tried again counts again. The manifest does not.
    Metrics.counter(_SPACE, "samples").inc(samples)
    Metrics.counter(_SPACE, "bytes").inc(size)


def _finish(
    _: None,
    outcomes: Sequence[Outcome],
    failed: Sequence[tuple[Place, str]],
    request: Request,
    splits: Sequence[str],
) -> Sequence[str]:
    """Write the manifest, or raise what failed first in the order of the plans."""
    out = request.out
    if failed:
        plans = [files.path(out, split) for split in splits]
        ranked = sorted(failed, key=lambda one: (plans.index(one[0].path), one[0].offset))
        more = (
            f" (and {tables.count(len(failed) - 1, 'shard')} more failed)"
            if len(failed) > 1
            else ""
        )
        text = ranked[0][1] + more
        storage.write(folder.state(out, folder.FAILED), text.encode())
        raise SampleError(text)
    others = folder.other_splits(out, splits, request.recipe)
    finish(out, request.recipe, splits, [outcome.receipt for outcome in outcomes], others)
    return splits


@contextlib.contextmanager
def _clear(out: str) -> Iterator[None]:
    """Raise what failed in a pipeline as the worker raised it, without Beam's traceback."""
    path = folder.state(out, folder.FAILED)
    try:
        yield
    except Exception as error:
        if storage.stamp(path):
            raise SampleError(storage.read(path)[0].decode()) from None
        # In other processes only the text of the traceback is left of an error.
        found = [*_ERROR.finditer(f"dsbuild.errors.{type(error).__name__}: {error}")]
        if isinstance(error, DsbuildError) or len(found) > 1:
            raise DsbuildError(found[-1]["text"]) from error
        raise


def _counted(result: Any, name: str) -> int:
    found = result.metrics().query(MetricsFilter().with_name(name))["counters"]
    return sum(one.result for one in found)


if __name__ == "__main__":
    import runpy

    # As a program this is a command, and commands stand above the pipelines that they run.
    runpy.run_module("dsbuild.cli.pipeline", run_name="__main__")
