"""`--plan-only`, `--task K/N`, `--finish`: a build as an array job, for a scheduler of jobs."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from dsbuild.cli.options import echo, echo_json
from dsbuild.cli.runner import Runner

if TYPE_CHECKING:
    from dsbuild.build.array import Task
    from dsbuild.build.audit import Audit
    from dsbuild.build.request import Request
    from dsbuild.build.run import Summary

_WORDS = ("plan_only", "task", "finish")


class Share(click.ParamType):  # type: ignore[type-arg]
    """A share of a build such as `3/64`."""

    name = "K/N"

    def convert(self, value: Any, param: Any, ctx: Any) -> "Task":
        """Return the share."""
        from dsbuild.build.array import Task

        if isinstance(value, Task):
            return value
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", value.strip())
        task = Task(int(match[1]), int(match[2])) if match else Task(0, 0)
        if not 0 < task.number <= task.count:
            self.fail(f"found {value!r}; expected K/N with K from 1 to N, such as 3/64", param, ctx)
        return task


array_options = (
    click.option(
        "--plan-only",
        is_flag=True,
        help="Plan an array job in OUT, for --task and --finish; write no shard.",
    ),
    click.option(
        "--task",
        type=Share(),
        metavar="K/N",
        help="Do share K of N of a planned array job. Shares may run at the same time.",
    ),
    click.option(
        "--finish", is_flag=True, help="Complete an array job when all of its shares are done."
    ),
)


def taken(asked: dict[str, Any], runner: Runner) -> dict[str, Any]:
    """Take the options of an array job from those of a command; raise UsageError for a bad mix."""
    found = {word: asked.pop(word) for word in _WORDS}
    names = [f"--{word.replace('_', '-')}" for word in _WORDS if found[word]]
    if len(names) > 1:
        raise click.UsageError(f"found {' and '.join(names)}; expected one of them at a time")
    if names and not runner.local:
        raise click.UsageError(f"{names[0]} is for --runner local: each share is a local command")
    if names and asked["dry_run"] and not found["plan_only"]:
        raise click.UsageError(f"{names[0]} does not go with --dry-run, which writes nothing")
    if names and asked["overwrite"] and not found["plan_only"]:
        raise click.UsageError(
            f"{names[0]} does not go with --overwrite, which would remove what other shares wrote; "
            "plan with it: --plan-only --overwrite"
        )
    return found


def share(request: "Request", task: "Task", runner: Runner, quiet: bool, as_json: bool) -> None:
    """Do a share, and say what became of it."""
    from dsbuild.build import array
    from dsbuild.inspect.tables import count

    made = array.share(request, task, runner.here(quiet or as_json))
    kept = sum(outcome.kept for outcome in made)
    rejects = sum(len(outcome.receipt.rejects) for outcome in made)
    if as_json:
        found = {"written": len(made) - kept, "kept": kept, "rejects": rejects}
        echo_json({"out": request.out, "task": str(task), **found})
    elif not quiet:
        more = f", {count(rejects, 'sample')} left out" if rejects else ""
        done = f"{count(len(made) - kept, 'shard')} written, {kept:,} kept{more}"
        echo(f"{request.out}: share {task}: {done if made else 'nothing to do'}")


def plan(
    request: "Request", audit: "Audit", quiet: bool, as_json: bool, note: Callable[[str], None]
) -> None:
    """Plan an array job, and say how it goes on."""
    from dsbuild.build import array
    from dsbuild.inspect.tables import count

    shards = array.plan(request, audit, note)
    if as_json:
        echo_json({"out": request.out, "shards": shards})
    elif quiet:
        return
    elif shards:
        echo(
            f"{request.out}: {count(shards, 'shard')} planned; run the same command with --task "
            f"1/N to N/N instead of --plan-only, N at most {shards:,}, then with --finish"
        )
    else:
        echo(f"{request.out}: this build is finished; there is nothing to plan")


def finish(
    request: "Request", runner: Runner, quiet: bool, note: Callable[[str], None]
) -> "Summary":
    """Complete an array job."""
    from dsbuild.build import array

    return array.finish(request, runner.here(quiet), note)
