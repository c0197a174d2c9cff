"""Reports of evaluations: documents, tables, pictures, and their files."""

import csv
import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from dsbuild.errors import TrainError
from dsbuild.images import heatmap
from dsbuild.train.metrics import report
from dsbuild.train.metrics.boundary import BoundaryF1
from dsbuild.train.metrics.confusion import Confusion
from dsbuild.train.metrics.matting import Matting
from dsbuild.train.metrics.top import Top

NAMES = ("background", 'cat, "tabby"', "dog")
LABEL = np.array([[0, 0, 0, 1, 255]])
FOUND = np.array([[0, 0, 1, 1, 2]])
CONFUSION = Confusion.of(LABEL, FOUND, 3)


def test_the_document_has_one_row_per_class_and_null_for_scores_of_nothing():
    found = report.document(CONFUSION, NAMES)
    assert found["pixels"] == 4
    assert found["mean_iou"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert [row["name"] for row in found["classes"]] == list(NAMES)
    assert found["classes"][1] == {
        "index": 1,
        "name": NAMES[1],
        "label_pixels": 1,
        "prediction_pixels": 2,
        "iou": 0.5,
        "accuracy": 1.0,
        "precision": 0.5,
    }
    assert found["classes"][2]["iou"] is None
    assert "matting" not in found


def test_the_document_has_contours_and_mattes_if_they_were_measured():
    boundary = BoundaryF1.of(LABEL, FOUND, 3, tolerance=0.3)
    matting = Matting.of(np.zeros((4, 4)), np.full((4, 4), 0.5))
    found = report.document(CONFUSION, NAMES, boundary, matting)
    assert found["boundary_f1"] == boundary.mean
    assert [row["boundary_f1"] for row in found["classes"]] == [*boundary.scores[:2], None]
    assert found["matting"]["images"] == 1
    assert found["matting"]["mse"] == 0.25
    assert report.document(CONFUSION, NAMES, matting=Matting())["matting"]["mse"] is None


def test_classification_counts_images():
    top = Top.of(0, np.array([0.1, 0.2, 0.7])) + Top(0, 1)
    found = report.document(CONFUSION, NAMES, top=top)
    assert found["images"] == 4
    assert found["top_5_accuracy"] == 0.5
    assert found["classes"][1]["label_images"] == 1
    assert "pixel" not in json.dumps(found)
    assert "iou" not in json.dumps(found)
    pictures = [report.picture(CONFUSION, NAMES, what) for what in ("pixels", "images")]
    assert pictures[0].shape != pictures[1].shape or (pictures[0] != pictures[1]).any()


def test_files_are_read_back(tmp_path):
    found = report.save(str(tmp_path), CONFUSION, NAMES)
    assert sorted(os.listdir(tmp_path)) == ["confusion.csv", "confusion.png", "scores.json"]

    def refuse(constant):
        raise AssertionError(constant)

    text = (tmp_path / report.SCORES).read_text()
    assert json.loads(text, parse_constant=refuse) == found
    rows = list(csv.reader(io.StringIO((tmp_path / report.TABLE).read_text())))
    assert rows[0][1:] == list(NAMES)
    assert [row[0] for row in rows[1:]] == list(NAMES)
    np.testing.assert_array_equal(np.array(rows)[1:, 1:].astype(int), CONFUSION.counts)
    with Image.open(tmp_path / report.PICTURE) as image:
        np.testing.assert_array_equal(np.asarray(image), report.picture(CONFUSION, NAMES))


def blocks(pixels, colour):
    """Return the number of pixels of a colour."""
    return int((pixels == np.uint8(colour)).all(-1).sum())


@pytest.mark.parametrize("count", [1, 2, 21, 150])
def test_cells_are_shaded_by_their_shares(count):
    shares = np.eye(count)
    if count > 1:
        shares[-1] = np.nan
    pixels = heatmap.picture(shares, ["name"] * count, "label", "prediction")
    assert pixels.dtype == np.uint8
    cell = max(min(720 // count, 56), 15)
    full, none = heatmap.shade(np.array([1, np.nan]))
    patch = 41 * 17  # a patch of the scale
    hits = max(count - 1, 1)
    # Within its lines a cell has (side - 1)^2 pixels, some of them under a number.
    assert hits * (cell - 1) ** 2 * 0.75 < blocks(pixels, full) <= hits * cell**2 + patch
    if count > 1:
        assert blocks(pixels, none) > count * (cell - 1) ** 2 * 0.99


@pytest.mark.parametrize("name", ["x" * 300, "a\nb\tc\0", "", "\u4eba \U0001f600"])
def test_any_name_is_drawn_in_full(name):
    pixels = heatmap.picture(np.eye(2), [name, "plain"], "label", "prediction")
    assert max(pixels.shape) < 900
    for edge in (pixels[:4], pixels[-4:], pixels[:, :4], pixels[:, -4:]):
        assert (edge == 255).all()


def test_shades_grow_and_show_rare_classes():
    darkness = [-int(colour.sum()) for colour in heatmap.shade(np.linspace(0, 1, 50)).astype(int)]
    assert darkness == sorted(darkness)
    assert heatmap.shade(np.array(0.01)).sum() < heatmap.shade(np.array(0.0)).sum() - 20


@pytest.mark.parametrize("make", [report.document, report.table, report.picture])
def test_a_wrong_number_of_names_is_refused(make):
    with pytest.raises(TrainError, match="found 2 class names for a confusion matrix of 3"):
        make(CONFUSION, NAMES[:2])
