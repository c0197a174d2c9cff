"""What lies beside the shards, held against their records: indexes, lists of label values."""

import itertools
import os
from collections.abc import Iterator, Sequence

from dsbuild import storage
from dsbuild.format import manifest
from dsbuild.format.index import index_text
from dsbuild.format.manifest import Manifest
from dsbuild.validate.problem import Problem
from dsbuild.validate.rules import Checked

_DAMAGED = ("frame", "missing")  # kinds of problems after which places of records are not known
_UNREAD = (*_DAMAGED, "example", "label")  # and the values of some label


def problems(
    home: str, checked: Sequence[Checked], known: Manifest | None, decoded: bool
) -> Iterator[Problem]:
    """Yield how indexes and lists of label values differ from the files' records.

    Of a list the manifest, `known`, tells whether it should be there; `decoded` is whether
    labels were.
    """
    digests = {shard.name: shard.values for shard in known.shards} if known else {}
    names = [os.path.basename(one.path) for one in checked]
    paths = [manifest.index_path(home, name) for name in names]
    paths += [manifest.values_path(home, name) for name in names if digests.get(name)]
    stamps = zip(paths, storage.stamps(paths), strict=True)
    there = [path for path, stamp in stamps if stamp]
    with storage.ahead(there) as read:
        found = {path: read(path)[0] for path in there}
    for name, one in zip(names, checked, strict=True):
        path = manifest.index_path(home, name)
        yield from _index(path, found.get(path), one, known is not None)
        path = manifest.values_path(home, name)
        if digest := digests.get(name):
            yield from _values(path, found.get(path), one, digest, decoded)


def _index(path: str, data: bytes | None, one: Checked, known: bool) -> Iterator[Problem]:
    if any(problem.kind in _DAMAGED for problem in one.problems):
        return
    if data is None:
        if known:
            yield Problem("index", path, "there is no such index; build it again")
    elif data != index_text(zip(one.offsets, one.sizes, strict=True)).encode():
        yield Problem("index", path, f"found other offsets than {one.path} has; build it again")


def _values(
    path: str, data: bytes | None, one: Checked, digest: str, decoded: bool
) -> Iterator[Problem]:
    import hashlib  # here, since OpenSSL is slow to load and much does without

    remedy = "dsbuild repair writes it again"
    if data is None:
        text = f"there is no such list of label values, and the manifest knows one; {remedy}"
        yield Problem("presence", path, text)
        return
    whole = not one.more and not any(problem.kind in _UNREAD for problem in one.problems)
    if decoded and whole and data != one.lines:
        pairs = itertools.zip_longest(data.split(b"\n"), bytes(one.lines).split(b"\n"))
        number, (listed, mine) = next(pair for pair in enumerate(pairs) if pair[1][0] != pair[1][1])
        text = f"found {_shown(listed)}, and record {number} of {one.path} has {_shown(mine)}"
        yield Problem("presence", path, f"line {number + 1}: {text}; {remedy}")
    elif hashlib.sha256(data).hexdigest() != digest:
        yield Problem("presence", path, f"found another content than was written; {remedy}")


def _shown(line: bytes | None) -> str:
    """Return a line as something to show, `nothing` for one that is not there."""
    return repr(line[:60].decode(errors="replace")) if line else "nothing"
