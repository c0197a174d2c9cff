import contextlib
import io
import json
import os
import pathlib
import pty
import random
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from dsbuild.engines import Local
from dsbuild.errors import PlanError, StorageError
from dsbuild.format import example, features, manifest, tfrecord
from dsbuild.format.folder import Folder
from dsbuild.images import colour
from dsbuild.inspect import catalog, choice, gallery, terminal
from dsbuild.inspect.catalog import Row
from dsbuild.layouts.voc import Voc
from tests.support import fakes, reads
from tests.support.runs import counts


def opened(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def row(number, counts, key=""):
    return Row("a", number, 0, "train", key, 4, 4, counts)


# colours


def test_assigned_colours_are_vocs():
    assert colour.dealt()[:21].tolist() == [list(rgb) for rgb in Voc.palette[:21]]
    assert colour.dealt()[255].tolist() == [224, 224, 192]
    assert len({tuple(rgb) for rgb in colour.dealt().tolist()}) == 256


def test_a_palette_takes_precedence_over_vocs_colours():
    table = colour.table({"1": [1, 2, 3]})
    assert table[1].tolist() == [1, 2, 3]
    assert table[2].tolist() == list(Voc.palette[2])


def test_overlay_leaves_black_clear():
    pixels = np.full((1, 2, 3), 101, np.uint8)
    mixed = colour.overlay(pixels, np.array([[0, 1]], np.uint8), colour.dealt())
    assert mixed.tolist() == [[[101, 101, 101], [115, 51, 51]]]


def test_grey_of_signed_and_unsigned_numbers():
    assert colour.grey_of(np.array([[-10, 0, 10]])).tolist() == [[1, 128, 255]]
    assert colour.grey_of(np.array([[0, 5, 10]])).tolist() == [[0, 128, 255]]
    assert colour.grey_of(np.zeros((1, 2), int)).tolist() == [[0, 0]]
    assert colour.grey_of(np.array([[-32768, 32767]])).tolist() == [[1, 255]]


# the census


@pytest.fixture
def built(voc, out, run):
    extras = ["laplacian", "sobel:raw16", "canny", "edges", "distance"]
    options = [word for extra in extras for word in ("--extra", extra)]
    assert run("voc", voc, out, "--shards", 2, *options, "--quiet").exit_code == 0
    return out


@pytest.mark.parametrize("indexed", [True, False])
def test_a_census_adds_up_to_the_manifest(built, indexed):
    if not indexed:
        for path in pathlib.Path(built, "index").iterdir():
            path.unlink()
    for workers in (1, 2):
        taken = catalog.take(built, counts(built), None, 0, Local(workers))
        assert taken.whole
        assert taken.total == len(taken.rows) == 36
        for name, entry in manifest.load(built)["splits"].items():
            mine = [row for row in taken.rows if row.split == name]
            for value, known in enumerate(entry["classes"]):
                assert sum(row.counts.get(value, 0) for row in mine) == known["pixels"]
                assert sum(value in row.counts for row in mine) == known["images"]


def test_a_sample_depends_on_the_seed(built):
    one, again, other = (
        catalog.take(built, counts(built), 7, seed, Local()).rows for seed in (0, 0, 1)
    )
    assert one == again != other
    assert len(one) == 7
    whole = catalog.take(built, counts(built), None, 0, Local()).rows
    assert all(row in whole for row in one)


def indexed(built, change):
    """Write the index of the first shard anew as `change` has its lines."""
    path = pathlib.Path(manifest.index_path(built, next(iter(counts(built)))))
    path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines())))


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[:1],
        lambda lines: [f"{int(line.split()[0]) + 9} 12" for line in lines],
        lambda lines: [f"-{line}" for line in lines],
        lambda lines: [f"{1 << 70} 12" for line in lines],
        lambda lines: lines[::-1],
        lambda lines: [*lines[1:], lines[0]],
        lambda lines: [lines[0], lines[0], *lines[2:]],
        lambda lines: [lines[0], "7 12", *lines[2:]],
        lambda lines: [lines[0], *lines[2:], f"{10**9} 12"],
    ],
)
def test_a_wrong_index_loses_no_record(built, change):
    whole = catalog.take(built, counts(built), None, 0, Local()).rows
    few = catalog.take(built, counts(built), 9, 0, Local()).rows
    indexed(built, change)
    assert catalog.take(built, counts(built), None, 0, Local()).rows == whole
    assert catalog.take(built, counts(built), 9, 0, Local()).rows == few


