"""The full ADE20K: its rule, its index, its way to the challenge, and what is taken for it."""

import os
import pathlib
import pickle

import numpy as np
import pytest
from PIL import Image

from dsbuild.errors import LayoutError
from dsbuild.layouts.ade20k import Ade20k
from dsbuild.layouts.ade20k_full import Ade20kFull
from dsbuild.layouts.ade_index import INDEXES, read_index
from dsbuild.layouts.ade_labels import FROM_FULL, NAMES
from tests.support import fakes
from tests.support.objects import SHARED, planes

# Pixels that differ from the published label if the shorter side becomes 512 by nearest neighbour.
DIFFER = {"ADE_train_00000001": 272, "ADE_val_00000001": 0}


@pytest.mark.shared
def test_the_map_to_the_challenge_is_the_published_one():
    text = (SHARED / "ade20k" / "mapFromADE.txt").read_text()
    rows = [[int(number) for number in line.split()] for line in text.splitlines()]
    assert {value: index - 1 for index, value in rows} == FROM_FULL
    assert len(FROM_FULL) == 153


@pytest.mark.shared
@pytest.mark.parametrize("key", DIFFER)
def test_real_labels_become_those_of_the_challenge(key):
    (path,) = (SHARED / "ade20k" / "ADE20K_2016_07_26").rglob(f"{key}_seg.png")
    (wanted,) = (SHARED / "ade20k" / "ADEChallengeData2016").rglob(f"annotations/*/{key}.png")
    label = Ade20kFull(target="challenge").read(path.read_bytes(), path.name)
    expected = Ade20k().read(wanted.read_bytes(), wanted.name).plane
    size = expected.shape[::-1]
    small = np.asarray(Image.fromarray(label.plane).resize(size, Image.Resampling.NEAREST))
    assert np.count_nonzero(small != expected) == DIFFER[key]


@pytest.mark.shared
def test_real_labels_hold_the_values_of_their_rule():
    (path,) = (SHARED / "ade20k" / "ADE20K_2016_07_26").rglob("ADE_val_00000001_seg.png")
    rgb = np.asarray(Image.open(path)).astype(int)
    value = rgb[..., 0] // 10 * 256 + rgb[..., 1]
    names = tuple(f"object {i}" for i in range(3200))
    found = Ade20kFull(names=names).read(path.read_bytes(), path.name).plane
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, np.where(value == 0, 65535, value - 1))
    assert found[found < 65535].max() > 255


def test_a_build_has_the_names_of_the_index_and_16_bits(tmp_path, run, out):
    root = fakes.ade20k_full(tmp_path)
    result = run("build", root, out)
    assert result.exit_code == 0, result.output
    assert "classes from index_ade20k.pkl" in result.output
    found = planes(out)
    assert len(found) == 10
    assert {plane.dtype for plane in found.values()} == {np.dtype(np.uint16)}
    assert run("validate", out, root, "--level", "source").exit_code == 0


def test_the_challenge_has_150_classes_and_8_bits(tmp_path, run, out):
    root = fakes.ade20k_full(tmp_path, names=3147, pool=[*FROM_FULL, 1])
    os.remove(os.path.join(root, INDEXES[0]))
    assert "--target challenge" in run("build", root, out).stderr
    assert run("build", root, out, "--target", "challenge").exit_code == 0
    for key, plane in planes(out).items():
        assert plane.dtype == np.uint8
        (path,) = pathlib.Path(root).rglob(f"{key}_seg.png")
        rgb = np.asarray(Image.open(path)).astype(int)
        values = rgb[..., 0] // 10 * 256 + rgb[..., 1]
        wanted = np.vectorize(lambda value: FROM_FULL.get(value, 255))(values)
        np.testing.assert_array_equal(plane, wanted)
    assert Ade20kFull(target="challenge").classes == NAMES


class Trap:
    """What a hostile pickle would run."""

    def __reduce__(self):
        return (os.mkdir, ("/tmp/dsbuild-pickle-ran",))


