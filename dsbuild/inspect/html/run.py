"""A folder of TFRecords as one self-contained HTML page.

The page is made from documents: the inspection, the census, the gallery's cards. Text is escaped
when it becomes markup, and so is `<` in the script's data, so no key or file name is ever read as
markup.
"""

import json
import string
from collections.abc import Mapping, Sequence

from dsbuild import storage
from dsbuild.engines import Engine, Local
from dsbuild.errors import StorageError
from dsbuild.format.folder import Folder, PathLike
from dsbuild.inspect import catalog, choice, frame, gallery
from dsbuild.inspect.catalog import Census, Row
from dsbuild.inspect.forms import Card, Inspection, StatisticsDocument
from dsbuild.inspect.html import balance, findings, frames, kept, sections, svg
from dsbuild.inspect.html.document import document as whole
from dsbuild.inspect.html.document import file_text
from dsbuild.inspect.html.svg import escape
from dsbuild.validate.problem import Problem
from dsbuild.validate.run import Validation, validate

_MARK = b'<meta name="generator" content="dsbuild inspect">'
_LIMIT = 5_000_000  # bytes of a page whose gallery shows each record at least in small
_TEXT = 600  # of a card without its pictures
_SAMPLE = 2000  # records read for what no manifest counts: image sizes, classes together


def page(
    document: Inspection,
    census: Census,
    cards: Sequence[Card],
    colours: Sequence[Sequence[int]],
    caption: str,
    seed: int,
    checked: Validation | None = None,
    known: Sequence[findings.Line] = (),
) -> str:
    """Return the page for an inspection's document, a census and a gallery's `cards`.

    `colours` are RGB by label value; `caption` says which records the gallery shows; `checked` is
    a validation to show, if there was one; `known` are findings that the folder keeps.
    """
    splits = {name: balance.rows(split, name, census) for name, split in document["splits"].items()}
    names, held = balance.names(splits, census), balance.held(splits, census)
    order = balance.order(names, held)
    counted = document.get("statistics")
    ids = sections.shard_ids(document)
    data = {
        "cards": cards,
        "classes": [
            [value, names[value], svg.css(colours[value % len(colours)]), held.get(value, 0)]
            for value in order
        ],
        "splits": list(splits),
        "path": document["path"],
        "shards": {card["file"]: ids[card["file"]] for card in cards if card["file"] in ids},
    }
    title = document["title"] or "TFRecords"
    name = storage.name(document["path"])
    parts = [
        ("summary", "Summary", sections.summary(document, splits)),
        ("findings", "Findings", findings.section(document, splits, known, checked)),
        ("gallery", "Gallery", f"<p>{escape(caption)}.</p>" + file_text("gallery.html")),
        (
            "classes",
            "Class balance",
            balance.section(document, splits, names, colours, census, sections.note(census, seed)),
        ),
        *_frames(census, names, colours, order, seed, counted),
        ("together", "Co-occurrence", sections.together(census, names, colours, seed, counted)),
        ("sizes", "Image sizes", sections.sizes(census, seed, counted)),
        ("colours", "Colours and duplicates", sections.statistics(counted)),
        ("shards", "Shards", sections.shards(document)),
        ("features", "Features", sections.features(document)),
    ]
    rest = string.Template(file_text("dialog.html")).substitute(
        data=script_json(data), script=file_text("page.js")
    )
    return whole(f"{title}: {name}", name, title, parts, rest)


