"""`--runner`: what maps the work; `--scheduler` of Dask, and behind `--` options of Beam."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

LOCAL = "local"
DASK = "dask"

runner_option = click.option(
    "--runner",
    default=LOCAL,
    show_default=True,
    metavar="NAME",
    help="local: processes of this machine. beam: Apache Beam in this process. Or a runner of "
    "Beam, such as DataflowRunner. Options of Beam stand behind --.",
)

dask_option = click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Of a Dask cluster, for --runner dask: tcp://HOST:8786.",
)


@dataclass(frozen=True)
class Runner:
    """What maps the work: this machine's processes, or a Beam runner with its options."""

    name: str = LOCAL
    options: tuple[str, ...] = ()

    @property
    def local(self) -> bool:
        """Whether Beam has no part in it."""
        return self.name == LOCAL

    def beam(self) -> Any:
        """Return the PipelineOptions of the pipeline; raise DsbuildError where they are wrong."""
        from dsbuild.pipelines import options

        return options.parse(self.name, self.options)


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


class RunnerCommand(click.Command):
    """A command with `runner_option`, whose parameter `runner` is a Runner.

    All behind the first `--` are options of Beam, and never arguments of the command.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Divide the arguments at `--`, and hold both sides against the runner."""
        at = args.index("--") if "--" in args else len(args)
        behind = tuple(args[at + 1 :])
        rest = super().parse_args(ctx, args[:at])
        runner = ctx.params["runner"] = Runner(ctx.params["runner"], behind)
        if runner.local and behind:
            raise click.UsageError(
                f"found {' '.join(behind)} behind --, where options of Beam stand; name a runner "
                "of Beam, as in --runner beam"
            )
        if runner.name == DASK and behind:
            raise click.UsageError(
                f"found {' '.join(behind)} behind --, where options of Beam stand, and --runner "
                f"{DASK}, which has none"
            )
        if (runner.name == DASK) != bool(ctx.params.get("scheduler")):
            raise click.UsageError(
                f"--runner {DASK} and --scheduler ADDRESS go together: the cluster's scheduler is "
                "started before, by `dask scheduler`, and its workers by `dask worker ADDRESS`"
            )
        if not runner.local and ctx.params.get("workers") is not None:
            raise click.UsageError(
                f"--workers are of --runner {LOCAL}; how many a runner of Beam has is an option of "
                "its own, as in -- --direct_running_mode=multi_processing --direct_num_workers=2; "
                "a Dask cluster has those that were started"
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
