"""COCO: trees, the order of overlap, crowds, resumed builds, and mistakes that are named."""

import json
import os
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from dsbuild.errors import LayoutError, PlanError
from dsbuild.layouts.coco import Coco
from dsbuild.layouts.json_stream import members
from tests.support import fakes
from tests.support.objects import SHARED, planes
from tests.support.runs import content

BOX = [2, 2, 12, 2, 12, 12, 2, 12]
OTHER = [8, 8, 18, 8, 18, 18, 8, 18]
NAMES = ((7, "a.png"), (8, "x/a.png"))
SMALL = [4, 4, 8, 4, 8, 8, 4, 8]


def tree(folder, *objects, name="annotations/instances_train.json", at="train", **more):
    """Draw one image of 20 x 20 with these objects: (category, segmentation) and further keys."""
    annotations = [
        {"id": i, "image_id": 7, "category_id": category, "segmentation": shape, **rest}
        for i, (category, shape, *others) in enumerate(objects, 1)
        for rest in (others or [{}])
    ]
    document = {
        "images": [{"id": 7, "file_name": "a.png", "height": 20, "width": 20}],
        "annotations": annotations,
        "categories": [{"id": 2, "name": "cat"}, {"id": 5, "name": "dog"}],
        **more,
    }
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.makedirs(os.path.join(folder, at), exist_ok=True)
    with open(path, "w") as file:
        json.dump(document, file)
    Image.fromarray(np.arange(1200, dtype=np.uint8).reshape(20, 20, 3)).save(
        os.path.join(folder, at, "a.png")
    )
    return str(folder)


def plane_of(layout, tmp_path, *objects):
    layout = layout.bind(tree(tmp_path, *objects))
    (sample,) = layout.samples(str(tmp_path), "train")
    return layout.compose([sample.label.data], sample.parts, (20, 20)).plane


@pytest.mark.shared
def test_real_objects_are_drawn_as_in_the_truth(out, run):
    root = SHARED / "coco_instances"
    assert run("build", root, out).exit_code == 0
    found = planes(out)
    assert len(found) == 6
    for key, plane in found.items():
        channels = np.asarray(Image.open(root / "pixelwise_masks" / f"{key}.png"))
        truth = np.where(channels.any(-1), channels.argmax(-1) + 1, 0)
        np.testing.assert_array_equal(plane, truth)


@pytest.mark.parametrize(
    ("overlap", "values"),
    [("order", (1, 2, 1)), ("area", (2, 1, 2)), ("ignore", (255, 255, 1))],
)
def test_who_wins_where_objects_overlap(overlap, values, tmp_path):
    objects = (2, [SMALL]), (5, [BOX]), (2, [OTHER]), (2, [SMALL])
    if overlap == "area":
        objects = (5, [SMALL]), (2, [BOX]), (2, [OTHER])
    if overlap == "ignore":
        objects = (5, [SMALL]), (2, [OTHER]), (2, [BOX])
    plane = plane_of(Coco(overlap=overlap), tmp_path, *objects)
    first = {"order": (5, 5), "area": (5, 5), "ignore": (5, 5)}[overlap]
    second = {"order": (3, 10), "area": (3, 10), "ignore": (6, 6)}[overlap]
    third = {"order": (10, 10), "area": (5, 6), "ignore": (10, 10)}[overlap]
    assert tuple(int(plane[at]) for at in (first, second, third)) == values


def test_an_overlap_of_two_classes_is_rejected_if_asked(tmp_path, run, out):
    tree(tmp_path / "d", (2, [BOX]), (5, [OTHER]))
    result = run("coco", tmp_path / "d", out, "--overlap", "reject")
    assert result.exit_code == 2
    assert "annotation 2 overlaps an object of another class in 16 pixels" in result.stderr


def test_a_crowd_is_its_class_or_ignored_beneath_all_objects(tmp_path):
    objects = (2, [SMALL]), (5, [BOX], {"iscrowd": 1})
    plane = plane_of(Coco(), tmp_path, *objects)
    assert (plane[5, 5], plane[10, 10], plane[0, 0]) == (2, 2, 0)
    plane = plane_of(Coco(crowd="ignore"), tmp_path, *objects)
    assert (plane[5, 5], plane[10, 10], plane[0, 0]) == (1, 255, 0)


