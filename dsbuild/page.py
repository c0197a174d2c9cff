"""A folder of TFRecords as one HTML page that needs nothing but itself.

What is shown is made of documents: the inspection, the census, the gallery's cards. Texts
are escaped on their way into markup, and `<` in the script's data, so that no key or
file name is ever read as markup.
"""

import json
import string
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

from dsbuild import census, charts, gallery, sections, storage
from dsbuild.census import Census
from dsbuild.errors import StorageError

_MARK = b'<meta name="generator" content="dsbuild inspect">'
_SAMPLE = 2000  # records for what no manifest counts: sizes, classes together


def page(
    document: Mapping[str, Any],
    seen: Census,
    cards: Sequence[Mapping[str, Any]],
    colours: Sequence[Sequence[int]],
    how: str,
    seed: int,
) -> str:
    """Return the page of an inspection (`report.inspect`), a census and a gallery.

    `colours` are RGB by label value; `how` says which records the gallery shows.
    """
    splits = {name: sections.rows(split, name, seen) for name, split in document["splits"].items()}
    names = sections.names(splits, seen)
    values = sorted(names)
    data = {
        "cards": cards,
        "classes": [
            [value, names[value], charts.css(colours[value % len(colours)])] for value in values
        ],
        "splits": list(splits),
    }
    title = document["title"] or "TFRecords"
    name = storage.name(document["path"])
    parts = [
        ("summary", "Summary", sections.summary(document, splits)),
        ("classes", "Classes", sections.classes(document, splits, names, colours, seen, seed)),
        ("gallery", "Gallery", f"<p>{escape(how)}.</p>" + _file("gallery.html")),
        ("sizes", "Image sizes", sections.sizes(seen, seed)),
        ("together", "Classes together", sections.together(seen, names, colours, seed)),
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
    return (resources.files("dsbuild") / "html" / name).read_text(encoding="utf-8")


def make(
    path: str,
    document: Mapping[str, Any],
    *,
    samples: int,
    seed: int,
    how: str = "any",
    name: str = "",
    workers: int = 1,
    quiet: bool = True,
) -> str:
    """Return the page of a folder or file and its inspection.

    `how` and the class `name` choose the gallery as `gallery.choose` has it; for a class
    all records are read, otherwise a sample.
    """
    counts = {
        shard["name"]: shard["records"]
        for split in document["splits"].values()
        for shard in split["shards"]
    }
    most = _SAMPLE if how == "any" else None
    taken = census.take(path, counts, max(most, samples) if most else None, seed, workers, quiet)
    known = gallery.known(path)
    value = gallery.find(name, known.get("classes", ()), taken.rows) if how != "any" else -1
    chosen = gallery.choose(taken.rows, samples, seed, how, value)
    colours = gallery.colours(path)
    cards = gallery.cards(path, chosen, colours, workers, quiet)
    return page(
        document, taken, cards, colours.tolist(), _told(how, name, chosen, taken, seed), seed
    )


def _told(how: str, name: str, chosen: Sequence, taken: Census, seed: int) -> str:
    """Return which records the gallery shows."""
    few = f"{len(chosen):,} of {taken.total:,} records"
    return {
        "any": f"{few}, seed {seed}",
        "with": f"{few}: with {name}, seed {seed}",
        "most": f"{few}: those with the most {name}",
        "least": f"{few}: those with the least {name}, but some",
    }[how]
