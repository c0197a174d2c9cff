"""Report long waits to a listener; each process has one.

The library prints nothing itself: a command prints reports, a worker passes them to its parent.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

Listener = Callable[[str, str], None]  # (what is waited for, the message)
_AGAIN = 15.0  # seconds between two messages about a wait, however many tasks wait

_listener: Listener | None = None
_said: dict[str, float] = {}


@contextlib.contextmanager
def heard_by(listener: Listener | None) -> Iterator[None]:
    """Report waits in any thread of this process to a listener, or to nobody if None."""
    global _listener
    before, _listener = _listener, listener
    _said.clear()
    try:
        yield
    finally:
        _listener = before


def tell(what: str, line: str) -> None:
    """Report a wait, unless that was done just before."""
    now = time.monotonic()
    if _listener is not None and now - _said.get(what, -_AGAIN) >= _AGAIN:
        _said[what] = now
        _listener(what, line)
