"""Panoptic labels as deeplab2 stores them: numbers of instances, crowds, void, and mistakes."""

import hashlib
import json
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dsbuild.build.recipe import Recipe, load
from dsbuild.errors import PlanError
from dsbuild.format import manifest
from dsbuild.layouts.coco import Coco
from dsbuild.layouts.labelme import LabelMe
from tests.support import fakes, panoptic
from tests.support.objects import SHARED
from tests.support.panoptic import LABEL, SEGMENTS, tree
from tests.support.runs import content, masks

# Of deeplab2's own builder, by whether crowds are ignored.
ORACLES = {
    ("000000142238", True): "10a2f11a7f71f60b7c8eee69d179e3adb6a7bcbca034b74b1ec25345e3cccba9",
    ("000000142238", False): "49efcda584ce863ac60a5a0ebf786da67dbf1adf62f09b823bde4bc0833843ad",
    ("000000439180", True): "f26265f136143bc113cd1ebad2861417a819f09b28247922bfc44ad5aa22841d",
    ("000000439180", False): "e68f6a8fcfaa991775595e4136129eb7d34fa643fcbe19c1fad81dc7b9a3caec",
}
CAT, DOG, SKY = 1, 2, 3


@pytest.mark.shared
@pytest.mark.parametrize("ignores", [True, False])
def test_bytes_are_those_of_deeplab2(ignores, run, out):
    options = () if ignores else ("--crowd", "class")
    assert (
        run("coco", SHARED / "coco_panoptic", out, "--target", "panoptic", *options).exit_code == 0
    )
    found = panoptic.records(out)
    assert len(found) == 2
    for key, one in found.items():
        assert hashlib.sha256(one[LABEL][0]).hexdigest() == ORACLES[key, ignores]
        assert one["image/segmentation/class/format"] == [b"raw"]
        assert one["image/segmentation/class/divisor"].tolist() == [256]


@pytest.mark.parametrize(("crowd", "kept"), [("auto", 0), ("ignore", 0), ("class", CAT * 256)])
def test_instances_count_by_class_in_the_order_of_the_file(crowd, kept, tmp_path, run, out):
    root = tree(tmp_path / "d")
    assert run("coco", root, out, "--target", "panoptic", "--crowd", crowd).exit_code == 0
    expected = {
        7: CAT * 256 + 1,
        8: SKY * 256,
        9: CAT * 256 + 2,
        11: kept,
        300: DOG * 256 + 1,
        70000: DOG * 256 + 2,
        0: 0,
    }
    row = panoptic.maps(out)["img0"][0, :: panoptic.WIDTH]
    assert row.tolist() == [expected[id_] for id_ in (*sorted(one[0] for one in SEGMENTS), 0)]


def test_what_was_counted_is_in_the_manifest(tmp_path, run, out):
    assert run("coco", tree(tmp_path / "d"), out, "--target", "panoptic").exit_code == 0
    known = manifest.load(out)
    assert (known["target"], known["divisor"]) == ("panoptic", 256)
    assert known["things"] == [CAT, DOG]
    assert (known["classes"], known["ignore"]) == (["void", "cat", "dog", "sky"], 0)
    void, cat, dog, sky = known["splits"]["train"]["classes"]
    assert (cat["segments"], dog["segments"], sky["segments"]) == (2 + 2 + 1, 2 + 2 + 2, 3)
    assert void == {"name": "void", "pixels": 0, "images": 0, "segments": 0}
    assert known["splits"]["train"]["ignore"]["images"] == 3
    schema = json.loads(pathlib.Path(out, "schema.json").read_text())
    (one,) = (one for one in schema["feature"] if one["name"].endswith("divisor"))
    assert one["intDomain"] == {"min": "256", "max": "256"}
    assert "panoptic by 256" in run("inspect", out).output
    for level in ("frames", "records", "pixels"):
        assert run("validate", out, "--level", level).exit_code == 0
    assert run("validate", out, tmp_path / "d", "--level", "source").exit_code == 0


