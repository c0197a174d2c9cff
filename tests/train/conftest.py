"""Folders of TFRecords, and runs over them, that the tests of the trainer read and share."""

import os

import pytest

from dsbuild.layouts.class_files import read_names
from dsbuild.layouts.classes import Classes
from dsbuild.layouts.pairs import Pairs
from tests.support import fakes, trained
from tests.support.once import once
from tests.support.runs import make


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """A folder of 24 drawn pairs with four classes."""

    def build(folder):
        source = fakes.shapes(folder)
        layout = Pairs(names=read_names(os.path.join(source, "classes.txt")))
        make(source, str(folder / "data"), layout=layout)

    return str(once(tmp_path_factory, "shapes", build) / "data")


@pytest.fixture(scope="session")
def voc_data(tmp_path_factory):
    """A folder of drawn VOC records: 12 train, 6 val."""

    def build(folder):
        make(fakes.voc(folder), str(folder / "data"))

    return str(once(tmp_path_factory, "voc", build) / "data")


@pytest.fixture(scope="session")
def voc_run(voc_data, tmp_path_factory):
    """The same folder, and a run over it with drawn weights."""
    return voc_data, trained.run(tmp_path_factory.mktemp("run"), voc_data)


@pytest.fixture
def eager_fit():
    """Let trainings compute their steps without graphs."""
    with trained.eager_steps():
        yield


@pytest.fixture(scope="session")
def class_data(tmp_path_factory):
    """A folder of drawn records whose labels are classes of images."""

    def build(folder):
        make(fakes.classes(folder), str(folder / "data"), layout=Classes())

    return str(once(tmp_path_factory, "classes", build) / "data")


@pytest.fixture(scope="session")
def class_run(class_data, tmp_path_factory):
    """The same folder, and a run over it with drawn weights."""
    return class_data, trained.run(tmp_path_factory.mktemp("run"), class_data)
