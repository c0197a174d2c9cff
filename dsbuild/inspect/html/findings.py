"""What the page says first: everything about the data that a reader should know before using it."""

import collections
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple
from urllib.parse import quote

from dsbuild.format.manifest import IGNORE
from dsbuild.inspect import tables
from dsbuild.inspect.forms import ClassCount, Inspection, StatisticsDocument
from dsbuild.inspect.html import svg
from dsbuild.inspect.html.svg import escape
from dsbuild.validate.problem import KINDS, Problem
from dsbuild.validate.run import Validation

Grade = Literal["bad", "warn", "good", "hint"]
_WORDS: Mapping[Grade, str] = {"bad": "problem", "warn": "warning", "good": "fine", "hint": "note"}
_FEW = 10  # names or texts of one kind


class Line(NamedTuple):
    """One finding: how grave it is, what was found, examples of it, and a page with more."""

    grade: Grade
    text: str
    examples: Sequence[str] = ()
    page: str = ""


def section(
    document: Inspection,
    splits: Mapping[str, Sequence[ClassCount]],
    known: Sequence[Line],
    checked: Validation | None,
) -> str:
    """Return all findings, the gravest first, and a table of the problems of `checked`.

    `known` are findings that the folder keeps: those of its build.
    """
    lines = [
        *_damage(document),
        *_validated(checked, document),
        *_counted(document.get("statistics"), document["path"]),
        *known,
        *_classes(document, splits),
    ]
    ranked = sorted(lines, key=lambda line: list(_WORDS).index(line.grade))
    made = f'<ul class="findings">{"".join(map(_item, ranked))}</ul>'
    return made + (problems(checked.problems, checked.notes) if checked else "")


def _item(line: Line) -> str:
    examples = "".join(f"<li>{escape(text)}</li>" for text in line.examples[:_FEW])
    if len(line.examples) > _FEW:
        examples += f"<li>… and {len(line.examples) - _FEW:,} more</li>"
    text = escape(line.text)
    if line.page:
        text += f' <a href="{escape(quote(line.page))}">{escape(line.page)}</a>'
    if examples:
        text = f"<details><summary>{text}</summary><ul>{examples}</ul></details>"
    return f'<li class="{line.grade}"><b>{_WORDS[line.grade]}</b><div>{text}</div></li>'


def _damage(document: Inspection) -> Iterator[Line]:
    if document["complete"] is False:
        yield Line("bad", "This build is unfinished: run the same build command again.")
    wrong = [
        shard["problem"]
        for split in document["splits"].values()
        for shard in split["shards"]
        if shard["problem"]
    ]
    if wrong:
        total = sum(len(split["shards"]) for split in document["splits"].values())
        yield Line(
            "bad", f"{len(wrong):,} of {tables.count(total, 'shard')} damaged or missing", wrong
        )


def _validated(checked: Validation | None, document: Inspection) -> Iterator[Line]:
    if checked is None:
        seen = "each shard's presence and size were"
        if document["complete"] is None:
            seen = "the checksums of each record were"
        how = f"dsbuild inspect {shlex.quote(document['path'])} --html FILE --problems"
        yield Line(
            "hint",
            f"Not validated for this page: only {seen} checked. To check every record and see "
            f"those with problems: {how}",
        )
    elif checked.problems:
        found = tables.count(len(checked.problems), "problem")
        where = tables.count(checked.records, "record")
        yield Line("bad", f"dsbuild validate found {found} in {where}; the table below names them.")
    else:
        records = tables.count(checked.records, "record")
        yield Line("good", f"dsbuild validate found no problem in {records}.")


def _counted(counted: StatisticsDocument | None, path: str) -> Iterator[Line]:
    if counted is None:
        yield Line(
            "hint",
            "Equal and similar images were not looked for. To find them, run "
            f"dsbuild statistics {shlex.quote(path)}, then write this page again.",
        )
        return
    if counted["unreadable"]:
        texts = [
            f"{fault['file']}{_number_of(fault['record'])}: {fault['text']}"
            for fault in counted["unreadable"]
        ]
        yield Line("bad", f"{tables.count(len(texts), 'record')} could not be read", texts)
    recurring = counted["duplicates"]
    for text, leaks in tables.shared(recurring).items():
        yield Line("warn" if leaks else "hint", f"{text[:1].upper()}{text[1:]}.")
    for kind, what in tables.ALIKE.items():
        if recurring[kind]:
            groups = tables.count(len(recurring[kind]), "group")
            yield Line("warn", f"{groups} of images {what}: see Colours and duplicates.")
    if not any(recurring.values()):
        yield Line("good", "No image occurs twice, and none look nearly alike.")


def _classes(document: Inspection, splits: Mapping[str, Sequence[ClassCount]]) -> Iterator[Line]:
    """Yield classes that occur nowhere, or not in every labelled split."""
    held: collections.Counter[str] = collections.Counter()
    missing: dict[str, list[str]] = {}
    for name, rows in splits.items():
        if not document["splits"][name]["classes"]:
            continue  # a sample does not show that a class is missing
        for row in rows:
            text = row["name"] or str(row["value"])
            held[text] += row["images"]
            if not row["images"] and row["name"] != IGNORE:
                missing.setdefault(text, []).append(name)
    never = [text for text in missing if not held[text]]
    if never:
        yield Line("warn", f"{_number(never)} in no record", never)
    for name in splits:
        some = [text for text, names in missing.items() if name in names and held[text]]
        if some:
            yield Line("warn", f"{_number(some)} of other splits missing from {name}", some)


def _number_of(record: int | None) -> str:
    return "" if record is None else f", record {record}"


def _number(classes: Sequence[str]) -> str:
    return "1 class" if len(classes) == 1 else f"{len(classes):,} classes"


def problems(listed: Sequence[Problem], notes: Sequence[str]) -> str:
    """Return a table of the kinds of problems, each with its first problem, and the notes."""
    first: dict[str, Problem] = {}
    for problem in listed:
        first.setdefault(problem.kind, problem)
    counts = collections.Counter(problem.kind for problem in listed)
    rows = [
        [
            kind,
            escape(what),
            f"{counts[kind]:,}",
            f'<span class="bad">{escape(str(first[kind]))}</span>',
        ]
        for kind, what in KINDS.items()
        if kind in first
    ]
    made = svg.table(["kind", "", "problems", "first problem"], rows, "<<><", "problems")
    noted = "".join(f'<p class="note">{escape(note)}</p>' for note in notes)
    return (made if rows else "") + noted