def test_a_second_build_has_nothing_to_do_and_what_is_lost_is_restored(tmp_path, run, out):
    root = tree(tmp_path / "d")
    arguments = ("coco", root, out, "--target", "panoptic", "--shards", "2")
    assert run(*arguments).exit_code == 0
    before = content(out)
    assert run(*arguments).exit_code == 0
    assert content(out) == before
    for lost in ("manifest.json", "index/train-00000-of-00002.tfrecord.values", "schema.json"):
        pathlib.Path(out, lost).unlink()
        assert run("repair", out, root).exit_code == 0
        assert content(out) == before
    pathlib.Path(out, "train-00001-of-00002.tfrecord").unlink()
    assert run("repair", out, root).exit_code == 0
    assert content(out) == before


def test_too_many_instances_need_a_larger_divisor(tmp_path, run, out):
    root = tree(tmp_path / "d", [(i, 2, 0) for i in range(1, 5)], images=1)
    result = run("coco", root, out, "--target", "panoptic", "--divisor", "4")
    said = " ".join(result.stderr.split())
    assert result.exit_code == 2
    assert "found 4 or more instances of class 1; expected fewer than the divisor" in said
    assert "--divisor 1000" in said
    assert run("coco", root, out, "--target", "panoptic", "--divisor", "5").exit_code == 0
    assert panoptic.maps(out)["img0"][0, :: panoptic.WIDTH].tolist() == [6, 7, 8, 9, 0]


def test_a_crowd_of_stuff_is_refused(tmp_path, run, out):
    root = tree(tmp_path / "d", [(1, 9, 1)], images=1)
    result = run("coco", root, out, "--target", "panoptic")
    assert result.exit_code == 2
    assert "found the segment 1 of class 3, which is stuff and a crowd" in result.stderr


@pytest.mark.parametrize("word", ["9", "sky"])
def test_what_has_instances_may_be_said(word, tmp_path, run, out):
    root = tree(tmp_path / "d", [(1, 9, 0), (2, 9, 0), (3, 2, 0)], images=1)
    assert run("coco", root, out, "--target", "panoptic", "--things", word).exit_code == 0
    assert manifest.load(out)["things"] == [SKY]
    assert panoptic.maps(out)["img0"][0, :: panoptic.WIDTH].tolist() == [769, 770, 256, 0]


def test_categories_that_do_not_say_are_things(tmp_path):
    named = [{"id": 2, "name": "cat"}, {"id": 9, "name": "sky", "isthing": 0}]
    root = tree(tmp_path / "d", [(1, 2, 0)], categories=named)
    assert Coco(target="panoptic").bind(root).things == (1,)


def test_shrunk_maps_keep_their_numbers(tmp_path, run, out):
    root = tree(tmp_path / "d")
    arguments = ("--target", "panoptic", "--max-side", "14", "--extra", "edges")
    assert run("coco", root, out, *arguments).exit_code == 0
    found = panoptic.maps(out)["img0"]
    assert found.shape == (4, 14) or max(found.shape) == 14
    assert set(found.ravel().tolist()) <= {0, 257, 258, 513, 514, 768}
    assert run("validate", out).exit_code == 0


def test_header_verification_stores_the_same_maps(tmp_path, run, out):
    root = tree(tmp_path / "d")
    assert run("coco", root, out, "--target", "panoptic").exit_code == 0
    assert run("coco", root, f"{out}2", "--target", "panoptic", "--verify", "header").exit_code == 0
    one, other = panoptic.maps(out), panoptic.maps(f"{out}2")
    assert all(np.array_equal(one[key], other[key]) for key in one)
    assert run("validate", f"{out}2").exit_code == 0


def test_a_category_that_there_is_not_is_named(tmp_path, run, out):
    result = run("coco", tree(tmp_path / "d"), out, "--target", "panoptic", "--things", "skye")
    assert result.exit_code == 2
    assert "--things: found 'skye', which is no category" in result.stderr
    assert "did you mean" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"divisor": 256}, "--divisor 256: found no instances to number"),
        ({"thing_ids": ("1",)}, "--things: expected only with --target"),
        ({"target": "panoptic", "labels": "instances"}, "found --labels instances, expected pan"),
        ({"target": "panoptic", "labels": "stuff"}, "found --labels stuff, expected panoptic"),
        ({"target": "panoptic", "divisor": 1}, "divisor: found 1, expected"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, said):
    with pytest.raises(PlanError, match=said):
        Coco(**options)


