"""What merges make of classes, as text."""

from dsbuild.build.merge.run import Merge
from dsbuild.cli.text.class_table import folded
from dsbuild.cli.text.table import table
from dsbuild.cli.text.view import View
from dsbuild.inspect.tables import count, size
from dsbuild.storage import safe_text

_MOST = 50  # classes that a terminal shows without --all


def classes_text(found: Merge, view: View) -> str:
    """Return one row per class: what it is made of in each build."""
    rows = [["class", "", *found.builds]]
    shown = list(enumerate(found.classes))
    if view.columns is not None and not view.every:
        shown = shown[:_MOST]
    for value, name in shown:
        rows.append([str(value), name, *map(_cell, found.origins[value])])
    if any(found.ignored):
        rows.append(["", "(ignore)", *map(_cell, found.ignored)])
    width = len(found.builds)
    lines = table(rows, "><" + "<" * width, view.columns, "0~" + "~" * width)
    return "\n".join([*lines, *folded(len(found.classes) - len(shown))])


def _cell(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "-"


def merged_text(found: Merge) -> str:
    """Return what a merge wrote, in one line."""
    out = safe_text.text(found.out)
    classes = _classes(len(found.classes))
    if found.manifest is None:
        return f"{classes} from {len(found.builds)} builds; nothing was written, this was a dry run"
    splits = found.manifest["splits"].values()
    records, total = (sum(split[key] for split in splits) for key in ("records", "bytes"))
    shards = sum(len(split["shards"]) for split in splits)
    what = f"{count(records, 'record')} of {classes} in {count(shards, 'shard')}, {size(total)}"
    if not found.written:
        return f"{out} is complete: {what}; nothing to do"
    kept = f", {count(found.kept, 'shard')} kept" if found.kept else ""
    return f"{out}: {what}{kept}"


def _classes(number: int) -> str:
    return f"{number:,} class{'' if number == 1 else 'es'}"
