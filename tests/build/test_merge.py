"""`dsbuild merge`: builds of different classes as one build with one list of classes."""

import json
import pathlib
import re
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import dsbuild
from dsbuild.build.merge import spaces, tables
from dsbuild.build.merge.spaces import IGNORED, Space
from dsbuild.engines import Local
from dsbuild.errors import LayoutError, PlanError, ShardError
from dsbuild.format import example, manifest, tfrecord
from dsbuild.interop import Terms
from tests.support import fakes
from tests.support.engines import Mapped
from tests.support.runs import content
from tests.support.stores import files, upload

LABEL, IMAGE, KEY = "image/segmentation/class/encoded", "image/encoded", "image/filename"
PLANE = np.arange(12, dtype=np.uint8).reshape(3, 4).repeat(8, 0).repeat(8, 1) % 4


def drawn(folder, keys, classes, planes=(PLANE,), seed=0):
    """Draw pairs whose masks are planes, by turns, and return the folder."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for i, key in enumerate(keys):
        plane = planes[i % len(planes)]
        picture = fakes.photo(np.random.default_rng(seed + i), *plane.shape[::-1])
        picture.save(folder / f"images/{key}.jpg")
        Image.fromarray(plane).save(folder / f"labels/{key}.png")
    (folder / "classes.txt").write_text("\n".join(classes))
    return folder


def pairs(folder, name, keys, classes, planes=(PLANE,), seed=0, **options):
    """Draw pairs and build them; return the output folder."""
    root = drawn(folder / f"{name}-data", keys, classes, planes, seed)
    out = folder / name
    names = str(root / "classes.txt")
    dsbuild.build("pairs", root, out, classes=names, accept="one-value", **options)
    return out


@pytest.fixture
def two(tmp_path):
    """Two builds of other classes: `town` of four, `rural` of three."""
    rural = [np.where(PLANE == 3, 255, PLANE).astype(np.uint8)]
    return (
        pairs(tmp_path, "town", ["a", "b", "c"], ["Sky", "Road", "Car", "Truck"], shards=2),
        pairs(tmp_path, "rural", ["d", "e"], ["field", "track", "sky"], rural, seed=9),
    )


TABLE = """\
classes = ["sky", "ground", "vehicle", "boat"]
[town]
Sky = "sky"
Road = "ground"
2 = "vehicle"
Truck = "vehicle"
[rural]
field = "ground"
track = "ignore"
sky = "sky"
"""


@pytest.fixture
def toml(tmp_path):
    path = tmp_path / "map.toml"
    path.write_text(TABLE)
    return path


def records(folder):
    """Return key -> parsed record of all records of a folder."""
    found = {}
    for path in sorted(pathlib.Path(folder).glob("*.tfrecord")):
        for record in tfrecord.read(str(path)):
            parsed = example.parse(record.data)
            found[parsed[KEY][0].decode()] = parsed
    return found


def labels(folder, split="train"):
    return {s.key: s.label for s in dsbuild.open(str(folder), split)}


def sound(folder):
    found = dsbuild.validate(folder)
    assert not found.problems, found.problems
    return folder


def test_two_label_spaces_become_one(two, toml, tmp_path):
    out, notes = tmp_path / "out", []
    found = dsbuild.merge(two, out, map=toml, note=notes.append)
    sound(out)
    data = dsbuild.open(str(out), "train")
    assert data.classes == ("sky", "ground", "vehicle", "boat") == found.classes
    assert data.ignore == IGNORED
    town, rural = np.array([0, 1, 2, 2], np.uint8), np.array([1, 255, 0, 255], np.uint8)
    wanted = dict.fromkeys("abc", town[PLANE]) | dict.fromkeys("de", rural[PLANE])
    assert [sample.key for sample in data] == [*"abcde"]
    for sample in data:
        np.testing.assert_array_equal(sample.label, wanted[sample.key])
    before = {**records(two[0]), **records(two[1])}
    for key, record in records(out).items():
        assert record[IMAGE] == before[key][IMAGE]
        assert record.keys() == before[key].keys()
    assert found.empty == ("boat",)
    assert notes == ["no record has 1 class of the merge: boat"]
    assert found.origins[2] == (("Car", "Truck"), ())
    assert found.ignored == (("255",), ("track", "255"))
    names = sorted(path.name for path in out.glob("*.tfrecord"))
    assert names == [f"train-0000{i}-of-00003.tfrecord" for i in range(3)]


def test_a_dry_run_writes_nothing(two, toml, tmp_path):
    found = dsbuild.merge(two, tmp_path / "out", map=toml, dry_run=True)
    assert found.manifest is None
    assert found.empty == ("boat",)
    assert not (tmp_path / "out").exists()


def test_same_classes_need_no_map(tmp_path):
    one = pairs(tmp_path, "one", ["a"], ["x", "y", "z", "w"])
    two = pairs(tmp_path, "two", ["b"], ["y", "x", "w", "z"], seed=4)
    three = pairs(tmp_path, "three", ["c"], ["x", "y", "z", "w"], seed=5)
    out, notes = tmp_path / "out", []
    dsbuild.merge([one, two, three], out, note=notes.append)
    sound(out)
    assert notes == [
        "two has the classes of one in another order; its labels are mapped by the names of the "
        "classes"
    ]
    found = labels(out)
    np.testing.assert_array_equal(found["a"], PLANE)
    np.testing.assert_array_equal(found["b"], np.array([1, 0, 3, 2], np.uint8)[PLANE])
    assert records(out)["c"][LABEL] == records(three)["c"][LABEL]  # the very bytes


def test_different_classes_need_a_map(two, tmp_path):
    with pytest.raises(
        PlanError, match=r"town and rural have different classes: only town has Car"
    ):
        dsbuild.merge(two, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_value_without_a_place_stops_before_anything_is_written(two, toml, tmp_path):
    toml.write_text(TABLE.replace('2 = "vehicle"\n', "").replace('track = "ignore"\n', ""))
    with pytest.raises(PlanError, match=r"town: its labels hold Car \(2\) in 3 records, which"):
        dsbuild.merge(two, tmp_path / "out", map=toml)
    assert not (tmp_path / "out").exists()


def test_a_class_that_does_not_occur_needs_no_place(tmp_path):
    rest = [np.where(PLANE == 3, 0, PLANE).astype(np.uint8)]
    one = pairs(tmp_path, "one", ["a"], ["x", "y", "z", "w"], rest)
    two = pairs(tmp_path, "two", ["b"], ["x", "y", "z", "w"], seed=4)
    (tmp_path / "m.csv").write_text('class,one,two\nA,x,"{x,w}"\nB,"{y, z}","{y, z}"\n')
    dsbuild.merge([one, two], tmp_path / "out", map=tmp_path / "m.csv")
    assert dsbuild.open(str(sound(tmp_path / "out")), "train").classes == ("A", "B")


MSEG = [
    ("Parent", "camvid-11", "idd-39", "universal", "WordNet 3.1", "voc2012"),
    ("flat", "Road", "{road, drivable fallback}", "road", "road.n.01", "background"),
    ("flat", "Sky", "", "sky", "", "background"),
    ("vehicle", "{Car, Truck}", "car", "car", '"any" car', "car"),
    ("vehicle", "", "", "boat_ship", "", "boat"),
    ("", "Void", "", "unlabeled", "", ""),
]


@pytest.mark.parametrize(("ending", "between"), [("tsv", "\t"), ("csv", ";"), ("csv", ",")])
def test_a_table_as_mseg_has_it(tmp_path, ending, between):
    path = tmp_path / f"MSeg.{ending}"
    rows = [
        [f'"{cell}"' if "," in cell and between == "," else cell for cell in row] for row in MSEG
    ]
    path.write_bytes(("\r\n".join(map(between.join, rows)) + "\r\n").encode("utf-8-sig"))
    table = tables.read(str(path), "unlabeled")
    assert table.classes == ("road", "sky", "car", "boat_ship")
    assert table.columns["camvid-11"] == {
        "Road": "road",
        "Sky": "sky",
        "Car": "car",
        "Truck": "car",
        "Void": None,
    }
    assert table.columns["idd-39"]["drivable fallback"] == "road"
    assert ("voc2012", "background") in table.clashes
    names = ("Sky", "Road", "Car", "Truck", "Void")
    camvid = Space("camvid-11", names, 255, {}, dict.fromkeys(range(5), 7))
    joined = spaces.join([camvid, camvid], table)
    assert joined.tables[0] == {0: 1, 1: 0, 2: 2, 3: 2, 4: 255, 255: 255}
    with pytest.raises(PlanError, match=r"line 3: found 'background' of voc2012 a second time"):
        spaces.join([camvid, Space("voc2012", ("background", "car"), None, {}, {})], table)


def test_builds_are_named_as_the_columns(two, tmp_path, run):
    path = tmp_path / "m.tsv"
    path.write_text(
        "universal\tcamvid-11\tidd\nsky\tSky\tsky\nland\t{Road, Car, Truck}\t{field, track}\n"
    )
    out = tmp_path / "out"
    given = (f"camvid-11={two[0]}", f"idd={two[1]}")
    result = run("merge", *given, out, "--map", path, "--workers", 1)
    assert result.exit_code == 0, result.stderr
    assert "land  Road, Car, Truck  field, track" in re.sub("  +", "  ", result.stdout)
    assert "5 records of 2 classes in 3 shards" in result.stdout
    assert [row["name"] for row in manifest.load(str(out))["merged"]] == ["camvid-11", "idd"]
    result = run("merge", *two, out, "--map", path, "--workers", 1)
    assert result.exit_code == 2
    assert (
        "found nothing for build town; there are camvid-11, idd; name the build as its column"
        in (result.stderr)
    )


@given(st.data())
def test_every_value_goes_where_the_map_says_or_stops_the_merge(data):
    name = st.text("abcd ", min_size=1).map(str.strip).filter(bool)
    classes = tuple(data.draw(st.lists(name, min_size=1, max_size=12, unique=True)))
    new = ("p", "q", "r")
    column = {
        str(value) if data.draw(st.booleans()) else classes[value]: data.draw(
            st.sampled_from([*new, None])
        )
        for value in data.draw(st.sets(st.integers(0, len(classes) - 1)))
    }
    occur = data.draw(st.sets(st.integers(0, len(classes) - 1)))
    ignore = data.draw(st.sampled_from([None, 255, len(classes)]))
    space = Space("b", classes, ignore, {}, dict.fromkeys(occur, 1))
    table = tables.Table("m", new, {"b": column}, closed=True)
    wanted = {
        classes.index(old) if old in classes else int(old): value for old, value in column.items()
    }
    if occur - wanted.keys():
        with pytest.raises(PlanError, match="have no place in the merge"):
            spaces.join([space], table)
        return
    joined = spaces.join([space], table)
    for value in occur:
        place = joined.tables[0][value]
        assert wanted[value] == (None if place == IGNORED else joined.classes[place])
    if ignore is not None:
        assert joined.tables[0][ignore] == IGNORED == joined.ignore


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[town]\nSky = 3\n", r"town: Sky = 3; expected the name of a class, or 'ignore'"),
        ("Sky = 'x'\n", "found Sky outside a section"),
        ("classes = ['x', 'x']\n", "or a name twice"),
        ("classes = ['x']\n[town]\nSky = 'y'\n", "Sky = 'y', which is not among classes"),
        ("[town\n", "correct the file"),
        ("[town]\nSky = 'x'\n", "found nothing for build rural; there are town"),
        (
            "[twon]\nSky = 'x'\n",
            "found a section twon, but no build of this name; did you mean town",
        ),
        ("[town]\nSkv = 'x'\n[rural]\n", "town has no class 'Skv'; did you mean Sky"),
        ("[town]\nSky = 'x'\n0 = 'y'\n[rural]\n", r"found 'Sky' and '0', which are both Sky \(0\)"),
        ("[town]\nSky = 'ignore'\n[rural]\n", "it leaves no class"),
    ],
)
def test_maps_that_do_not_fit(two, tmp_path, text, message):
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(PlanError, match=message):
        dsbuild.merge(two, tmp_path / "out", map=tmp_path / "m.toml")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.csv", "class\nsky\n", "found one column, 'class'"),
        ("m.csv", "class,town,town\n", "found column town twice"),
        ("m.csv", "class,town,rural\nsky,Sky,sky,1\n", "line 2: found 4 cells, expected 3"),
        ("m.csv", "class,town,rural\nsky,{Sky,sky\n", "column town: found '{Sky', expected one"),
        ("m.csv", "", "the file is empty"),
        ("m.json", '{"town": {"Sky": "x", "Sky": "y"}}', "found 'Sky' twice"),
        ("m.json", "[]", "found a list"),
    ],
)
def test_files_that_are_no_maps(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(PlanError, match=message):
        tables.read(str(tmp_path / name))


def test_keys_stay_unique(tmp_path):
    names = ["x", "y", "z", "w"]
    one = pairs(tmp_path, "one", ["a", "b"], names)
    two = pairs(tmp_path, "two", ["B", "c"], names, seed=4)
    three = pairs(tmp_path, "three", ["d"], names, seed=5)
    out, notes = tmp_path / "out", []
    dsbuild.merge([one, two, three], out, note=notes.append)
    sound(out)
    assert [*records(out)] == ["one/a", "one/b", "two/B", "two/c", "d"]
    assert notes == [
        "one and two share 1 key, such as B; in the merge the keys begin with one/ and two/"
    ]


def test_splits_are_joined_by_name(voc, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    dsbuild.build("voc", voc, one, split=("train", "val"), shards=2)
    other = fakes.voc(tmp_path / "other", seed=5)
    dsbuild.build("voc", other, two, split="val")
    found = dsbuild.merge([one, two], tmp_path / "out")
    sound(tmp_path / "out")
    counts = {name: entry["records"] for name, entry in found.manifest["splits"].items()}
    assert counts == {"train": 12, "val": 12}
    assert dsbuild.open(str(tmp_path / "out"), "val").classes[:2] == ("background", "aeroplane")
    old = manifest.load(str(one))["palette"]
    assert found.manifest["palette"] == {k: v for k, v in old.items() if k != "255"}


def test_extras_come_along(tmp_path, toml):
    options = {"extra": ("laplacian:png16", "edges", "weights"), "workers": 1}
    one = pairs(tmp_path, "town", ["a"], ["Sky", "Road", "Car", "Truck"], **options)
    two = pairs(tmp_path, "rural", ["b"], ["field", "track", "sky", "w"], seed=3, **options)
    toml.write_text(TABLE + 'w = "ground"\n')
    found = dsbuild.merge([one, two], tmp_path / "out", map=toml)
    sound(tmp_path / "out")  # which computes edges again, from the mapped labels
    before, after = records(one)["a"], records(tmp_path / "out")["a"]
    assert after["image/gradient/encoded"] == before["image/gradient/encoded"]
    assert found.manifest["splits"]["train"]["weights"]["beta"] == 0.999
    plain = pairs(tmp_path, "plain", ["c"], ["field", "track", "sky", "w"], seed=3)
    given, other = [one, f"rural={plain}"], tmp_path / "other"
    with pytest.raises(
        PlanError, match=r"town has the extra edges:png:width=1, and rural does not"
    ):
        dsbuild.merge(given, other, map=toml)
    notes = []
    dsbuild.merge(given, other, map=toml, drop=("edges", "laplacian"), note=notes.append)
    sound(other)
    assert "class weights are left out, since the builds do not all have the same" in notes
    assert records(other)["a"].keys() == records(other)["c"].keys()
    with pytest.raises(PlanError, match="--drop canny: no build has this extra or feature"):
        dsbuild.merge(given, other, map=toml, drop="canny")


def test_mattes_keep_their_alpha(tmp_path):
    fakes.matting(tmp_path / "one", groups=2)
    fakes.matting(tmp_path / "two", groups=2, seed=7)
    builds = [tmp_path / "a", tmp_path / "b"]
    for root, out in zip(("one", "two"), builds, strict=True):
        dsbuild.build("matting", tmp_path / root, out, extra="alpha", val_fraction=0)
    dsbuild.merge(builds, tmp_path / "out")
    sound(tmp_path / "out")
    (role,) = [name for name in next(iter(records(builds[0]).values())) if "alpha" in name][:1]
    before = {f"a/{key}": record[role] for key, record in records(builds[0]).items()}
    after = records(tmp_path / "out")
    after = {key if "/" in key else f"a/{key}": record for key, record in after.items()}
    assert all(after[key][role] == value for key, value in before.items())


def test_classes_of_whole_images(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    dsbuild.build("classes", fakes.classes(tmp_path / "a"), one, val_fraction=0)
    dsbuild.build("classes", fakes.classes(tmp_path / "b", seed=4), two, val_fraction=0)
    names = manifest.load(str(one))["classes"]
    table = {"one": dict.fromkeys(names, "thing"), "two": dict.fromkeys(names, "thing")}
    table["two"][names[0]] = "other"
    (tmp_path / "m.json").write_text(json.dumps(table))
    out = tmp_path / "out"
    dsbuild.merge([one, two], out, map=tmp_path / "m.json")
    sound(out)
    texts = {bytes(record["image/class/text"][0]) for record in records(out).values()}
    assert texts == {b"thing", b"other"}
    table["two"][names[0]] = "ignore"
    (tmp_path / "m.json").write_text(json.dumps(table))
    with pytest.raises(PlanError, match="such records ignore none"):
        dsbuild.merge([one, two], tmp_path / "new", map=tmp_path / "m.json")
    pixels = pairs(tmp_path, "pixels", ["a"], ["x", "y", "z", "w"])
    with pytest.raises(PlanError, match="expected builds of one kind"):
        dsbuild.merge([one, pixels], tmp_path / "new", map=tmp_path / "m.json")


def test_terms_and_origins_are_recorded(two, toml, tmp_path):
    from dsbuild.build.side_files import describe

    describe(str(two[0]), Terms("CC-BY-4.0", "@a{town}", "Towns."))
    describe(str(two[1]), Terms("MIT", None, None))
    out = tmp_path / "out"
    found = dsbuild.merge(two, out, map=toml)
    row = found.manifest["merged"][0]
    assert (row["name"], row["license"], row["citation"]) == ("town", "CC-BY-4.0", "@a{town}")
    assert row["manifest"] == manifest.load(str(two[0]))["digest"]
    card = (out / "README.md").read_text()
    assert 'license_name: "town: CC-BY-4.0; rural: MIT"' in card
    assert "@a{town}" in card
    assert "Merged from 2 builds (town: " in card


def stopping(after):
    """Return an engine that stops in the middle of writing."""

    def run(job):
        results = []
        for number, task in enumerate(job.tasks):
            if job.title == "merging" and number == after:
                raise ShardError("stopped by the test")
            results.append(job.work(task, lambda *_: None))
        return results

    return Mapped(run)


def test_a_stopped_merge_is_finished(two, toml, tmp_path):
    dsbuild.merge(two, tmp_path / "whole", map=toml)
    out = tmp_path / "out"
    with pytest.raises(ShardError, match="stopped by the test"):
        dsbuild.merge(two, out, map=toml, runner=stopping(2))
    assert not (out / "manifest.json").exists()
    found = dsbuild.merge(two, out, map=toml)
    assert (found.written, found.kept) == (1, 2)
    assert content(sound(out)) == content(tmp_path / "whole")
    before = content(out)
    again = dsbuild.merge(two, out, map=toml, runner=Local(2))
    assert (again.written, again.kept) == (0, 3)
    assert content(out) == before


def test_damage_is_healed_by_the_same_command(two, toml, tmp_path):
    out, notes = tmp_path / "out", []
    dsbuild.merge(two, out, map=toml)
    before = content(out)
    shard = out / "train-00001-of-00003.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-3])
    (out / "manifest.json").unlink()
    found = dsbuild.merge(two, out, map=toml, note=notes.append)
    assert (found.written, found.kept) == (1, 2)
    assert "its bytes changed since it was written" in notes[-1]
    assert content(sound(out)) == before


def test_repair_restores_all_but_shards(two, toml, tmp_path, run):
    out = tmp_path / "out"
    dsbuild.merge(two, out, map=toml)
    before = content(out)
    for name in ("index/train-00001-of-00003.tfrecord.idx", "schema.json"):
        (out / name).unlink()
    receipt = next((out / ".dsbuild/receipts").iterdir())
    receipt.write_text("{}")
    result = run("repair", out, "--workers", 1)
    assert result.exit_code == 2
    assert "run dsbuild merge again with these builds: town rural" in result.stderr
    dsbuild.merge(two, out, map=toml)
    (out / "schema.json").unlink()
    assert run("repair", out, "--workers", 1).exit_code == 0
    assert content(sound(out)) == before
    with pytest.raises(LayoutError, match="merged from other builds"):
        dsbuild.validate(out, two[0], level="source")


def test_only_the_shards_of_a_changed_build_are_written_again(two, toml, tmp_path):
    out, notes = tmp_path / "out", []
    dsbuild.merge(two, out, map=toml)
    photo = fakes.photo(np.random.default_rng(77), *PLANE.shape[::-1])
    photo.save(tmp_path / "rural-data/images/d.jpg")
    names = str(tmp_path / "rural-data/classes.txt")
    dsbuild.build("pairs", tmp_path / "rural-data", two[1], classes=names)
    found = dsbuild.merge(two, out, map=toml, note=notes.append)
    assert (found.written, found.kept) == (1, 2)
    assert any("train-00002-of-00003.tfrecord again: its source" in note for note in notes)
    sound(out)


def test_a_finished_build_is_not_replaced(two, toml, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(two[0], out)
    before = content(out)
    with pytest.raises(PlanError, match=r"holds a finished build of .*--overwrite"):
        dsbuild.merge(two, out, map=toml)
    assert content(out) == before
    found = dsbuild.merge(two, out, map=toml, overwrite=True)
    assert found.written == 3
    shown = f"2 builds, {len(found.classes)} classes, 3 shards, of which 3 are new"
    assert repr(found) == f"<Merge {out}: {shown}>"
    planned = dsbuild.merge(two, tmp_path / "dry", map=toml, dry_run=True)
    assert repr(planned).startswith(f"<Merge {tmp_path / 'dry'}: nothing was written, 2 builds, ")
    toml.write_text(TABLE.replace('Truck = "vehicle"', 'Truck = "boat"'))
    with pytest.raises(PlanError, match="holds a finished build of Merged builds"):
        dsbuild.merge(two, out, map=toml)
    sound(out)
    with pytest.raises(PlanError, match="the output folder is in the build"):
        dsbuild.merge(two, two[0] / "new", map=toml)
    with pytest.raises(PlanError, match="out: found an empty text, expected a folder"):
        dsbuild.merge(two, "", map=toml)


def test_builds_that_are_not_whole(two, toml, tmp_path):
    shutil.copytree(two[0], tmp_path / "half" / "town")
    half = tmp_path / "half" / "town"
    (half / "train-00001-of-00002.tfrecord").unlink()
    with pytest.raises(PlanError, match=r"train-00001-of-00002.tfrecord: this shard is missing"):
        dsbuild.merge([half, two[1]], tmp_path / "out", map=toml)
    (half / "manifest.json").unlink()
    with pytest.raises(PlanError, match="this build is unfinished"):
        dsbuild.merge([half, two[1]], tmp_path / "out", map=toml)
    with pytest.raises(PlanError, match="expected two builds or more, each once"):
        dsbuild.merge([two[1], two[1]], tmp_path / "out", map=toml)
    with pytest.raises(PlanError, match="are both called town; name them"):
        dsbuild.merge([two[0], half], tmp_path / "out", map=toml)
    with pytest.raises(PlanError, match="nowhere"):
        dsbuild.merge([two[0], tmp_path / "nowhere"], tmp_path / "out", map=toml)


def test_records_of_other_tools(two, tmp_path):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for path in two[1].glob("*.tfrecord"):
        shutil.copy(path, foreign)
    (tmp_path / "m.toml").write_text(
        TABLE.split("[rural]")[0]
        + '[foreign]\n0 = "ground"\n1 = "boat"\n2 = "sky"\n255 = "ignore"\n'
    )
    out = tmp_path / "out"
    dsbuild.merge([two[0], foreign], out, map=tmp_path / "m.toml")
    rural = np.array([1, 3, 0, 255], np.uint8)
    np.testing.assert_array_equal(labels(sound(out))["d"], rural[PLANE])
    with pytest.raises(PlanError, match="foreign: it does not name its classes"):
        dsbuild.merge([two[0], foreign], tmp_path / "new")
    (path,) = foreign.glob("*.tfrecord")
    rows = [example.parse(record.data) for record in tfrecord.read(str(path))]
    with path.open("wb") as file:
        writer = tfrecord.Writer(file)
        for row in rows:
            writer.write(example.serialize({**row, "strange": b"x"}))
    with pytest.raises(PlanError, match=r"have the feature strange, which .*--drop strange"):
        dsbuild.merge([two[0], foreign], tmp_path / "new", map=tmp_path / "m.toml")
    dsbuild.merge([two[0], foreign], out, map=tmp_path / "m.toml", drop="strange", overwrite=True)
    sound(out)
    path.rename(foreign / "data.tfrecord")
    with pytest.raises(PlanError, match="its name says no split; rename it"):
        dsbuild.merge([two[0], foreign], tmp_path / "new", map=tmp_path / "m.toml")


def test_damaged_records_are_named(two, toml, tmp_path):
    (path,) = two[1].glob("*.tfrecord")
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    with pytest.raises(
        ShardError, match=r"train-00000-of-00001.tfrecord: record 0 at byte 0: the ch"
    ):
        dsbuild.merge(two, tmp_path / "out", map=toml)
    assert not (tmp_path / "out").exists()


def test_the_command(two, toml, tmp_path, run):
    out = tmp_path / "out"
    words = ("merge", *two, out, "--map", toml, "--workers", 1)
    result = run(*words, "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert "4 classes from 2 builds; nothing was written, this was a dry run" in result.stdout
    result = run(*words, "--json")
    document = json.loads(result.stdout)
    assert document["classes"][2] == {
        "name": "vehicle",
        "from": {"town": ["Car", "Truck"], "rural": []},
    }
    assert document["empty"] == ["boat"]
    assert document["manifest"] == json.loads((out / "manifest.json").read_text())
    assert "nothing to do" in run(*words).stdout
    result = run("merge", two[0], out)
    assert result.exit_code == 2
    assert "expected two builds or more, and then OUT" in result.stderr


@pytest.mark.shared
def test_voc_and_camvid(shared, tmp_path):
    voc, camvid = tmp_path / "voc", tmp_path / "camvid"
    dsbuild.build("voc", shared / "voc", voc, split=("train", "val"), limit=6)
    names = "Sky,Building,Pole,Road,Pavement,Tree,SignSymbol,Fence,Car,Pedestrian,Bicyclist"
    dsbuild.build(
        *("pairs", shared / "pairs/camvid", camvid),
        images="src",
        labels="label",
        classes=names,
        ignore=11,
    )
    known = manifest.load(str(voc))["classes"]
    table = {
        "classes": ["rest", "person", "vehicle"],
        "voc": dict.fromkeys(known, "rest")
        | {"person": "person"}
        | dict.fromkeys(("aeroplane", "bicycle", "boat", "bus", "car", "motorbike"), "vehicle")
        | {"tvmonitor": "ignore"},
        "camvid": dict.fromkeys(names.split(","), "rest")
        | {"Car": "vehicle", "Pedestrian": "person", "Bicyclist": "vehicle"},
    }
    (tmp_path / "m.json").write_text(json.dumps(table))
    out = tmp_path / "out"
    dsbuild.merge([voc, camvid], out, map=tmp_path / "m.json")
    sound(out)
    for source, split, classes, ignored in (
        (voc, "train", known, 255),
        (voc, "val", known, 255),
        (camvid, "train", names.split(","), 11),
    ):
        places = [*table["classes"], "ignore"]
        lut = np.full(256, 99, np.uint8)
        for value, name in enumerate(classes):
            lut[value] = [0, 1, 2, 255][places.index(table[source.name][name])]
        lut[ignored] = 255
        merged, before = labels(out, split), records(source)
        for sample in dsbuild.open(str(source), split):
            np.testing.assert_array_equal(merged[sample.key], lut[sample.label])
            assert records(out)[sample.key][IMAGE] == before[sample.key][IMAGE]


@pytest.mark.heavy
def test_tensorflow_reads_a_merge(two, toml, tmp_path):
    pytest.importorskip("tensorflow")
    tfds = pytest.importorskip("tensorflow_datasets")
    out = tmp_path / "out"
    dsbuild.merge(two, out, map=toml)
    wanted = labels(out)
    for element in dsbuild.tf_dataset(str(out), "train"):
        key = element["key"].numpy().decode()
        np.testing.assert_array_equal(np.squeeze(element["label"].numpy()), wanted[key])
    builder = tfds.builder_from_directory(str(out))
    assert len(list(builder.as_dataset(split="train"))) == len(wanted)


def test_more_classes_than_8_bits_count(tmp_path):
    names = [f"c{i}" for i in range(300)]
    one = pairs(tmp_path, "one", ["a"], names)
    two = pairs(tmp_path, "two", ["b"], ["x", "y", "z", "w"])
    table = {"one": dict(zip(names, names, strict=True)), "two": {"x": "c299", "y": "new"}}
    table["two"] |= {"z": "ignore", "w": "c0"}
    (tmp_path / "m.json").write_text(json.dumps(table))
    out = tmp_path / "out"
    dsbuild.merge([one, two], out, map=tmp_path / "m.json")
    data = dsbuild.open(str(sound(out)), "train")
    assert (len(data.classes), data.ignore) == (301, 65535)
    found = labels(out)
    np.testing.assert_array_equal(found["a"], PLANE)
    np.testing.assert_array_equal(found["b"], np.array([299, 300, 65535, 0])[PLANE])
    few = {"classes": ["p", "q"], "two": dict.fromkeys("xyzw", "q")}
    few["one"] = dict.fromkeys(names, "p")
    (tmp_path / "m.json").write_text(json.dumps(few))
    dsbuild.merge([one, two], tmp_path / "few", map=tmp_path / "m.json")
    assert dsbuild.open(str(sound(tmp_path / "few")), "train")[0].label.dtype == np.uint8


def test_panoptic_labels_are_refused_by_name(two, tmp_path):
    root = fakes.cityscapes(tmp_path, test=0)
    for path in pathlib.Path(root).glob("gtFine/*/*/*_polygons.json"):
        plane = np.full((32, 64), 26001, np.uint16)
        Image.fromarray(plane).save(str(path).replace("polygons.json", "instanceIds.png"))
    dsbuild.build("cityscapes", root, tmp_path / "p", target="panoptic", accept="one-value")
    with pytest.raises(PlanError, match="found panoptic labels, whose instances a merge does not"):
        dsbuild.merge([two[0], tmp_path / "p"], tmp_path / "out")
    (tmp_path / "foreign").mkdir()
    for path in (tmp_path / "p").glob("*.tfrecord"):
        shutil.copy(path, tmp_path / "foreign")  # which then has no schema
    with pytest.raises(ShardError, match="found a panoptic label; expected classes: build it wi"):
        dsbuild.merge([two[0], tmp_path / "foreign"], tmp_path / "out")


@pytest.mark.parametrize("store", ["memory", "s3"])
def test_merges_of_builds_on_stores(store, two, toml, tmp_path, request):
    url = f"memory://merges/{tmp_path.name}" if store == "memory" else request.getfixturevalue("s3")
    for build in two:
        upload(build, f"{url}/{build.name}")
    dsbuild.merge(two, tmp_path / "here", map=toml)
    given = [f"{url}/{build.name}" for build in two]
    found = dsbuild.merge(given, f"{url}/out", map=toml, workers=1)
    assert found.written == 3
    there = {name: data for name, data in files(f"{url}/out").items() if "receipts" not in name}
    here = content(tmp_path / "here")
    assert {name: there[name] for name in here} == here
    assert dsbuild.merge(given, f"{url}/out", map=toml, workers=1).kept == 3


def test_tiles_stay_tiles(tmp_path):
    names = ["x", "y", "z", "w"]
    one = pairs(tmp_path, "one", ["a", "b"], names, tile=16)
    two = pairs(tmp_path, "two", ["a"], names, seed=4, tile=16)
    out = tmp_path / "out"
    dsbuild.merge([one, two], out)
    sound(out)
    found = records(out)
    assert len(found) == 3 * 4
    assert found["two/a_y0000_x0016"]["image/source/filename"] == [b"two/a"]
    whole = pairs(tmp_path, "whole", ["c"], names)
    with pytest.raises(PlanError, match="one and whole are not cut into the same tiles"):
        dsbuild.merge([one, whole], tmp_path / "new")
