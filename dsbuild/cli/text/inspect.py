"""An inspection, one record, and statistics as text, plain or with colours of classes."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dsbuild.cli.text.table import table
from dsbuild.inspect import tables
from dsbuild.inspect.tables import count, share, size, weights
from dsbuild.storage.safe_text import text

_FEW = 10  # pairs of classes that are shown
_COMMON = 0.9  # share of labels; a class in more of them co-occurs with everything

# (label value, share, line of a table) -> the line in colours
Decorate = Callable[[int, float, str], str]


def inspection_text(document: Mapping[str, Any], decorate: Decorate | None = None) -> str:
    """Return an inspection as text; `decorate` may colour the lines of classes."""
    splits = document["splits"]
    records = sum(split["records"] for split in splits.values())
    total = sum(split["bytes"] for split in splits.values())
    head = f"{document['path']}: {records:,} records, {size(total)}"
    if document["title"]:
        recipe = document["recipe"]
        extras = f", extras {', '.join(recipe['extras'])}" if recipe["extras"] else ""
        head += f"; {document['title']}, verified {recipe['verify']}{extras}"
    lines = [text(head)]
    if document["complete"] is False:
        lines.append("This build is unfinished; run the command that began it again.")
    lines += [
        "",
        *_split_table(document),
        "",
        *_feature_table(document),
    ]
    lines += ["", *_class_table(splits, decorate)]
    if "statistics" in document:
        counted = document["statistics"]
        lines += ["", *_colour_table(counted), "", *duplicate_lines(counted["duplicates"])]
    return "\n".join(lines)


def _split_table(document: Mapping[str, Any]) -> list[str]:
    head = ["split", "records", "shards", "records per shard", "size", "image sizes", "left out"]
    rows = [
        [row.name, row.records, row.shards, row.shard_records, *row[5:]]
        for row in tables.splits(document)
    ]
    return table([head, *rows], "<>>>><>")


def _feature_table(document: Mapping[str, Any]) -> list[str]:
    rows = tables.features(document)
    if not rows:
        return ["  no records, so no features"]
    first = "feature of first records" if document["complete"] else "feature"
    return table([[first, *tables.FEATURES[1:]], *rows], "<<>><")


def _class_table(splits: Mapping[str, Any], decorate: Decorate | None) -> list[str]:
    """Return one row per class: its share of each split's pixels, number of images, weights.

    If labels are one class each, the share is that of images.
    """
    counted = {name: split for name, split in splits.items() if split["classes"]}
    names = {row["value"]: row["name"] or "" for s in counted.values() for row in s["classes"]}
    rows = [["class", ""], *([str(value), names[value]] for value in sorted(names))]
    for name, split in counted.items():
        cells = {
            row["value"]: (row.get("pixels", row["images"]), row["images"])
            for row in split["classes"]
        }
        whole = sum(part for part, _ in cells.values())
        weighted = weights(split)
        rows[0] += [name, "images", *(title.split()[0] for title in weighted)]
        for row, value in zip(rows[1:], sorted(names), strict=True):
            part, images = cells.get(value, (0, 0))
            row += [share(part, whole), f"{images:,}"]
            row += [texts.get(value, "") for texts in weighted.values()]
    lines = table(rows, "><" + ">" * (len(rows[0]) - 2)) if counted else []
    if decorate and counted:
        parts: Counter[int] = Counter()
        for split in counted.values():
            parts.update(
                {row["value"]: row.get("pixels", row["images"]) for row in split["classes"]}
            )
        lines = _decorated(lines, sorted(names), parts, decorate)
    for name in [name for name in splits if name not in counted]:
        why = "its labels were not decoded" if splits[name]["labels"] else "no label was found"
        lines.append(text(f"  classes of {name} are not counted: {why}"))
    return lines


def _decorated(
    lines: Sequence[str], values: Sequence[int], parts: Mapping[int, int], decorate: Decorate
) -> list[str]:
    """Return a table's lines, each with its class's colour and a bar next to the longest."""
    width, most = max(map(len, lines)), max(parts.values(), default=0) or 1
    rows = zip(values, lines[1:], strict=True)
    made = [decorate(value, parts.get(value, 0) / most, f"{line:{width}}") for value, line in rows]
    return [f" {lines[0]}", *made]


def record_text(document: Mapping[str, Any], decorate: Decorate | None = None) -> str:
    """Return one record as text; `decorate` may colour the lines of classes."""
    head = f"{document['file']}: record {document['record']:,} at byte {document['byte']:,}"
    lines = [text(f"{head}, {document['bytes']:,} bytes"), ""]
    rows = [
        [name, feature["kind"], _value_text(feature["value"])]
        for name, feature in document["features"].items()
    ]
    lines += table(rows, "<<<") if rows else ["  no features"]
    if document["classes"]:
        counted = [row for row in document["classes"] if "pixels" in row]  # or it is one class
        whole = sum(row["pixels"] for row in counted)
        rows = [["class", "", *(["pixels", "share"] if counted else [])]]
        for row in document["classes"]:
            cells = [f"{row['pixels']:,}", share(row["pixels"], whole)] if counted else []
            rows.append([str(row["value"]), row["name"] or "", *cells])
        made = table(rows, "><>>"[: len(rows[0])])
        if decorate:
            parts = {row["value"]: row.get("pixels", 1) for row in document["classes"]}
            made = _decorated(made, list(parts), parts, decorate)
        lines += ["", *made]
    return "\n".join(lines)


def _value_text(value: Any) -> str:
    if isinstance(value, Mapping) and "format" in value:
        return (
            f"{value['format'].upper()} {value['width']} x {value['height']}, {value['model']}, "
            f"{value['bits']} bits, {value['bytes']:,} bytes"
        )
    if isinstance(value, Mapping) and "first" in value:
        return f"{value['values']:,} values: {', '.join(map(_value_text, value['first']))}, ..."
    if isinstance(value, Mapping) and "values" in value:
        return f"{value['values']:,} values, {value['min']} .. {value['max']}"
    if isinstance(value, Mapping):
        return f"{value['bytes']:,} bytes: {value['starts']} ..."
    return repr(value)


def statistics_text(document: Mapping[str, Any]) -> str:
    """Return statistics over all records as text."""
    every = document["all"]
    splits = document["splits"]
    if len(splits) > 1:
        splits = {**splits, "all": every}
    lines = [text(f"{document['path']}: {count(every['records'], 'record')}"), ""]
    lines += [*_colour_table(document), "", *_class_table(splits, None)]
    # Skip classes that nearly every label has, such as background: they co-occur with everything.
    rows = [row for row in every["classes"] if row["images"] < _COMMON * every["labels"]]
    names = {row["value"]: row["name"] or str(row["value"]) for row in rows}
    pairs = [pair for pair in every["together"] if names.keys() >= {*pair[:2]}]
    if pairs:
        rows = [["most often together", "", "records"]]
        for one, other, held in sorted(pairs, key=lambda pair: -pair[2])[:_FEW]:
            rows.append([names[one], names[other], f"{held:,}"])
        lines += ["", *table(rows, "<<>")]
    return "\n".join([*lines, "", *duplicate_lines(document["duplicates"])])


def _colour_table(document: Mapping[str, Any]) -> list[str]:
    return table([tables.COLOURS, *tables.colours(document)], "<>>>>>")


def duplicate_lines(found: Mapping[str, Any]) -> list[str]:
    """Return one line per kind of duplicate images."""
    lines = [f"  {line}" for line in tables.shared(found)]
    for kind, what in tables.ALIKE.items():
        groups = found[kind]
        if groups:
            across = sum(len(group["splits"]) > 1 for group in groups)
            first = " = ".join(map(fault_text, groups[0]["records"][:2]))
            lines.append(
                f"  {count(len(groups), 'group')} of images {what}, {across:,} across splits; "
                f"first: {first}"
            )
    return [*map(text, lines)] or ["  no exact or near duplicates"]


def fault_text(place: Mapping[str, Any]) -> str:
    """Return where a record is, with its key, and what is wrong with it if anything is."""
    where = (
        place["file"] if place["record"] is None else f"{place['file']}: record {place['record']}"
    )
    if place.get("key"):
        where += f" ({place['key']})"
    return f"{where}: {place['text']}" if "text" in place else where
