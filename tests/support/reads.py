"""How often files are opened."""

import collections
import contextlib
import os

import pytest

from dsbuild.storage import local


@contextlib.contextmanager
def counted():
    """Count how often each local file is opened by this process: its name -> times."""
    opened = collections.Counter()

    def counting(plain):
        def read(path, *rest):
            opened[os.path.basename(path)] += 1
            return plain(path, *rest)

        return read

    with pytest.MonkeyPatch.context() as patch:
        for name in ("read", "read_part", "reading"):
            patch.setattr(local, name, counting(getattr(local, name)))
        yield opened


@contextlib.contextmanager
def once():
    """Expect that the control files of a folder are opened at most once; count as `counted`."""
    with counted() as opened:
        yield opened
    assert opened["manifest.json"] <= 1
    assert opened["schema.json"] <= 1