def test_recipes_of_classes_alone_say_nothing_of_instances(tmp_path):
    layout = Coco().bind(tree(tmp_path / "d"))
    document = Recipe(layout=layout).document()
    assert not {"target", "divisor", "thing_ids"} & document["options"].keys()
    assert (document["options"]["labels"], document["options"]["crowd"]) == ("instances", "class")
    assert "label.divisor" not in document["features"]


def test_a_recipe_is_read_back(tmp_path):
    layout = Coco(target="panoptic").bind(tree(tmp_path / "d"))
    recipe = Recipe(layout=layout)
    assert load(json.loads(json.dumps(recipe.document()))) == recipe
    assert recipe.document()["options"]["crowd"] == "ignore"


def test_nothing_but_void_is_nothing_but_ignored(tmp_path, run, out):
    root = tree(tmp_path / "d", [], images=2)
    result = run("coco", root, out, "--target", "panoptic")
    assert result.exit_code == 2
    assert "all labels hold the ignore value (0) and nothing else" in result.stderr
    assert run("coco", root, out, "--target", "panoptic", "--accept", "all-ignore").exit_code == 0


# Of cityscapesScripts' panoptic PNGs by deeplab2's rule.
CITIES = {
    "aachen_000000_000019": "23bdb8496fb1de221c5392fd055966b0d9d7165c0e77d34138bd09b7b92f7792",
    "bochum_000000_000313": "6499fda47b73b0b43476b8ac278d32c92e6ff89aed05bf23f18adc73b6ed5045",
}


@pytest.mark.shared
@pytest.mark.slow
def test_cityscapes_is_as_its_scripts_and_deeplab2_make_it(shared, run, out):
    assert run("cityscapes", shared / "cityscapes", out, "--target", "panoptic").exit_code == 0
    found = {key: one[LABEL][0] for key, one in panoptic.records(out).items()}
    assert {key: hashlib.sha256(data).hexdigest() for key, data in found.items()} == CITIES
    known = manifest.load(out)
    assert (known["divisor"], known["ignore"], known["things"]) == (1000, 255, [*range(11, 19)])


def city(folder, ids):
    """Draw one image of Cityscapes whose instanceIds are these, from left to right."""
    images = pathlib.Path(folder, "leftImg8bit", "train", "a")
    labels = pathlib.Path(folder, "gtFine", "train", "a")
    for place in (images, labels):
        place.mkdir(parents=True)
    row = np.repeat(np.array(ids, np.uint16), 4)
    Image.fromarray(np.zeros((5, len(row), 3), np.uint8)).save(images / "a_0_0_leftImg8bit.png")
    Image.fromarray(row[None].repeat(5, 0)).save(labels / "a_0_0_gtFine_instanceIds.png")
    return str(folder)


@pytest.mark.parametrize(("crowd", "kept"), [("ignore", 255000), ("class", 13000)])
def test_cars_without_a_number_are_a_crowd(crowd, kept, tmp_path, run, out):
    root = city(tmp_path / "d", [26001, 26, 7, 24000, 26000, 4, 29000])
    options = ("--target", "panoptic", "--crowd", crowd)
    assert run("cityscapes", root, out, *options).exit_code == 0
    row = panoptic.maps(out)["a_0_0"][0, ::4]
    assert row.tolist() == [13002, kept, 0, 11001, 13001, 255000, 255000]
    assert run("validate", out).exit_code == 0
    assert run("validate", out, root, "--level", "source").exit_code == 0


def test_odd_ids_of_instances_are_named(tmp_path, run, out):
    result = run("cityscapes", city(tmp_path / "d", [7, 40000]), out, "--target", "panoptic")
    assert result.exit_code == 2
    assert "found the value 40000, expected an id from 0 to 33, or id * 1000" in result.stderr


