"""What a build's audit left behind in its folder, as findings: the samples that were left out.

What the audit only warns of is not kept; a finding says how to see it again.
"""

import contextlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping

from dsbuild import storage
from dsbuild.errors import StorageError
from dsbuild.format.documents import is_name
from dsbuild.format.folder import Folder
from dsbuild.format.names import REJECTS
from dsbuild.inspect import tables
from dsbuild.inspect.forms import Inspection
from dsbuild.inspect.html.findings import Grade, Line
from dsbuild.inspect.quality import sheet
from dsbuild.inspect.quality.sheet import Verdict
from dsbuild.layouts.finding import KINDS

_GRADES: Mapping[Verdict, Grade] = {"fail": "bad", "warn": "warn"}
_SAYS = {"fail": "failed", "warn": "warned"}
_LIMIT = 1 << 24  # bytes of a file that are read
_HEAD = 2000  # bytes that hold the title of a page
_PAGES = 100  # that are looked at in a folder
_TITLE = b"<title>Quality sheet: "


def lines(folder: Folder, document: Inspection) -> Iterator[Line]:
    """Yield one finding per kind of sample that was left out; nothing for other tools' folders."""
    left = sum(split.get("rejects", 0) for split in document["splits"].values())
    if document["complete"] is not True or folder.is_file:
        return
    if folder.manifest is not None:
        layout = folder.manifest.recipe.get("layout", "build")
        yield Line(
            "hint",
            "What the build's audit only warned of is not kept in the folder. To see it again: "
            f"dsbuild {layout} SOURCE --dry-run, with the options of the build",
        )
    if not left:
        yield Line("good", "The build's audit left out no sample.")
        return
    kinds = _by_kind(folder)
    for kind, texts in kinds.items():
        what = KINDS.get(kind, kind)
        yield Line(
            "warn", f"The build left out {tables.count(len(texts), 'sample')}: {what}", texts
        )
    more = left - sum(map(len, kinds.values()))
    if more > 0:
        others = tables.count(more, "more sample" if kinds else "sample")
        yield Line("warn", f"The build left out {others}: see {REJECTS}.")


def quality(folder: Folder, document: Inspection, page: str = "") -> Iterator[Line]:
    """Yield the verdict of the quality sheet that the folder keeps, if it is of these shards.

    If it was also written as a page, in the folder or beside it or the page at this path, that is
    linked from there.
    """
    made = sheet.load(folder, document.get("statistics"))
    if made is None:
        return
    for verdict, grade in _GRADES.items():
        rows = [row for row in made["rules"] if row["verdict"] == verdict]
        if rows:
            number = tables.count(len(rows), "rule")
            texts = [f"{row['rule']}: {row['what']}: {row['text']}" for row in rows]
            yield Line(grade, f"Quality sheet (dsbuild check): {number} {_SAYS[verdict]}", texts)
    if made["verdict"] == "pass":
        yield Line(
            "good", f"Quality sheet (dsbuild check): {len(made['rules'])} rules, all passed."
        )
    found = _sheet_page(folder, made["digest"] or "", page)
    if found:
        yield Line("hint", "All of its rules and examples:", page=found)


def _sheet_page(folder: Folder, digest: str, page: str) -> str:
    """Return the relative path from a page to that of a sheet with this digest; "" if none is."""
    if not page or not digest or storage.is_remote(page) or storage.is_remote(folder.path):
        return ""
    home, place = os.path.abspath(folder.path), os.path.dirname(os.path.abspath(page))
    for where in dict.fromkeys((place, home, os.path.dirname(home))):
        for path in _pages(where):
            found = os.path.relpath(path, place).replace(os.sep, "/")
            if path != os.path.abspath(page) and is_name(found) and _is_sheet(path, digest):
                return found
    return ""


def _pages(where: str) -> Iterator[str]:
    """Yield the paths of some pages in a folder, none if it cannot be listed."""
    names: list[str] = []
    with contextlib.suppress(StorageError):
        names = storage.names(where)
    pages = (name for name in names if name.endswith(".html"))
    return (os.path.join(where, name) for name in itertools.islice(pages, _PAGES))


def _is_sheet(path: str, digest: str) -> bool:
    """Tell whether a path is the page of a sheet with this digest; what cannot be read is none."""
    try:
        text = storage.read_part(path, 0, _HEAD)
        return _TITLE in text and digest.encode() in storage.read_part(path, 0, _LIMIT)
    except StorageError:
        return False


def _by_kind(folder: Folder) -> dict[str, list[str]]:
    """Return kind -> what was found, from the list of samples that were left out, if there is one.

    Other lines, as in a damaged file, are skipped; `lines` still counts their samples.
    """
    path = storage.join(folder.path, REJECTS)
    if storage.stamp(path) is None:
        return {}
    found: dict[str, list[str]] = {}
    for line in storage.read_part(path, 0, _LIMIT).splitlines():
        try:
            entry = json.loads(line)
            kind, text = entry["kind"], f"{entry['split']}: {entry['key']}: {entry['reason']}"
        except (ValueError, LookupError, TypeError):
            continue
        if isinstance(kind, str):
            found.setdefault(kind, []).append(text)
    return found