def test_a_touched_annotation_rewrites_only_the_shards_of_its_image(tmp_path, run, out):
    root = fakes.coco(tmp_path)
    arguments = ("coco", root, out, "--shards", 4, "--workers", 1)
    assert run(*arguments).exit_code == 0
    before = content(out)
    path = pathlib.Path(root, "annotations", "instances_train.json")
    document = json.loads(path.read_text())
    document["info"] = {"touched": "but not what decides pixels"}
    path.write_text(json.dumps(document))
    result = run(*arguments)
    assert "nothing to do" in result.output
    one = document["annotations"][0]
    one["segmentation"] = [[0, 0, 9, 0, 9, 9, 0, 9]]
    path.write_text(json.dumps(document))
    result = run(*arguments)
    assert result.exit_code == 0
    assert "its source annotations/instances_train.json#100 changed" in result.stderr
    assert "7 of 8 shards are valid and kept" in result.stderr
    changed = {name for name, data in content(out).items() if data != before.get(name)}
    shards = {name for name in changed if name.endswith(".tfrecord")}
    assert len(shards) == 1
    fresh = str(tmp_path / "fresh")
    assert run("coco", root, fresh, "--shards", 4, "--workers", 1).exit_code == 0
    assert content(fresh) == content(out)


@pytest.mark.parametrize(
    "lost", ["labels-train", "plan-train.jsonl", "train-00001-of-00004.tfrecord"]
)
def test_what_is_lost_is_restored(lost, tmp_path, run, out):
    root = fakes.coco(tmp_path)
    assert run("coco", root, out, "--shards", 4).exit_code == 0
    before = content(out)
    for folder, _, names in os.walk(out):
        for name in names:
            if name == lost:
                os.remove(os.path.join(folder, name))
    assert run("coco", root, out, "--shards", 4).exit_code == 0
    assert content(out) == before
    assert run("validate", out, "--level", "pixels").exit_code == 0


@pytest.mark.parametrize(
    ("name", "at", "split"),
    [
        ("annotations/instances_train2017.json", "train2017", "train"),
        ("annotations/instances_val2017.json", "images/val2017", "val"),
        ("annotations/instances_default.json", "images", "train"),
        ("train/_annotations.coco.json", "train", "train"),
        ("valid/_annotations.coco.json", "valid", "val"),
        ("instances.json", "images", "train"),
        ("labels.json", "data", "train"),
        ("result.json", "", "train"),
        ("val.json", "images", "val"),
    ],
)
def test_trees_of_tools_are_recognised(name, at, split, tmp_path, run, out):
    tree(tmp_path / "d", (2, [BOX]), name=name, at=at)
    result = run("build", tmp_path / "d", out)
    assert result.exit_code == 0, result.output
    assert os.path.exists(f"{out}/{split}-00000-of-00001.tfrecord")
    assert set(np.unique(planes(out)["a"]).tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("category", "segmentation", "said"),
    [
        (3, [BOX], "category_id 3, which the categories do not have: their ids have 2 gaps"),
        (9, [BOX], "found category_id 9, which the categories do not have; correct"),
        (2, [[1, 2, 3, 4]], "annotation 1: found a polygon of 2 points"),
        (2, [], "found no segmentation, only a box"),
        (2, {"size": [30, 20], "counts": [600]}, "run-length encoding of size [30, 20]"),
        (2, {"size": [40, 56], "counts": [5, 10, 30, 10]}, "pairs of start and length"),
    ],
)
def test_mistakes_in_annotations_are_named_and_can_be_skipped(
    category, segmentation, said, tmp_path, run, out
):
    root = fakes.coco(tmp_path)
    path = pathlib.Path(root, "annotations", "instances_train.json")
    document = json.loads(path.read_text())
    document["categories"] = [{"id": 2, "name": "cat"}, {"id": 5, "name": "dog"}]
    first, *_ = document["annotations"]
    document["annotations"] = [{**first, "category_id": category, "segmentation": segmentation}]
    path.write_text(json.dumps(document))
    result = run("coco", root, out, "--split", "train", "--categories", path)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert "instances_train.json#100" in result.stderr
    accepted = ("--on-error", "skip", "--accept", "all-background")
    result = run("coco", root, out, "--split", "train", "--categories", path, *accepted)
    assert result.exit_code == 0, result.output
    assert len(planes(out)) == 7


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"annotations": [{"image_id": 7, "segments_info": []}]}, "these are panoptic"),
        ({"annotations": [{"image_id": 7, "caption": "a"}]}, "captions or something else"),
        ({"annotations": [{"image_id": 8, "category_id": 2}]}, "an annotation of the image 8"),
        ({"images": [{"id": 7, "file_name": "a.png"}] * 2}, "without height and width"),
        ({"images": [{"id": 7, "file_name": "a", "height": 2, "width": 2}] * 2}, "two images"),
        ({"images": []}, "found no image in it"),
        ({"categories": []}, "found no categories"),
        ({"categories": [{"id": 1}]}, "expected an id and a name"),
        ({"categories": [{"id": 1, "name": "a"}] * 2}, "two categories with the id 1"),
        ({"categories": [{"id": i, "name": f"c{i}"} for i in range(300)]}, "labels have 8 bits"),
    ],
)
def test_files_of_another_form_are_named(change, said, tmp_path, run, out):
    root = tree(tmp_path / "d", **change)
    result = run("coco", root, out)
    assert result.exit_code in (1, 2)
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert not os.path.exists(out)


