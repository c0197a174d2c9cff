"""Read files that say what label values mean: class names, or class colours, by index.

    name                        names: one per line; LabelMe's labels.txt begins with __ignore__
    0: name     0 name          with indices, which count from 0 without a gap
    name, r, g, b               colours; also `r g b name`, or columns under a heading
    name:r,g,b:parts:actions    CVAT's labelmap.txt

Files of other tools are read if they can mean only one thing, and refused otherwise: a heading
mistaken for a class would shift every index by one.
"""

import re
from collections.abc import Sequence

from dsbuild import storage
from dsbuild.errors import PlanError
from dsbuild.layouts.class_forms import from_json, from_yaml, object_info
from dsbuild.layouts.folders import composed
from dsbuild.layouts.texts import lines

Colour = tuple[str, int, int, int]

_NAME = {"name", "names", "class", "classes", "class name", "class_name", "classname", "category"}
_NAME |= {"label", "labels", "label name", "label_name"}
_INDEX = {"id", "ids", "index", "idx", "value", "pixel value", "pixel_value", "pixel", "class id"}
_INDEX |= {"class_id", "classid", "train_id", "trainid", "label_id", "label id", "number", "no"}
_CHANNELS = ({"r", "red"}, {"g", "green"}, {"b", "blue"})
_OTHER = {"color", "colour", "color_rgb", "rgb", "hex", "parts", "actions", "supercategory", "a"}
_COLUMNS = set.union(_NAME, _INDEX, *_CHANNELS, _OTHER)
_NUMBERED = re.compile(r"(?P<index>-?\d+)(?:\s*[:,;=\t]\s*|\s+)(?P<name>\S.*)")
_MARKUP = re.compile(r"[-*]\s|[\[\]{}<>]|\w+\s*[:=]\s*$|[\"'].*[\"'],?$|#|//|%|;")
_CVAT = "label:color_rgb:parts:actions"


def read_classes(given: str) -> tuple[str, ...]:
    """Return class names by label value, from a file or from names with commas between.

    A first name that is empty means that the file counts from 1, so that 0 has no name. Raises
    PlanError as `read_names` does.
    """
    if "," in given and "/" not in given and storage.stamp(given) is None:
        return _checked(f"--classes {given}", tuple(composed(n.strip()) for n in given.split(",")))
    return _checked(given, _names(given))


def read_names(path: str) -> tuple[str, ...]:
    """Return the class names in a file, in the order of their indices.

    Raises PlanError if the file has another form.
    """
    names = read_classes(path)
    if names[0]:
        return names
    raise PlanError(f"{path}: found {names[1]!r} as 1, expected indices from 0 on without a gap")


def _checked(path: str, names: tuple[str, ...]) -> tuple[str, ...]:
    if not 0 < len(set(names)) == len(names) or not all(names[1:]) or names == ("",):
        raise PlanError(
            f"{path}: found {len(names)} names, {len(set(names))} of them different, expected one "
            "or more, one per line, all different"
        )
    return names


def _names(path: str) -> tuple[str, ...]:
    rows: Sequence[str] = [composed(line) for line in lines(path)]
    if path.endswith((".yaml", ".yml")):
        return from_yaml(path, rows)
    if rows and rows[0][0] in "[{":
        return from_json(path, rows)
    info = object_info(path, rows)
    if info:
        return info
    heading = _heading(rows[0]) if rows else []
    if heading:
        rows = _without(path, heading, rows[1:])
    return _numbered(path, rows) or _plain(path, rows)


def _heading(line: str) -> list[str]:
    """Return the columns of a first line that is a heading, or none."""
    parts = [part.strip().strip("\"'") for part in re.split(r"[,;:\t|]", line.lstrip("#").strip())]
    for fields in (parts, line.split()):
        columns = [field.casefold() for field in fields]
        if {*columns} <= _NAME or (len(columns) > 1 and {*columns} <= _COLUMNS):
            return columns
    return []


def _without(path: str, heading: Sequence[str], rows: Sequence[str]) -> Sequence[str]:
    """Return the rows below a heading `index, name`; raise PlanError for any other heading."""
    indexed = len(heading) == 2 and heading[0] in _INDEX and heading[1] in _NAME
    if indexed and rows and all(map(_NUMBERED.fullmatch, rows)):
        return rows
    raise PlanError(
        f"{path}: found {', '.join(heading)} in the first line, which looks like a heading; "
        "expected only the class names, one per line, that of label 0 first"
    )


def _numbered(path: str, rows: Sequence[str]) -> tuple[str, ...]:
    """Return the names in rows with an index each; none if the rows have no index."""
    found = [_NUMBERED.fullmatch(row) for row in rows]
    matches = [match for match in found if match]
    if rows and found[0] and found[0]["index"] == "0" and None in found:
        raise _strange(path, rows[found.index(None)])
    if not rows or None in found:
        return ()
    if [int(match["index"]) for match in matches] != [*range(len(rows))]:
        raise PlanError(
            f"{path}: found {rows[0]!r} first and {rows[-1]!r} last, expected indices from 0 on "
            "without a gap, or only names, one per line"
        )
    if re.search(r"[,;:|\t]", matches[0]["name"]):
        raise _strange(path, rows[0])
    return tuple(match["name"] for match in matches)


