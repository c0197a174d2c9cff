"""The examples in docstrings are true."""

import doctest
import importlib

import pytest

from tests.house import map as house

WITH_EXAMPLES = [name for name, path in house.modules().items() if ">>> " in path.read_text()]
HEAVY = {"dsbuild.train": "tensorflow", "dsbuild.pipelines": "apache_beam"}


def examples(name):
    """Return the parameter of a module, marked if importing it imports a heavy library."""
    heavy = any(name.startswith(f"{wing}.") for wing in HEAVY)
    return pytest.param(name, marks=[pytest.mark.heavy] if heavy else [])


@pytest.mark.parametrize("name", [examples(name) for name in WITH_EXAMPLES])
def test_examples_are_true(name):
    for wing, library in HEAVY.items():
        if name.startswith(f"{wing}."):
            pytest.importorskip(library)
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted
    assert not result.failed


def test_there_are_examples():
    assert len(WITH_EXAMPLES) > 10
