"""Maps of label values: by name, by value, from files; and labels whose 0 is ignored."""

import json
import pathlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import dsbuild
from dsbuild.build.recipe import Recipe, load
from dsbuild.errors import ImageError, PlanError
from dsbuild.layouts.label_maps import IGNORED, mapped, read_map
from dsbuild.layouts.pairs import Pairs
from tests.support import fakes
from tests.support.pictures import save

STREET = ("void", "road", "car", "truck", "tree")


def result(names, text, zero="class", ignored=255):
    found = mapped(names, read_map(text) if text else (), zero, ignored)
    return found.classes, dict(sorted(found.table.items()))


@pytest.mark.parametrize(
    ("text", "classes", "table"),
    [
        (
            "car=vehicle,truck=vehicle,void=ignore",
            ("road", "vehicle", "tree"),
            {0: 255, 1: 0, 2: 1, 3: 1, 4: 2, 255: 255},
        ),
        ("truck=car", ("void", "road", "car", "tree"), {0: 0, 1: 1, 2: 2, 3: 2, 4: 3, 255: 255}),
        (
            "car=truck,truck=car",
            ("void", "road", "truck", "car", "tree"),
            {i: i for i in (*range(5), 255)},
        ),
        ("0=ignore,2=truck", ("road", "truck", "tree"), {0: 255, 1: 0, 2: 1, 3: 1, 4: 2, 255: 255}),
        ("7=bush", (*STREET, "bush"), {**{i: i for i in (*range(5), 255)}, 7: 5}),
        ("9=4, 8=ignore,1=1", STREET, {1: 1, 8: 255, 9: 4, 255: 255}),
    ],
)
def test_classes_and_values_after_a_map(text, classes, table):
    assert result(STREET, text) == (classes, dict(sorted(table.items())))


def test_zero_is_ignored_once():
    expected = (("wall", "sky"), {0: 255, 1: 0, 2: 1, 255: 255})
    assert result(("wall", "sky"), "", zero="ignore") == expected
    assert result(("", "wall", "sky"), "", zero="ignore") == expected
    assert result(("wall", "sky"), "sky=ignore", zero="ignore") == (
        ("wall",),
        {0: 255, 1: 0, 2: 255, 255: 255},
    )
    with pytest.raises(PlanError, match="--ignore 2 is among them"):
        result(("wall", "sky"), "", zero="ignore", ignored=2)