def test_a_folder_where_a_file_belongs(built):
    name = next(iter(counts(built)))
    os.remove(os.path.join(built, name))
    os.mkdir(os.path.join(built, name))
    assert len(catalog.take(built, counts(built), None, 0, Local()).rows) == 30


def test_an_index_leads_past_damage(built):
    whole = catalog.take(built, counts(built), None, 0, Local()).rows
    path = pathlib.Path(built, whole[0].file)
    data = bytearray(path.read_bytes())
    data[whole[1].offset + 40] ^= 1
    path.write_bytes(data)
    assert catalog.take(built, counts(built), None, 0, Local()).rows == (whole[0], *whole[2:])


def test_an_invalid_record_hides_no_other(built):
    whole = catalog.take(built, counts(built), None, 0, Local()).rows
    path = pathlib.Path(built, whole[0].file)
    found = [record.data for record in tfrecord.read(str(path))]
    with open(path, "wb") as file:
        writer = tfrecord.Writer(file)
        for data in [found[0], b"no example", *found[2:]]:
            writer.write(data)
    taken = catalog.take(built, counts(built), None, 0, Local()).rows
    assert [row.key for row in taken] == [whole[0].key, "", *(row.key for row in whole[2:])]
    assert (taken[1].counts, taken[1].width) == ({}, 0)


# which records


def test_choose():
    rows = [row(0, {0: 9, 1: 1}), row(1, {0: 1, 1: 9}), row(2, {0: 10}), row(3, {0: 5, 1: 5})]
    assert [r.number for r in choice.choose(rows, 9, 0)] == [0, 1, 2, 3]
    assert [r.number for r in choice.choose(rows, 2, 0, "most", 1)] == [1, 3]
    assert [r.number for r in choice.choose(rows, 9, 0, "least", 1)] == [0, 3, 1]
    assert [r.number for r in choice.choose(rows, 9, 0, "with", 1)] == [0, 1, 3]
    assert choice.choose(rows, 2, 5) == choice.choose(rows, 2, 5)
    assert choice.choose([], 2, 5) == []
    many = [row(i, {0: 1}) for i in range(60)]
    for how, value in (("any", -1), ("with", 0)):
        by_seed = [
            [r.number for r in choice.choose(many, 6, seed, how, value)] for seed in range(5)
        ]
        assert len(set(map(tuple, by_seed))) == 5
        assert all(len(set(chosen)) == 6 for chosen in by_seed)
        assert choice.choose(many, 0, 0, how, value) == []


def test_every_class_is_shown_and_no_sample_twice():
    rows = [row(i, {0: 9, 1 + i % 3: 1}) for i in range(60)] + [row(60, {0: 1, 7: 1, 8: 1})]
    for count in (4, 9, None):
        chosen = choice.cover(rows, count, 3)
        assert len(chosen) == (count or choice.SAMPLES)
        assert {value for one in chosen for value in one.counts} == {0, 1, 2, 3, 7, 8}
    many = [row(i, {i: 1}) for i in range(100)]
    assert len(choice.cover(many, None, 0)) == 100
    assert len(choice.cover(many, 10, 0)) == 10


def test_rare_classes_are_found_by_the_lists_of_values(built):
    whole = catalog.take(built, counts(built), None, 0, Local()).rows
    values = sorted({value for one in whole for value in one.counts})
    found = catalog.holders(built, counts(built), values)
    assert {value for one in found for value in one.counts} == set(values)
    assert all(one in whole for one in found)