def test_an_id_of_0_is_a_class_like_others_and_is_mentioned(tmp_path, run, out):
    known = [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]
    root = tree(tmp_path / "d", (0, [BOX]), (1, [SMALL]), categories=known)
    result = run("coco", root, out)
    assert result.exit_code == 0
    assert Coco().bind(root).classes == ("background", "cat", "dog")
    assert "'cat' has the id 0" in result.stderr
    plane = planes(out)["a"]
    assert (plane[10, 10], plane[5, 5]) == (1, 2)


def test_a_category_named_background_is_the_background():
    layout = Coco(categories=((0, "_background_"), (1, "cat")))
    assert layout.classes == ("background", "cat")


def test_images_that_are_elsewhere_are_asked_for(tmp_path):
    root = tree(tmp_path, (2, [BOX]), at="elsewhere")
    with pytest.raises(LayoutError, match="name the folder of the images with --images"):
        list(Coco().bind(root).samples(root, "train"))
    layout = Coco(images="elsewhere").bind(root)
    assert [sample.image for sample in layout.samples(root, "train")] == ["elsewhere/a.png"]


@pytest.mark.parametrize("above", ["C:\\\\data\\\\", "/home/me/data/", "s3://labels/"])
def test_names_that_begin_at_a_root_are_below_the_folder_they_share(above, tmp_path):
    root = tree(tmp_path)
    path = tmp_path / "annotations" / "instances_train.json"
    document = json.loads(path.read_text())
    os.mkdir(tmp_path / "train" / "x")
    shutil.copy(tmp_path / "train" / "a.png", tmp_path / "train" / "x" / "a.png")
    both = [{**document["images"][0], "id": i, "file_name": above + one} for i, one in NAMES]
    path.write_text(json.dumps({**document, "images": both}))
    found = [(one.key, one.image) for one in Coco().bind(root).samples(root, "train")]
    assert found == [("a", "train/a.png"), ("x/a", "train/x/a.png")]
    both[0]["file_name"] = "a.png"  # now nothing is shared
    path.write_text(json.dumps({**document, "images": both}))
    assert next(one.key for one in Coco().bind(root).samples(root, "train")) == "a"


def test_names_at_a_root_may_lie_in_a_folder_that_they_share(tmp_path):
    root = tree(tmp_path)
    path = tmp_path / "annotations" / "instances_train.json"
    document = json.loads(path.read_text())
    image = {**document["images"][0], "file_name": "/home/me/shots/day/a.png"}
    path.write_text(json.dumps({**document, "images": [image]}))
    layout = Coco().bind(root)

    def found():
        return [(one.key, one.image) for one in layout.samples(root, "train")]

    assert found() == [("a", "train/a.png")]
    os.makedirs(tmp_path / "shots" / "day")
    shutil.move(tmp_path / "train" / "a.png", tmp_path / "shots" / "day" / "a.png")
    assert found() == [("a", "shots/day/a.png")]
    os.mkdir(tmp_path / "day")
    shutil.copy(tmp_path / "shots" / "day" / "a.png", tmp_path / "day" / "a.png")
    with pytest.raises(LayoutError, match=r"a\.png in day and in shots/day below .* --images"):
        found()
    named = Coco(images="day").bind(root)
    assert [one.image for one in named.samples(root, "train")] == ["day/a.png"]


