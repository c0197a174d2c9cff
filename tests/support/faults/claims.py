"""What a command that failed claims, held to the disk."""

import os
import pathlib
import re

from tests.support.folders import everything
from tests.support.runs import content


def of(out):
    """Return file -> bytes; of a folder that is not there none."""
    return content(out) if os.path.isdir(out) else {}


def equal(one, other):
    """Tell whether two folders are the same, but for what work lays aside."""
    return settled(one) == settled(other)


def settled(found):
    """Return the files that are no old manifest, nor half-written, nor wait to replace others."""
    passing = ("previous", "/repair/", ".dsbuild-")
    return {k: v for k, v in found.items() if not any(word in k for word in passing)}


def shards(found):
    return {k: v for k, v in settled(found).items() if "-of-" in k}


def _absent(path, was, expected):
    return not os.path.lexists(path)


def _earlier(path, was, expected):
    """Tell whether a file is of before; some are written twice, and others are what they were."""
    return os.path.isfile(path) and (was is not None or pathlib.Path(path).read_bytes() != expected)


def _new(path, was, expected):
    if not os.path.isfile(path):
        return False
    found = pathlib.Path(path).read_bytes()
    return was is None or found != was or expected in (None, found)  # of receipts none is known


def _present(path, was, expected):
    return os.path.lexists(path)


# What a message may claim of a path -> what then must be so.
CLAIMS = {
    r"(\S+): cannot be written: [^;]*; nothing was left under this name": _absent,
    r"(\S+): cannot be written: [^;]*; an earlier file still has this name": _earlier,
    r"(\S+): was written, but may not survive a power cut": _new,
    r"(\S+): cannot be removed": _present,
}


def hold(said, out, before, expected):
    """Hold each claim of what was said to the disk; return how many there were."""
    was, count = everything(before), 0
    for claim, holds in CLAIMS.items():
        for path in re.findall(claim, said):
            name = os.path.relpath(path, out)
            assert holds(path, was.get(name), expected.get(name)), f"{claim}\n{said}"
            count += 1
    made = "cannot be written" in said or "may not survive" in said
    # No file is known of that would be written into a folder that cannot be made.
    assert count or not made or "/lock: cannot be written" in said, said
    if "nothing was changed" in said or "nothing was written" in said:
        assert everything(out) == was, said
        count += 1
    return count
