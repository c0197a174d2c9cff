"""Oxford-IIIT Pet: what its trimaps become, and what is wrong with them."""

import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from dsbuild.layouts.oxford_pets import BREEDS, OxfordPets
from tests.support import fakes
from tests.support.objects import planes


def trimap(root, key):
    return np.asarray(Image.open(os.path.join(root, "annotations", "trimaps", f"{key}.png")))


@pytest.mark.parametrize("animals", ["pet", "species", "breeds"])
@pytest.mark.parametrize("border", ["ignore", "class", "pet"])
def test_options_say_what_a_trimap_becomes(tmp_path, run, out, animals, border):
    root = fakes.oxford_pets(tmp_path)
    result = run("build", root, out, "--animals", animals, "--border", border)
    assert result.exit_code == 0, result.output
    layout = OxfordPets(animals=animals, border=border)
    for key, plane in planes(out).items():
        breed = key.rpartition("_")[0]
        name = {"pet": "pet", "species": "cat" if breed == "Bengal" else "dog", "breeds": breed}
        animal = layout.classes.index(name[animals])
        edge = {"ignore": 255, "class": len(layout.classes) - 1, "pet": animal}[border]
        np.testing.assert_array_equal(plane, np.array([9, animal, 0, edge])[trimap(root, key)])


def test_the_classes():
    assert OxfordPets().classes == ("background", "pet")
    assert OxfordPets(border="class").classes == ("background", "pet", "border")
    assert OxfordPets(animals="species").classes == ("background", "cat", "dog")
    assert len(BREEDS) == len({*BREEDS}) == 37
    assert sorted(BREEDS, key=str.lower) == list(BREEDS)


def test_files_that_are_published_beside_the_data_are_no_finding(tmp_path, run, out):
    root = pathlib.Path(fakes.oxford_pets(tmp_path / "data"))
    root = root.rename(root.with_name("pets"))  # whose splits have no published lengths
    (root / "images" / "Abyssinian_100.mat").touch()
    result = run("oxford-pets", root, out, "--strict")
    assert result.exit_code == 0, result.output


def relabelled(change):
    def spoil(root):
        for path in (root / "annotations" / "trimaps").glob("[!.]*.png"):
            Image.fromarray(change(np.asarray(Image.open(path)))).save(path)

    return spoil


def renamed(root):
    for path in [*root.rglob("Bengal_*"), *(root / "annotations").glob("t*.txt")]:
        if path.suffix == ".txt":
            path.write_text(path.read_text().replace("Bengal", "Tiger"))
        else:
            path.rename(path.with_name(path.name.replace("Bengal", "Tiger")))


def listed(text):
    def spoil(root):
        (root / "annotations" / "trainval.txt").write_text(text)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (relabelled(lambda plane: plane - 1), "1 may have been taken from each value already"),
        (relabelled(lambda plane: plane * np.uint8(85)), "expected 1 pet, 2 background"),
        (relabelled(lambda plane: plane.T), "expected the image's"),
        (renamed, "found the breed 'Tiger' in the name"),
        (listed("Bengal_80 6 1 2\nBengal_80 6 1 2"), "line 2: found 'Bengal_80' again"),
        (listed("../Bengal_80 6 1 2"), "line 1: found '../Bengal_80 6 1 2'"),
        (listed("Bengal_999 6 1 2"), "Bengal_999"),
    ],
)
def test_spoilt_trees_are_named(tmp_path, run, out, spoil, message):
    root = pathlib.Path(fakes.oxford_pets(tmp_path))
    spoil(root)
    result = run("oxford-pets", root, out, "--animals", "breeds")
    assert result.exit_code in (1, 2)
    assert message in " ".join(result.stderr.split())


def test_no_list_is_named(tmp_path, run, out):
    root = pathlib.Path(fakes.oxford_pets(tmp_path))
    for path in (root / "annotations").glob("t*.txt"):
        path.unlink()
    result = run("oxford-pets", root, out)
    assert result.exit_code == 2
    assert "expected trainval.txt and test.txt" in " ".join(result.stderr.split())
