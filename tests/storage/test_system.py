"""A system without locks of files gets one line, not a traceback."""

import subprocess
import sys

import pytest

# Click asks for Windows' console as it is imported, which is not here.
CODE = """
import click, concurrent.futures, multiprocessing, sys
for name in list(sys.modules):
    assert not name.startswith("dsbuild")
sys.platform = "win32"
"""
ENDS = {
    "from dsbuild.__main__ import main; main()": "error: dsbuild runs on Linux and macOS",
    "import dsbuild; dsbuild.open('x')": "dsbuild.errors.DsbuildError: dsbuild runs",
}


@pytest.mark.parametrize("call", ENDS)
def test_windows_is_told_what_to_do(call):
    done = subprocess.run(
        [sys.executable, "-c", CODE + call], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith(ENDS[call])
    assert "WSL" in line
    assert ("Traceback" in done.stderr) == ("open" in call)
