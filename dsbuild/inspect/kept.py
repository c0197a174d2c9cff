"""Statistics that are kept beside the data, for the folder that they are of."""

import hashlib
from collections.abc import Mapping
from typing import cast

from dsbuild import storage
from dsbuild.errors import DataError
from dsbuild.format import names
from dsbuild.format.documents import dump, parse_file
from dsbuild.format.folder import Folder, PathLike
from dsbuild.format.manifest import Manifest
from dsbuild.inspect.forms import StatisticsDocument


def keep(made: StatisticsDocument) -> None:
    """Write statistics into their folder if they cover everything that its manifest lists."""
    if made["of"] is not None:
        storage.refuse_links(names.state(made["path"]))
        whole = {**made, "digest": _sha256(made)}
        storage.write(_place(made["path"]), dump(whole).encode())


def load(path: PathLike, *, sealed: bool = False) -> StatisticsDocument | None:
    """Return the statistics kept in a folder; None without any, or if they are of other shards.

    None also if they are not what was kept. Earlier versions kept no digest, by which that can be
    told; if they have to be `sealed`, None without one.
    """
    folder = Folder.of(path)
    manifest, place = folder.manifest, _place(folder.path)
    if manifest is None or storage.stamp(place) is None:
        return None
    try:
        made = parse_file(storage.read(place)[0], place)
    except DataError:
        return None  # they can be computed again
    if not isinstance(made, dict) or made.get("of") != digest(manifest):
        return None
    if "leaked" not in made["duplicates"]:
        return None  # an earlier version did not look for them
    was = made.pop("digest", None)
    if was != _sha256(made) and (sealed or was is not None):
        return None
    # Only `keep` writes this file; the folder may have been moved since.
    return cast(StatisticsDocument, {**made, "path": folder.path})


def digest(manifest: Manifest) -> str:
    """Return a digest of what statistics depend on: shards, class names, and what counts them."""
    shards = [[shard.name, shard.sha256] for shard in manifest.shards]
    text = dump([names.WRITTEN_AS, manifest.classes, manifest.ignore, shards])
    return hashlib.sha256(text.encode()).hexdigest()


def _sha256(made: Mapping[str, object]) -> str:
    """Return the digest of statistics, which is the same wherever their folder lies."""
    placeless = {key: value for key, value in made.items() if key != "path"}
    return hashlib.sha256(dump(placeless).encode()).hexdigest()


def _place(path: str) -> str:
    return names.state(path, names.STATISTICS)
