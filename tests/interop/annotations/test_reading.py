"""What is listed of a target meets what was written, however much that is."""

import itertools
import tracemalloc
import types

from dsbuild.interop.annotations import parts, reading
from dsbuild.interop.annotations.base import Row
from dsbuild.layouts.sample import Sample, Slice
from dsbuild.storage import write

EACH = 1000  # records of a shard


def listed(out, shards, size):
    """Write the rows of shards; return them, and a layout that lists them in another order."""
    names = [f"train-{i:05d}" for i in range(shards)]
    for i, name in enumerate(names):
        rows = (Row("train", f"{i}-{j}", f"train/{i}-{j}.jpg", (2, 2), True, None) for j in order())
        text = b"".join(parts.line(row, {row.image: b""}, {}) for row in rows)
        write(parts.path(str(out), name), b"{}\n" + text)

    def samples(root, split):
        for i, j in itertools.product(reversed(range(shards)), range(EACH)):
            data = f"{i}-{j}".encode().ljust(size)
            label = Slice("a.json", f"{i}-{j}", data), f"{i}-{j}.png"
            yield Sample(f"{i}-{j}", f"train/{i}-{j}.jpg", label if j % 2 else label[0])

    known = parts.Parts(str(out), tuple(("train", name) for name in names))
    return known, types.SimpleNamespace(name="fake", samples=samples)


def order():
    return ((7 * i) % EACH for i in range(EACH))


def test_records_meet_their_samples_with_all_bytes_of_their_labels(tmp_path):
    known, layout = listed(tmp_path, 6, 50)
    tasks = [*reading.matched(layout, str(tmp_path), known, {"train": "train"})]
    found = [(task.shard, pair) for task in tasks for pair in task.pairs]
    assert [(i, pair.number) for i, pair in found] == [*itertools.product(range(6), range(EACH))]
    assert [pair.key for _, pair in found] == [f"{i}-{j}" for i in range(6) for j in order()]
    for i, (number, key, sample) in found:
        j = 7 * number % EACH
        assert (sample.key, sample.image) == (key, f"train/{key}.jpg")
        data = Slice("a.json", key, f"{i}-{j}".encode().ljust(50))
        assert sample.label == ((data, f"{key}.png") if j % 2 else data)


def test_a_task_ends_where_its_labels_are_large(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_BYTES", 500)
    known, layout = listed(tmp_path, 2, 50)
    tasks = [*reading.matched(layout, str(tmp_path), known, {"train": "train"})]
    assert {len(task.pairs) for task in tasks} == {10}
    assert [task.shard for task in tasks] == [0] * 100 + [1] * 100


def test_memory_does_not_grow_with_the_shapes_of_all_images(tmp_path):
    known, layout = listed(tmp_path, 6, 3000)
    tracemalloc.start()
    for _ in reading.matched(layout, str(tmp_path), known, {"train": "train"}):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 << 20  # of 18 MB
