"""A system without file locks, as Windows is, is named; nothing is half-written there."""

import subprocess
import sys
import textwrap

WITHOUT = """
    import sys
    sys.modules["fcntl"] = None
    from dsbuild import storage
    from dsbuild.errors import StorageError

    def refused(call):
        try:
            call()
        except StorageError as error:
            assert "dsbuild runs on Linux and macOS" in str(error) and "WSL" in str(error), error
        else:
            raise AssertionError("it was not refused")

    folder = sys.argv[1]
    refused(lambda: storage.write(f"{folder}/a", b"x"))
    refused(lambda: storage.lock(f"{folder}/state/lock").__enter__())
    refused(lambda: storage.room(folder).__enter__())
    refused(lambda: storage.read(__file__ if "__file__" in globals() else sys.executable))
    assert storage.names(folder) == []
"""


def test_a_system_without_file_locks_is_named(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WITHOUT), tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_a_command_says_it_in_one_line(tmp_path):
    (tmp_path / "names.txt").write_text("cat\n")
    code = "import sys; sys.modules['fcntl'] = None; from dsbuild.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "validate", str(tmp_path / "names.txt")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode
    assert "Traceback" not in done.stderr
    assert "WSL" in done.stderr
