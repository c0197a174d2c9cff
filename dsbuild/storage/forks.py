"""Whether this process was forked after obstore was imported.

obstore's threads make all requests and do not survive a fork, so every request of such a process
would hang. A fork before the import is harmless, and so are spawn and forkserver.
"""

import multiprocessing
import os
import sys

REMEDY = "start this process with spawn instead of fork: multiprocessing.get_context('spawn')"
REFUSED = (
    "this process was forked after an object store was used: it cannot build on a store, or "
    f"continue reading a file that was opened before the fork; {REMEDY}"
)

# In a worker that imported obstore before dsbuild, nothing tells how the worker was started.
_cut = "obstore" in sys.modules and multiprocessing.parent_process() is not None


def cut() -> bool:
    """Tell whether this process was forked from one that had imported obstore."""
    return _cut


def _forked() -> None:
    global _cut
    _cut = _cut or "obstore" in sys.modules


os.register_at_fork(after_in_child=_forked)
