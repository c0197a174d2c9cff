"""The layout that CONTRIBUTING.md walks through, from a file: nothing else has to change."""

import importlib
import json
import pathlib
import re
import sys

import numpy as np
import pytest
from PIL import Image

from dsbuild import images, layouts
from dsbuild.cli import main
from dsbuild.cli.build import build_command
from dsbuild.engines import Local
from dsbuild.format import example, tfrecord
from tests.support import fakes, layout_contract

TEXT = pathlib.Path(__file__).parents[2].joinpath("CONTRIBUTING.md").read_text()
CODE, *_ = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)  # the first is a layout


@pytest.fixture
def pets(tmp_path, monkeypatch):
    """Return the class of the layout, written to a file, imported, and put into the registry."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "pets.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path / "code")
    layout = importlib.import_module("pets").Pets
    monkeypatch.setitem(layouts.LAYOUTS, layout.name, layout)
    monkeypatch.setitem(main.commands, layout.name, build_command(layout))
    yield layout
    del sys.modules["pets"]


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "data" / "pets"
    for folder in ("images", "annotations/trimaps"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, count in {"trainval": 8, "test": 4}.items():
        keys = [f"Abyssinian_{split}_{i}" for i in range(count)]
        lines = "".join(f"{key} 1 1 1\n" for key in keys)
        (root / "annotations" / f"{split}.txt").write_text("#Image CLASS-ID\n" + lines)
        for key in keys:
            fakes.photo(rng, 40, 30).save(root / "images" / f"{key}.jpg")
            plane = np.asarray(fakes.mask(rng, 40, 30, classes=2))
            trimap = np.select([plane == 1, plane == 0], [1, 2], 3).astype(np.uint8)
            Image.fromarray(trimap).save(root / "annotations/trimaps" / f"{key}.png")
    return str(root)


def test_it_is_short():
    assert len(CODE.splitlines()) < 100


def test_it_passes_the_checks_of_every_layout(pets, root, tmp_path, run, shuffled_listing):
    layout = pets()
    layout_contract.check_value(layout)
    layout_contract.check_samples(layout, root)
    layout_contract.check_records(layout, root, str(tmp_path / "out"), decode)
    layout_contract.check_command(layout, run)
    layout_contract.check_bytes(layout, root, tmp_path, shuffled_listing, Local(2))


@pytest.mark.parametrize(("border", "value"), [("ignore", 255), ("pet", 1)])
def test_its_command_builds(pets, root, tmp_path, run, border, value):
    out = tmp_path / "out"
    options = ("--border", border, "--shards", 2, "--extra", "edges", "--json", "--workers", 1)
    result = run("pets", root, out, *options)
    assert result.exit_code == 0, result.output
    kinds = {finding["kind"] for finding in json.loads(result.stdout)["findings"]}
    assert kinds == {"published"}
    assert "pet" in run("inspect", out).stdout
    assert "nothing to do" in run("pets", root, out, *options[:-3]).stdout
    for record in tfrecord.read(f"{out}/test-00001-of-00002.tfrecord"):
        values = example.parse(record.data)
        key = values["image/filename"][0].decode()
        trimap = np.asarray(Image.open(f"{root}/annotations/trimaps/{key}.png"))
        expected = np.select([trimap == 1, trimap == 2], [1, 0], value)
        stored = images.plane(values["image/segmentation/class/encoded"][0])
        np.testing.assert_array_equal(stored, expected)


def decode(path):
    """Return the class indices of a trimap by Pillow alone."""
    trimap = np.asarray(Image.open(path))
    return np.select([trimap == 1, trimap == 2], [1, 0], 255)


def test_its_mistakes_are_named(pets, root, tmp_path, run):
    path = pathlib.Path(root, "annotations/trimaps/Abyssinian_test_0.png")
    path.write_bytes(images.encode(np.zeros((30, 40), np.uint8)))
    result = run("pets", root, tmp_path / "out")
    assert result.exit_code == 2
    assert f"sample Abyssinian_test_0: {path}: found values 0 to 0" in result.stderr
