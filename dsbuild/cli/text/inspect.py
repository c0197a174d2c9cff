"""An inspection, one record, and statistics as text, plain or with colours of classes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dsbuild.cli.text.class_table import class_lines, counted_classes
from dsbuild.cli.text.table import table
from dsbuild.cli.text.view import View
from dsbuild.inspect import tables
from dsbuild.inspect.tables import count, share, size
from dsbuild.storage.safe_text import text

_FEW = 10  # pairs of classes that are shown
_COMMON = 0.9  # share of labels; a class in more of them co-occurs with everything
_ALL = View()

Decorate = Callable[[int, float, str, int], str]  # as `class_table` describes


def inspection_text(
    document: Mapping[str, Any],
    decorate: Decorate | None = None,
    view: View = _ALL,
    top: int | None = None,
) -> str:
    """Return an inspection as text; `decorate` may colour the lines of classes.

    `top` is how many of the most frequent classes are shown; None means all that fit the view.
    """
    splits = document["splits"]
    records = sum(split["records"] for split in splits.values())
    total = sum(split["bytes"] for split in splits.values())
    head = f"{document['path']}: {count(records, 'record')}, {size(total)}"
    if document["title"]:
        recipe = document["recipe"]
        extras = f", extras {', '.join(recipe['extras'])}" if recipe["extras"] else ""
        target = f", panoptic by {document['divisor']}" if document.get("divisor") else ""
        head += f"; {document['title']}{target}, verified {recipe['verify']}{extras}"
    lines = [text(head)]
    if document["complete"] is False:
        lines.append("This build is unfinished; run the command that began it again.")
    lines += ["", *_split_table(document, view), "", *_feature_table(document, view)]
    lines += ["", *class_lines(splits, view, top, decorate)]
    if "statistics" in document:
        counted = document["statistics"]
        lines += ["", *_colour_table(counted, view), "", *duplicate_lines(counted["duplicates"])]
    return "\n".join(lines)


def _split_table(document: Mapping[str, Any], view: View) -> list[str]:
    """Return one row per split; samples that were left out have a column if there are any."""
    head = ["split", "records", "shards", "per shard", "size", "image sizes", "left out"]
    rows = [[row.name, row.records, row.shards, *row[4:]] for row in tables.splits(document)]
    right, ranks = "<>>>><>", "~023040"
    if all(row[-1] in ("0", "-") for row in rows):
        head, rows, right, ranks = head[:-1], [row[:-1] for row in rows], right[:-1], ranks[:-1]
    return table([head, *rows], right, view.columns, ranks)


def _feature_table(document: Mapping[str, Any], view: View) -> list[str]:
    rows = tables.features(document)
    if not rows:
        return ["  no records, so no features"]
    first = "feature of first records" if document["complete"] else "feature"
    return table([[first, *tables.FEATURES[1:]], *rows], "<<>><", view.columns, "~0210")


def record_text(
    document: Mapping[str, Any], decorate: Decorate | None = None, view: View = _ALL
) -> str:
    """Return one record as text; `decorate` may colour the lines of classes."""
    head = f"{document['file']}: record {document['record']:,} at byte {document['byte']:,}"
    lines = [text(f"{head}, {count(document['bytes'], 'byte')}"), ""]
    rows = [
        [name, feature["kind"], _value_text(feature["value"])]
        for name, feature in document["features"].items()
    ]
    if rows:
        lines += table([["feature", "kind", "value"], *rows], "<<<", view.columns, "~1~")
    else:
        lines.append("  no features")
    if document["classes"]:
        lines += ["", *_record_classes(document["classes"], decorate, view)]
    return "\n".join(lines)


def _record_classes(
    classes: Sequence[Mapping[str, Any]], decorate: Decorate | None, view: View
) -> list[str]:
    """Return one row per class of a record, with its pixels unless the label is one class."""
    rows = [row for row in classes if "pixels" in row]
    whole = sum(row["pixels"] for row in rows)
    head = ["class", "", *(["pixels", "share"] if rows else [])]
    shown = []
    for row in classes:
        cells = [f"{row['pixels']:,}", share(row["pixels"], whole)] if rows else []
        shown.append([str(row["value"]), row["name"] or "", *cells])
    values = [row["value"] for row in classes]
    parts = [row.get("pixels", 1) for row in classes]
    right, ranks = "><>>"[: len(head)], "0~10"[: len(head)]
    return counted_classes([head, *shown], right, ranks, values, parts, decorate, view)


def _value_text(value: Any) -> str:
    if isinstance(value, Mapping) and "format" in value:
        return (
            f"{value['format'].upper()} {value['width']} x {value['height']}, {value['model']}, "
            f"{count(value['bits'], 'bit')}, {count(value['bytes'], 'byte')}"
        )
    if isinstance(value, Mapping) and "first" in value:
        values = count(value["values"], "value")
        return f"{values}: {', '.join(map(_value_text, value['first']))}, ..."
    if isinstance(value, Mapping) and "values" in value:
        return f"{count(value['values'], 'value')}, {value['min']} .. {value['max']}"
    if isinstance(value, Mapping):
        return f"{count(value['bytes'], 'byte')}: {value['starts']} ..."
    return repr(value)


def statistics_text(document: Mapping[str, Any], view: View = _ALL, top: int | None = None) -> str:
    """Return statistics over all records as text; `top` as in `inspection_text`."""
    every = document["all"]
    splits = document["splits"]
    if len(splits) > 1:
        splits = {**splits, "all": every}
    lines = [text(f"{document['path']}: {count(every['records'], 'record')}"), ""]
    lines += [*_colour_table(document, view), "", *class_lines(splits, view, top)]
    # Skip classes that nearly every label has, such as background: they co-occur with everything.
    rows = [row for row in every["classes"] if row["images"] < _COMMON * every["labels"]]
    names = {row["value"]: row["name"] or str(row["value"]) for row in rows}
    pairs = [pair for pair in every["together"] if names.keys() >= {*pair[:2]}]
    if pairs:
        rows = [["classes that co-occur", "", "records"]]
        for one, other, held in sorted(pairs, key=lambda pair: -pair[2])[:_FEW]:
            rows.append([names[one], names[other], f"{held:,}"])
        lines += ["", *table(rows, "<<>", view.columns, "~~0")]
    return "\n".join([*lines, "", *duplicate_lines(document["duplicates"])])


def _colour_table(document: Mapping[str, Any], view: View) -> list[str]:
    rows = [tables.COLOURS, *tables.colours(document)]
    return table(rows, "<>>>>>", view.columns, "~02034")


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
