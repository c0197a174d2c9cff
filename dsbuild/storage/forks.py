"""Tell whether this process was forked after obstore was imported.

obstore makes all requests in threads, which do not survive a fork, so every request in such a
process would hang. A fork before the import is harmless, and so are spawn and forkserver.
"""

import os
import sys

REMEDY = "start this process with spawn instead of fork: multiprocessing.get_context('spawn')"
REFUSED = (
    "this process was forked after an object store was used: it cannot build on a store, or "
    f"continue reading a file that was opened before the fork; {REMEDY}"
)

_FORKNOEXEC = 0x40  # flag in Linux's /proc/self/stat: forked, without exec since


def _is_fork() -> bool:
    try:
        with open("/proc/self/stat") as file:
            return bool(int(file.read().rpartition(")")[2].split()[6]) & _FORKNOEXEC)
    except (OSError, IndexError, ValueError):  # not Linux
        return False


# If obstore was imported before this module, that may have been before a fork.
_cut = "obstore" in sys.modules and _is_fork()


def cut() -> bool:
    """Tell whether this process was forked from one that had imported obstore."""
    return _cut


def _forked() -> None:
    global _cut
    _cut = _cut or "obstore" in sys.modules


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_forked)
