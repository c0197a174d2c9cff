"""Cells and rows of tables shown both in the terminal and on the HTML page."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple


def size(count: int) -> str:
    """Return a number of bytes as text, in powers of 1000.

    >>> size(1234567)
    '1.2 MB'
    """
    if count < 1000:
        return f"{count} bytes"
    units = ["kB", "MB", "GB", "TB"]
    power = min(int(math.log10(count) // 3), len(units))
    return f"{count / 1000**power:,.1f} {units[power - 1]}"


def count(number: int, what: str) -> str:
    """Return a number of things as text.

    >>> count(1, "finding"), count(1200, "finding")
    ('1 finding', '1,200 findings')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return how long something took, as text.

    >>> duration(0.01), duration(4.25), duration(185), duration(7320)
    ('less than 1 s', '4.2 s', '3 min 5 s', '2 h 2 min')
    """
    if seconds < 1:
        return "less than 1 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def share(part: int, whole: int) -> str:
    """Return a percentage; a non-zero share below 0.1 % is `<0.1 %`."""
    if part and 1000 * part < whole:
        return "<0.1 %"
    return f"{100 * part / whole:.1f} %" if whole else "-"


def weights(split: Mapping[str, Any]) -> dict[str, dict[int, str]]:
    """Return a split's class weights as text, by the title of the weights and by class."""
    stored = split.get("weights", {})
    return {
        name.replace("_", " "): {i: f"{weight:.3g}" for i, weight in enumerate(stored[name])}
        for name in ("median_frequency", "effective_number")
        if name in stored
    }


def span(counts: Sequence[int]) -> str:
    """Return the smallest and the largest number as text."""
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,}..{high:,}"


class SplitRow(NamedTuple):
    """The cells of a split; `-` for an unknown number."""

    name: str
    records: str
    labels: str
    shards: str
    shard_records: str
    size: str
    image_sizes: str
    rejects: str


def splits(document: Mapping[str, Any]) -> list[SplitRow]:
    """Return one row per split of an inspection."""
    return [
        SplitRow(
            name,
            f"{split['records']:,}",
            f"{split['labels']:,}",
            f"{len(split['shards']):,}",
            span([shard["records"] for shard in split["shards"]]),
            size(split["bytes"]),
            _extent(split["widths"], split["heights"]) if split.get("heights") else "-",
            f"{split['rejects']:,}" if "rejects" in split else "-",
        )
        for name, split in document["splits"].items()
    ]


def _extent(widths: Sequence[int], heights: Sequence[int]) -> str:
    return f"{min(widths)} x {min(heights)} .. {max(widths)} x {max(heights)}"


FEATURES = ["feature", "kind", "values", "bytes", ""]  # the head of the table of `features`


def features(document: Mapping[str, Any]) -> list[list[str]]:
    """Return one row per feature of an inspection."""
    return [
        [
            feature["name"],
            feature["kind"],
            span(feature["values"]),
            span(feature["bytes"]) if feature["kind"] == "bytes" else "",
            "" if feature["always"] else "not in every record",
        ]
        for feature in document["features"]
    ]


COLOURS = ["split", "images", "image sizes", "mean of R, G, B", "deviation", "ignored"]


def colours(counted: Mapping[str, Any]) -> list[list[str]]:
    """Return one row per split of statistics, and one for all if there are several.

    The head of the table is `COLOURS`.
    """
    sections = counted["splits"]
    if len(sections) > 1:
        sections = {**sections, "all": counted["all"]}
    return [
        [
            name,
            f"{section['images']:,}",
            _extent(*zip(*(row[:2] for row in section["sizes"]), strict=True))
            if section["sizes"]
            else "-",
            *(", ".join(f"{c:.1f}" for c in section[k]) or "-" for k in ("mean", "deviation")),
            "-" if section["ignored"] is None else f"{100 * section['ignored']:.1f} %",
        ]
        for name, section in sections.items()
    ]


# Kind of a group of images -> what its images are.
ALIKE: dict[Literal["exact", "near"], str] = {
    "exact": "with equal pixels",
    "near": "that look nearly alike",
}


def shared(duplicates: Mapping[str, Any]) -> dict[str, bool]:
    """Return one line per pair of splits that have images in common -> whether they leak."""
    leaking = [set(group["splits"]) for group in duplicates["leaked"]]
    found = {}
    for split, twin, images in duplicates["shared"]:
        many = count(images, "image")
        if [split, twin] in duplicates["parts"]:
            found[f"{twin} contains {split}: {many}"] = False
        elif [twin, split] in duplicates["parts"]:
            found[f"{split} contains {twin}: {many}"] = False
        elif any({split, twin} <= splits for splits in leaking):
            found[f"splits {split} and {twin} share {many}"] = True
        else:
            found[f"{split} and {twin} contain the same part: {many}"] = False
    return found
