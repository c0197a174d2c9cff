"""Lists of mattes with four paths per line: `image@rgba@alpha@mask`, relative to SOURCE."""

from collections.abc import Iterable, Iterator

from dsbuild import storage
from dsbuild.errors import LayoutError
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import elsewhere, pictures
from dsbuild.layouts.texts import numbered


def is_list(path: str) -> bool:
    """Tell whether a text file is a list with four paths per line, from its first line."""
    first, _, _ = storage.read_part(path, 0, 1 << 14).lstrip().partition(b"\n")
    return first.count(b"@") > 1


def rows(path: str) -> Iterator[list[str]]:
    """Yield the four paths in each line `image@rgba@alpha@mask` of a list."""
    for number, line in numbered(path, escaped=True):
        parts = [part.strip().lstrip("/") for part in line.split("@")]
        if len(parts) != 4 or any(".." in part.split("/") or not part for part in parts):
            raise LayoutError(
                f"{path}, line {number}: found {line!r}, expected image@rgba@alpha@mask, "
                "four paths below SOURCE"
            )
        yield parts


def unlisted(root: str, split: str, paths: Iterable[str]) -> Iterator[Finding]:
    """Find the pictures that no list has, in the folders that lists name."""
    listed = {part for path in paths for parts in rows(path) for part in parts}
    tops = sorted({path.partition("/")[0] for path in listed if "/" in path})
    used = [top for top in tops if storage.is_folder(storage.join(root, top))]
    for top in used:
        for path in pictures(root, top):
            if path not in listed:
                yield Finding("stray", split, f"{storage.join(root, path)}: no list has it")
    yield from elsewhere(root, split, [*used, *(path for path in listed if "/" not in path)])
