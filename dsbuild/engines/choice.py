"""An engine by name, as the public functions and the commands take it."""

from collections.abc import Callable

from dsbuild.engines.engine import Engine
from dsbuild.engines.local import Local
from dsbuild.engines.process import cores
from dsbuild.errors import PlanError


def chosen(
    runner: str | Engine = "local",
    scheduler: str | None = None,
    workers: int | None = None,
    quiet: bool = True,
    note: Callable[[str], None] = lambda _: None,
) -> Engine:
    """Return an engine: itself, `local` with its workers, or `dask` with its scheduler.

    Raises PlanError for another name, a scheduler without `dask`, or `dask` without one.
    """
    if not isinstance(runner, str):
        return runner
    if (runner == "dask") != bool(scheduler):
        raise PlanError(
            f"runner {runner!r}, scheduler {scheduler!r}: expected both runner='dask' and the "
            "address of its scheduler, or neither"
        )
    if scheduler:
        from dsbuild.engines.dask import Dask  # here, since few builds need it

        return Dask(scheduler, quiet, note)
    if runner == "local":
        if workers is not None and (type(workers) is not int or workers < 1):
            raise PlanError(
                f"workers: found {workers!r}, expected a whole number, at least 1, or None"
            )
        return Local(workers or cores(), quiet)
    raise PlanError(f"runner: found {runner!r}, expected local, dask, or an engine")
