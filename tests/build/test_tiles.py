"""Tiles put together are the image and the label that a build without tiles stores."""

import dataclasses
import json
import os
import pathlib

import numpy as np
import pytest
from PIL import Image

import dsbuild
from dsbuild import images
from dsbuild.build.image_policy import Policy
from dsbuild.build.recipe import Recipe, load
from dsbuild.build.repair import repair
from dsbuild.errors import PlanError
from dsbuild.format import manifest
from dsbuild.layouts.classes import Classes
from dsbuild.layouts.coco import Coco
from dsbuild.layouts.voc import Voc
from dsbuild.validate.run import validate
from tests.support import fakes, panoptic
from tests.support.drawn import DRAWN
from tests.support.runs import content, make, requested

TILED = Policy(tile=24, tile_overlap=6)
PIXELS = [given for given in DRAWN if not isinstance(given, Classes)]


def together(path, split=None):
    """Return key -> image and label of a folder of tiles, by numpy alone."""
    found = {}
    for one in dsbuild.open(path, split):
        size = one.source_height, one.source_width
        kind = np.uint8 if one.label is None else one.label.dtype
        image, label = found.setdefault(
            one.source_key, (np.full((*size, 3), 77, np.uint8), np.full(size, 77, kind))
        )
        place = np.s_[one.tile_y : one.tile_y + one.height, one.tile_x : one.tile_x + one.width]
        assert one.image.shape[:2] == (one.height, one.width) == image[place].shape[:2]
        image[place] = one.image
        if one.label is not None:
            label[place] = one.label
    return found


def whole(path, split=None):
    """Return key -> image and label of a folder."""
    data = dsbuild.open(path, split)
    return {one.key: (one.image, one.label) for one in data}


def same(tiled, stored):
    """Hold what tiles give to what is stored without tiles."""
    assert tiled.keys() == stored.keys()
    for key, (image, label) in stored.items():
        np.testing.assert_array_equal(tiled[key][0], image)
        if label is not None:
            np.testing.assert_array_equal(tiled[key][1], label)


@pytest.mark.parametrize("given", PIXELS, ids=repr)
def test_every_layout_is_cut(given, tmp_path):
    root = DRAWN[given][0](tmp_path)
    one, other = str(tmp_path / "whole"), str(tmp_path / "tiles")
    make(root, one, layout=given)
    make(root, other, layout=given, policy=TILED)
    for split in manifest.load(one)["splits"]:
        same(together(other, split), whole(one, split))
    assert not validate(other, "source", str(root)).problems


@pytest.mark.parametrize(
    ("policy", "extras"),
    [
        (Policy(max_side=50), ()),
        (Policy(), ("laplacian:png16", "edges")),
        (Policy(exif="apply"), ("sobel",)),
    ],
)
def test_images_are_changed_before_they_are_cut(policy, extras, voc, tmp_path):
    one, other = str(tmp_path / "whole"), str(tmp_path / "tiles")
    make(voc, one, policy=policy)
    tiled = dataclasses.replace(policy, tile=24, tile_overlap=6)
    make(voc, other, policy=tiled, extras=extras)
    same(together(other), whole(one))
    assert not validate(other, "source", str(voc)).problems
    for name in (extra.partition(":")[0] for extra in extras):
        chosen = Recipe(layout=Voc(), extras=(name,)).chosen[0]
        for sample in dsbuild.open(other)[:5]:
            again = chosen.extra.compute(sample[chosen.extra.of], **dict(chosen.parameters))
            np.testing.assert_array_equal(sample[name], again)


def test_tiles_are_lossless_unless_a_quality_is_given(voc, tmp_path):
    for quality, form in ((None, "png"), (90, "jpeg")):
        out = str(tmp_path / form)
        policy = Policy(tile=24, tile_overlap=6, jpeg_quality=quality)
        make(voc, out, policy=policy, extras=("laplacian:png16",))
        assert {one.format for one in dsbuild.open(out)} == {form}
        assert not validate(out, "source", str(voc)).problems
        recipe = manifest.load(out)["recipe"]["images"]
        assert (recipe["tile"], recipe["tile_overlap"], recipe["jpeg_quality"]) == (24, 6, quality)
    lossless = together(str(tmp_path / "png"))
    for key, (_, label) in together(str(tmp_path / "jpeg")).items():
        np.testing.assert_array_equal(label, lossless[key][1])