def test_pictures_of_a_page_share_its_bytes(built, monkeypatch):
    rows = catalog.take(built, counts(built), None, 0, Local()).rows
    monkeypatch.setattr(gallery, "_SMALLEST", 8)
    cards = gallery.cards(built, rows, gallery.colours(built), Local(1), 36 * 900)
    for card in cards:
        assert len(card["image"]) + len(card["mask"]) <= 2500


def test_find_a_class():
    assert choice.find("cat", ["dog", "cat"], []) == 1
    assert choice.find("1", ["dog", "cat"], []) == 1
    assert choice.find("255", ["dog", "cat"], [row(0, {255: 1})]) == 255
    with pytest.raises(PlanError, match="Classes: dog, cat"):
        choice.find("horse", ["dog", "cat"], [])
    with pytest.raises(PlanError, match="Classes: 3"):
        choice.find("horse", [], [row(0, {3: 1})])


# a record's pictures


def test_pictures_are_the_sources(built, voc):
    names = Folder(built).names
    read = tfrecord.read(os.path.join(built, "val-00000-of-00002.tfrecord"))
    for record in read:
        values = example.parse(record.data)
        seen = gallery.pictures(values, names)
        key = features.key(values, names)
        with Image.open(f"{voc}/JPEGImages/{key}.jpg") as image:
            assert np.array_equal(seen.image, np.asarray(image))
        with Image.open(f"{voc}/SegmentationClass/{key}.png") as image:
            assert np.array_equal(seen.plane, np.asarray(image))
        assert list(seen.extras) == ["laplacian", "sobel", "canny", "edges", "distance"]
        assert {plane.shape for plane in seen.extras.values()} == {seen.plane.shape}
        assert set(np.unique(seen.extras["edges"])) == {0, 255}
        assert seen.problems == ()


def test_forms_of_an_extra_look_alike(voc, tmp_path, run):
    planes = []
    for form in ("int64", "png16", "raw16"):
        out = str(tmp_path / form)
        run("voc", voc, out, "--split", "val", "--extra", f"laplacian:{form}", "--quiet")
        (path,) = pathlib.Path(out).glob("*.tfrecord")
        record = next(iter(tfrecord.read(str(path))))
        names = Folder(out).names
        planes.append(gallery.pictures(example.parse(record.data), names).extras["laplacian"])
    assert np.array_equal(planes[0], planes[1])
    assert np.array_equal(planes[0], planes[2])


def test_undecodable_pixels_are_a_problem():
    names = Folder("nowhere").names
    values = {"image/encoded": [b"no image"], "image/segmentation/class/encoded": [b""]}
    seen = gallery.pictures(values, names)
    assert (seen.image, seen.plane, len(seen.problems)) == (None, None, 2)
    assert gallery.drawing(seen, colour.dealt(), 80, 24) == []
    assert gallery.pictures({}, names) == gallery.Pictures()


# --save