def _plain(path: str, rows: Sequence[str]) -> tuple[str, ...]:
    """Return rows as names; raise PlanError if they clearly are more than names."""
    if [*rows[:2]] == ["__ignore__", "_background_"]:
        rows = rows[1:]  # LabelMe's -1, which labelme2voc stores as 255
    for row in rows:
        if row == "__ignore__":
            raise PlanError(
                f"{path}: found {row!r}, which LabelMe counts as -1, expected the name of label 0 "
                "first; remove the line, so that label 0 is the next one"
            )
        if _MARKUP.match(row) or not row.isprintable() or row.endswith((",", ";", ":")):
            raise _strange(path, row)
    if len(rows) == 1 and " " in rows[0]:
        raise _strange(path, rows[0])
    for dividing in ",;:|":
        # Some names contain a comma, but not all names of a file do.
        if rows and all(dividing in row for row in rows):
            raise _strange(path, rows[0])
    numbers = [m for m in (re.fullmatch(r"(.*\D)[\s=](\d+)", row) for row in rows) if m]
    if 1 < len(rows) == len(numbers) and len({match[1] for match in numbers}) > 1:
        raise _strange(path, rows[0])
    return tuple(rows)


def _strange(path: str, row: str) -> PlanError:
    return PlanError(
        f"{path}: found {row!r}, expected only the class names, one per line, that of label 0 "
        "first; if the labels hold colours, and so does this file, pass it as --colormap"
    )


def read_colours(path: str) -> tuple[Colour, ...]:
    """Return the colours in a file with lines `name, r, g, b`, in the order of their indices."""
    rows = [composed(line) for line in lines(path)]
    if rows and rows[0].lstrip("# ") == _CVAT:
        colours = [_cvat(path, row) for row in rows[1:]]
    else:
        colours = _table(path, rows)
    if not 0 < len(colours) <= 256:
        raise PlanError(f"{path}: found {len(colours)} colours, expected 1 to 256")
    seen: dict[tuple[int, ...], str] = {}
    for name, *rgb in colours:
        if seen.setdefault(tuple(rgb), name) != name:
            raise PlanError(
                f"{path}: found {tuple(rgb)} for {seen[tuple(rgb)]} and {name}, expected different "
                "colours"
            )
    if len({colour[0] for colour in colours}) < len(colours):
        raise PlanError(f"{path}: found a name twice, expected one colour per name")
    return tuple(colours)


def _cvat(path: str, row: str) -> Colour:
    name, colour, *_ = [*row.split(":"), ""]
    return _colour(path, row, name, colour.split(","))


def _table(path: str, rows: Sequence[str]) -> list[Colour]:
    """Return the colours in rows `name, r, g, b` or `r g b name`, or in the order of a heading."""
    if not rows:
        return []
    order: tuple[str, ...] = ("name", "r", "g", "b")
    heading = _heading(rows[0])
    if heading:
        order, rows = tuple(map(_column, heading)), rows[1:]
        if sorted(column for column in order if column != "index") != ["b", "g", "name", "r"]:
            raise PlanError(
                f"{path}: found the heading {', '.join(heading)}, expected name, r, g, b"
            )
    elif all(re.fullmatch(r"\d+\s+\d+\s+\d+\s+\D.*", row) for row in rows):
        rows = [",".join(row.split(None, 3)) for row in rows]
        order = ("r", "g", "b", "name")
    colours: list[Colour] = []
    indices: list[str] = []
    for row in rows:
        values = dict(zip(order, (part.strip() for part in row.split(",")), strict=False))
        if len(row.split(",")) != len(order):
            raise _no_colour(path, row)
        colours.append(_colour(path, row, values["name"], [values[c] for c in "rgb"]))
        indices.append(values.get("index", str(len(indices))))
    if indices != [str(i) for i in range(len(indices))]:
        raise PlanError(
            f"{path}: found the indices {', '.join(indices[:3])}, ..., expected 0, 1, ..."
        )
    return colours


def _column(title: str) -> str:
    if title in _NAME:
        return "name"
    channels = [name for name, titles in zip("rgb", _CHANNELS, strict=True) if title in titles]
    return channels[0] if channels else "index" if title in _INDEX else title


def _colour(path: str, row: str, name: str, rgb: Sequence[str]) -> Colour:
    parts = [part.strip() for part in rgb]
    good = all(part.isascii() and part.isdecimal() and int(part) < 256 for part in parts)
    name = name.strip()
    if len(parts) != 3 or not good or not name.isprintable() or not name:
        raise _no_colour(path, row)
    red, green, blue = map(int, parts)
    return name, red, green, blue


def _no_colour(path: str, row: str) -> PlanError:
    return PlanError(f"{path}: found {row!r}; expected lines like: road, 128, 64, 128")
