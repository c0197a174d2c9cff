"""Files of earlier exports in a folder: what each was made from, and which of them may stay.

OUT/.dsbuild/exported/<name>.json         what a file was made from
"""

from collections.abc import Callable, Collection
from typing import Any

from dsbuild import storage
from dsbuild.errors import DataError, PlanError
from dsbuild.format import manifest, names
from dsbuild.format.names import EXPORTED


def notes(out: str) -> str:
    """Return the folder of what files were made from."""
    return names.state(out, EXPORTED)


def note(out: str, name: str) -> str:
    """Return the path of what a file was made from."""
    return storage.join(notes(out), f"{name}.json")


def noted(path: str) -> dict[str, Any]:
    """Return the note of a file; an empty one if there is none, or none that can be read."""
    if storage.stamp(path) is None:
        return {}
    try:
        found = manifest.parse(storage.read(path)[0], path)
    except DataError:
        return {}
    return found if isinstance(found, dict) else {}


def clear(
    out: str, names: Collection[str], splits: Collection[str], others: Callable[[str], bool] | None
) -> None:
    """Remove files of an earlier export that this one does not write; refuse foreign files.

    `names` and `splits` are those of the files that it writes. `others` tells whether a file of
    another split is as this folder would give it, so that it may stay: all such files have to be.
    None removes them.
    """
    ours = {name.removesuffix(".json") for name in storage.names(notes(out))}
    for name in storage.names(out):
        stranger = name not in ours and (
            name in names or any(name.startswith(f"{split}-") for split in splits)
        )
        if stranger:
            raise PlanError(
                f"{storage.join(out, name)}: this export did not write it, and readers would take "
                "it for a shard; move it, or choose another OUT"
            )
    for name in sorted(ours.difference(names)):
        path = storage.join(out, name)
        if others is not None and storage.stamp(path) and not others(name):
            raise PlanError(
                f"{path}: it was made from other records, or in another format, or an export was "
                "stopped; --split adds to files of the same folder: export without --split, or "
                "choose another OUT"
            )
        if others is None:
            storage.remove(path)
            storage.remove(note(out, name))