@pytest.mark.parametrize("options", [("--labels", "ids"), ("--class-set", "ids")])
def test_cityscapes_has_one_source_of_instances(options, tmp_path, run, out):
    result = run("cityscapes", city(tmp_path / "d", [7]), out, "--target", "panoptic", *options)
    assert result.exit_code == 2
    assert "--target panoptic: it reads instanceIds.png" in result.stderr


def test_missing_instances_are_named(tmp_path, run, out):
    result = run("cityscapes", fakes.cityscapes(tmp_path), out, "--target", "panoptic")
    assert result.exit_code == 2
    assert "instanceIds.png: there is no such file" in result.stderr


def ade(folder, classes, instances):
    """Draw one image of ADE20K: its classes, and (class, number) of instances, left to right."""
    for kind in ("images", "annotations", "annotations_instance"):
        pathlib.Path(folder, kind, "training").mkdir(parents=True)
    name = "training/ADE_train_00000001"
    plane = np.repeat(np.array(classes, np.uint8), 4)[None].repeat(5, 0)
    Image.fromarray(plane).save(f"{folder}/annotations/{name}.png")
    Image.fromarray(np.zeros((*plane.shape, 3), np.uint8)).save(f"{folder}/images/{name}.jpg")
    pixels = np.repeat(np.array([(*one, 0) for one in instances], np.uint8), 4, 0)
    Image.fromarray(pixels[None].repeat(5, 0)).save(f"{folder}/annotations_instance/{name}.png")
    return str(folder)


def test_things_of_ade20k_are_pasted_over_stuff(tmp_path, run, out):
    # A bed (8, the first thing) that no instance covers is void; things cover stuff.
    root = ade(
        tmp_path / "d",
        [1, 8, 8, 3, 0, 150, 1],
        [(0, 0), (1, 7), (0, 0), (1, 2), (0, 0), (100, 9), (0, 0)],
    )
    assert run("ade20k", root, out, "--target", "panoptic").exit_code == 0
    row = panoptic.maps(out)["ADE_train_00000001"][0, ::4]
    assert row.tolist() == [1000, 8002, 0, 8001, 0, 150001, 1000]
    known = manifest.load(out)
    assert (known["classes"][:2], known["classes"][150]) == (["void", "wall"], "flag")
    assert (known["divisor"], known["ignore"], len(known["things"])) == (1000, 0, 100)
    assert run("validate", out, root, "--level", "source").exit_code == 0


@pytest.mark.parametrize(
    ("instances", "said"),
    [
        ([(1, 7), (2, 7)], "found instance 7 with the classes 1, 2; expected one from 1 to 100"),
        ([(1, 7), (101, 8)], "found instance 8 with the classes 101"),
        ([(0, 3), (1, 1)], "found instance 3 with the classes 0"),
    ],
)
def test_odd_instances_of_ade20k_are_named(instances, said, tmp_path, run, out):
    root = ade(tmp_path / "d", [1, 1], instances)
    result = run("ade20k", root, out, "--target", "panoptic")
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


def test_ade20k_without_instances_is_named(tmp_path, run, out):
    result = run("ade20k", fakes.ade20k(tmp_path), out, "--target", "panoptic")
    assert result.exit_code == 2
    assert "annotations_instance/training/ADE_train_00000001.png" in result.stderr


def bdd(folder, *pixels, mode="RGBA"):
    """Draw one image of BDD100K with these pixels of a bitmask, from left to right."""
    images = pathlib.Path(folder, "images", "10k", "train")
    labels = pathlib.Path(folder, "labels", "pan_seg", "bitmasks", "train")
    for place in (images, labels):
        place.mkdir(parents=True)
    plane = np.repeat(np.array(pixels, np.uint8), 4, 0)[None].repeat(5, 0)
    Image.fromarray(plane).convert(mode).save(labels / "a.png")
    Image.fromarray(np.zeros((*plane.shape[:2], 3), np.uint8)).save(images / "a.jpg")
    return str(folder)


# Two cars, of which one has an instance above 255 and is truncated; a crowd of persons; a rider
# that is ignored; sky in two pieces; nothing.
CARS, SKY_2 = [(35, 8, 1, 4), (35, 0, 0, 9)], [(30, 0, 0, 3), (30, 0, 0, 5)]
BITS = [*CARS, (31, 2, 0, 1), (32, 1, 0, 2), *SKY_2, (0, 0, 0, 0)]


