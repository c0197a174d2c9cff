"""One TFRecord file, read once and checked as deep as asked."""

from collections.abc import Callable

from dsbuild import storage, tfrecord
from dsbuild.errors import DsbuildError
from dsbuild.job import Advance
from dsbuild.tfrecord import Record
from dsbuild.validate.base import Checked, Rules, Task

Look = Callable[[Record, Task, Rules, Checked], None]


def check(task: Task, advance: Advance, *, rules: Rules, look: Look | None) -> Checked:
    """Read a file once and check its frames, and `look` at every record; no content raises."""
    checked = Checked(task.path)
    try:
        with storage.reading(task.path) as (file, size):
            checked.bytes = size
            for record in tfrecord.frames(file, size, task.offsets):
                if record.problem:
                    checked.add("frame", record.problem, record)
                    continue
                length = len(record.data)
                checked.records += 1
                checked.offsets.append(record.offset)
                checked.sizes.append(length + tfrecord.FRAMING)
                if look is not None:
                    look(record, task, rules, checked)
                advance(length, length)
        if look is not None:
            checked.sha256, _ = storage.sha256(task.path)
    except DsbuildError as error:
        checked.add("missing", str(error).removeprefix(f"{task.path}: "))
    return checked
