"""README.md: the dataset card, for people and, in its front matter, for Hugging Face.

Source of the front matter: huggingface.co/docs/hub/datasets-cards.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dsbuild.format.manifest import dump
from dsbuild.format.schema import Schema
from dsbuild.interop import card_code
from dsbuild.interop.terms import Terms
from dsbuild.storage import safe_text

NAME = "README.md"
# Licences for datasets that Hugging Face knows by name; it calls the others `other`.
_LICENSES = (
    "apache-2.0 mit cc0-1.0 cc-by-2.0 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-4.0 "
    "cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-nc-nd-4.0 odbl odc-by pddl gpl-3.0"
).split()
_TASKS = {"label": "image-segmentation", "class": "image-classification"}  # by role of the label
_SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
_NAMES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M")


def files(schema: Schema, document: Mapping[str, Any], terms: Terms) -> dict[str, bytes]:
    """Return README.md for a folder with this schema and manifest."""
    label = next((role for role in ("label", "class") if role in schema.roles), None)
    parts = [
        _front(document, terms, label),
        f"# {document['title']}",
        terms.description or f"{document['title']}, as sharded TFRecords, built by dsbuild.",
        "## Splits",
        _table(
            ("split", "records", "with label", "shards", "MB"),
            (
                (name, e["records"], e["labels"], len(e["shards"]), f"{e['bytes'] / 1e6:.1f}")
                for name, e in document["splits"].items()
            ),
        ),
        "Each split is `<split>-<i>-of-<n>.tfrecord`; their sha256 stand in `manifest.json`, "
        f"offset and size of every record{_listed(document)} in `index/`.",
        "## Records",
        "Every record is a `tf.train.Example`:",
        _table(
            ("key", "kind", "what it is"),
            (
                (f"`{f.name}`", f.type.lower() + ("" if f.scalar else " list"), f.comment)
                for f in schema.features
            ),
        ),
        *_classes(document, label),
        "## Load it",
        "Run in this folder.",
        *card_code.blocks(schema, document, label),
        "## How it was made",
        f"By dsbuild {document.get('dsbuild', '')}"
        + "".join(f", {k} {v}" for k, v in document.get("versions", {}).items())
        + ", by this recipe:",
        f"```json\n{dump(_recipe(document), 2)}\n```",
        "The same sources and the same recipe give the same bytes.",
        *_terms(terms),
    ]
    return {NAME: ("\n\n".join(parts) + "\n").encode()}


def _listed(document: Mapping[str, Any]) -> str:
    shards = [shard for entry in document["splits"].values() for shard in entry["shards"]]
    return ", and the label values in it," if all("values" in one for one in shards) else ""


def _front(document: Mapping[str, Any], terms: Terms, label: str | None) -> str:
    total = sum(entry["records"] for entry in document["splits"].values())
    size = _NAMES[sum(total >= size for size in _SIZES)]
    task = _TASKS[label] if label else None
    lines = [f"pretty_name: {dump(document['title'])}", f"size_categories: [{dump(size)}]"]
    lines += [f"task_categories: [{task}]"] if task else []
    lines += ["tags: [tfrecord, croissant]", "viewer: false", *licence(terms)]
    return "\n".join(["---", *lines, "---"])


def licence(terms: Terms) -> list[str]:
    """Return the lines of a card's head that name the licence; none if it is not known."""
    if not terms.license:
        return []
    if terms.license.lower() in _LICENSES:
        return [f"license: {terms.license.lower()}"]
    kind = "link" if "://" in terms.license else "name"
    return ["license: other", f"license_{kind}: {dump(terms.license)}"]


def _classes(document: Mapping[str, Any], label: str | None) -> Iterable[str]:
    counted = {k: v for k, v in document["splits"].items() if "classes" in v}
    if not document["classes"] or label is None:
        return []
    palette = document.get("palette", {})
    rows = [
        (i, name, *_colour(palette, i), *(v["classes"][i]["images"] for v in counted.values()))
        for i, name in enumerate(document["classes"])
        if "divisor" not in document or i != document["ignore"]  # void is no class
    ]
    ignore = document.get("ignore")
    if ignore is not None:
        counts = ((v.get("ignore") or {}).get("images", "") for v in counted.values())
        rows.append((ignore, "(no class: ignore)", *_colour(palette, ignore), *counts))
    colour = ("colour",) if palette else ()
    heads = ("value", "name", *colour, *(f"images in {name}" for name in counted))
    return ["## Classes", _table(heads, rows)]


def _colour(palette: Mapping[str, Sequence[int]], value: int) -> tuple[str, ...]:
    found = palette.get(str(value))
    return (("#{:02x}{:02x}{:02x}".format(*found) if found else ""),) if palette else ()


def _recipe(document: Mapping[str, Any]) -> dict[str, Any]:
    # Classes and features have their own tables.
    return {k: v for k, v in document["recipe"].items() if k not in ("classes", "features")}


def _terms(terms: Terms) -> Iterable[str]:
    yield "## Licence and citation"
    yield (
        f"Licence: {terms.license}"
        if terms.license
        else (
            "The terms of the data set that these records were made of hold for them too. "
            "`dsbuild interop --license NAME` writes them here."
        )
    )
    if terms.citation:
        yield f"```\n{terms.citation.strip()}\n```"


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: Any) -> str:
    line = safe_text.text(re.sub(r"\s+", " ", str(value)))
    return line.replace("<", "&lt;").replace("|", "\\|")
