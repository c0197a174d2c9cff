"""Folders that are built once for all test processes."""

import fcntl
import os
import pathlib


def once(factory, name, build):
    """Return a folder that `build(folder)` filled, in whichever process needed it first.

    `factory` is pytest's `tmp_path_factory`. Others wait for the build, or take over if it fails
    or its process ends. Tests must not write into the folder.
    """
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    with open(root / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        finished = root / f"{name}.path"
        if not finished.exists():
            folder = factory.mktemp(name)
            build(folder)
            finished.write_text(str(folder))
    return pathlib.Path(finished.read_text())
