"""Labels that count their classes from 1: told by their values, and held to by every label."""

import json
import pathlib

import numpy as np
import pytest
from PIL import Image

import dsbuild
from tests.support import fakes

NAMES = ("--classes", "ground,cat,dog", "--workers", 1)


def pairs(folder, count=40, change=lambda plane: np.where(plane == 255, 255, plane + 1)):
    """Return the root of drawn pairs whose labels were changed."""
    root = pathlib.Path(fakes.pairs(folder, count=count))
    for path in root.glob("labels/**/*.png"):
        Image.fromarray(change(np.asarray(Image.open(path))).astype("u1")).save(path)
    return root


def labels(out):
    return {sample.key: sample.label for sample in dsbuild.open(str(out), "train")}


def test_all_values_but_0_are_the_classes(tmp_path, run):
    run("pairs", fakes.pairs(tmp_path / "from-0", 40), tmp_path / "0", *NAMES)
    asked = ("pairs", pairs(tmp_path / "from-1"), tmp_path / "1", *NAMES)
    result = run(*asked)
    assert result.exit_code == 0, result.stderr
    assert "16 labels that were opened hold 1 to 3 and no 0" in result.stderr
    found, expected = labels(tmp_path / "1"), labels(tmp_path / "0")
    assert found.keys() == expected.keys()
    for key, plane in expected.items():
        np.testing.assert_array_equal(found[key], plane)
    document = json.loads((tmp_path / "1/manifest.json").read_text())
    assert '"zero": "none"' in json.dumps(document)
    assert "nothing to do" in run(*asked).stdout


def test_a_label_with_0_that_was_not_opened_first_stops_the_build(tmp_path, run, out):
    root = pairs(tmp_path)
    path = sorted(root.glob("labels/**/*.png"))[1]
    plane = np.array(Image.open(path))
    plane[:3, :3] = 0
    Image.fromarray(plane).save(path)
    result = run("pairs", root, out, *NAMES)
    assert result.exit_code
    assert f"{path}: found the label value 0 (9 pixels)" in result.stderr
    assert "--zero ignore" in result.stderr
    assert not list(pathlib.Path(out).glob("*.tfrecord"))
    result = run("pairs", root, out, *NAMES, "--zero", "ignore")
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize(
    "table",
    [{0: 1, 1: 3, 2: 3}, {0: 2, 1: 3, 2: 4}, {0: 1, 1: 2, 2: 3, 255: 4}],
    ids=["a class is missing", "values from 2", "another ignore value"],
)
def test_what_has_another_reading_is_not_settled(table, tmp_path, run, out):
    whole = np.array([table.get(value, value) for value in range(256)])
    result = run("pairs", pairs(tmp_path, 6, lambda plane: whole[plane]), out, *NAMES)
    assert result.exit_code
    assert "that were opened hold" not in result.stderr


def test_if_bad_labels_are_skipped_nothing_is_settled_and_the_split_is_refused(tmp_path, run, out):
    root = pairs(tmp_path, 12)
    path = sorted(root.glob("labels/**/*.png"))[0]
    Image.fromarray(np.ones((30, 40), np.uint8)).save(path)  # which is a class either way
    result = run("pairs", root, out, *NAMES, "--on-error", "skip")
    assert result.exit_code
    assert "so classes seem to be counted from 1 in all of them: dsbuild pairs" in result.stderr
    assert not list(pathlib.Path(out).glob("*.tfrecord"))


def test_shares_of_an_array_job_settle_alike(tmp_path, run, out):
    root = pairs(tmp_path, 8)
    for step in (("--plan-only",), ("--task", "1/1"), ("--finish",)):
        result = run("pairs", root, out, *NAMES, *step)
        assert result.exit_code == 0, result.stderr
    assert all(set(np.unique(plane)) <= {0, 1, 2, 255} for plane in labels(out).values())


def test_without_a_meaning_of_0_labels_that_hold_it_are_named_or_left_out(tmp_path, run):
    root = pairs(tmp_path / "pairs", 6, lambda plane: np.where(plane == 255, 255, plane // 2 + 2))
    path = sorted(root.glob("labels/**/*.png"))[0]
    Image.fromarray(np.eye(30, 40, dtype="u1") * 2).save(path)
    asked = ("pairs", root, tmp_path / "out", *NAMES, "--zero", "none")
    result = run(*asked)
    assert result.exit_code
    assert f"error: sample a/000: {path}: found the label value 0 (1,170 pixels)" in result.stderr
    result = run(*asked, "--on-error", "skip")
    assert result.exit_code == 0, result.stderr
    assert len(labels(tmp_path / "out")) == 5
