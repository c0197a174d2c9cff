"""Whether a fork cut this process off from the threads of obstore.

These make all requests, and a forked process has none of them: it would wait for each for ever.
A fork before obstore is imported is harmless, and so is what starts anew: spawn, forkserver.
"""

import multiprocessing
import os
import sys

NOT_HERE = (
    "found a process that was forked from one that had used an object store: here stores can be "
    "read and written, but no folder there be locked, as builds do; start the process by spawn "
    "instead of by fork: multiprocessing.get_context('spawn')"
)

# Imported before this module was, in a worker: how that one was started nobody tells.
_cut = "obstore" in sys.modules and multiprocessing.parent_process() is not None


def cut() -> bool:
    """Tell whether this process was forked from one that had imported obstore."""
    return _cut


def _forked() -> None:
    global _cut
    _cut = _cut or "obstore" in sys.modules


os.register_at_fork(after_in_child=_forked)
