"""End this process soon after Ctrl-C, even while a store does not answer.

Python acts on a signal only when a request of obstore returns, which takes up to 20 seconds if a
store is away, and so does each request of the clean-up. So a thread hears of signals, too: if the
process has not ended a few seconds after the first one, or if a second one comes, it ends the
process as a crash would, which leaves nothing that the same command cannot continue.
"""

import contextlib
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator

SECONDS = 5.0  # from the first signal to the end
_ENDING = {signal.SIGINT, signal.SIGTERM}

_start: Callable[[], None] | None = None


@contextlib.contextmanager
def bounded(say: Callable[[], None]) -> Iterator[None]:
    """End the process soon after a signal while the block runs, if it has used a store by then.

    `say` prints why. Nothing changes outside the main thread, the only one that has signals.
    """
    global _start
    if _start is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    hear, told = os.pipe()
    os.set_blocking(told, False)
    before = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    watching = threading.Event()

    def start() -> None:
        if not watching.is_set():
            watching.set()
            threading.Thread(target=_watch, args=(hear, say), daemon=True).start()

    _start = start
    try:
        yield
    finally:
        _start = None
        signal.set_wakeup_fd(before)
        os.close(told)  # this ends the thread
        if not watching.is_set():
            os.close(hear)


def watch() -> None:
    """Begin to hear of signals, if this process is `bounded`: a store is about to be used."""
    if _start is not None:
        _start()


def _watch(hear: int, say: Callable[[], None]) -> None:
    """End the process at its second signal, or `SECONDS` after its first one; close `hear`."""
    number, left = 0, None
    while select.select([hear], [], [], left)[0]:
        heard = os.read(hear, 1)
        if not heard:
            os.close(hear)
            return
        if heard[0] not in _ENDING:
            continue
        if number:
            break
        number, left = heard[0], SECONDS
    say()
    os._exit(128 + number)