def test_saved_pixels(built, voc, tmp_path, run):
    folder = tmp_path / "saved"
    result = run("inspect", built, "--key", "2007_000013", "--save", folder)
    assert result.exit_code == 0, result.stderr
    with Image.open(f"{voc}/JPEGImages/2007_000013.jpg") as image:
        pixels = np.asarray(image).astype(int)
    with Image.open(f"{voc}/SegmentationClass/2007_000013.png") as image:
        plane, painted = np.asarray(image), np.asarray(image.convert("RGB")).astype(int)
    saved = {p.name: opened(p.read_bytes()) for p in folder.iterdir()}
    extras = {f"2007_000013-{e}.png" for e in ("laplacian", "sobel", "canny", "edges", "distance")}
    assert extras < saved.keys()
    assert np.array_equal(saved["2007_000013-image.png"], pixels)
    known = plane != 255
    assert np.array_equal(saved["2007_000013-mask.png"][known], painted[known])
    assert (saved["2007_000013-mask.png"][~known] == (224, 224, 192)).all()
    painted[~known] = (224, 224, 192)
    wanted = np.where(painted.sum(2, keepdims=True) > 0, (pixels + painted + 1) // 2, pixels)
    assert np.array_equal(saved["2007_000013-overlay.png"], wanted)
    for name in saved:
        assert str(folder / name) in result.stdout
    # Its own files are written again; those of others never are.
    assert run("inspect", built, "--key", "2007_000013", "--save", folder).exit_code == 0
    (folder / "2007_000013-mask.png").write_bytes(b"mine")
    (folder / "2007_000013-image.png").unlink()
    result = run("inspect", built, "--key", "2007_000013", "--save", folder)
    assert result.exit_code == 2
    assert "did not write, so it is left alone" in result.stderr
    assert (folder / "2007_000013-mask.png").read_bytes() == b"mine"
    assert not (folder / "2007_000013-image.png").exists()


@pytest.mark.parametrize("key", ["a/b", "../../etc/passwd", "a\\b\0c\n", "", "é" * 400])
def test_no_key_leads_out_of_the_folder(key, tmp_path):
    seen = gallery.Pictures(image=np.zeros((2, 2, 3), np.uint8))
    made = gallery.files(seen, key, colour.dealt())
    (path,) = gallery.save(str(tmp_path / "saved"), made)
    assert [str(p) for p in (tmp_path / "saved").iterdir()] == [path]
    assert path.endswith("-image.png")


def test_no_two_keys_share_a_name():
    keys = ["a/b", "a-b", "a\\b", "a:b", "a%2Fb", "a%b", "", "-", "a", "a-mask", "é", "e\u0301"]
    seen = gallery.Pictures(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint8))
    made = [name for key in keys for name in gallery.files(seen, key, colour.dealt())]
    assert len(set(made)) == 3 * len(keys)


def test_records_without_a_key_are_saved_apart(tmp_path, run):
    image = colour.marked_png(np.zeros((2, 2, 3), np.uint8))
    with open(tmp_path / "some.tfrecord", "wb") as file:
        writer = tfrecord.Writer(file)
        for _ in range(2):
            writer.write(example.serialize({"image/encoded": image}))
    for number in (0, 1):
        run("inspect", tmp_path / "some.tfrecord", "--record", number, "--save", tmp_path / "made")
    names = sorted(path.name for path in (tmp_path / "made").iterdir())
    assert names == ["some.tfrecord-0-image.png", "some.tfrecord-1-image.png"]


def test_a_folder_in_the_way_is_left_alone(tmp_path):
    (tmp_path / "a-image.png").mkdir()
    seen = gallery.Pictures(image=np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(StorageError, match="left alone"):
        gallery.save(str(tmp_path), gallery.files(seen, "a", colour.dealt()))


# the terminal


def test_half_blocks_hold_every_pixel():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 2, 3), np.uint8)
    upper, lower = terminal.picture(pixels)

    def code(one, other):
        below = "48;2;{};{};{}".format(*other) if other is not None else "49"
        return "\x1b[38;2;{};{};{};{}m▀".format(*one, below)

    assert upper == code(pixels[0, 0], pixels[1, 0]) + code(pixels[0, 1], pixels[1, 1]) + "\x1b[0m"
    assert lower == code(pixels[2, 0], None) + code(pixels[2, 1], None) + "\x1b[0m"


@pytest.mark.parametrize("size", [(1, 1), (375, 500), (500, 20), (3, 4000)])
def test_a_drawing_fits(size):
    seen = gallery.Pictures(np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8))
    for columns in (20, 80, 200):
        lines = gallery.drawing(seen, colour.dealt(), columns, 40)
        assert 0 < len(lines) <= 40
        assert all(line.count("▀") + 4 <= columns for line in lines)


def test_bars():
    assert terminal.bar(0) == ""
    assert terminal.bar(1, 3) == terminal.bar(7, 3) == "███"
    assert terminal.bar(1e-9) == "▏"


def test_draw_without_a_terminal(built, run):
    plain = run("inspect", built, "--record", 3)
    assert "\x1b" not in plain.stdout
    assert "▀" not in plain.stdout
    drawn = run("inspect", built, "--record", 3, "--draw")
    assert drawn.stdout.startswith(plain.stdout)
    assert "\x1b[38;2;" in drawn.stdout
    assert "▀" in drawn.stdout
    document = json.loads(run("inspect", built, "--record", 3, "--json", "--draw").stdout)
    assert document["record"] == 3


