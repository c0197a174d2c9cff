"""Read class names from JSON, from the YAML of YOLO, and from ADE20K's objectInfo150.txt.

names: [road, tree]         YAML: a list or a map, on one line or several
{"0": "road"} {"road": 0}   JSON: names by index, or indices by name
[{"id": 0, "name": ...}]    JSON: a list of classes, as in COCO's categories
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dsbuild.errors import PlanError
from dsbuild.layouts.folders import composed

_KEYS = ("names", "classes", "labels", "categories", "id2label", "label_map", "label2id")
_QUOTED = re.compile(
    r"""\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^']|'')*)'|([^,\]}#]*?))\s*(?=[,\]}#]|$)"""
)
_ITEM = re.compile(r"(?:(?P<index>\d+)\s*:|-)\s+(?P<name>.*)")


def by_index(path: str, found: Mapping[int, str]) -> tuple[str, ...]:
    """Return names by index from 0, or from 1 with an empty name first; raise PlanError."""
    for first in (0, 1):
        if sorted(found) == [*range(first, first + len(found))]:
            return ("",) * first + tuple(found[i] for i in sorted(found))
    raise PlanError(
        f"{path}: found indices from {min(found)} to {max(found)} for {len(found)} names, expected "
        "indices from 0 on without a gap; name the classes one per line, and map the values: --map"
    )


def from_json(path: str, rows: Sequence[str]) -> tuple[str, ...]:
    """Return the names in JSON; raise PlanError if it has another form."""
    try:
        document: Any = json.loads("\n".join(rows))
    except (ValueError, RecursionError) as error:
        raise PlanError(
            f"{path}: found {rows[0][:80]!r}, expected only the class names, one per line, that "
            "of label 0 first; if the labels hold colours, and so does this file, pass it as "
            "--colormap"
        ) from error
    for key in _KEYS:
        if isinstance(document, dict) and isinstance(document.get(key), dict | list):
            document = document[key]
            break
    found = _pairs(document)
    if not found:
        raise PlanError(
            f"{path}: found JSON that is not a list of names, expected only names, or an object "
            'like {"0": "road", "1": "tree"}, with indices from 0 on'
        )
    return by_index(path, found)


def _pairs(document: Any) -> dict[int, str]:
    """Return index -> name; nothing if a document has another form."""
    if isinstance(document, dict):
        turned = all(type(value) is int for value in document.values())
        items = [(v, k) for k, v in document.items()] if turned else [*document.items()]
    elif isinstance(document, list) and all(isinstance(one, dict) for one in document):
        items = [(one.get("id", i), one.get("name")) for i, one in enumerate(document)]
    else:
        items = [*enumerate(document)] if isinstance(document, list) else []
    found = {}
    for index, name in items:
        number = str(index)
        good = number.isascii() and number.isdecimal() and isinstance(name, str) and name.strip()
        if not good or not name.isprintable():
            return {}
        found[int(number)] = composed(name.strip())
    return found if len(found) == len(items) else {}


def from_yaml(path: str, rows: Sequence[str]) -> tuple[str, ...]:
    """Return the names below `names:` in the YAML of a YOLO data set; raise PlanError."""
    at = next((i for i, row in enumerate(rows) if re.match(r"names\s*:", row)), None)
    if at is None:
        raise PlanError(f"{path}: found no line `names:`, expected the class names below it")
    rest = rows[at].partition(":")[2].partition(" #")[0].strip()
    found = _flow(" ".join([rest, *rows[at + 1 :]])) if rest[:1] in ("[", "{") else []
    if not rest:
        for row in rows[at + 1 :]:
            match = _ITEM.fullmatch(row)
            if row[0] != "#" and match is None:
                break
            if match:
                found.append((match["index"] or str(len(found)), _scalar(match["name"])))
    if not found or not all(name and index.isdecimal() for index, name in found):
        raise PlanError(f"{path}: found names in a form that is not read; write one name per line")
    return by_index(path, {int(index): composed(name) for index, name in found})


def _flow(text: str) -> list[tuple[str, str]]:
    """Return index and name of the items in `[a, b]` or `{0: a, 1: b}`; none if it is broken."""
    close, at, found = {"[": "]", "{": "}"}[text[0]], 1, list[tuple[str, str]]()
    while at < len(text):
        index = str(len(found))
        if text[0] == "{":
            match = re.compile(r"\s*(\d+)\s*:").match(text, at)
            if match is None:
                return []
            index, at = match[1], match.end()
        match = _QUOTED.match(text, at)
        if match is None:
            return []
        found.append((index, _unquoted(match)))
        at = match.end() + 1
        if text[match.end() : at] == close:
            return found
        if text[at:].lstrip()[:1] == close:  # a comma may follow the last name
            return found
    return []


def _scalar(text: str) -> str:
    match = _QUOTED.match(text) if text[:1] in ("'", '"') else None
    return _unquoted(match) if match else re.sub(r"\s+#.*", "", text).strip()


def _unquoted(match: re.Match[str]) -> str:
    double, single, plain = match.groups()
    if double is not None:
        return re.sub(r"\\(.)", r"\1", double)
    return single.replace("''", "'") if single is not None else str(plain).strip()


def object_info(path: str, rows: Sequence[str]) -> tuple[str, ...]:
    """Return the names in ADE20K's objectInfo150.txt, whose indices are from 1; none otherwise.

    Its columns are Idx, Ratio, Train, Val, Stuff (not in all copies) and Name, divided by tabs.
    """
    heading = [part.strip().casefold() for part in rows[0].split("\t")] if rows else []
    if heading[:1] != ["idx"] or "name" not in heading:
        return ()
    found, at = {}, heading.index("name")
    for row in rows[1:]:
        parts = [part.strip() for part in row.split("\t")]
        if len(parts) != len(heading) or not parts[0].isdecimal() or not parts[at]:
            raise PlanError(f"{path}: found {row!r}, expected columns {', '.join(heading)}")
        found[int(parts[0])] = parts[at]
    return by_index(path, found) if found else ()
