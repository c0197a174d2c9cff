"""Files beside the shards, checked against their records: indexes and lists of label values."""

import itertools
import os
from collections.abc import Iterator, Sequence

from dsbuild import storage
from dsbuild.format.index import index_text
from dsbuild.format.manifest import Manifest
from dsbuild.format.names import index_path, unpacked, values_path
from dsbuild.validate.problem import Problem
from dsbuild.validate.rules import Checked

_DAMAGED = ("frame", "missing")  # kinds of problems that leave the places of records unknown
_UNREAD = (*_DAMAGED, "example", "label")  # and those that leave some label value unknown


def problems(
    home: str, checked: Sequence[Checked], manifest: Manifest | None, decoded: bool
) -> Iterator[Problem]:
    """Yield how indexes and lists of label values differ from the files' records.

    The manifest says which lists there should be; `decoded` is whether labels were decoded.
    """
    digests = {shard.name: shard.values for shard in manifest.shards} if manifest else {}
    names = [unpacked(os.path.basename(file.path)) for file in checked]
    paths = [index_path(home, name) for name in names]
    paths += [values_path(home, name) for name in names if digests.get(name)]
    stamps = zip(paths, storage.stamps(paths), strict=True)
    present = [path for path, stamp in stamps if stamp]
    with storage.ahead(present) as read:
        contents = {path: read(path)[0] for path in present}
    for name, file in zip(names, checked, strict=True):
        path = index_path(home, name)
        yield from _index(path, contents.get(path), file, manifest is not None)
        path = values_path(home, name)
        if digest := digests.get(name):
            yield from _values(path, contents.get(path), file, digest, decoded)


def _index(path: str, data: bytes | None, file: Checked, required: bool) -> Iterator[Problem]:
    if any(problem.kind in _DAMAGED for problem in file.problems):
        return
    if data is None:
        if required:
            yield Problem("index", path, "the index is missing; build it again")
    elif data != index_text(zip(file.offsets, file.sizes, strict=True)).encode():
        text = f"its offsets and sizes are not those of the records in {file.path}"
        yield Problem("index", path, f"{text}; build it again")


def _values(
    path: str, data: bytes | None, file: Checked, digest: str, decoded: bool
) -> Iterator[Problem]:
    import hashlib  # here, since OpenSSL is slow to load and much does without

    remedy = "dsbuild repair writes it again"
    if data is None:
        text = f"the manifest names this list of label values, but it is missing; {remedy}"
        yield Problem("presence", path, text)
        return
    whole = not file.more and not any(problem.kind in _UNREAD for problem in file.problems)
    if decoded and whole and data != file.lines:
        pairs = itertools.zip_longest(data.split(b"\n"), bytes(file.lines).split(b"\n"))
        number, (listed, expected) = next(
            (number, pair) for number, pair in enumerate(pairs) if pair[0] != pair[1]
        )
        text = f"found {_shown(listed)}, but record {number} of {file.path} has {_shown(expected)}"
        yield Problem("presence", path, f"line {number + 1}: {text}; {remedy}")
    elif hashlib.sha256(data).hexdigest() != digest:
        yield Problem("presence", path, f"the file differs from what was written; {remedy}")


def _shown(line: bytes | None) -> str:
    """Return a line as text to show; `nothing` if it is missing or empty."""
    return repr(line[:60].decode(errors="replace")) if line else "nothing"
