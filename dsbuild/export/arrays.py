"""ArrayRecord: the records themselves, as Grain and TFDS read them at random.

A record is a group of its own (`group_size:1`), so that one is read without its
neighbours.

Source: github.com/google/array_record, python/array_record_module.cc.
"""

from collections.abc import Iterable

ENDING = "array_record"


def write(records: Iterable[bytes], path: str) -> int:
    """Write records, the bytes of a tf.train.Example each, to a path; return how many."""
    from array_record.python.array_record_module import ArrayRecordWriter

    writer, count = ArrayRecordWriter(path, "group_size:1"), 0
    try:
        for record in records:
            writer.write(record)
            count += 1
    finally:
        writer.close()
    return count