def test_categories_that_differ_between_files_are_refused(tmp_path):
    root = tree(tmp_path, (2, [BOX]))
    other = [{"id": 2, "name": "cow"}]
    tree(tmp_path, name="annotations/instances_val.json", at="val", categories=other)
    with pytest.raises(LayoutError, match="its categories differ"):
        Coco().bind(root)


def test_too_many_categories_are_refused():
    with pytest.raises(PlanError, match="at most 254"):
        Coco(categories=tuple((i, f"c{i}") for i in range(255)))


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_a_stream_gives_what_the_whole_document_holds(size, tmp_path, monkeypatch):
    monkeypatch.setattr("dsbuild.layouts.json_stream._CHUNK", size)
    document = {
        "n": 12.5e3,
        "images": [{"id": 1, "ä": "\u20ac\n"}, {}, [], 17, None, "x" * 3000],
        "empty": [],
        "info": {"a": [1, {"b": None}]},
        "last": 123456789,
    }
    path = tmp_path / "a.json"
    for indent in (None, 2):
        for ascii_ in (True, False):
            path.write_text(json.dumps(document, indent=indent, ensure_ascii=ascii_))
            found = {}
            for key, value, element in members(str(path)):
                if element:
                    found[key].append(value)
                else:
                    found[key] = value if value is not None else []
            assert found == document