def on_a_terminal(*arguments, **environment):
    """Return what dsbuild prints to a terminal of 100 columns."""
    primary, secondary = pty.openpty()
    plain = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = subprocess.Popen(
        [sys.executable, "-m", "dsbuild", *arguments],
        stdout=secondary,
        env={**plain, "COLUMNS": "100", "LINES": "40", **environment},
    )
    os.close(secondary)
    parts = []
    with contextlib.suppress(OSError):  # how Linux ends the reading of a terminal
        while part := os.read(primary, 1 << 16):
            parts.append(part)
    os.close(primary)
    assert process.wait(60) == 0
    return b"".join(parts).decode()


def test_colours_on_a_terminal(built):
    text = on_a_terminal("inspect", built)
    assert "\x1b[48;2;192;128;128m  \x1b[0m    15  person" in text
    assert "█" * 24 in text
    text = on_a_terminal("inspect", built, "--record", "3")
    assert "▀" in text
    plain = on_a_terminal("inspect", built, "--record", "3", NO_COLOR="1")
    assert "\x1b" not in plain
    assert "▀" not in plain


def test_a_key_finds_the_same_record_as_its_number(built, run):
    by_key = run("inspect", built, "--key", "2007_000003", "--json").stdout
    document = json.loads(by_key)
    assert document["features"]["image/filename"]["value"] == "2007_000003"
    result = run("inspect", built, "--key", "nobody")
    assert result.exit_code == 2
    assert "found 36 records, but none with key 'nobody'" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--record", 1, "--key", "a"), "expected one of them"),
        (("--save", "x"), "name it by --record or --key"),
        (("--record", 1, "--html", "x"), "expected one of them"),
        (("--most", "cat"), "choose samples for --html"),
        (("--html", "x", "--most", "cat", "--class", "cat"), "one of them"),
    ],
)
def test_options_that_contradict_each_other(built, run, options, message):
    result = run("inspect", built, *options)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_matting_and_classes(tmp_path, run):
    root = fakes.matting(tmp_path)
    out = tmp_path / "matting"
    options = ["--alpha-threshold", 50, "--keep-alpha", "--trimap", 3, "--quiet"]
    assert run("matting", root, out, *options).exit_code == 0
    run("inspect", out, "--record", 0, "--save", tmp_path / "saved")
    names = {p.name.rpartition("-")[2] for p in (tmp_path / "saved").iterdir()}
    assert names == {"image.png", "mask.png", "overlay.png", "alpha.png", "trimap.png"}
    run("classes", fakes.classes(tmp_path), tmp_path / "classes", "--quiet")
    run("inspect", tmp_path / "classes", "--record", 0, "--save", tmp_path / "other")
    assert len(list((tmp_path / "other").iterdir())) == 1


def test_a_shard_is_opened_once_for_all_its_records(built):
    rows = catalog.take(built, counts(built), None, 0, Local()).rows
    names = {row.file for row in rows}
    mixed = random.Random(0).sample(rows, len(rows))
    with reads.counted() as files:
        cards = gallery.cards(built, mixed, gallery.colours(built), Local())
    assert [(one["file"], one["record"]) for one in cards] == [
        (row.file, row.number) for row in mixed
    ]
    assert {name: files[name] for name in names} == dict.fromkeys(names, 1)
    with reads.counted() as files:
        found = catalog.at(built, [(row.file, row.number, row.offset) for row in mixed])
    assert found == mixed
    assert {name: files[name] for name in names} == dict.fromkeys(names, 1)


def test_records_of_a_file_that_is_gone_are_problems_of_their_own(built):
    rows = catalog.take(built, counts(built), None, 0, Local()).rows
    os.remove(f"{built}/{rows[0].file}")
    cards = gallery.cards(built, rows, gallery.colours(built), Local())
    for row, card in zip(rows, cards, strict=True):
        assert (row.file == rows[0].file) == bool(card["problems"])
        assert (card["image"] is None) == bool(card["problems"])
