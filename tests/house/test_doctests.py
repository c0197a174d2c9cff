"""The examples in docstrings are true.

They run in a folder with `data`, a drawn Pascal VOC, and `tfrecord`, which was built from it.
"""

import doctest
import importlib

import pytest

import dsbuild
from tests.house import map as house
from tests.support import fakes

WITH_EXAMPLES = [name for name, path in house.modules().items() if ">>> " in path.read_text()]
HEAVY = {
    "dsbuild.train": "tensorflow",
    "dsbuild.reader.tf": "tensorflow",
    "dsbuild.reader.torch": "torch",
    "dsbuild.pipelines": "apache_beam",
}


def examples(name):
    """Return the parameter of a module, marked if importing it imports a heavy library."""
    heavy = any(name.startswith(f"{wing}.") for wing in HEAVY)
    return pytest.param(name, marks=[pytest.mark.heavy] if heavy else [])


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    fakes.voc(folder / "data")
    dsbuild.build("voc", folder / "data", folder / "tfrecord", split=("train", "val"), workers=1)
    return folder


@pytest.mark.parametrize("name", [examples(name) for name in WITH_EXAMPLES])
def test_examples_are_true(name, drawn, monkeypatch):
    for wing, library in HEAVY.items():
        if name.startswith(f"{wing}."):
            pytest.importorskip(library)
    monkeypatch.chdir(drawn)
    result = doctest.testmod(
        importlib.import_module(name),
        extraglobs={"dsbuild": dsbuild},
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS,
    )
    assert result.attempted
    assert not result.failed


def test_there_are_examples():
    assert len(WITH_EXAMPLES) > 10
