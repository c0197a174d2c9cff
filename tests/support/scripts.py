"""Python code that we hand to users, run as a script."""

import contextlib
import io
import os
import subprocess
import sys


def printed(code: str, folder: str | os.PathLike[str]) -> str:
    """Run code in a folder with no names of its own, as in a fresh script; return what it prints.

    It runs in this process, which has imported TensorFlow already; the code still has to import
    what it names.
    """
    said = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(said):
        exec(compile(code, "<script>", "exec"), {"__name__": "__main__"})
    return said.getvalue()


def printed_alone(code: str, folder: str | os.PathLike[str]) -> str:
    """Run code in a folder in a process of its own; return what it prints.

    For libraries that define TensorFlow's messages again, which one process refuses.
    """
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
