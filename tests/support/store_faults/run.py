"""Try points of failing stores, by hand or from a test.

    python -m tests.support.store_faults.run POINTS SEED [STORE|- [COMMAND|- [WAY]]]

tries POINTS points, with seeds from SEED on. STORE (s3 or gs), COMMAND (a key of `cases.CASES`) and
WAY (fault, kill or freeze) are used instead of what the seed would draw. A point that fails is
printed with the arguments that try it alone.
"""

import contextlib
import os
import sys
import tempfile
import time

from tests.support.store_faults import points
from tests.support.store_faults.driver import driver
from tests.support.store_faults.rooms import room
from tests.support.store_faults.scene import Scene


@contextlib.contextmanager
def scenes():
    """Give a function that gives the scene of a kind of store, made when it is asked for."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        forks, made = stack.enter_context(driver()), {}

        def scene(kind):
            if kind not in made:
                there = stack.enter_context(room(kind))
                made[kind] = Scene(there, forks, os.path.join(folder, kind))
            return made[kind]

        yield scene


def tried(scene, point):
    """Try a point, say what came of it, and return what was wrong."""
    begin = time.monotonic()
    told, wrong = points.attempt(scene(point.store), point)
    said = "".join(f"\n    WRONG: {one}" for one in wrong)
    print(f"{point} | {time.monotonic() - begin:.1f} s | {told}{said}", flush=True)
    return said


def many(scene, every):
    """Try points; return the failing ones."""
    return [str(one) for one in every if tried(scene, one)]


def main(words):
    count, seed = int(words[0]), int(words[1])
    named = [None if word == "-" else word for word in words[2:]]
    with scenes() as scene:
        every = [points.drawn(one, *named) for one in range(seed, seed + count)]
        failed = many(scene, every)
    for one in failed:
        print(f"FAIL: python -m tests.support.store_faults.run 1 {one}")
    print(f"{count - len(failed)} passed, {len(failed)} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main(sys.argv[1:])