@pytest.mark.parametrize(("crowd", "kept"), [("ignore", 0), ("class", 31000)])
def test_bitmasks_of_bdd100k_are_numbered(crowd, kept, tmp_path, run, out):
    root = bdd(tmp_path / "d", *BITS)
    assert run("build", root, out, "--target", "panoptic", "--crowd", crowd).exit_code == 0
    row = panoptic.maps(out)["a"][0, ::4]
    assert row.tolist() == [35002, 35001, kept, 0, 30000, 30000, 0]
    known = manifest.load(out)
    assert (known["classes"][1], known["classes"][40]) == ("dynamic", "truck")
    assert (known["divisor"], known["things"]) == (1000, [*range(31, 41)])
    assert run("validate", out, root, "--level", "source").exit_code == 0


def test_bitmasks_of_bdd100k_give_classes_alone(tmp_path, run, out):
    assert run("bdd100k", bdd(tmp_path / "d", *BITS), out, "--labels", "pan_seg").exit_code == 0
    assert masks(out)["a"][0, ::4].tolist() == [34, 34, 30, 255, 29, 29, 255]
    assert len(manifest.load(out)["classes"]) == 40


@pytest.mark.parametrize(
    ("pixels", "mode", "said"),
    [
        ([(41, 0, 0, 1)], "RGBA", "found the category 41; expected 0 to 40"),
        ([(35, 0, 0, 1)], "RGB", "found a bitmask in rgb of 8 bits; expected RGBA"),
    ],
)
def test_other_bitmasks_are_named(pixels, mode, said, tmp_path, run, out):
    root = bdd(tmp_path / "d", *pixels, mode=mode)
    result = run("bdd100k", root, out, "--target", "panoptic")
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    result = run("bdd100k", root, out, "--target", "panoptic", "--labels", "drivable")
    assert "--target panoptic: found --labels drivable, expected pan_seg" in result.stderr


def test_tiles_keep_the_numbers_of_the_whole_image(tmp_path, run, out):
    root = tree(tmp_path / "d")
    assert run("coco", root, f"{out}0", "--target", "panoptic").exit_code == 0
    assert run("coco", root, out, "--target", "panoptic", "--tile", "16").exit_code == 0
    whole, found = panoptic.maps(f"{out}0"), panoptic.maps(out)
    assert len(found) > len(whole)
    for key, one in panoptic.records(out).items():
        top, left = (int(one[f"image/tile/{name}"][0]) for name in ("y", "x"))
        height, width = found[key].shape
        source = whole[key.partition("_y")[0]]
        assert np.array_equal(found[key], source[top : top + height, left : left + width])
        assert one["image/segmentation/class/divisor"].tolist() == [256]
    assert run("validate", out).exit_code == 0
    assert run("validate", out, root, "--level", "source").exit_code == 0


def test_what_does_not_know_of_instances_refuses_them(tmp_path, run, out):
    root = tree(tmp_path / "d")
    assert run("coco", root, out, "--target", "panoptic").exit_code == 0
    result = run("merge", out, tmp_path / "d", tmp_path / "both")
    assert result.exit_code == 2
    assert "found panoptic labels, whose instances a merge does not carry over" in result.stderr


def labelled(folder, *shapes, classes=("cat", "dog", "sky")):
    """Draw one image of LabelMe, 60 x 5, whose shapes are stripes: label, columns, group_id."""
    made = [
        {"label": label, "shape_type": "rectangle", "points": [[low, 0], [high, 4]], **more}
        for label, low, high, more in shapes
    ]
    folder.mkdir()
    document = {"shapes": made, "imagePath": "a.png", "imageHeight": 5, "imageWidth": 60}
    (folder / "a.json").write_text(json.dumps(document))
    Image.fromarray(np.zeros((5, 60, 3), np.uint8)).save(folder / "a.png")
    names = ["__ignore__", "_background_", *classes]
    (folder / "labels.txt").write_text("\n".join(names))
    return str(folder)


