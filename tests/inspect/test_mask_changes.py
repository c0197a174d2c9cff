"""Labels that changed: which pixels, which classes, on a page."""

import html.parser
import json
import pathlib
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

import dsbuild
from dsbuild import images
from dsbuild.engines import Local
from dsbuild.errors import PlanError, StorageError
from dsbuild.inspect import diff, mask_changes, mask_pictures
from tests.support import fakes
from tests.support.runs import make


def changes(a, b, workers=1):
    engine = Local(workers)
    sides = [diff.read(str(path), engine) for path in (a, b)]
    return mask_changes.compare(*sides, diff.diff(*sides), engine)


def repaint(voc, key, area, value):
    path = pathlib.Path(voc, f"SegmentationClass/{key}.png")
    plane = np.asarray(Image.open(path)).copy()
    before = plane.copy()
    plane[area] = value
    path.write_bytes(images.encode(plane))
    return before, plane


@pytest.fixture
def before(voc, tmp_path):
    out = tmp_path / "before"
    make(voc, out, shards=2, splits=("train", "val"))
    return out


@pytest.mark.parametrize("workers", [1, 2])
def test_changes_are_counted_and_the_largest_comes_first(voc, before, out, workers):
    small = repaint(voc, "2007_000004", np.s_[:3, :5], 7)
    large = repaint(voc, "2007_000003", np.s_[:20], 9)
    make(voc, out, shards=3, splits=("train", "val"))
    found = changes(before, out, workers)
    assert [one.key for one in found] == ["2007_000003", "2007_000004"]
    for change, (was, now) in zip(found, (large, small), strict=True):
        assert change.split == "train"
        assert change.pixels == was.size
        assert change.changed == np.count_nonzero(was != now)
        expected = {}
        for one, other in zip(was.ravel().tolist(), now.ravel().tolist(), strict=True):
            if one != other:
                expected[one, other] = expected.get((one, other), 0) + 1
        assert change.moves == expected


def test_labels_of_another_size_are_named_and_come_first(voc, before, out):
    repaint(voc, "2007_000004", np.s_[:3, :5], 7)
    fakes.photo(np.random.default_rng(9), 50, 30).save(f"{voc}/JPEGImages/2007_000003.jpg")
    plane = np.zeros((30, 50), np.uint8)
    pathlib.Path(voc, "SegmentationClass/2007_000003.png").write_bytes(images.encode(plane))
    make(voc, out, shards=2, splits=("train", "val"))
    first, second = changes(before, out)
    assert "pixels and is 50 x 30" in first.why
    assert (first.share, second.why) == (1.0, "")


@given(
    arrays.arrays(np.uint16, (4, 5), elements=st.integers(0, 65535)),
    arrays.arrays(np.uint8, (4, 5), elements=st.integers(0, 3)),
)
def test_moves_tell_every_pixel(before, after):
    moves = mask_changes.moves(before, after)
    assert sum(moves.values()) == np.count_nonzero(before != after)
    for (was, now), count in moves.items():
        assert was != now
        assert count == np.count_nonzero((before == was) & (after == now))


def test_labels_that_are_no_planes():
    assert mask_changes.held_together(3, 4) == (0, {}, "the label was class 3 and is class 4")
    plane = np.zeros((2, 2), np.uint8)
    assert mask_changes.held_together(None, plane)[2].endswith("unreadable and is a mask")


@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.integers(1, 12))
def test_a_changed_pixel_is_never_shrunk_away(differs, side):
    made = mask_pictures.marks(differs, side)
    assert max(made.shape) <= max(side, 1)
    assert made.any() == differs.any()


class _Pictures(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.alts, self.sources = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        if tag == "img":
            self.alts.append(named["alt"])
            self.sources.append(named["src"])


def test_the_page_shows_before_after_and_changed(voc, before, out, run, tmp_path):
    repaint(voc, "2007_000004", np.s_[:3, :5], 7)
    repaint(voc, "2007_000003", np.s_[:20], 9)
    make(voc, out, shards=2, splits=("train", "val"))
    page = tmp_path / "masks.html"
    result = run("diff", before, out, "--html", page, "--samples", "1")
    assert result.exit_code == 1, result.output
    text = page.read_text()
    seen = _Pictures(text)
    assert [alt for alt in seen.alts if alt] == [
        f"2007_000003: {what}" for what in ("before", "after", "changed")
    ]
    assert all(source.startswith("data:image/") for source in seen.sources)
    [photo] = re.findall(r"--photo: url\((data:image/[^)]+)\)", text)
    assert text.count(photo) == 1  # however many masks lie over it
    assert "2007_000004" in text  # in the table of all changed labels
    assert "<script" not in text
    again = run("diff", before, out, "--html", page, "--json")
    assert json.loads(again.stdout)["splits"]["train"]["label"] == ["2007_000003", "2007_000004"]


def test_names_are_escaped(tmp_path, run):
    for name, value in (("a", 1), ("b", 2)):
        root = tmp_path / name
        for folder in ("images", "labels"):
            (root / folder).mkdir(parents=True)
        image = np.zeros((8, 8, 3), np.uint8)
        Image.fromarray(image).save(root / "images/<b>&.png")
        plane = np.full((8, 8), value, np.uint8)
        Image.fromarray(plane).save(root / "labels/<b>&.png")
        (root / "classes.txt").write_text("x\ny\nz\n")
        built = run(
            "pairs", root, tmp_path / f"{name}-out", "--classes", root / "classes.txt", "--quiet"
        )
        assert built.exit_code == 0, built.output
    page = tmp_path / "masks.html"
    run("diff", tmp_path / "a-out", tmp_path / "b-out", "--html", page)
    text = page.read_text()
    assert "&lt;b&gt;&amp;" in text
    assert "<b>&" not in text


def test_no_foreign_file_is_replaced(before, tmp_path):
    page = tmp_path / "notes.html"
    page.write_text("mine")
    with pytest.raises(StorageError, match="did not write"):
        dsbuild.diff(before, before, html=page)
    assert page.read_text() == "mine"


@pytest.mark.parametrize("samples", [-1, 1.5, True])
def test_samples_are_a_number(before, tmp_path, samples):
    with pytest.raises(PlanError, match="whole number"):
        dsbuild.diff(before, before, html=tmp_path / "x.html", samples=samples)
    with pytest.raises(PlanError, match="html as well"):
        dsbuild.diff(before, before, samples=3)
