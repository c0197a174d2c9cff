"""Write the side files of a finished folder again, with what only people know about the data."""

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
    """Write the files that let other tools open a finished folder; return their names.

    `terms` are kept for later builds, together with those given before. This works for folders of
    earlier versions; shards and schema stay as they are, and so does the manifest except for the
    digests of these files. `note` is called if another dsbuild holds the folder. Raises PlanError
    if the folder is not finished, or has files with these names that dsbuild did not write.
    """
    path = storage.join(out, manifest.NAME)
    unfinished = PlanError(
        f"{path}: there is no such file, so dsbuild finished no build here; build the folder, or "
        "name another PATH"
    )
    if storage.stamp(path) is None:
        raise unfinished if storage.is_folder(out) else PlanError(storage.missing(out))
    if storage.stamp(storage.join(out, manifest.SCHEMA)) is None:
        raise PlanError(f"{out}: found no {manifest.SCHEMA}; run the build again to write it")
    with storage.lock(output.state(out, "lock"), note):
        document = manifest.load(out)
        if document is None:  # another dsbuild has begun to work on it
            raise unfinished
        terms = interop.load(out) | terms
        files = interop.side_files(Folder(out).schema, document, terms, pbtxt)
        output.refuse_foreign_side_files(out)
        terms.save(out)
        output.write_side_files(out, files)
        output.renew(out, document, files)
    return sorted(files)
