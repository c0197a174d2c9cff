import collections
import functools
import hashlib
import io
import itertools
import json
import os
import random

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dsbuild.build import output
from dsbuild.engines import Local
from dsbuild.format import example, manifest, tfrecord
from dsbuild.format.folder import Folder
from dsbuild.images import hashing
from dsbuild.inspect import catalog, counts, duplicates, frame, kept, statistics, tables
from dsbuild.inspect.html import sections
from dsbuild.layouts.classes import Classes
from dsbuild.layouts.pairs import Pairs
from tests.support import fakes
from tests.support.damage import invert_byte
from tests.support.runs import make

SMALL = Local(task_seconds=0.02)  # takes four records at once


@pytest.fixture
def built(voc, out):
    """A build of train and val, in shards of several chunks."""
    make(voc, out, splits=("train", "val"), shards=2)
    return out


def expected(root, split):
    """Return what a split's sources amount to, by Pillow and NumPy alone."""
    with open(os.path.join(root, "ImageSets", "Segmentation", f"{split}.txt")) as file:
        keys = file.read().split()
    pixels, holders, pairs, sizes = (collections.Counter() for _ in range(4))
    colours = []
    for key in keys:
        image = Image.open(os.path.join(root, "JPEGImages", f"{key}.jpg"))
        colours.append(np.asarray(image, np.float64).reshape(-1, 3))
        sizes[image.size] += 1
        plane = np.asarray(Image.open(os.path.join(root, "SegmentationClass", f"{key}.png")))
        values = np.unique(plane).tolist()
        pixels.update({value: int((plane == value).sum()) for value in values})
        holders.update(values)
        pairs.update(itertools.combinations(values, 2))
    colours = np.concatenate(colours)
    return len(keys), pixels, holders, pairs, sizes, colours.mean(0), colours.std(0)


def test_statistics_equal_another_computation(voc, built):
    found = statistics.statistics(built, SMALL)
    assert list(found["splits"]) == ["train", "val"]
    for split, section in found["splits"].items():
        number, pixels, holders, pairs, sizes, mean, deviation = expected(voc, split)
        assert section["records"] == section["images"] == section["labels"] == number
        rows = {row["value"]: row for row in section["classes"]}
        assert {value: row["pixels"] for value, row in rows.items() if row["pixels"]} == pixels
        assert {value: row["images"] for value, row in rows.items() if row["images"]} == holders
        assert list(rows) == [*range(21), 255]
        assert {(one, other): n for one, other, n in section["together"]} == pairs
        assert {(wide, high): n for wide, high, n in section["sizes"]} == sizes
        assert section["ignored"] == pixels[255] / pixels.total()
        np.testing.assert_allclose(section["mean"], mean, rtol=1e-12)
        np.testing.assert_allclose(section["deviation"], deviation, rtol=1e-12)
    assert found["all"]["records"] == 18
    assert found["duplicates"] == {
        key: [] for key in ("shared", "parts", "leaked", "exact", "near")
    }
    assert found["unreadable"] == []


def test_counts_equal_the_manifest(built):
    found = statistics.statistics(built, SMALL)
    for split, entry in manifest.load(built)["splits"].items():
        rows = [{"value": i, **row} for i, row in enumerate(entry["classes"])]
        rows.append({"value": 255, "name": "(ignore)", **entry["ignore"]})
        assert found["splits"][split]["classes"] == rows


def test_workers_make_no_difference(built):
    two = statistics.statistics(built, Local(2, task_seconds=0.02))
    assert two == statistics.statistics(built, SMALL)


@functools.cache
def parts(folder):
    """Return what each record of some files adds, a few of them damaged."""
    names = Folder(folder).names
    found = []
    for path in Folder(folder).files:
        for record in tfrecord.read(path):
            data = record.data[: 100 if record.number == 3 else None]
            file = os.path.basename(path)
            found.append(counts.of_record(file, record.number, data, names))
    return found


