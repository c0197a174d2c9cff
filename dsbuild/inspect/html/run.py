"""A folder of TFRecords as one HTML page that needs nothing but itself.

What is shown is made of documents: the inspection, the census, the gallery's cards. Texts
are escaped on their way into markup, and `<` in the script's data, so that no key or
file name is ever read as markup.
"""

import json
import string
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from dsbuild import storage
from dsbuild.engines import Engine, Local
from dsbuild.errors import StorageError
from dsbuild.format.folder import Folder, PathLike
from dsbuild.inspect import catalog, gallery
from dsbuild.inspect.catalog import Census
from dsbuild.inspect.forms import Inspection
from dsbuild.inspect.html import sections, svg
from dsbuild.inspect.html.svg import escape
from dsbuild.validate.problem import Problem
from dsbuild.validate.run import Validation, validate

_MARK = b'<meta name="generator" content="dsbuild inspect">'
_SAMPLE = 2000  # records for what no manifest counts: sizes, classes together


def page(
    document: Inspection,
    seen: Census,
    cards: Sequence[Mapping[str, Any]],
    colours: Sequence[Sequence[int]],
    how: str,
    seed: int,
    checked: Validation | None = None,
) -> str:
    """Return the page of an inspection (`report.inspect`), a census and a gallery.

    `colours` are RGB by label value; `how` says which records the gallery shows; what was
    `checked` is shown where it was.
    """
    splits = {name: sections.rows(split, name, seen) for name, split in document["splits"].items()}
    names = sections.names(splits, seen)
    values = sorted(names)
    data = {
        "cards": cards,
        "classes": [
            [value, names[value], svg.css(colours[value % len(colours)])] for value in values
        ],
        "splits": list(splits),
    }
    counted = document.get("statistics")
    title = document["title"] or "TFRecords"
    name = storage.name(document["path"])
    parts = [
        ("summary", "Summary", sections.summary(document, splits)),
        ("classes", "Classes", sections.classes(document, splits, names, colours, seen, seed)),
        (
            "problems",
            "Problems",
            sections.problems(checked.problems, checked.notes) if checked else "",
        ),
        ("gallery", "Gallery", f"<p>{escape(how)}.</p>" + _file("gallery.html")),
        ("sizes", "Image sizes", sections.sizes(seen, seed, counted)),
        ("together", "Classes together", sections.together(seen, names, colours, seed, counted)),
        ("colours", "Colours and duplicates", sections.statistics(counted)),
        ("shards", "Shards", sections.shards(document)),
        ("features", "Features", sections.features(document)),
    ]
    shown = [part for part in parts if part[2]]
    return string.Template(_file("page.html")).substitute(
        title=escape(f"{title}: {name}"),
        heading=escape(name),
        kind=escape(title),
        style=_file("page.css"),
        script=_file("page.js"),
        nav="".join(f'<a href="#{key}">{text}</a>' for key, text, _ in shown),
        sections="\n".join(
            f'<section id="{key}"><h2>{text}</h2>{body}</section>' for key, text, body in shown
        ),
        data=script_json(data),
    )


def script_json(data: Any) -> str:
    """Return JSON that may stand in a script element: no `<`, `>` or `&` in it.

    >>> script_json("</script>")
    '"\\\\u003c/script\\\\u003e"'
    """
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def write(path: str, text: str) -> None:
    """Write a page; raise StorageError where something lies there that is none of dsbuild's."""
    if storage.stamp(path) is not None and (
        storage.is_folder(path) or _MARK not in storage.read(path)[0][:2000]
    ):
        raise StorageError(
            f"{path}: found something that dsbuild inspect did not write, which is left alone; "
            "name another file"
        )
    storage.write(path, text.encode())


def _file(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def make(
    path: PathLike,
    document: Inspection,
    *,
    samples: int,
    seed: int,
    how: str = "any",
    name: str = "",
    engine: Engine | None = None,
) -> str:
    """Return the page of a folder or file and its inspection.

    `how` and the class `name` choose the gallery as `gallery.choose` has it; for a class
    all records are read, otherwise a sample. By `problems` all are validated.
    """
    folder = Folder.of(path)
    engine = engine or Local()
    counts = {
        shard["name"]: shard["records"]
        for split in document["splits"].values()
        for shard in split["shards"]
    }
    most = _SAMPLE if how in ("any", "problems") else None
    taken = catalog.take(folder, counts, max(most, samples) if most else None, seed, engine)
    checked = validate(folder, engine=engine) if how == "problems" else None
    faulty = gallery.faulty(checked.problems if checked else ())
    if checked:
        chosen = catalog.at(folder, gallery.varied(faulty, samples))
    else:
        known = folder.surrounding.classes
        value = gallery.find(name, known, taken.rows) if how != "any" else -1
        chosen = gallery.choose(taken.rows, samples, seed, how, value)
    colours = gallery.colours(folder)
    cards = gallery.cards(folder, chosen, colours, engine)
    for row, card in zip(chosen, cards, strict=True):
        found = faulty.get((row.file, row.number, row.offset), ())
        card["problems"] = _captions(found, card["problems"])
    told = _told(how, name, len(chosen), len(faulty) if checked else taken.total, seed)
    return page(document, taken, cards, colours.tolist(), told, seed, checked)


def _captions(found: Sequence[Problem], others: Sequence[str]) -> list[str]:
    """Return what is wrong with a record; of one kind only what was `found` by validation."""
    kinds = {problem.kind for problem in found}
    others = [text for text in others if text.partition(":")[0] not in kinds]
    return [*(f"{problem.kind}: {problem.text}" for problem in found), *others]


def _told(how: str, name: str, chosen: int, total: int, seed: int) -> str:
    """Return which records the gallery shows."""
    few = f"{chosen:,} of {total:,} records"
    return {
        "problems": f"{few} with problems",
        "any": f"{few}, seed {seed}",
        "with": f"{few}: with {name}, seed {seed}",
        "most": f"{few}: those with the most {name}",
        "least": f"{few}: those with the least {name}, but some",
    }[how]
