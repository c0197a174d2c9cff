"""Folders of TFRecords, and runs over them, that the tests of the trainer read and share."""

import os

import pytest

from dsbuild.layouts.class_files import read_names
from dsbuild.layouts.classes import Classes
from dsbuild.layouts.pairs import Pairs
from tests.conftest import make
from tests.support import fakes, trained


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """A folder of 24 drawn pairs with four classes."""
    root = tmp_path_factory.mktemp("shapes")
    source = fakes.shapes(root)
    layout = Pairs(names=read_names(os.path.join(source, "classes.txt")))
    make(source, str(root / "data"), layout=layout)
    return str(root / "data")


@pytest.fixture(scope="session")
def voc_data(tmp_path_factory):
    """A folder of drawn VOC records: 12 train, 6 val."""
    root = tmp_path_factory.mktemp("voc")
    make(fakes.voc(root), str(root / "data"))
    return str(root / "data")


@pytest.fixture(scope="session")
def voc_run(voc_data, tmp_path_factory):
    """The same folder, and a run over it with drawn weights."""
    return voc_data, trained.run(tmp_path_factory.mktemp("run"), voc_data)


@pytest.fixture(scope="session")
def class_data(tmp_path_factory):
    """A folder of drawn records whose labels are classes of images."""
    root = tmp_path_factory.mktemp("classes")
    make(fakes.classes(root), str(root / "data"), layout=Classes())
    return str(root / "data")


@pytest.fixture(scope="session")
def class_run(class_data, tmp_path_factory):
    """The same folder, and a run over it with drawn weights."""
    return class_data, trained.run(tmp_path_factory.mktemp("run"), class_data)
