"""Mapillary Vistas: versions, configs, and labels of another version."""

import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from dsbuild.errors import LayoutError, PlanError
from dsbuild.layouts.mapillary import Mapillary, read_config
from tests.support import fakes
from tests.support.objects import planes


@pytest.fixture
def root(tmp_path):
    return pathlib.Path(fakes.mapillary(tmp_path))


def config(names, colours=None):
    colours = colours or [[9 * i, 99, 0] for i in range(len(names))]
    rows = zip(names, colours, strict=True)
    return json.dumps({"labels": [{"name": n, "color": c, "evaluate": True} for n, c in rows]})


def save(root, plane, colours=None):
    image = Image.fromarray(np.asarray(plane, np.uint8))
    if colours:
        image.putpalette([channel for colour in colours for channel in colour])
    image.save(root / "training/v1.2/labels/training0.png")


def test_classes_that_are_not_evaluated_are_ignored_unless_asked(root, out, tmp_path, run):
    assert run("mapillary", root, out).exit_code == 0
    ignored = planes(out)["training0"]
    to = tmp_path / "two"
    assert run("mapillary", root, to, "--unevaluated", "class").exit_code == 0
    kept = planes(to)["training0"]
    assert (kept == 3).any()
    np.testing.assert_array_equal(ignored, np.where(kept == 3, 255, kept))


def test_two_versions_are_for_the_user_to_choose(root, out, run):
    for split in ("training", "validation"):
        (root / split / "v2.0/labels").mkdir(parents=True)
    (root / "config_v2.0.json").write_text(config(["a", "b"]))
    result = run("build", root, out)
    assert result.exit_code == 2
    assert "--labels v2.0 or v1.2" in " ".join(result.stderr.split())
    with pytest.raises(LayoutError, match="whose values mean other classes"):
        Mapillary().bind(str(root))
    assert Mapillary(labels="v1.2").bind(str(root)).classes == ("road", "car", "sky", "void")
    assert run("mapillary", root, out, "--labels", "v1.2").exit_code == 0


def test_labels_straight_below_training_are_those_of_v1_1(root, out, run):
    for split in ("training", "validation"):
        (root / split / "v1.2/labels").rename(root / split / "labels")
    (root / "config_v1.2.json").rename(root / "config.json")
    assert Mapillary().bind(str(root)).labels == "v1.1"
    assert run("build", root, out).exit_code == 0
    assert len(planes(out)) == 10


OWN = [(9 * i, 99, 0) for i in range(4)]


@pytest.mark.parametrize(
    ("plane", "colours", "said"),
    [
        (np.full((40, 50), 70), None, "found the value 70; expected 0 to 3"),
        (
            np.full((40, 50), 70),
            [(i, 9, 9) for i in range(99)],
            "labels of another version",
        ),
        (np.full((40, 50), 2), [OWN[i] for i in (0, 2, 1, 3)], "found the colour (9, 99, 0) for 2"),
        (np.full((40, 50), 2), [(1, 2, 3)] * 3, "the config has (18, 99, 0) for sky"),
        (np.full((40, 50), 255), None, "found the value 255"),
        (np.full((40, 49), 1), OWN, "found a label of 49 x 40 pixels"),
    ],
)
def test_labels_of_another_version_are_named_and_can_be_skipped(
    plane, colours, said, root, out, run
):
    save(root, plane, colours)
    result = run("mapillary", root, out)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert "training0.png" in result.stderr
    assert run("mapillary", root, out, "--on-error", "skip").exit_code == 0
    assert len(planes(out)) == 9


def test_grey_labels_are_read_by_their_values(root, out, run):
    save(root, np.eye(40, 50))
    assert run("mapillary", root, out).exit_code == 0
    np.testing.assert_array_equal(planes(out)["training0"], np.eye(40, 50))


def test_the_config_of_another_version_is_named(root):
    (root / "config_v1.2.json").write_text(config([str(i) for i in range(124)]))
    with pytest.raises(LayoutError, match=r"found 124 labels for v1\.2, which has 66"):
        Mapillary().bind(str(root))
    (root / "config_v1.2.json").unlink()
    with pytest.raises(LayoutError, match=r"name the config of v1\.2: --config FILE"):
        Mapillary().bind(str(root))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "found no labels"),
        ("[]", "found no labels"),
        ('{"labels": []}', "found 0 labels"),
        (config(["a", "a"]), "expected different names"),
        (config(["a"], [[1, 2]]), "found no labels"),
    ],
)
def test_an_odd_config_is_named(text, said, tmp_path):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(PlanError, match=said):
        read_config(str(tmp_path / "c.json"))
