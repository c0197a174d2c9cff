"""ArrayRecord: the records themselves, for random access by Grain and TFDS.

Each record is its own group (`group_size:1`), so it can be read without its neighbours.

Source: github.com/google/array_record, python/array_record_module.cc.
"""

import contextlib
import errno
import os
from collections.abc import Iterable

ENDING = "array_record"


def write(records: Iterable[bytes], path: str) -> int:
    """Write records, each the bytes of a tf.train.Example, to a path; return their number."""
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
    """Return the operating system's error, which the library reports only as text."""
    numbers = (number for number in errno.errorcode if os.strerror(number) in str(error))
    number = next(numbers, errno.EIO)
    return OSError(number, os.strerror(number))
