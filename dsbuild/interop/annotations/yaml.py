"""YAML that targets write: data.yaml of Ultralytics, the card of Hugging Face."""

import json
from collections.abc import Iterator, Mapping, Sequence

from dsbuild.interop.annotations.about import About
from dsbuild.interop.card import licence
from dsbuild.storage import safe_text

NAME = "data.yaml"


def data(
    about: About, splits: Mapping[str, str], names: Sequence[str], more: Mapping[str, str]
) -> Iterator[bytes]:
    """Return the content of data.yaml; `splits` are split -> folder of images."""
    rows = [f"# {line}" for line in comments(about)]
    rows += [f"{split}: {folder}" for split, folder in splits.items()]
    rows += [f"{key}: {value}" for key, value in more.items()]
    rows += [f"nc: {len(names)}", "names:", *(f"  {i}: {quoted(n)}" for i, n in enumerate(names))]
    yield ("\n".join(rows) + "\n").encode()


def comments(about: About) -> list[str]:
    """Return what people say of a data set, line by line."""
    terms = {"license": about.terms.license, "citation": about.terms.citation}
    said = [(key, value) for key, value in terms.items() if value]
    return [about.title, *(f"{key}: {safe_text.text(value)}" for key, value in said)]


def quoted(text: str) -> str:
    """Return text as YAML reads it back: plain if it is a word, else in quotes.

    >>> quoted("cat"), quoted("no"), quoted("a: b")
    ('cat', "'no'", "'a: b'")
    """
    words = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"}
    if text.isalpha() and text.isascii() and text.casefold() not in words:
        return text
    return json.dumps(text, ensure_ascii=False) if "'" in text else f"'{text}'"


def hub_split(name: str) -> str:
    """Return what Hugging Face calls a split; it knows `val` as `validation`, and takes no `-`.

    >>> hub_split("val"), hub_split("test-dev")
    ('validation', 'test_dev')
    """
    return "validation" if name == "val" else name.replace("-", "_")


def card(about: About, ignored: int | None) -> Iterator[bytes]:
    """Return the content of README.md, the card of Hugging Face."""
    head = ["---", "task_categories:", "- image-segmentation"]
    head += licence(about.terms)
    # Without these, splits are guessed from folders: train_aug joins train, trainval is left out.
    head += ["configs:", "- config_name: default", "  data_files:"]
    for split in about.splits:
        head += [f"  - split: {hub_split(split)}", f"    path: {split}/**"]
    text = [f"# {about.title or 'Images and masks'}", ""]
    text += [about.terms.description, ""] if about.terms.description else []
    text += ["Columns: `image`, `mask` and `key`. Values of a mask:", ""]
    text += [f"- {i}: {name}" for i, name in enumerate(about.classes)]
    text += [f"- {ignored}: ignored"] if ignored is not None else []
    text += ["", "```", about.terms.citation, "```"] if about.terms.citation else []
    yield ("\n".join([*head, "---", "", *text]) + "\n").encode()
