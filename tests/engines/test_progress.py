"""Progress: a bar on a terminal, a line now and then elsewhere; the clock is the test's."""

import fcntl
import itertools
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from dsbuild.engines import Bar, clock


class Hands:
    """A clock that the test moves."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_without_a_terminal_there_is_a_line_every_30_seconds(capsys):
    hands = Hands()
    with Bar(2913, "writing", "samples", False, clock=hands) as bar:
        for _ in range(65):
            hands.now += 1
            bar.advance(20, 10_000_000)
    assert capsys.readouterr().err.splitlines() == [
        "writing: 600 of 2,913 samples, 10.0 MB/s, 1:56 left",
        "writing: 1,200 of 2,913 samples, 10.0 MB/s, 1:26 left",
    ]


def test_the_log_of_a_day_long_job_has_few_lines_and_no_long_gap(capsys):
    hands, seconds = Hands(), []
    with Bar(86400, "writing", "samples", False, clock=hands) as bar:
        for second in range(86400):
            hands.now += 1
            bar.advance(1, 0)
            if capsys.readouterr().err:
                seconds.append(second)
    assert len(seconds) < 200
    assert max(b - a for a, b in itertools.pairwise(seconds)) <= 600
    assert seconds[:9] == [30 * n - 1 for n in range(1, 10)]


@pytest.mark.parametrize(("quiet", "seconds"), [(True, 500), (False, 29)])
def test_short_and_quiet_jobs_print_nothing(capsys, quiet, seconds):
    hands = Hands()
    with Bar(9, "checking", "files", quiet, clock=hands) as bar:
        hands.now += seconds
        bar.advance(1, 0)
    assert capsys.readouterr() == ("", "")


def test_bytes_are_shown_in_units_of_people(capsys):
    hands = Hands()
    with Bar(3_400_000_000, "validating", "bytes", False, clock=hands) as bar:
        hands.now += 31
        bar.show(1_240_000_000, 0)
    assert capsys.readouterr().err == "validating: 1.24 of 3.40 GB, 40.0 MB/s\n"


def test_what_was_done_before_counts_but_not_for_the_pace(capsys):
    hands = Hands()
    with Bar(1000, "training", "steps", False, done=900, clock=hands) as bar:
        hands.now += 20  # the first step compiles
        bar.advance(1, 0)
        hands.now += 20
        bar.advance(10, 0)
    assert capsys.readouterr().err == "training: 911 of 1,000 steps, 2:58 left\n"


def test_a_remark_and_a_forecast_of_the_caller_are_shown(capsys):
    hands = Hands()
    with Bar(10, "training", "steps", False, left=lambda: 61.0, clock=hands) as bar:
        hands.now += 31
        bar.say("scoring val, 3 of 9")
    expected = "training: 0 of 10 steps, scoring val, 3 of 9, 1:01 left\n"
    assert capsys.readouterr().err == expected


SHORT = """
import time
from dsbuild.engines import Bar
with Bar(2913, "writing", "samples", False) as bar:
    for _ in range(20):
        time.sleep(0.03)
        bar.advance(100, 4_000_000)
"""


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_bar_fits_its_terminal_and_disappears(columns):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    done = subprocess.run([sys.executable, "-c", SHORT], stderr=theirs, timeout=60, check=True)
    assert not done.stdout
    drawn = os.read(ours, 1 << 16).decode()
    os.close(ours)
    os.close(theirs)
    *lines, last = (line for line in drawn.split("\r"))
    lines = [line for line in lines if line.strip()]
    assert lines
    assert all(line.startswith("writing ") for line in lines)
    assert max(map(len, lines)) <= min(columns, 100)
    if columns > 40:
        assert re.search(r"1,\d00 of 2,913 samples, \d+\.\d MB/s, 0:0\d left$", lines[-1])
    assert not last.strip()


def test_durations_are_written_as_people_write_them():
    assert [clock(s) for s in (0, 59.6, 61, 3725)] == ["0:00", "1:00", "1:01", "1:02:05"]