def test_an_image_no_larger_than_a_tile_keeps_its_bytes(voc, tmp_path):
    out = str(tmp_path / "out")
    make(voc, out, policy=Policy(tile=100, tile_overlap=10))
    for one in dsbuild.open(out, "val"):
        source = pathlib.Path(voc, "JPEGImages", f"{one.source_key}.jpg")
        assert one.encoded == source.read_bytes()
        assert one.key == f"{one.source_key}_y0000_x0000"
    make(voc, str(tmp_path / "wide"), policy=Policy(tile=50))
    shapes = {one.image.shape[:2] for one in dsbuild.open(str(tmp_path / "wide"))}
    assert shapes == {(44, 50), (50, 44)}  # a shorter side stays whole


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P"])
def test_channels_stay_as_they_are(mode, tmp_path):
    root = pathlib.Path(fakes.pairs(tmp_path, count=3))
    for path in sorted([*root.glob("images/*/*")]):
        picture = Image.open(path).convert("RGB").convert(mode)
        path.unlink()
        picture.save(path.with_suffix(".png"))
    for name, policy in (("whole", Policy()), ("tiles", TILED)):
        dsbuild.build(
            "pairs",
            root,
            tmp_path / name,
            workers=1,
            tile=policy.tile,
            tile_overlap=policy.tile_overlap,
            classes="a,b,c",
        )
    same(together(str(tmp_path / "tiles")), whole(str(tmp_path / "whole")))
    channels = {images.header(one.encoded).channels for one in dsbuild.open(tmp_path / "tiles")}
    assert channels == {{"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "P": 3}[mode]}


def test_counts_are_those_of_the_records(voc, tmp_path):
    out = str(tmp_path / "out")
    summary = make(voc, out, policy=TILED, shards=3)
    tiles = dsbuild.open(out, "train")
    entry = summary.manifest["splits"]["train"]
    assert entry["records"] == entry["labels"] == len(tiles)
    pixels = sum(sample.label.size for sample in tiles)
    ignored = entry["ignore"]["pixels"]
    assert sum(one["pixels"] for one in entry["classes"]) + ignored == pixels
    assert [entry["heights"], entry["widths"]] == [[24, 24], [24, 24]]
    presence = tiles.presence()
    for number in (0, 7, len(tiles) - 1):
        values = set(np.unique(tiles[number].label)) - {255}
        assert set(np.flatnonzero(presence[number])) == values


def test_a_changed_source_rewrites_its_shard_alone(voc, tmp_path):
    out = tmp_path / "out"
    make(voc, out, policy=TILED, shards=4, splits=("train",))
    before = content(out)
    again = make(voc, out, policy=TILED, shards=4, splits=("train",))
    assert (again.written, again.kept) == (0, 4)
    path = pathlib.Path(voc, "JPEGImages", "2007_000004.jpg")
    Image.open(path).rotate(180).save(path)
    again = make(voc, out, policy=TILED, shards=4, splits=("train",))
    assert (again.written, again.kept) == (1, 3)
    changed = {name for name, data in content(out).items() if before[name] != data}
    assert {name for name in changed if name.endswith(".tfrecord")} == {
        "train-00001-of-00004.tfrecord"
    }
    assert len({one.source_key for one in dsbuild.open(out)}) == 12


def test_bytes_do_not_depend_on_workers(voc, tmp_path):
    for workers in (1, 2):
        make(voc, tmp_path / str(workers), workers, policy=TILED, shards=1, order="shuffled")
    assert content(tmp_path / "1") == content(tmp_path / "2")


def test_a_bad_image_is_left_out_with_all_its_tiles(voc, tmp_path, run):
    path = pathlib.Path(voc, "JPEGImages", "2007_000003.jpg")
    path.write_bytes(path.read_bytes()[:900])
    out = tmp_path / "out"
    wrong = run("voc", voc, out, "--tile", 24)
    assert wrong.exit_code == 2
    assert "sample 2007_000003" in wrong.output
    done = run("voc", voc, out, "--tile", 24, "--on-error", "skip")
    assert done.exit_code == 0, done.output
    keys = {one.source_key for one in dsbuild.open(out)}
    assert "2007_000003" not in keys
    assert len(keys) == 17
    assert not validate(str(out)).problems
    left = len((out / "rejects.jsonl").read_text().splitlines())
    splits = manifest.load(str(out))["splits"]
    kept = {(split, one.source_key) for split in splits for one in dsbuild.open(out, split)}
    assert f" {left} of {left + len(kept)} samples" in run("check", out, "--all").stdout


def test_tiles_that_are_checked_by_their_header_have_no_counts(voc, tmp_path):
    out = str(tmp_path / "out")
    summary = make(voc, out, policy=TILED, verify="header")
    assert "classes" not in summary.manifest["splits"]["train"]
    assert not validate(out, "source", voc).problems


def test_a_lost_plan_and_a_lost_shard_are_restored(voc, tmp_path):
    out = tmp_path / "out"
    make(voc, out, policy=TILED, shards=3)
    fresh = content(out)
    (out / ".dsbuild" / "plan-train.jsonl").unlink()
    (out / "train-00001-of-00003.tfrecord").unlink()
    (out / "index" / "train-00002-of-00003.tfrecord.idx").unlink()
    repair(str(out), voc)
    assert content(out) == fresh


def test_a_missing_tile_is_found(voc, tmp_path):
    from dsbuild.format import tfrecord

    out = tmp_path / "out"
    make(voc, out, policy=TILED, shards=1, splits=("val",))
    path = out / "val-00000-of-00001.tfrecord"
    records = [record.data for record in tfrecord.read(str(path))]
    with path.open("wb") as file:
        writer = tfrecord.Writer(file)
        for data in [*records[:2], *records[3:]]:
            writer.write(data)
    problems = validate(str(out), "records").problems
    first = next(one for one in problems if one.kind == "order")
    assert first.record == 2
    assert "found key '2007_000012_y0018_x0000'" in first.text
    assert "but the plan has '2007_000012_y0000_x0036' here" in first.text


def test_the_recipe_names_tiles_and_only_theirs(voc):
    plain = requested(voc, "out").recipe
    assert not {"tile", "tile_overlap", "cut"} & plain.document()["images"].keys()
    assert "source_key" not in plain.schema.roles
    tiled = requested(voc, "out", policy=TILED).recipe
    assert (
        tiled.document()["images"] | {"tile": 24, "tile_overlap": 6, "cut": 1}
        == (tiled.document()["images"])
    )
    assert load(json.loads(json.dumps(tiled.document()))) == tiled
    other = load(json.loads(json.dumps(plain.document())))
    assert other == plain


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ({"tile_overlap": 5}, "tile_overlap: found 5, but no tiles; expected --tile N too"),
        ({"tile": 16, "tile_overlap": 16}, "tile_overlap: found 16, expected less than --tile 16"),
        ({"tile": 15}, "tile: found 15, expected a whole number from 16 to 16384"),
    ],
)
def test_wrong_tiles_are_refused(policy, text):
    with pytest.raises(PlanError, match=text):
        Policy(**policy)


