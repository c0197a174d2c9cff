"""Write the side files of a finished folder anew, with what only people know of it."""

from collections.abc import Callable

from dsbuild import interop, storage
from dsbuild.build import output
from dsbuild.errors import PlanError
from dsbuild.format import manifest
from dsbuild.format.folder import Folder


def describe(
    out: str,
    terms: interop.Terms,
    pbtxt: bool = False,
    note: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Write the files by which other tools open a finished folder; return their names.

    What `terms` tells is kept for later builds, beside what earlier ones told. Works for
    folders of earlier versions; shards and schema stay as they are, and the manifest but for the
    digests of these files. `note` is called if another dsbuild holds the folder. Raises
    PlanError where the folder is not finished, or holds files of others by these names.
    """
    path = storage.join(out, manifest.NAME)
    unfinished = PlanError(
        f"{path}: there is no such file, so dsbuild finished no build here; build the folder, or "
        "name another PATH"
    )
    if storage.stamp(path) is None:
        raise unfinished
    if storage.stamp(storage.join(out, manifest.SCHEMA)) is None:
        raise PlanError(f"{out}: found no {manifest.SCHEMA}; run the build again, it is written")
    with storage.lock(output.state(out, "lock"), note):
        document = manifest.load(out)
        if document is None:  # another dsbuild has begun to work on it
            raise unfinished
        terms = interop.load(out) | terms
        found = interop.side_files(Folder(out).schema, document, terms, pbtxt)
        output.refuse_foreign_side_files(out)
        terms.save(out)
        output.write_side_files(out, found)
        output.renew(out, document, found)
    return sorted(found)