def group(number):
    return {"group_id": number}


STRIPES = [
    ("cat", 0, 9, group(7)),
    ("cat", 10, 19, {}),
    ("dog", 5, 12, group(7)),  # over both cats; its group is of another label
    ("cat", 40, 44, group(7)),  # the first cat's other half
    ("cat", 50, 51, group(None)),  # covered by the next ones
    ("__ignore__", 50, 53, group(7)),
    ("sky", 30, 34, group(1)),
    ("sky", 36, 38, group(2)),
    ("cat", 56, 57, group(0)),
    ("_background_", 57, 58, {}),
]
# Columns that show a piece each.
SHOWN = (0, 9, 15, 25, 32, 37, 42, 50, 53, 56, 57, 59)
WHOLE = [1001, 2001, 1002, 0, 3001, 3002, 1001, 255000, 255000, 1003, 0, 0]


def test_shapes_of_one_label_and_group_are_an_object_of_labelme(tmp_path, run, out):
    root = labelled(tmp_path / "d", *STRIPES)
    assert run("build", root, out, "--target", "panoptic").exit_code == 0
    assert panoptic.maps(out)["a"][2, SHOWN].tolist() == WHOLE
    known = manifest.load(out)
    assert (known["classes"], known["ignore"]) == (["_background_", "cat", "dog", "sky"], 255)
    assert (known["divisor"], known["things"]) == (1000, [1, 2, 3])
    for level in ("pixels", "source"):
        assert run("validate", out, root, "--level", level).exit_code == 0


