import os
import subprocess
import sys

import pytest

from dsbuild import build

PROGRAM = """
import atexit, gc, os, sys

def tell():
    threads = len(os.listdir("/proc/self/task"))
    print(threads, gc.get_freeze_count() > 0, os.environ["OPENBLAS_NUM_THREADS"], file=sys.stderr)

atexit.register(tell)  # the last to be called
from dsbuild.__main__ import main
sys.argv[1:] = ["inspect", sys.argv[1]]
main()
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="lists threads as Linux does")
@pytest.mark.parametrize(("given", "found"), [(None, ["1", "True", "1"]), ("2", ["True", "2"])])
def test_the_programs_process_has_no_idle_threads_and_ends_without_looking_for_garbage(
    voc, out, given, found
):
    build("voc", voc, out, shards=1, workers=1)
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    if given:  # who asks for threads gets them
        environment["OPENBLAS_NUM_THREADS"] = given
    words = [sys.executable, "-c", PROGRAM, out]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0
    assert "records" in done.stdout
    assert done.stderr.splitlines()[-1].split()[-len(found) :] == found
