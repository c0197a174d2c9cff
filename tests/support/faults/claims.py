"""What a failed command claims, checked against the disk."""

import os
import pathlib
import re

from tests.support.folders import everything
from tests.support.runs import content


def of(out):
    """Return file -> bytes; nothing for a missing folder."""
    return content(out) if os.path.isdir(out) else {}


def equal(one, other):
    """Tell whether two folders are the same, ignoring files that work in progress sets aside."""
    return settled(one) == settled(other)


def settled(found):
    """Return all files except old manifests, half-written files and pending replacements."""
    passing = ("previous", "/repair/", ".dsbuild-")
    return {k: v for k, v in found.items() if not any(word in k for word in passing)}


def shards(found):
    return {k: v for k, v in settled(found).items() if "-of-" in k}


def _absent(path, was, expected):
    return not os.path.lexists(path)


def _earlier(path, was, expected):
    """Tell whether a file is the earlier one; some are written twice, others do not change."""
    return os.path.isfile(path) and (was is not None or pathlib.Path(path).read_bytes() != expected)


def _new(path, was, expected):
    if not os.path.isfile(path):
        return False
    found = pathlib.Path(path).read_bytes()
    return was is None or found != was or expected in (None, found)  # of receipts none is known


def _present(path, was, expected):
    # A repair that fails removes what it wrote beside the folder, whatever failed.
    return os.path.lexists(path) or "/.dsbuild/repair/" in f"{path}/"


# What a message may claim about a path -> what must then be true.
CLAIMS = {
    r"(\S+): cannot be written: [^;]*; nothing was left under this name": _absent,
    r"(\S+): cannot be written: [^;]*; an earlier file still has this name": _earlier,
    r"(\S+): was written, but may not survive a power cut": _new,
    r"(\S+): cannot be removed": _present,
}


def hold(said, out, before, expected):
    """Check every claim in the output against the disk; return how many there were."""
    was, count = everything(before), 0
    for claim, holds in CLAIMS.items():
        for path in re.findall(claim, said):
            name = os.path.relpath(path, out)
            assert holds(path, was.get(name), expected.get(name)), f"{claim}\n{said}"
            count += 1
    made = "cannot be written" in said or "may not survive" in said
    # A folder that cannot be made has no file that the message could name.
    assert count or not made or "/lock: cannot be written" in said, said
    if "nothing was changed" in said or "nothing was written" in said:
        assert everything(out) == was, said
        count += 1
    return count
