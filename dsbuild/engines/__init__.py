"""A job: work mapped over tasks on local processes, with progress, stoppable at once."""

from dsbuild.engines.job import (
    Advance,
    Bar,
    Job,
    Result,
    Stopped,
    Task,
    aside,
    cores,
    tune,
    unlogged,
)

__all__ = [
    "Advance",
    "Bar",
    "Job",
    "Result",
    "Stopped",
    "Task",
    "aside",
    "cores",
    "tune",
    "unlogged",
]
