"""What a long wait says, and who hears it: one listener a process, to whom others pass it on.

A library says nothing by itself; a command prints it, a worker tells its parent.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

Listener = Callable[[str, str], None]  # (what is waited for, what is said of it)
_AGAIN = 15.0  # seconds from one word about a wait to the next, however many wait

_listener: Listener | None = None
_said: dict[str, float] = {}


@contextlib.contextmanager
def heard_by(listener: Listener | None) -> Iterator[None]:
    """Have a listener hear of waits, in any thread of this process; None hears nothing."""
    global _listener
    before, _listener = _listener, listener
    _said.clear()
    try:
        yield
    finally:
        _listener = before


def tell(what: str, line: str) -> None:
    """Say of a wait how it stands, if that was not just done."""
    now = time.monotonic()
    if _listener is not None and now - _said.get(what, -_AGAIN) >= _AGAIN:
        _said[what] = now
        _listener(what, line)
