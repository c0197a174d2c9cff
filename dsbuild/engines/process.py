"""The process that work runs in: its cores, its memory, its logs."""

import contextlib
import math
import os
import pathlib
from collections.abc import Iterator

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # parameters of glibc's mallopt


def tune() -> None:
    """Keep image-sized allocations in the heap of a glibc process, and collect garbage less often.

    By default each one is a new mapping, whose page faults cost more than decoding an image: the
    table in bench/METHOD.md says what this saves. It lasts as long as the process, so it is for
    processes of our own only: the command line's, and workers.
    """
    import ctypes
    import gc

    gc.set_threshold(20_000, 20)  # by default planning many samples spends a tenth of its time here
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, 1 << 28)
        libc.mallopt(_TRIM_THRESHOLD, 1 << 29)


@contextlib.contextmanager
def unlogged() -> Iterator[None]:
    """Keep library logs off the terminal: what a user can fix is raised and printed once."""
    import logging  # here, since one process alone has no use for it

    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def cores(root: str = "/") -> int:
    """Return how many cores this process may use, by its affinity and its control groups.

    A quota of one and a half cores keeps two busy in turn. `root` is where /proc and /sys are.
    """
    known = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min([known or 1, *_quotas(pathlib.Path(root))]))


def _quotas(root: pathlib.Path) -> Iterator[int]:
    """Yield the limits, in cores, of the process's control groups and of all above them.

    A container sees its own group at the top of the tree, under another path than the host's
    which /proc may name; so every group on the way up is asked, and one that is not there is not.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        below = pathlib.PurePosixPath(group.lstrip("/"))
        for path in (below, *below.parents):
            if number == "0":  # version 2, alone or beside version 1
                for top in ("sys/fs/cgroup", "sys/fs/cgroup/unified"):
                    yield from _limit(*_text(root / top / path / "cpu.max").split()[:2])
            elif "cpu" in controllers.split(","):
                for top in ("cpu", controllers):
                    home = root / "sys/fs/cgroup" / top / path
                    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                    yield from _limit(*(_text(home / name).strip() for name in names))


def _limit(quota: str = "", period: str = "") -> Iterator[int]:
    """Yield a quota as cores, rounded up; nothing for no quota (`max`, or -1 in version 1)."""
    if quota.isdecimal() and period.isdecimal() and int(period):
        yield math.ceil(int(quota) / int(period))


def _text(path: pathlib.Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""
