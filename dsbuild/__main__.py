"""The program: the command line in a process of its own, by `dsbuild` or `python -m dsbuild`."""

import atexit
import gc
import os


def main() -> None:
    """Run the command line; start and end its process without work that nobody needs.

    NumPy's OpenBLAS would start a thread per core, which spin for a while, although nothing here
    multiplies large matrices. At the end Python would look through all objects for garbage.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    atexit.register(gc.freeze)
    from dsbuild.cli import main as program

    program(prog_name="dsbuild")


if __name__ == "__main__":
    main()
