"""A folder of TFRecords as one self-contained HTML page.

The page is made from documents: the inspection, the census, the gallery's cards. Text is escaped
when it becomes markup, and so is `<` in the script's data, so no key or file name is ever read as
markup.
"""

import json
import string
from collections.abc import Sequence
from importlib import resources

from dsbuild import storage
from dsbuild.engines import Engine, Local
from dsbuild.errors import StorageError
from dsbuild.format.folder import Folder, PathLike
from dsbuild.inspect import catalog, gallery
from dsbuild.inspect.catalog import Census
from dsbuild.inspect.forms import Card, Inspection
from dsbuild.inspect.html import sections, svg
from dsbuild.inspect.html.svg import escape
from dsbuild.validate.problem import Problem
from dsbuild.validate.run import Validation, validate

_MARK = b'<meta name="generator" content="dsbuild inspect">'
_SAMPLE = 2000  # records read for what no manifest counts: image sizes, classes together


def page(
    document: Inspection,
    census: Census,
    cards: Sequence[Card],
    colours: Sequence[Sequence[int]],
    caption: str,
    seed: int,
    checked: Validation | None = None,
) -> str:
    """Return the page for an inspection's document, a census and a gallery's `cards`.

    `colours` are RGB by label value; `caption` says which records the gallery shows; `checked` is
    a validation to show, if there was one.
    """
    splits = {
        name: sections.rows(split, name, census) for name, split in document["splits"].items()
    }
    names = sections.names(splits, census)
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
        ("classes", "Classes", sections.classes(document, splits, names, colours, census, seed)),
        (
            "problems",
            "Problems",
            sections.problems(checked.problems, checked.notes) if checked else "",
        ),
        ("gallery", "Gallery", f"<p>{escape(caption)}.</p>" + _file("gallery.html")),
        ("sizes", "Image sizes", sections.sizes(census, seed, counted)),
        ("together", "Classes together", sections.together(census, names, colours, seed, counted)),
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


def script_json(data: object) -> str:
    """Return JSON that is safe in a script element: it has no `<`, `>` or `&`.

    >>> script_json("</script>")
    '"\\\\u003c/script\\\\u003e"'
    """
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def write(path: str, text: str) -> None:
    """Write a page; raise StorageError if something that dsbuild did not write is in the way."""
    if storage.stamp(path) is not None and (
        storage.is_folder(path) or _MARK not in storage.read(path)[0][:2000]
    ):
        raise StorageError(
            f"{path}: found something that dsbuild inspect did not write, so it is left alone; "
            "choose another file"
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
    """Return the page of a folder or file from its inspection's document.

    `how` and the class `name` choose the gallery's records as in `gallery.choose`. To choose by
    class, all records are read, otherwise a sample; `how="problems"` validates all and shows
    those with problems.
    """
    folder = Folder.of(path)
    engine = engine or Local()
    counts = {
        shard["name"]: shard["records"]
        for split in document["splits"].values()
        for shard in split["shards"]
    }
    most = _SAMPLE if how in ("any", "problems") else None
    census = catalog.take(folder, counts, max(most, samples) if most else None, seed, engine)
    checked = validate(folder, engine=engine) if how == "problems" else None
    faulty = gallery.faulty(checked.problems if checked else ())
    if checked:
        chosen = catalog.at(folder, gallery.varied(faulty, samples))
    else:
        classes = folder.surrounding.classes
        value = gallery.find(name, classes, census.rows) if how != "any" else -1
        chosen = gallery.choose(census.rows, samples, seed, how, value)
    colours = gallery.colours(folder)
    cards = gallery.cards(folder, chosen, colours, engine)
    for row, card in zip(chosen, cards, strict=True):
        problems = faulty.get((row.file, row.number, row.offset), ())
        card["problems"] = _problem_texts(problems, card["problems"])
    total = len(faulty) if checked else census.total
    caption = _caption(how, name, len(chosen), total, seed)
    return page(document, census, cards, colours.tolist(), caption, seed, checked)


def _problem_texts(problems: Sequence[Problem], others: Sequence[str]) -> list[str]:
    """Return what is wrong with a record: its problems, and `others` of kinds not among them."""
    kinds = {problem.kind for problem in problems}
    others = [text for text in others if text.partition(":")[0] not in kinds]
    return [*(f"{problem.kind}: {problem.text}" for problem in problems), *others]


def _caption(how: str, name: str, chosen: int, total: int, seed: int) -> str:
    """Return which records the gallery shows."""
    few = f"{chosen:,} of {total:,} records"
    return {
        "problems": f"{few} with problems",
        "any": f"{few}, seed {seed}",
        "with": f"{few}: with {name}, seed {seed}",
        "most": f"{few}: those with the most {name}",
        "least": f"{few}: those with the least {name}, of those that have any",
    }[how]
