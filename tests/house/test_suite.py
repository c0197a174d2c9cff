"""The suite itself: tests share helpers, never each other."""

import ast
import pathlib

import pytest

TESTS = pathlib.Path(__file__).parents[1]
FILES = sorted(TESTS.rglob("*.py"))


def imported(path):
    """Yield every module that a file imports, and every name it imports from one."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_no_module_imports_a_test(path):
    for name in imported(path):
        parts = name.split(".")
        assert parts[0] != "tests" or not any(
            part.startswith("test_") or part == "conftest" for part in parts[1:]
        ), f"{path} imports {name}: put what both need in tests/support"
