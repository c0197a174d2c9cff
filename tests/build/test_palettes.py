"""Colours of labels stand for one value each in all files of a split, or the build stops."""

import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from dsbuild.build import palettes
from dsbuild.build.repair import repair
from dsbuild.errors import SampleError
from dsbuild.format import manifest, receipts
from dsbuild.layouts.pairs import Pairs
from tests.support import fakes
from tests.support.lossless import QUICK
from tests.support.pictures import save
from tests.support.runs import make, requested

LAYOUT = Pairs(names=("background", "cat", "dog"))
COLOURS = [(0, 0, 0), (200, 30, 40), (50, 160, 70), *[(9, i, 250) for i in range(3, 256)]]


@pytest.fixture
def root(tmp_path):
    """Pairs whose labels are palette PNGs, of colours that nobody defined."""
    root = fakes.pairs(tmp_path, count=40)
    for file in pathlib.Path(root).glob("labels/*/*.png"):
        plane = np.asarray(Image.open(file)).copy()
        plane[plane == 255] = 0
        plane[0, :3] = 0, 1, 2
        image = Image.fromarray(plane)
        image.putpalette(np.array(COLOURS, np.uint8).ravel().tolist())
        file.write_bytes(save(image))
    return root


def reorder(root, *keys):
    """Put the palettes of some labels into another order, as tools do that drop what is unused."""
    for key in keys:
        file = pathlib.Path(root, f"labels/{key}.png")
        file.write_bytes(QUICK["a palette in another order"](file.read_bytes()))


def meanings(*files):
    known = {}
    for i, colours in enumerate(files):
        palettes.add(known, colours, f"{i}.png")
    return known


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ([{(1, 2, 3): 1}, {(1, 2, 3): 1, (9, 9, 8): 2}], None),
        (
            [{(1, 2, 3): 1}, {(1, 2, 3): 2}],
            "colour (1, 2, 3) for the value 1 in 0.png, and for 2 in 1",
        ),
        (
            [{(1, 2, 3): 1}, {(3, 2, 1): 1}],
            "value 1 in the colour (1, 2, 3) in 0.png, and in (3, 2",
        ),
        ([{(1, 2, 3): 15}, {(15, 15, 15): 15}], None),  # a class in colour, and as a grey level
        (
            [{(255, 255, 255): 255}, {(255, 255, 255): 1}],
            "colour (255, 255, 255) for the value 255",
        ),
    ],
)
def test_what_disagrees(files, found):
    for order in (files, files[::-1]):
        text = palettes.disagreement(meanings(*order))
        assert (text is None) == (found is None)
    if found:
        assert found in palettes.disagreement(meanings(*files))


def test_rows_keep_what_was_added():
    known = meanings({(1, 2, 3): 1, (9, 9, 8): 2}, {(1, 2, 3): 1, (5, 5, 5): 5})
    assert palettes.rows(known) == (("0.png", 1, 2, 3, 1, 9, 9, 8, 2), ("1.png", 5, 5, 5, 5))
    assert palettes.joined([palettes.rows(known)] * 2) == known


def test_only_enough_is_kept_to_show_a_disagreement():
    known = {}
    for i in range(100):
        palettes.add(known, {(i, i + 1, value): value for value in range(256)}, f"{i}.png")
    assert len(known) <= 512 + 256
    assert palettes.disagreement(known)


def test_right_palettes_are_built_and_their_meanings_kept(root, out):
    make(root, out, layout=LAYOUT, shards=2)
    (one, other) = (receipts.load(out, f"train-0000{i}-of-00002.tfrecord") for i in (0, 1))
    assert one.colours[0][0].startswith("labels/a/")
    assert other.colours


def test_palettes_that_disagree_stop_before_a_pixel_is_written(root, out, run, tmp_path):
    reorder(root, "a/000", "b/003")
    names = tmp_path / "names.txt"
    names.write_text("\n".join(LAYOUT.names))
    for how in ((), ("--on-error", "skip"), ("--dry-run",)):
        result = run("pairs", root, out, "--classes", names, "--workers", 1, *how)
        assert result.exit_code == (1 if "--dry-run" in how else 2)
        line = result.stderr.splitlines()[-1]
        assert line.startswith("error: split train: found the ")
        assert "labels/a/000.png" in line
        assert "--accept palettes" in line
        assert not pathlib.Path(out).exists()
    result = run("pairs", root, out, "--classes", names, "--workers", 1, "--accept", "palettes")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("workers", [1, 2])
def test_palettes_that_the_audit_did_not_open_stop_before_the_manifest(root, out, workers):
    reorder(root, *(f"{'ab'[i % 2]}/{i:03d}" for i in (1, 9, 20, 33)))
    with pytest.raises(SampleError, match=r"split train: found .*its shards are kept"):
        make(root, out, workers, layout=LAYOUT, shards=workers)
    assert manifest.load(out) is None
    found = make(root, out, workers, layout=LAYOUT, shards=workers, accept=("palettes",))
    assert (found.written, found.kept) == (0, workers)
    repair(out, root)
    assert manifest.load(out)


def test_receipts_of_older_versions_have_no_colours(root, out):
    make(root, out, layout=LAYOUT, shards=1)
    path = pathlib.Path(manifest.receipt_path(out, "train-00000-of-00001.tfrecord"))
    document = json.loads(path.read_text())
    for name in ("colours", "digest", "seal"):
        del document[name]
    path.write_text(json.dumps(document))
    assert receipts.load(out, "train-00000-of-00001.tfrecord").colours == ()
    pathlib.Path(out, "manifest.json").unlink()
    assert make(root, out, layout=LAYOUT, shards=1).kept == 1


def test_what_may_be_accepted_is_named(root, out):
    from dsbuild.errors import PlanError

    with pytest.raises(PlanError, match=r"accept: found .*luma.*expected .*palettes, binary-255"):
        requested(root, out, layout=LAYOUT, accept=("luma",))