def test_things_of_labelme_may_be_said(tmp_path, run, out):
    root = labelled(tmp_path / "d", *STRIPES)
    options = ("--target", "panoptic", "--things", "dog,cat", "--divisor", "256")
    assert run("labelme", root, out, *options).exit_code == 0
    assert manifest.load(out)["things"] == [1, 2]
    expected = [value // 1000 * 256 + value % 1000 * (value < 3000) for value in WHOLE]
    assert panoptic.maps(out)["a"][2, SHOWN].tolist() == expected
    for name in ("cats", "_background_", "__ignore__"):
        result = run("labelme", root, f"{out}2", "--target", "panoptic", "--things", name)
        assert result.exit_code == 2
        said = " ".join(result.stderr.split())
        assert f"--things: found {name!r}, which is no class with objects" in said
    assert "--things: expected only with" in run("labelme", root, out, "--things", "cat").stderr
    assert "--divisor 9: found no inst" in run("labelme", root, out, "--divisor", "9").stderr


@pytest.mark.parametrize("overlap", ["order", "area", "ignore"])
def test_objects_of_labelme_have_the_classes_of_a_build_without(overlap, tmp_path, run, out):
    root = fakes.labelme(tmp_path)
    assert run("labelme", root, out, "--target", "panoptic", "--overlap", overlap).exit_code == 0
    assert run("labelme", root, f"{out}2", "--overlap", overlap).exit_code == 0
    found, expected = panoptic.maps(out), masks(f"{out}2")
    assert found.keys() == expected.keys()
    for key, one in found.items():
        assert np.array_equal(one // 1000, expected[key])
        assert not (one % 1000)[np.isin(expected[key], (0, 255))].any()
        assert (one % 1000)[np.isin(expected[key], (1, 2))].all()


def test_objects_of_one_class_of_labelme_may_overlap_but_no_others(tmp_path, run, out):
    cats = [("cat", 0, 9, {}), ("cat", 5, 14, {})]
    options = ("--target", "panoptic", "--overlap", "reject")
    assert run("labelme", labelled(tmp_path / "d", *cats), out, *options).exit_code == 0
    assert panoptic.maps(out)["a"][2, (0, 5, 14, 15)].tolist() == [1001, 1002, 1002, 0]
    root = labelled(tmp_path / "e", *cats, ("dog", 14, 15, {}))
    result = run("labelme", root, f"{out}2", *options)
    assert result.exit_code == 2
    assert "shape 3 (dog) overlaps an object of another class in 5 pixels" in result.stderr


@pytest.mark.parametrize("odd", ["7", 7.0, True, [7], {}])
def test_odd_groups_of_labelme_are_named(odd, tmp_path, run, out):
    root = labelled(tmp_path / "d", ("cat", 0, 9, {}), ("dog", 20, 29, group(odd)))
    result = run("labelme", root, out, "--target", "panoptic")
    assert result.exit_code == 2
    said = " ".join(result.stderr.split())
    assert f"shape 2 (dog): found the group_id {odd!r}; expected a whole number" in said
    assert run("labelme", root, out).exit_code == 0  # which has no objects


def test_too_many_objects_of_labelme_need_a_larger_divisor(tmp_path, run, out):
    root = labelled(tmp_path / "d", *[("cat", 3 * i, 3 * i + 1, {}) for i in range(4)])
    result = run("labelme", root, out, "--target", "panoptic", "--divisor", "4")
    assert result.exit_code == 2
    assert "found 4 or more instances of class 1" in result.stderr
    assert run("labelme", root, out, "--target", "panoptic", "--divisor", "5").exit_code == 0


def test_recipes_of_labelme_without_objects_say_nothing_of_them(tmp_path):
    root = labelled(tmp_path / "d", *STRIPES)
    document = Recipe(layout=LabelMe().bind(root)).document()
    assert not {"target", "divisor", "thing_names"} & document["options"].keys()
    assert "label.divisor" not in document["features"]
    recipe = Recipe(layout=LabelMe(target="panoptic", thing_names=("cat",)).bind(root))
    assert load(json.loads(json.dumps(recipe.document()))) == recipe
    assert (recipe.layout.things, recipe.layout.divisor) == ((1,), 1000)


def test_objects_of_labelme_return_from_an_export(tmp_path, run, out):
    root = labelled(tmp_path / "d", *STRIPES)
    assert run("labelme", root, out, "--target", "panoptic").exit_code == 0
    assert run("export", out, tmp_path / "e", "--to", "labelme").exit_code == 0
    assert run("labelme", tmp_path / "e", f"{out}2", "--target", "panoptic").exit_code == 0
    (before,), (after,) = (panoptic.maps(one).values() for one in (out, f"{out}2"))
    assert np.array_equal(before, after)


@pytest.mark.shared
@pytest.mark.parametrize("joined", [(), ("sofa",), ("sofa", "person")])
def test_real_files_of_labelme_have_the_objects_that_pillow_draws(joined, tmp_path, run, out):
    root = pathlib.Path(shutil.copytree(SHARED / "labelme" / "semantic", tmp_path / "d"))
    names = (root / "labels.txt").read_text().split("\n")
    expected = {}
    for path in root.glob("*.json"):
        document = json.loads(path.read_text())
        plane = np.zeros((document["imageHeight"], document["imageWidth"]), np.int32)
        drawn, objects = Image.fromarray(plane), {}
        for i, shape in enumerate(document["shapes"]):
            label = shape["label"]
            shape["group_id"] = 5 if label in joined else None
            mine = objects.setdefault(label, [])
            one = 5 if label in joined else -i
            mine += [one] * (one not in mine)
            value = (names.index(label) - 1) * 1000 + mine.index(one) + 1
            points = [tuple(point) for point in shape["points"]]
            value = 255000 if label == "__ignore__" else value
            ImageDraw.Draw(drawn).polygon(points, fill=value, outline=value)
        path.write_text(json.dumps(document))
        expected[path.stem] = np.asarray(drawn)
    assert run("labelme", root, out, "--target", "panoptic").exit_code == 0
    found = panoptic.maps(out)
    for key in ("2011_000003", "2011_000006"):
        assert np.array_equal(found[key], expected[key])
        classes = np.asarray(Image.open(SHARED / "labelme" / "expected" / f"{key}.png"))
        assert np.count_nonzero(found[key] // 1000 != classes) <= 1
    rows = manifest.load(out)["splits"]["train"]["classes"]
    counts = {one["name"]: one["segments"] for one in rows[1:] if one["segments"]}
    people, sofas = (7, 2)["person" in joined], (4, 1)["sofa" in joined]
    assert counts == {"bottle": 1, "chair": 1, "person": people, "sofa": sofas}