def test_images_of_a_class_are_not_cut():
    with pytest.raises(PlanError, match="one class per image"):
        Recipe(layout=Classes(), policy=TILED)
    assert Recipe(layout=Voc(), policy=TILED).policy is TILED


def test_a_dry_run_says_how_images_are_cut(voc, tmp_path, run):
    said = run("voc", voc, tmp_path / "out", "--tile", 24, "--overlap", 6, "--dry-run")
    assert "each image is cut into tiles of 24 x 24 pixels, one record each" in said.output
    assert not os.path.exists(tmp_path / "out")
    shown = run("voc", voc, tmp_path / "out", "--tile", 24, "--dry-run", "--json")
    document = json.loads(shown.stdout)
    assert document["tiles"] == {"side": 24, "overlap": 0}
    shard = document["splits"]["train"]["shards"][0]
    assert (shard["samples"], shard["records"]) == (12, None)


@pytest.mark.shared
def test_tiles_of_real_photos_are_their_pixels(shared, tmp_path):
    root = shared / "cityscapes"
    dsbuild.build("cityscapes", root, tmp_path / "out", tile=512, tile_overlap=64, workers=1)
    found = together(str(tmp_path / "out"))
    assert len(found) == 2
    for key, (image, label) in found.items():
        (photo,) = root.rglob(f"{key}_leftImg8bit.png")
        (ids,) = root.rglob(f"{key}_gtFine_labelTrainIds.png")
        np.testing.assert_array_equal(image, np.asarray(Image.open(photo)))
        np.testing.assert_array_equal(label, np.asarray(Image.open(ids)))


def test_panoptic_maps_are_cut(tmp_path):
    root, given = panoptic.tree(tmp_path / "d"), Coco(target="panoptic")
    make(root, tmp_path / "whole", layout=given)
    make(root, tmp_path / "tiles", layout=given, policy=Policy(tile=16, tile_overlap=4))
    stored = {one.key: one for one in dsbuild.open(tmp_path / "whole")}
    tiles = dsbuild.open(tmp_path / "tiles")
    assert len(tiles) > len(stored)
    for one in tiles:
        whole = stored[one.source_key]
        rows = slice(one.tile_y, one.tile_y + one.height)
        columns = slice(one.tile_x, one.tile_x + one.width)
        np.testing.assert_array_equal(one.panoptic, whole.panoptic[rows, columns])
        np.testing.assert_array_equal(one.label, whole.label[rows, columns])
        assert one.label_divisor == whole.label_divisor
    assert not validate(str(tmp_path / "tiles"), "source", str(root)).problems
