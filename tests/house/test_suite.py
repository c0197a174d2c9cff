"""The suite itself: tests share helpers, never each other; the light tier is light."""

import ast
import pathlib
import subprocess
import sys

TESTS = pathlib.Path(__file__).parents[1]
FILES = sorted(TESTS.rglob("*.py"))


def imported(path):
    """Yield every module that a file imports, and every name it imports from one."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_module_imports_a_test():
    found = [(path, name) for path in FILES for name in imported(path)]
    for path, name in found:
        parts = name.split(".")
        assert parts[0] != "tests" or not any(
            part.startswith("test_") or part == "conftest" for part in parts[1:]
        ), f"{path} imports {name}: put what both need in tests/support"


HEAVY = """
import pytest

def test_light():
    pass

@pytest.mark.heavy
def test_marked():
    import tensorflow

def test_unmarked():
    import tensorflow
"""


def test_the_light_tier_refuses_tensorflow(tmp_path):
    path = tmp_path / "test_some.py"
    path.write_text(HEAVY)
    options = ["-p", "tests.support.light", "-p", "no:cacheprovider", "-q", "-n", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", TESTS.parent / "setup.cfg", *options, path],
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "1 failed, 1 passed, 1 deselected" in done.stdout, done.stdout + done.stderr
    assert "the light tier imports tensorflow: mark this test `heavy`" in done.stdout
