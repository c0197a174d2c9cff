"""Ctrl-C ends a command soon, even while a store does not answer."""

import os
import signal
import sys
import time

import pytest

from dsbuild.storage import interruptions
from tests.support import gcs, stores
from tests.support.processes import ended, gone, started, until

COMMANDS = {
    "build from it": ("voc", "{url}/VOC2012", "{out}", "--workers", "1"),
    "build into it, by workers": ("voc", "{voc}", "{url}/out", "--workers", "2", "--shards", "4"),
    "validate": ("validate", "{url}/out"),
}


@pytest.fixture
def silent():
    """A store that takes requests and answers none."""
    with gcs.serving(stores.Faulty(1)) as proxy:
        proxy.asked = []
        proxy.fault = lambda *request: proxy.asked.append(request) or (lambda *_: time.sleep(120))
        yield proxy


@pytest.fixture(params=COMMANDS)
def waiting(request, silent, voc, out):
    """A command that waits for the store."""
    places = {"url": "s3://bucket", "voc": voc, "out": out}
    words = [word.format(**places) for word in COMMANDS[request.param]]
    environment = os.environ | stores.s3_environment(silent.server_port)
    command = [sys.executable, "-m", "dsbuild", *words]
    with started(command, env=environment) as process:
        until(lambda: silent.asked)
        yield process


@pytest.mark.parametrize("signals", [1, 2])
def test_ctrl_c_ends_a_command_that_waits_for_a_store(waiting, signals):
    time.sleep(0.5)
    begin = time.monotonic()
    for _ in range(signals):
        os.killpg(waiting.pid, signal.SIGINT)
        time.sleep(0.3)
    text = ended(waiting, 30)
    took = time.monotonic() - begin
    assert took < (interruptions.SECONDS if signals == 1 else 0) + 4
    assert waiting.returncode == 130
    assert text.splitlines()[-1].startswith("interrupted: ")
    assert "Traceback" not in text
    assert gone(waiting.pid, 10)


def test_outside_the_block_signals_are_as_before():
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)
    with interruptions.bounded(lambda: None):
        interruptions.watch()
        with interruptions.bounded(lambda: None):  # one is enough
            pass
    interruptions.watch()
    assert signal.set_wakeup_fd(before) == before


def test_a_command_that_ends_in_time_ends_as_it_likes():
    with pytest.raises(KeyboardInterrupt), interruptions.bounded(lambda: None):
        interruptions.watch()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)