@pytest.mark.parametrize(
    "text",
    [
        *("", "[1]", "{", '{"a"', '{"a":[1', '{"a":[1,]}', '{"a":[1 2]}', '{"a":1,}', '{"a":nul}'),
        *("{1:2}", '{"a":["x]}', '{"a":[{"b":1}', '{"a":' + "[" * 100_000),
        '{"a": [{"b" 1}, ' + "{}, " * 999,
    ],
)
def test_a_damaged_stream_is_named(text, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(LayoutError, match=r"a\.json: found .*at character"):
        list(members(str(path)))


@pytest.mark.shared
@pytest.mark.parametrize(("crowd", "void"), [("class", (2712, 7189)), ("ignore", (27007, 15449))])
def test_panoptic_segments_have_the_classes_of_their_categories(crowd, void, tmp_path, run, out):
    tool = pytest.importorskip("pycocotools.mask")
    root = SHARED / "coco_panoptic"
    options = () if crowd == "class" else ("--crowd", crowd)
    assert run("build", root, out, *options).exit_code == 0
    known = json.loads((root / "annotations" / "panoptic_val2017.json").read_text())
    ids = sorted(one["id"] for one in known["categories"])
    listed = json.loads((root / "detection_format.json").read_text())
    found = planes(out)
    assert tuple(np.count_nonzero(plane == 255) for _, plane in sorted(found.items())) == void
    for key, plane in found.items():
        for one in listed if isinstance(listed, list) else listed["annotations"]:
            if one["image_id"] == int(key):
                values = set(plane[tool.decode(one["segmentation"]) > 0].tolist())
                assert values <= {ids.index(one["category_id"]), *([255] if options else [])}


def panoptic(folder, ids, segments, mode="RGB", **more):
    """Draw one image whose segments have these ids, from left to right."""
    root = tree(folder, name="annotations/panoptic_train.json", **more)
    path = pathlib.Path(root, "annotations", "panoptic_train.json")
    document = json.loads(path.read_text())
    infos = [{"id": one, "category_id": category} for one, category in segments]
    document["annotations"] = [{"image_id": 7, "file_name": "a.png", "segments_info": infos}]
    path.write_text(json.dumps(document | more))
    plane = np.repeat(np.array(ids), 20 // len(ids))[None].repeat(20, 0)
    pixels = np.stack([plane % 256, plane // 256 % 256, plane // 65536], -1).astype(np.uint8)
    pathlib.Path(root, "annotations", "panoptic_train").mkdir(exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(f"{root}/annotations/panoptic_train/a.png")
    return root


def test_ids_of_segments_have_24_bits(tmp_path, run, out):
    root = panoptic(tmp_path / "d", [0, 300, 70000, 5], [(300, 2), (70000, 5), (5, 2)])
    assert run("build", root, out).exit_code == 0
    assert planes(out)["a"][0, ::5].tolist() == [255, 0, 1, 0]


@pytest.mark.parametrize(
    ("ids", "segments", "mode", "said"),
    [
        ([1, 2], [(1, 2)], "RGB", "the segment 2 in the PNG, which the JSON does not have"),
        ([1, 1], [(1, 2), (3, 2)], "RGB", "the segment 3 in the JSON, which the PNG does not"),
        ([1, 1], [(1, 3)], "RGB", "category_id 3, which the categories do not have"),
        ([1, 1], [(1, 2)], "L", "a panoptic label in grey of 8 bits; expected RGB"),
    ],
)
def test_segments_that_disagree_are_named(ids, segments, mode, said, tmp_path, run, out):
    root = panoptic(tmp_path / "d", ids, segments, mode)
    result = run("coco", root, out, "--labels", "panoptic")
    assert result.exit_code in (1, 2)
    assert said in " ".join(result.stderr.split())


@pytest.mark.parametrize("png", [True, False])
@pytest.mark.parametrize("count", [0, 2])
def test_a_panoptic_image_without_its_annotation_can_be_skipped(count, png, tmp_path, run, out):
    root = panoptic(tmp_path / "d", [1, 2], [(1, 2), (2, 5)])
    path = pathlib.Path(root, "annotations", "panoptic_train.json")
    document = json.loads(path.read_text())
    document["images"].append({"id": 8, "file_name": "b.png", "height": 20, "width": 20})
    (one,) = document["annotations"]
    document["annotations"] += [{**one, "image_id": 8, "file_name": "b.png"}] * count
    path.write_text(json.dumps(document))
    shutil.copy(f"{root}/train/a.png", f"{root}/train/b.png")
    if png:
        shutil.copy(path.parent / "panoptic_train/a.png", path.parent / "panoptic_train/b.png")
    words = ("coco", root, out, "--labels", "panoptic")
    result = run(*words)
    assert result.exit_code == 2
    said = f"found {count or 'no'} annotations of this image" if png else "there is no such file"
    assert f"sample b: {root}/annotations/panoptic_train/b.png: {said}" in result.stderr
    result = run(*words, "--on-error", "skip")
    assert result.exit_code == 0, result.stderr
    assert "left out 1 sample" in result.stderr
    assert list(planes(out)) == ["a"]
    assert "nothing to do" in run(*words, "--on-error", "skip").stdout


def test_instances_given_as_panoptic_are_named(tmp_path, run, out):
    root = tree(tmp_path / "d", (2, [BOX]), name="annotations/panoptic_train.json")
    pathlib.Path(root, "annotations", "panoptic_train").mkdir()
    result = run("coco", root, out, "--labels", "panoptic")
    assert result.exit_code == 2
    assert "these are instances or something else, not panoptic" in result.stderr


def test_validation_compares_labels_with_what_their_file_holds_now(tmp_path, run, out):
    root = fakes.coco(tmp_path)
    assert run("coco", root, out).exit_code == 0
    assert run("validate", out, root, "--level", "source").exit_code == 0
    path = pathlib.Path(root, "annotations", "instances_train.json")
    document = json.loads(path.read_text())
    document["annotations"][0]["category_id"] = 9
    document["annotations"][0]["segmentation"] = [BOX]
    path.write_text(json.dumps(document))
    result = run("validate", out, root, "--level", "source")
    assert result.exit_code == 1
    assert "its label annotations/instances_train.json#100 differs from what" in result.stdout
    assert run("repair", out, root).exit_code == 0
    assert run("coco", root, out).exit_code == 0
    assert run("validate", out, root, "--level", "source").exit_code == 0


@pytest.mark.parametrize("lost", [None, {}, {"0": {"id": 1}}])
def test_annotations_that_are_no_list_are_not_taken_for_none(lost, tmp_path, run, out):
    root = tree(tmp_path / "d", (2, [BOX]), annotations=lost)
    result = run("coco", root, out)
    assert result.exit_code == 2
    assert "found no list annotations" in result.stderr


@pytest.mark.parametrize("name", ["", "/", "\ud800.png", "a\0.png"])
def test_names_that_no_file_has_are_refused(name, tmp_path, run, out):
    image = {"id": 7, "file_name": name, "height": 20, "width": 20}
    result = run("coco", tree(tmp_path / "d", (2, [BOX]), images=[image]), out)
    assert result.exit_code == 2
    assert "expected a path" in result.stderr


def test_pictures_that_no_file_lists_are_reported(tmp_path, run, out):
    root = tree(tmp_path / "d", (2, [BOX]))
    Image.new("RGB", (20, 20)).save(os.path.join(root, "train", "b.png"))
    result = run("coco", root, out)
    assert result.exit_code == 0
    assert "train/b.png: no list has it" in " ".join(result.stderr.split())


def test_two_files_of_annotations_in_one_folder_are_named(tmp_path, run, out):
    for name in ("one", "two"):
        root = tree(tmp_path / "d", (2, [BOX]), name=f"train/{name}.json")
    result = run("coco", root, out)
    assert result.exit_code == 2
    assert "found one.json, two.json; expected one" in " ".join(result.stderr.split())
    assert run("coco", root, out, "--annotations", "train/two.json").exit_code == 0


def test_images_of_a_group_stay_in_one_split(tmp_path):
    images = [
        {"id": i, "file_name": f"clip{i % 9}/{i}.png", "height": 20, "width": 20} for i in range(36)
    ]
    root = tree(tmp_path, images=images, name="all.json", at="images")
    os.makedirs(os.path.join(root, "images", "clip0"))
    shutil.copy(f"{root}/images/a.png", f"{root}/images/clip0/0.png")
    layout = Coco(val_fraction=0.5, group="folder").bind(root)
    found = {split: [*layout.samples(root, split)] for split in layout.splits(root)}
    clips = {split: {s.key.partition("/")[0] for s in rows} for split, rows in found.items()}
    assert sum(map(len, found.values())) == 36
    assert all(clips.values())
    assert not clips["train"] & clips["val"]


def test_a_fraction_that_leaves_a_split_of_one_file_empty_is_named(tmp_path, run):
    root = tree(tmp_path, (2, [BOX]), name="all.json", at="images")
    out = str(tmp_path / "out")
    result = run("coco", root, out, "--val-fraction", "0.001")
    assert result.exit_code == 2
    said = " ".join(result.stderr.split())
    assert f"{root}: val has no sample: by --val-fraction 0.001, a hash of each picture" in said
    assert not os.path.exists(out)
    assert run("coco", root, out, "--val-fraction", "0.001", "--split", "train").exit_code == 0


def test_copies_of_one_picture_in_two_splits_are_reported(tmp_path):
    for split in ("train", "valid"):
        image = {"id": 7, "file_name": f"a_jpg.rf.{split}.png", "height": 20, "width": 20}
        name = f"{split}/_annotations.coco.json"
        root = tree(tmp_path, (2, [BOX]), images=[image], name=name, at=split)
        os.rename(f"{root}/{split}/a.png", f"{root}/{split}/{image['file_name']}")
    layout = Coco().bind(root)
    (found,) = layout.findings(root, "train", [*layout.samples(root, "train")])
    assert found.text.startswith("the group a_jpg is in train (1) and val (1)")


@pytest.mark.parametrize("ids", [[0], ["1"], [1, 1], [None, 1]])
def test_odd_ids_of_segments_are_refused(ids, tmp_path, run, out):
    root = panoptic(tmp_path / "d", [0, 1], [(one, 2) for one in ids])
    result = run("coco", root, out, "--labels", "panoptic")
    assert result.exit_code == 2
    assert "expected ids that are whole numbers" in " ".join(result.stderr.split())


def test_numbers_are_whole_wherever_what_is_read_ends(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    document = {"a": 0.00125, "b": [1e-07, -3, True, None], "c": {"d": [1.5]}}
    path.write_text(json.dumps(document))
    for size in range(1, 12):
        monkeypatch.setattr("dsbuild.layouts.json_stream._CHUNK", size)
        found = {"b": []}
        for key, value, element in members(str(path)):
            if element:
                found[key].append(value)
            elif key != "b":
                found[key] = value
        assert found == document
