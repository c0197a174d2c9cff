"""ArrayRecord: the records themselves, as Grain and TFDS read them at random.

A record is a group of its own (`group_size:1`), so that one is read without its
neighbours.

Source: github.com/google/array_record, python/array_record_module.cc.
"""

import contextlib
import errno
import os
from collections.abc import Iterable

ENDING = "array_record"


def write(records: Iterable[bytes], path: str) -> int:
    """Write records, the bytes of a tf.train.Example each, to a path; return how many."""
    from array_record.python.array_record_module import ArrayRecordWriter

    count = 0
    try:
        with contextlib.closing(ArrayRecordWriter(path, "group_size:1")) as writer:
            for record in records:
                writer.write(record)
                count += 1
    except RuntimeError as error:
        raise _of_system(error) from error
    return count


def _of_system(error: RuntimeError) -> OSError:
    """Return the system's error that the library tells of in words alone."""
    numbers = (number for number in errno.errorcode if os.strerror(number) in str(error))
    number = next(numbers, errno.EIO)
    return OSError(number, os.strerror(number))
