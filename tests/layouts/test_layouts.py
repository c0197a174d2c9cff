"""Every layout can be listed, converted and read back."""

import os

import pytest

from dsbuild.layouts import LAYOUTS
from tests.support import layout_contract
from tests.support.drawn import DRAWN, PANOPTIC

# Layouts that are also found from the folder above.
ABOVE = ("voc", "cityscapes", "coco", "ade20k", "bdd100k", "matting")
ABOVE += ("ade20k-full", "pascal-context", "oxford-pets")
ALL = {**DRAWN, **PANOPTIC}


@pytest.fixture(params=ALL, ids=repr)
def given(request):
    """A layout as its options define it, not yet bound to a root."""
    return request.param


@pytest.fixture
def root(given, tmp_path):
    return ALL[given][0](tmp_path)


@pytest.fixture
def decode(given):
    return ALL[given][1]


@pytest.fixture
def layout(given, root):
    return given.bind(root)


def test_every_layout_is_drawn():
    assert {layout.name: type(layout) for layout in DRAWN} == LAYOUTS


def test_it_is_found_from_above(layout, root, tmp_path, monkeypatch):
    below = tmp_path if layout.name in ABOVE else root
    assert os.path.samefile(layout.find(str(below)), root)
    if layout.name == "classes":
        below = tmp_path
        os.rename(root, root := os.path.join(tmp_path, "data"))
    monkeypatch.chdir(below)
    assert os.path.samefile(layout.find(None), root)


def test_it_is_a_value(layout):
    layout_contract.check_value(layout)


def test_samples_are_whole(layout, root):
    layout_contract.check_samples(layout, root)


def test_records_hold_the_sources(layout, root, out, decode):
    layout_contract.check_records(layout, root, out, decode)


def test_same_bytes_for_any_listing_order_and_workers(
    layout, root, tmp_path, shuffled_listing, two_processes
):
    layout_contract.check_bytes(layout, root, tmp_path, shuffled_listing, two_processes)


def test_its_command_names_its_options(layout, run):
    layout_contract.check_command(layout, run)
