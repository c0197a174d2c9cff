"""A job is a value; an engine maps it: local processes, Dask, and Beam in `pipelines`."""

from dsbuild.engines.choice import chosen
from dsbuild.engines.engine import Engine, batch
from dsbuild.engines.job import Advance, Job, Result, Stopped, Task
from dsbuild.engines.lanes import turn
from dsbuild.engines.local import Local
from dsbuild.engines.process import cores, tune, unlogged
from dsbuild.engines.progress import Bar, aside, clock

__all__ = [
    "Advance",
    "Bar",
    "Engine",
    "Job",
    "Local",
    "Result",
    "Stopped",
    "Task",
    "aside",
    "batch",
    "chosen",
    "clock",
    "cores",
    "tune",
    "turn",
    "unlogged",
]