def test_nothing_of_an_index_runs(tmp_path):
    names = ["wall, brick", "door", "door", "\u00e9tage"]
    document = {"trap": Trap(), "objectnames": names, "array": np.zeros((3, 4)), "set": {1, 2}}
    (tmp_path / INDEXES[0]).write_bytes(pickle.dumps(document))
    assert read_index(str(tmp_path)) == ("wall, brick", "door (2)", "door (3)", "\u00e9tage")
    assert not os.path.exists("/tmp/dsbuild-pickle-ran")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle",
        pickle.dumps({"names": ["a"]}),
        pickle.dumps(["objectnames"]),
        pickle.dumps({"objectnames": []}),
        pickle.dumps({"objectnames": ["a", 3]}),
        pickle.dumps({"objectnames": np.array(["a", "b"])}),
        pickle.dumps({"objectnames": Trap()}),
        pickle.dumps({"objectnames": ["a"] * 9})[:-9],
    ],
)
def test_an_index_without_names_is_named(tmp_path, content, run, out):
    root = fakes.ade20k_full(tmp_path)
    pathlib.Path(root, INDEXES[0]).write_bytes(content)
    result = run("ade20k-full", root, out)
    assert result.exit_code == 2
    assert f"{INDEXES[0]}: found no names of classes in it" in " ".join(result.stderr.split())


def test_a_matlab_index(tmp_path):
    io = pytest.importorskip("scipy.io")
    names = np.array(["wall", "floor, flooring"], object)
    io.savemat(tmp_path / INDEXES[1], {"index": {"objectnames": names, "scene": np.zeros(3)}})
    assert read_index(str(tmp_path)) == ("wall", "floor, flooring")
    (tmp_path / INDEXES[1]).write_bytes(b"MATLAB")
    with pytest.raises(LayoutError, match="found no names"):
        read_index(str(tmp_path))


def test_no_index_is_named(tmp_path, run, out):
    root = fakes.ade20k_full(tmp_path)
    os.remove(os.path.join(root, INDEXES[0]))
    result = run("ade20k-full", root, out)
    assert result.exit_code == 2
    assert "name them with --classes FILE, or build the 150" in " ".join(result.stderr.split())
    (tmp_path / "names.txt").write_text("\n".join(f"object {i}" for i in range(700)))
    assert run("ade20k-full", root, out, "--classes", tmp_path / "names.txt").exit_code == 0


def spoil(root, change):
    for path in pathlib.Path(root).rglob("ADE_train_*[12]_seg.png"):
        change(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda path: Image.open(path).convert("L").save(path),
            "found a label in grey, expected RGB",
        ),
        (
            lambda path: Image.fromarray(np.asarray(Image.open(path)) | 240).save(path),
            "expected 0 to 700, the classes of the index",
        ),
        (lambda path: path.with_name(path.name.replace("_seg.png", ".jpg")).unlink(), "_seg.png"),
        (lambda path: path.unlink(), "_seg.png"),
    ],
)
def test_spoilt_trees_are_named(tmp_path, run, out, change, message):
    root = fakes.ade20k_full(tmp_path)
    spoil(root, change)
    result = run("ade20k-full", root, out, "--strict")
    assert result.exit_code in (1, 2)
    assert message in " ".join(result.stderr.split())
    assert not [*pathlib.Path(out).glob("*.tfrecord")]


def test_the_full_set_is_not_taken_for_the_challenge_nor_the_other_way_round(tmp_path, run, out):
    full, challenge = fakes.ade20k_full(tmp_path / "a"), fakes.ade20k(tmp_path / "b")
    with pytest.raises(LayoutError, match="build this with dsbuild ade20k-full"):
        Ade20k().find(full)
    with pytest.raises(LayoutError, match="no images/ADE/training"):
        Ade20kFull().find(challenge)
    assert Ade20kFull.recognise(full, {})
    assert not Ade20k.recognise(full, {})
    assert Ade20k.recognise(challenge, {})
    assert not Ade20kFull.recognise(challenge, {})


def test_the_tree_of_2016(tmp_path):
    root = pathlib.Path(fakes.ade20k_full(tmp_path))
    (root / "images" / "ADE").rename(root / "moved")
    (root / "images").rmdir()
    (root / "moved").rename(root / "images")
    layout = Ade20kFull().bind(str(root))
    assert layout.find(str(root)) == str(root)
    sample = next(layout.samples(str(root), "train"))
    assert sample.key == "ADE_train_00000001"
    assert sample.label == "images/training/urban/street/ADE_train_00000001_seg.png"
