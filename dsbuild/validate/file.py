"""One TFRecord file, read once and checked as deeply as its rules say."""

import os
from collections.abc import Callable

from dsbuild import storage
from dsbuild.build import plan_files
from dsbuild.engines import Advance
from dsbuild.errors import DataError, ShardError
from dsbuild.format import index, receipts, tfrecord
from dsbuild.format.tfrecord import Record
from dsbuild.validate.problem import Problem
from dsbuild.validate.rules import Checked, Rules, Samples, Task

Look = Callable[[Record, Samples, Rules, Checked], None]


def check(task: Task, advance: Advance, *, rules: Rules, look: Look | None) -> Checked:
    """Read a file once, checking its frames, and each record with `look`; no content raises."""
    checked = Checked(task.path)
    name = os.path.basename(task.path)
    samples = _samples(task, name, checked) if look else None
    offsets = index.offsets(task.home, name)
    try:
        with storage.reading(task.path) as (file, size):
            checked.bytes = size
            for record in tfrecord.frames(file, size, offsets):
                if record.problem:
                    checked.add("frame", record.problem, record)
                    continue
                length = len(record.data)
                checked.records += 1
                checked.offsets.append(record.offset)
                checked.sizes.append(length + tfrecord.FRAMING)
                if look is not None:
                    look(record, samples, rules, checked)
                advance(length, length)
        if look is not None:
            checked.sha256, _ = storage.sha256(task.path)
    except DataError as error:
        checked.add("missing", str(error).removeprefix(f"{task.path}: "))
    return checked


def _samples(task: Task, name: str, checked: Checked) -> Samples:
    """Return the samples of a file's records in order; None without a plan that can be read."""
    if task.place is None:
        return None
    path = task.place.path
    try:
        planned, samples, _ = plan_files.read(task.place)
        if planned != name:
            raise ShardError(f"{path}: found the plan of {planned}, expected that of {name}")
    except DataError as error:
        checked.problems.append(Problem("changed", path, str(error).removeprefix(f"{path}: ")))
        return None
    receipt = receipts.load(task.home, name)
    rejected = {reject.key for reject in receipt.rejects} if receipt else ()
    return [sample for sample in samples if sample.key not in rejected]
