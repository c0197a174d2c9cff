"""One record, checked: an Example that fits its schema, place in the plan, pixels, source."""

from collections.abc import Iterator, Mapping

import numpy as np

from dsbuild.build.encode import Rejected
from dsbuild.build.recipe import Recipe
from dsbuild.errors import ShardError
from dsbuild.format import example, label_values, tfrecord
from dsbuild.format.tfrecord import Record
from dsbuild.validate import partial, pixels, planned, schema
from dsbuild.validate.rules import Checked, Planned, Rules, Samples

_END = 2048  # bytes
_AGAIN = 50  # extras are computed again for one in so many records


def look(record: Record, samples: Samples, rules: Rules, checked: Checked) -> None:
    """Check one record, and note digests of its key and image; 0 if it has none.

    `samples` are those of the file's records according to its plan; None without a plan.
    """
    key, image = _check(record, samples, rules, checked)
    for digests, content in ((checked.keys, key), (checked.images, image)):
        digests.append(0 if content is None else _digest(content))


def _digest(content: bytes) -> int:
    """Return 64 bits that are equal for equal content, of its size, checksum and ends.

    For photos this takes a tenth of the time of a digest of all bytes. Different ones are taken
    for equal only if they agree in all three, or once in 2**64 pairs.
    """
    known = b"%d %d " % (len(content), tfrecord.masked_crc(content))
    ends = content if len(content) <= 2 * _END else content[:_END] + content[-_END:]
    return int.from_bytes(example.digest(known + ends), "little")


def _check(
    record: Record, samples: Samples, rules: Rules, checked: Checked
) -> tuple[bytes | None, bytes | None]:
    """Check one record; return its key and image, None for what it does not have."""
    try:
        named = example.parse(record.data)
    except ShardError as error:
        checked.add("example", str(error), record)
        return None, None
    values = {f.role: named[f.name] for f in rules.schema.features if f.name in named}
    key = example.first(values.get("key")).decode(errors="surrogateescape")
    if not rules.closed:
        partial.note(named, record, key, checked)
    for text in schema.problems(named, rules.schema, rules.closed):
        checked.add("feature", text, record, key)
    if samples is not None:
        mine = planned.at(record.number, samples, values, rules.policy)
        if mine is None or mine.key != key:
            text = "no such record" if mine is None else repr(mine.key)
            checked.add("order", f"found key {key!r}, but the plan has {text} here", record, key)
        elif rules.source:
            for text in _of_source(mine, record.data, named, *rules.source):
                checked.add("source", text, record, key)
    if rules.level in ("pixels", "source"):
        again = record.number % _AGAIN == 0
        content = pixels.Content()
        for kind, text in pixels.problems(values, rules.expected, content, again):
            checked.add(kind, text, record, key)
        checked.values.update(content.values)
        checked.lines += label_values.line(content.values).encode()
        labels = int(bool(values.keys() & {"label", "class"}))
        checked.statistics += content.statistics(rules.expected.ignore, labels)
    return _first(values, "key"), _first(values, "image")


def _first(values: Mapping[str, example.Parsed], role: str) -> bytes | None:
    value = values.get(role)
    return value[0] if isinstance(value, list) and value else None


def _of_source(
    mine: Planned, record: bytes, named: Mapping[str, example.Parsed], root: str, recipe: Recipe
) -> Iterator[str]:
    """Yield how a record differs from what its sources give now."""
    try:
        again = planned.again(mine, root, recipe)
    except Rejected as error:
        yield f"its sources no longer give a record: {error}"
        return
    if again is None:
        yield "its image is smaller now, and has no such tile"
        return
    if again == record:
        return
    others = example.parse(again)
    for name in sorted({*named, *others}):
        if not _same(named.get(name), others.get(name)):
            yield f"feature {name!r} differs from what its sources in {root} give"


def _same(stored: example.Parsed, computed: example.Parsed) -> bool:
    if isinstance(stored, np.ndarray):
        return isinstance(computed, np.ndarray) and np.array_equal(stored, computed)
    return not isinstance(computed, np.ndarray) and stored == computed