@given(st.randoms(use_true_random=False), st.lists(st.integers(0, 18), max_size=6))
def test_any_division_and_order_gives_the_same_statistics(shared_build, mixed, cuts):
    known = Folder(shared_build).manifest
    whole = parts(shared_build)
    document = statistics.document(counts.total(whole), shared_build, known)
    assert len(document["unreadable"]) == 2
    shuffled = whole.copy()
    mixed.shuffle(shuffled)
    cuts = sorted([0, *cuts, len(whole)])
    sums = [counts.total(shuffled[a:b]) for a, b in itertools.pairwise(cuts)]
    again = functools.reduce(lambda one, other: other + one, sums, counts.Accumulated())
    assert again == counts.total(whole)
    assert statistics.document(again, shared_build, known) == document


@pytest.fixture(scope="module")
def shared_build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build")
    make(fakes.voc(folder), folder / "out", splits=("train", "val"), shards=2)
    return str(folder / "out")


def test_unreadable_records_are_named(built, run):
    first, second = sorted(Folder(built).files)[:2]
    invert_byte(first, record=1, at=40)
    name = os.path.basename(second)
    offset = manifest.offsets(built, name)[4]
    os.truncate(second, offset)  # where a chunk ends, so that no frame is cut
    result = run("statistics", built, "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    where = [(fault["file"], fault["record"]) for fault in found["unreadable"]]
    assert where == [(os.path.basename(first), 1), (name, 4), (name, 5)]
    assert "the checksum of the record's" in found["unreadable"][0]["text"]
    assert "the file ends before it" in found["unreadable"][1]["text"]
    assert found["all"]["records"] == 15
    assert f"problem: {os.path.basename(first)}: record 1: at byte" in result.stderr
    assert "3 problems in all" in result.stderr


def test_a_missing_shard_is_named(built, run):
    path = Folder(built).files[-1]
    os.remove(path)
    found = statistics.statistics(built, SMALL)
    text = "the manifest lists this shard, but it is missing"
    fault = {"file": os.path.basename(path), "record": None, "text": text}
    assert found["unreadable"] == [fault]
    assert run("statistics", built).exit_code == 1
    assert kept.load(built) is None  # what is not of the whole folder is not kept


def test_unlisted_shards_are_counted_but_not_kept(built, run):
    write(os.path.join(built, "x.tfrecord"), example.serialize({"else": 1}))
    result = run("statistics", built, "--json")
    assert (result.exit_code, json.loads(result.stdout)["all"]["records"]) == (0, 19)
    assert kept.load(built) is None


def test_a_damaged_length_costs_one_record(built):
    path = Folder(built).files[0]
    invert_byte(path, record=1, at=2)
    found = statistics.statistics(built, SMALL)
    assert [fault["record"] for fault in found["unreadable"]] == [1]
    assert found["all"]["records"] == 17


@pytest.mark.parametrize("offsets", [[0], [5], [0, 0, 9], [0, 7, 9, 11, 13]])
def test_a_wrong_index_loses_nothing_in_silence(built, offsets):
    whole = statistics.statistics(built, SMALL)
    path = Folder(built).files[0]
    lines = "".join(f"{offset} 1\n" for offset in offsets)
    with open(manifest.index_path(built, os.path.basename(path)), "w") as file:
        file.write(lines)
    found = statistics.statistics(built, SMALL)
    assert found == whole or found["unreadable"]


def write(path, *records):
    with open(path, "wb") as file:
        writer = tfrecord.Writer(file)
        for record in records:
            writer.write(record)


def png(pixels):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def test_a_foreign_file(tmp_path, run):
    names = Folder(str(tmp_path)).names
    image, label = names["image"][0], names["label"][0]
    plane = png(np.array([[0, 1], [1, 7]], np.uint8))
    path = tmp_path / "some.tfrecord"
    write(
        path,
        example.serialize({image: png(np.full((2, 2, 3), 9, np.uint8)), label: plane}),
        example.serialize({image: b"no image", label: b"no label"}),
        example.serialize({"else": 1}),
        b"no example",
        example.serialize({image: png(np.full((2, 2, 3), 9, np.uint8)), label: b""}),
    )
    found = statistics.statistics(str(path), SMALL)
    section = found["splits"]["-"]
    assert (section["records"], section["images"], section["labels"]) == (5, 2, 1)
    assert [(row["value"], row["name"], row["pixels"]) for row in section["classes"]] == [
        (0, None, 1),
        (1, None, 2),
        (7, None, 1),
    ]
    assert (section["mean"], section["deviation"]) == ([9, 9, 9], [0, 0, 0])
    assert section["ignored"] is None
    places = [one["record"] for one in found["duplicates"]["exact"][0]["records"]]
    assert places == [0, 4]
    first, second = found["unreadable"]
    assert first["record"] == 1
    assert first["text"].startswith("image: found")
    assert "; label: found" in first["text"]
    assert second["record"] == 3
    before = sorted(os.listdir(tmp_path))
    assert run("statistics", path).exit_code == 1
    assert sorted(os.listdir(tmp_path)) == before  # nothing is kept in folders of others


def test_labels_that_are_one_class(tmp_path, out):
    root = fakes.classes(tmp_path, {"cat": 3, "dog": 2})
    make(root, out, layout=Classes())
    (section,) = statistics.statistics(out, SMALL)["splits"].values()
    assert [(row["name"], row["images"]) for row in section["classes"]] == [("cat", 3), ("dog", 2)]
    assert section["together"] == []
    made = statistics.statistics(out, SMALL)
    names = {row["value"]: row["name"] for row in section["classes"]}
    assert sections.together(catalog.Census((), 5), names, [(0, 0, 0)] * 9, 0, made) == ""


def test_no_records_at_all(tmp_path, run):
    write(tmp_path / "empty.tfrecord")
    assert "0 records" in run("statistics", tmp_path).stdout
    result = run("statistics", tmp_path / "nothing")
    assert result.exit_code == 2
    assert "no such file or folder" in result.stderr


def test_recurring_images(tmp_path, out):
    root = fakes.pairs(tmp_path, 6)
    folder = os.path.join(root, "images")

    def image(name):
        return Image.open(os.path.join(folder, name))

    image("b/001.png").save(os.path.join(folder, "b/005.png"), compress_level=0)
    image("b/001.png").save(os.path.join(folder, "a/000.jpg"), quality=60)
    os.remove(os.path.join(folder, "a/004.png"))
    mirrored = image("b/001.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    mirrored.save(os.path.join(folder, "a/004.png"))
    make(root, out, layout=Pairs(names=("none", "one", "two")))
    found = statistics.statistics(out, SMALL)["duplicates"]

    def keys(groups):
        return [[one["key"] for one in group["records"]] for group in groups]

    assert keys(found["exact"]) == [["b/001", "b/005"]]
    assert keys(found["near"]) == [["a/000", "b/001", "b/005"]]


def test_images_that_splits_share(voc, out):
    make(voc, out)
    found = statistics.statistics(out, SMALL)["duplicates"]
    assert found == {
        "shared": [["train", "trainval", 12], ["trainval", "val", 6]],
        "parts": [["train", "trainval"], ["val", "trainval"]],
        "leaked": [],
        "exact": [],
        "near": [],
    }


def test_difference_hash():
    rng = np.random.default_rng(1)
    pixels = np.asarray(fakes.photo(rng, 90, 80))
    grey = Image.fromarray(pixels).convert("L")
    bits = ""
    areas = [
        [np.asarray(grey.crop((10 * x, 10 * y, 10 * x + 10, 10 * y + 10))).mean() for x in range(9)]
        for y in range(8)
    ]
    for row in areas:
        bits += "".join(str(int(right > left)) for left, right in itertools.pairwise(row))
    assert (hashing.dhash(pixels) ^ int(bits, 2)).bit_count() <= 1  # Pillow rounds the means
    smaller = np.asarray(Image.fromarray(pixels).resize((45, 40), Image.Resampling.LANCZOS))
    assert (hashing.dhash(smaller) ^ hashing.dhash(pixels)).bit_count() <= duplicates.NEAR


def test_moments_and_sha256():
    pixels = np.random.default_rng(2).integers(0, 256, (7, 5, 3), np.uint8)
    whole = pixels.reshape(-1, 3).astype(object)
    assert hashing.moments(pixels) == (whole.sum(0).tolist(), (whole**2).sum(0).tolist())
    text = (7).to_bytes(4, "little") + (5).to_bytes(4, "little") + pixels.tobytes()
    assert hashing.sha256(pixels) == hashlib.sha256(text).digest()
    assert hashing.sha256(pixels) != hashing.sha256(pixels.reshape(5, 7, 3))


@given(st.lists(st.integers(0, 2**64 - 1), max_size=12), st.randoms(use_true_random=False))
def test_near_hashes_equal_an_exhaustive_comparison(seeds, mixed):
    hashes = set(seeds)
    for value in seeds:  # neighbours at every distance up to twice the limit
        bits = mixed.sample(range(64), mixed.randint(0, 2 * duplicates.NEAR))
        hashes.add(value ^ sum(1 << bit for bit in bits))
    groups = {value: {value} for value in hashes}
    for one, other in itertools.combinations(hashes, 2):
        if (one ^ other).bit_count() <= duplicates.NEAR:
            groups[one] |= groups[other]
            for value in groups[one]:
                groups[value] = groups[one]
    assert duplicates.near(hashes) == {value: min(group) for value, group in groups.items()}


def test_near_hashes_of_many():
    rng = random.Random(3)
    known = [rng.getrandbits(64) for _ in range(20000)]
    found = duplicates.near([*known, known[5] ^ 0b111])
    assert [value for value, first in found.items() if value != first] == [
        max(known[5], known[5] ^ 0b111)
    ]


def test_inspect_shows_what_is_kept(voc, built, run, tmp_path):
    def texts():
        page = str(tmp_path / "page.html")
        assert run("inspect", built, "--html", page).exit_code == 0
        with open(page) as file:
            return run("inspect", built).stdout, file.read()

    for text in texts():
        assert "mean of R, G, B" not in text
    made = run("statistics", built)
    assert made.exit_code == 0
    assert "no exact or near duplicates" in made.stdout
    for text in texts():
        assert "mean of R, G, B" in text
    document = json.loads(run("inspect", built, "--json").stdout)
    assert document["statistics"] == json.loads(run("statistics", built, "--json").stdout)
    assert run("validate", built).exit_code == 0
    assert len(Folder(built).files) == 4
    again = run(
        "voc", voc, built, "--split", "train", "--split", "val", "--limit", 5, "--overwrite"
    )
    assert again.exit_code == 0, again.stderr
    assert kept.load(built) is None  # they are of other shards
    for text in texts():
        assert "mean of R, G, B" not in text


def labelled(plane):
    """Return (value, pixels) of each region of a plane, by OpenCV."""
    found = []
    for value in np.unique(plane).tolist():
        same = (plane == value).astype(np.uint8)
        found += [
            (value, int(row[cv2.CC_STAT_AREA]))
            for row in cv2.connectedComponentsWithStats(same, connectivity=8)[2][1:]
        ]
    return found


def test_places_and_regions_equal_another_computation(voc, built):
    found = statistics.statistics(built, SMALL)["frame"]
    places, sizes = collections.Counter(), collections.Counter()
    planes = 0
    for split in ("train", "val"):
        with open(os.path.join(voc, "ImageSets", "Segmentation", f"{split}.txt")) as file:
            keys = file.read().split()
        for key in keys:
            image = Image.open(os.path.join(voc, "SegmentationClass", f"{key}.png"))
            plane = np.asarray(image)
            planes += 1
            height, width = plane.shape
            for (y, x), value in np.ndenumerate(plane):
                places[int(value), y * 16 // height * 16 + x * 16 // width] += 1
            for value, pixels in labelled(plane):
                side = max(side for side in frame.SIDES if side * side <= pixels)
                sizes[value, side] += 1
    assert found["planes"] == planes
    assert {
        (value, cell): pixels
        for value, *row in found["places"]
        for cell, pixels in enumerate(row)
        if pixels
    } == places
    assert {(value, side): n for value, side, n in found["regions"]} == sizes


def test_statistics_kept_before_places_were_counted(built, run, tmp_path):
    """Such a file is still read; the page counts places itself and says so."""
    assert run("statistics", built).exit_code == 0
    path = os.path.join(built, manifest.STATE, output.STATISTICS)
    with open(path) as file:
        document = json.load(file)
    parts = [part for part in (document, *document.values()) if isinstance(part, dict)]
    assert sum(part.pop("frame", None) is not None for part in parts) == 1
    del document["digest"]
    with open(path, "w") as file:
        json.dump(document, file)
    found = kept.load(built)
    assert found is not None
    assert "frame" not in found
    assert run("inspect", built, "--html", tmp_path / "old.html").exit_code == 0
    text = (tmp_path / "old.html").read_text()
    assert "mean of R, G, B" in text
    assert '<section id="heat">' in text
    assert '<section id="objects">' in text


def counts_of(folder):
    splits = manifest.load(folder)["splits"].values()
    return {shard["name"]: shard["records"] for split in splits for shard in split["shards"]}


def test_the_page_shows_the_same_of_all_records_as_of_a_census_of_all(built):
    made = statistics.statistics(built, SMALL)
    found = catalog.take(built, counts_of(built), None, 0, Local())
    names = {row["value"]: row["name"] for row in made["all"]["classes"]}
    colours = [(0, 0, 0)] * 256
    few = catalog.Census(found.rows[:2], 18)
    assert sections.sizes(few, 0, made) == sections.sizes(catalog.Census(found.rows, 18), 0)
    assert sections.together(few, names, colours, 0, made) == sections.together(
        catalog.Census(found.rows, 18), names, colours, 0
    )


def test_the_page_names_recurring_images():
    group = {"splits": ["train", "<val>"], "records": [{"file": "f", "record": 3, "key": "<k>"}]}
    made = {
        "splits": {},
        "all": {"images": 0, "mean": [], "deviation": [], "ignored": None},
        "duplicates": {
            "shared": [["a", "<b>", 7]],
            "parts": [],
            "leaked": [{"splits": ["a", "<b>"], "records": []}],
            "exact": [group],
            "near": [],
        },
    }
    text = sections.statistics(made)
    assert "a and &lt;b&gt; share 7 images" in text
    assert "1 group of images with equal pixels" in text
    assert "&lt;k&gt;" in text
    assert "<k>" not in text


def test_splits_that_share_images_on_purpose_are_no_leak():
    group = {"splits": ["train", "trainval", "val"], "records": []}
    pairs = [["train", "train_aug"], ["train", "trainval"], ["train", "val"]]
    shared = [*pairs, ["train_aug", "trainval"]]
    parts = [["train", "train_aug"], ["train", "trainval"], ["val", "trainval"]]
    found = {"shared": [[*pair, 3] for pair in shared], "parts": parts, "leaked": [group]}
    assert tables.shared(found) == {
        "train_aug contains train: 3 images": False,
        "trainval contains train: 3 images": False,
        "splits train and val share 3 images": True,
        "train_aug and trainval contain the same part: 3 images": False,
    }


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"of": 1}'])
def test_damaged_statistics_are_ignored(built, run, text):
    with open(os.path.join(built, manifest.STATE, output.STATISTICS), "w") as file:
        file.write(text)
    assert kept.load(built) is None
    assert run("inspect", built).exit_code == 0


def test_a_read_only_folder_gives_a_note(built, run, monkeypatch):
    os.mkdir(os.path.join(built, manifest.STATE, output.STATISTICS))
    result = run("statistics", built)
    assert result.exit_code == 0
    assert "note: " in result.stderr
    assert "cannot be written" in result.stderr