def _frames(
    census: Census,
    names: Mapping[int, str],
    colours: Sequence[Sequence[int]],
    order: Sequence[int],
    seed: int,
    counted: StatisticsDocument | None,
) -> list[tuple[str, str, str]]:
    """Return the sections on where classes lie: of all records if statistics have counted them."""
    seen, note = census.frame, sections.note(census, seed, census.frame.planes)
    if counted is not None and "frame" in counted:
        seen, note = frame.parse(counted["frame"]), ""
    widths = sorted(row.width for row in census.rows if row.width) or [1]
    heights = sorted(row.height for row in census.rows if row.height) or [1]
    shape = widths[len(widths) // 2], heights[len(heights) // 2]
    maps = frames.heat_maps(seen, names, colours, order, shape, note)
    return [
        ("heat", "Heat maps", maps),
        ("objects", "Objects", frames.objects(seen, names, colours, order, note)),
    ]


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


def make(
    path: PathLike,
    document: Inspection,
    *,
    samples: int | None,
    seed: int,
    how: str = "any",
    name: str = "",
    beside: str = "",
    engine: Engine | None = None,
) -> str:
    """Return the page of a folder or file from its inspection's document.

    `beside` is where it will be, so that it can link other pages.

    `how` and the class `name` choose the gallery's records as in `choice.choose`; `samples` None
    shows `choice.SAMPLES`, or more if it takes more to show every class. To choose by class, all
    records are read, otherwise a sample; `how="problems"` validates all and shows those with
    problems.
    """
    folder = Folder.of(path)
    engine = engine or Local()
    counts = {
        shard["name"]: shard["records"]
        for split in document["splits"].values()
        for shard in split["shards"]
    }
    most = max(_SAMPLE, samples or 0) if how in ("any", "problems") else None
    census = catalog.take(folder, counts, most, seed, engine)
    checked = validate(folder, engine=engine) if how == "problems" else None
    faulty = choice.faulty(checked.problems if checked else ())
    if checked:
        chosen = catalog.at(
            folder, choice.varied(faulty, choice.SAMPLES if samples is None else samples)
        )
        caption = f"{len(chosen):,} of {len(faulty):,} records with problems"
    else:
        rows = (*census.rows, *_rare(folder, document, counts, census)) if how == "any" else ()
        value = choice.find(name, folder.surrounding.classes, census.rows) if how != "any" else -1
        chosen = choice.choose(rows or census.rows, samples, seed, how, value)
        caption = _caption(how, name, chosen, document, census, seed)
    colours = gallery.colours(folder)
    known = tuple(kept.lines(folder, document)) + tuple(kept.quality(folder, document, beside))
    rest = page(document, census, [], colours.tolist(), caption, seed, checked, known)
    room = _LIMIT - len(rest.encode()) - _TEXT * len(chosen)
    cards = gallery.cards(folder, chosen, colours, engine, max(min(room, gallery.ROOM), 0))
    for row, card in zip(chosen, cards, strict=True):
        problems = faulty.get((row.file, row.number, row.offset), ())
        card["problems"] = _problem_texts(problems, card["problems"])
    return page(document, census, cards, colours.tolist(), caption, seed, checked, known)


def _rare(
    folder: Folder, document: Inspection, counts: Mapping[str, int], census: Census
) -> list[Row]:
    """Return rows with classes that occur, but in none of the census's rows."""
    if census.whole:
        return []
    seen = {value for row in census.rows for value in row.counts}
    return catalog.holders(folder, counts, _occurring(document) - seen)


def _occurring(document: Inspection) -> set[int]:
    rows = [row for split in document["splits"].values() for row in split["classes"]]
    return {row["value"] for row in rows if row["images"]}


def _problem_texts(problems: Sequence[Problem], others: Sequence[str]) -> list[str]:
    """Return what is wrong with a record: its problems, and `others` of kinds not among them."""
    kinds = {problem.kind for problem in problems}
    others = [text for text in others if text.partition(":")[0] not in kinds]
    return [*(f"{problem.kind}: {problem.text}" for problem in problems), *others]


def _caption(
    how: str, name: str, chosen: Sequence[Row], document: Inspection, census: Census, seed: int
) -> str:
    """Return which records the gallery shows."""
    few = f"{len(chosen):,} of {census.total:,} records"
    shown = {value for row in chosen for value in row.counts}
    wanted = _occurring(document) | {value for row in census.rows for value in row.counts}
    missing = len(wanted - shown)
    covered = "every class is among them"
    if missing:
        covered = f"{missing:,} of {len(wanted):,} classes are not among them"
    return {
        "any": f"{few}, seed {seed}" + (f"; {covered}" if wanted else ""),
        "with": f"{few}: with {name}, seed {seed}",
        "most": f"{few}: those with the most {name}",
        "least": f"{few}: those with the least {name}, of those that have any",
    }[how]
