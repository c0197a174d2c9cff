"""`--runner`, `--scheduler`, `--workers`: a command's engine; after `--` the options of Beam."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from dsbuild.cli.command import Command
from dsbuild.cli.kinds import Names, runners
from dsbuild.errors import nearest

if TYPE_CHECKING:
    from dsbuild.engines import Engine

LOCAL = "local"
DASK = "dask"
NAMED = (LOCAL, DASK, "beam")
# Beam adds "Runner" to these itself.
BEAM_SHORT = ("direct", "dataflow", "flink", "spark", "prism", "portable", "interactive", "fnapi")

runner_option = click.option(
    "--runner",
    type=Names(runners),
    default=LOCAL,
    show_default=True,
    metavar="NAME",
    help="local: processes of this machine. dask: a Dask cluster, with --scheduler. beam: Apache "
    "Beam in this process. Or a runner of Beam, such as DataflowRunner. Options of Beam come after "
    "--.",
)

scheduler_option = click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Address of a Dask cluster, for --runner dask: tcp://HOST:8786.",
)

workers_option = click.option(
    "--workers",
    type=click.IntRange(1),
    metavar="N",
    help="Processes of this machine. Default: all cores.",
)


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that choose its engine."""
    return runner_option(scheduler_option(workers_option(command)))


@dataclass(frozen=True)
class Runner:
    """The engine that was asked for.

    Attributes:
      name: `local`, `dask`, `beam`, or a runner of Beam.
      options: of Beam.
      scheduler: of Dask.
      workers: how many processes of this machine; None for as many as there are cores.
    """

    name: str = LOCAL
    options: tuple[str, ...] = ()
    scheduler: str | None = None
    workers: int | None = None

    @property
    def local(self) -> bool:
        """Whether the work is done by processes of this machine."""
        return self.name == LOCAL

    def beam(self) -> Any:
        """Return the PipelineOptions of a pipeline; raise DsbuildError if they are wrong."""
        from dsbuild.pipelines import options

        return options.parse(self.name, self.options)

    def engine(self, quiet: bool = True, note: Callable[[str], None] = lambda _: None) -> "Engine":
        """Return the engine; raise DsbuildError if its options are wrong."""
        from dsbuild import engines

        engines.tune()  # the process is our own
        if self.name in (LOCAL, DASK):
            return engines.chosen(self.name, self.scheduler, self.workers, quiet, note)
        options = self.beam()  # says what is missing before more of Beam is imported
        from dsbuild.pipelines.build import Beam

        return Beam(options)

    def here(self, quiet: bool = True) -> "Engine":
        """Return the engine of this machine, whichever runner was asked for."""
        return Runner(workers=self.workers).engine(quiet)


@contextlib.contextmanager
def _heard() -> Iterator[None]:
    """Hear SIGTERM as Ctrl-C: work that is elsewhere would go on, and the lock be left."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: Any) -> None:
        raise KeyboardInterrupt(signal.Signals(number))

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _refuse_unknown(name: str, context: click.Context) -> None:
    """Raise UsageError for a name that is no runner, and looks like none of Beam's."""
    ends = name.lower().endswith("runner") or "." in name
    if not ends and name.lower() not in (*NAMED, *BEAM_SHORT):
        near = nearest(name, NAMED)
        raise click.UsageError(
            f"--runner: found {name!r}; expected {LOCAL}, {DASK}, beam, or a runner of Beam, "
            f"such as DataflowRunner{near}",
            context,
        )


class RunnerCommand(Command):
    """A command with `engine_options`, whose one parameter of them, `runner`, is a Runner.

    Everything after the first `--` are options of Beam, and never arguments of the command.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Divide the arguments at `--`, and hold both sides against the runner."""
        at = args.index("--") if "--" in args else len(args)
        behind = tuple(args[at + 1 :])
        rest = super().parse_args(ctx, args[:at])
        name, scheduler, workers = (
            ctx.params.pop(key, None) for key in ("runner", "scheduler", "workers")
        )
        runner = ctx.params["runner"] = Runner(name or LOCAL, behind, scheduler, workers)
        _refuse_unknown(runner.name, ctx)
        if runner.local and behind:
            raise click.UsageError(
                f"found {' '.join(behind)} after --, where options of Beam come; name a runner "
                "of Beam, as in --runner beam",
                ctx,
            )
        if runner.name == DASK and behind:
            raise click.UsageError(
                f"found {' '.join(behind)} after --, where options of Beam come, and --runner "
                f"{DASK}, which has none",
                ctx,
            )
        if (runner.name == DASK) != bool(scheduler):
            raise click.UsageError(
                f"--runner {DASK} and --scheduler ADDRESS go together: start the cluster's "
                "scheduler by `dask scheduler`, and its workers by `dask worker ADDRESS`",
                ctx,
            )
        if not runner.local and workers is not None:
            raise click.UsageError(
                f"--workers is for --runner {LOCAL}; how many a runner of Beam has is an option of "
                "its own, as in -- --direct_running_mode=multi_processing --direct_num_workers=2; "
                "a Dask cluster has those that were started",
                ctx,
            )
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; on a runner elsewhere SIGTERM ends it in order, as Ctrl-C does."""
        if ctx.params["runner"].local:
            return super().invoke(ctx)
        with _heard():
            return super().invoke(ctx)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the pieces of the usage line, the options of Beam last."""
        return [*super().collect_usage_pieces(ctx), "[-- BEAM OPTIONS]"]