@given(st.data())
def test_a_map_is_total_on_the_named_values(data):
    names = tuple(
        data.draw(st.lists(st.text("abcdef", min_size=1), min_size=1, max_size=20, unique=True))
    )
    keep, *rest = names
    new = data.draw(
        st.lists(st.sampled_from([*names, "x", "ignore"]), min_size=len(rest), max_size=len(rest))
    )
    pairs = tuple(zip(rest, new, strict=True)) or ((keep, keep),)
    found = mapped(names, pairs, "class", -1)
    wanted = dict(pairs)
    for value, name in enumerate(names):
        place = found.table[value]
        assert wanted.get(name, name) == ("ignore" if place == IGNORED else found.classes[place])
    assert {found.table[value] for value in found.firsts} == {*range(len(found.classes))}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cra=vehicle", "found 'cra', expected a class or a value; did you mean car"),
        ("car=1,2=x", r"found 'car' and|found .*2"),
        ("car=1", "found 'car' beside numbers as new values"),
        ("1=5", "found the new value 5, expected 0 to 4"),
        ("70000=road", "found the old value 70000, expected 0 to 65535"),
        ("car=a,car=b", "found 'a' and 'b' for 'car'"),
        ("=x", "expected old and new, such as car=vehicle"),
        ("void=ignore,road=ignore,car=ignore,truck=ignore,tree=ignore", "it ignores every class"),
    ],
)
def test_wrong_maps_are_refused(text, message):
    with pytest.raises(PlanError, match=message):
        result(STREET, text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "# comment\ncar=vehicle\ntruck=vehicle\n"),
        ("a.csv", "old,new\ncar,vehicle\ntruck,vehicle\n"),
        ("a.tsv", "car\tvehicle\ntruck\tvehicle\n"),
        ("b.txt", "car vehicle\ntruck vehicle\n"),
        ("a.json", '{"car": "vehicle", "truck": "vehicle"}'),
    ],
)
def test_maps_in_files(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert read_map(str(tmp_path / name)) == (("car", "vehicle"), ("truck", "vehicle"))


def test_names_with_commas_and_blanks_in_a_file(tmp_path):
    (tmp_path / "m.tsv").write_text("traffic light, big\tlight pole\n")
    assert read_map(str(tmp_path / "m.tsv")) == (("traffic light, big", "light pole"),)
    (tmp_path / "bad.txt").write_text("a b c\n")
    with pytest.raises(PlanError, match="found 'a b c', expected old and new"):
        read_map(str(tmp_path / "bad.txt"))


def drawn(folder, planes):
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for i, plane in enumerate(planes):
        height, width = plane.shape
        fakes.photo(np.random.default_rng(i), width, height).save(folder / f"images/{i}.jpg")
        Image.fromarray(plane).save(folder / f"labels/{i}.png")
    return folder


PLANE = np.arange(12, dtype=np.uint8).reshape(3, 4).repeat(8, 0).repeat(8, 1) % 4


def labels(out):
    return {s.key: s.label for s in dsbuild.open(str(out), "train")}


def test_masks_counted_from_1_are_built_with_a_map_or_as_they_are(tmp_path, run):
    root = drawn(tmp_path / "d", [PLANE % 3 + 1, PLANE % 2 + 1])
    names = "foreground,background,border"
    hows = (
        ("--map", "1=0,2=1,3=2"),
        ("--zero", "ignore"),
        ("--zero", "none"),
        (),
    )
    for i, how in enumerate(hows):
        out = tmp_path / str(i)
        result = run("pairs", root, out, "--classes", names, *how, "--workers", 1)
        assert result.exit_code == 0, result.stderr
        assert dsbuild.open(str(out)).classes == tuple(names.split(","))
        np.testing.assert_array_equal(labels(out)["0"], PLANE % 3)


def test_a_value_without_a_place_is_named():
    layout = Pairs(names=("a", "b"), mapping=(("1", "0"), ("2", "1")))
    with pytest.raises(
        ImageError, match=r"found label values 0 \(.* pixels\), 3 .*3=ignore|0=ignore"
    ):
        layout.plane(save(Image.fromarray(PLANE)), "x.png")


def test_colours_are_mapped(tmp_path):
    colours = (("void", 0, 0, 0), ("car", 1, 2, 3), ("bus", 9, 9, 9), ("sky", 0, 0, 200))
    layout = Pairs(colours=colours, mapping=read_map("void=ignore,bus=car"))
    lut = np.array([rgb for _, *rgb in colours], np.uint8)
    found = layout.plane(save(Image.fromarray(lut[PLANE])), "x.png")
    np.testing.assert_array_equal(found, np.array([255, 0, 0, 1], np.uint8)[PLANE])
    assert layout.classes == ("car", "sky")
    assert layout.palette == ((1, 2, 3), (0, 0, 200))
    assert layout.ignore == 255


def test_zero_ignored_twice_stops_the_build(tmp_path, run):
    once = np.where(PLANE == 0, 255, PLANE - 1).astype(np.uint8)
    for name, planes in (("raw", [PLANE, PLANE]), ("done", [once, once])):
        root = drawn(tmp_path / name, planes)
        result = run(
            *("pairs", root, tmp_path / f"{name}-out", "--classes", "a,b,c", "--zero", "ignore"),
            *("--workers", 1),
        )
        assert (result.exit_code == 0) is (name == "raw"), result.stderr
    assert "0 seems to be ignored in them already" in result.stderr
    document = json.loads((tmp_path / "raw-out/manifest.json").read_text())
    assert document["ignore"] == 255
    assert '"zero": "ignore"' in json.dumps(document)


def test_files_that_count_from_1_need_zero(tmp_path):
    info = tmp_path / "objectInfo150.txt"
    info.write_text("Idx\tRatio\tTrain\tVal\tName\n1\t0.1\t5\t2\twall\n2\t0.1\t5\t2\tsky, blue\n")
    from dsbuild.layouts.class_files import read_classes

    names = read_classes(str(info))
    assert names == ("", "wall", "sky, blue")
    with pytest.raises(PlanError, match="counts from 1"):
        Pairs(names=names)
    assert Pairs(names=names, zero="ignore").classes == ("wall", "sky, blue")


def test_recipes_without_new_options_are_as_before():
    old = ("val_fraction", "split_seed", "images", "labels", "suffix", "names", "colours", "binary")
    document = Recipe(layout=Pairs(names=STREET)).document()
    assert tuple(document["options"]) == (*old, "ignore_value")
    recipe = Recipe(layout=Pairs(names=STREET, zero="ignore", mapping=(("car", "truck"),)))
    assert load(json.loads(json.dumps(recipe.document()))) == recipe


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"binary": 1, "zero": "ignore"}, "--binary: found --map or --zero too"),
        (
            {"colours": (("a", 0, 0, 0), ("b", 1, 1, 1)), "zero": "ignore"},
            "--zero ignore: found --colormap",
        ),
        ({"names": STREET, "mapping": (("nothing", "x"),)}, "found 'nothing'"),
    ],
)
def test_options_that_contradict(options, message):
    with pytest.raises(PlanError, match=message):
        Pairs(**options)


def test_the_page_of_the_map_survives_a_plan(tmp_path, run):
    root = drawn(tmp_path / "d", [PLANE])
    arguments = ("pairs", root, tmp_path / "o", "--classes", "a,b,c,d", "--map", "d=ignore")
    assert run(*arguments, "--workers", 1).exit_code == 0
    assert "nothing to do" in run(*arguments, "--workers", 1).stdout
    changed = run(*arguments[:-1], "d=c", "--workers", 1)
    assert changed.exit_code
    assert pathlib.Path(tmp_path / "o/manifest.json").exists()
