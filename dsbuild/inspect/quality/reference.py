"""Statistics of the build that a check compares with: those that it keeps, if they are sound."""

from collections.abc import Mapping

from dsbuild import storage
from dsbuild.engines import Advance, Engine, Job
from dsbuild.errors import ShardError
from dsbuild.format.folder import Folder, remedy
from dsbuild.inspect import statistics
from dsbuild.inspect.forms import StatisticsDocument


def counted(folder: Folder, engine: Engine) -> StatisticsDocument:
    """Return the statistics of a folder, or a file, whose records nothing else checks.

    Kept ones are used if they have their digest. Raises ShardError for a shard that is missing, or
    has other bytes than its manifest says.
    """
    _verify(folder, engine)
    return statistics.known(folder, engine, sealed=True)


def _verify(folder: Folder, engine: Engine) -> None:
    known = folder.manifest
    wanted: Mapping[str, str] = {one.name: one.sha256 for one in known.shards} if known else {}
    paths = [path for path in folder.files if storage.name(path) in wanted]
    missing = sorted(wanted.keys() - set(map(storage.name, paths)))
    if missing and not folder.is_file:
        path = storage.join(folder.path, missing[0])
        raise ShardError(
            f"{path}: the manifest lists this shard, but it is missing, so nothing can be compared "
            f"with the rest; {remedy(path)}"
        )
    found = engine.map(Job(paths, _sha256, storage.size(paths), "comparing", unit="bytes"))
    for path, digest in zip(paths, found, strict=True):
        if digest != wanted[storage.name(path)]:
            raise ShardError(
                f"{path}: found other bytes than the manifest says, so nothing can be compared "
                f"with it; dsbuild validate {folder.path} shows what is wrong"
            )


def _sha256(path: str, advance: Advance) -> str:
    digest, size = storage.sha256(path)
    advance(0, size)
    return digest
