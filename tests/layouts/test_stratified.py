"""Classes of shapes in both splits: the names in annotations say which an image has."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dsbuild import fields
from dsbuild.layouts.coco import Coco
from dsbuild.layouts.cvat import Cvat
from dsbuild.layouts.division import present
from dsbuild.layouts.labelme import LabelMe
from dsbuild.layouts.sample import Slice
from dsbuild.layouts.supervisely import Supervisely
from dsbuild.layouts.yolo import Yolo
from tests.support.runs import make
from tests.support.trees import touch

NAMES = ("cat", "dog", "cow")
SQUARE = [[1, 1], [9, 1], [9, 9]]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text))


def labelme(root, images):
    write(root / "labels.txt", "\n".join(("__ignore__", "_background_", *NAMES)))
    for key, shown in images.items():
        touch(root, f"{key}.jpg")
        shapes = [{"label": name, "points": SQUARE} for name in shown]
        write(root / f"{key}.json", {"imageHeight": 20, "imageWidth": 20, "shapes": shapes})
    return LabelMe


def yolo(root, images):
    write(root / "data.yaml", f"names: [{', '.join(NAMES)}]\n")
    touch(root, *(f"images/{key}.jpg" for key in images))
    for key, shown in images.items():
        text = "".join(f"{NAMES.index(one)} 0.1 0.1 0.5 0.1 0.5 0.5\n" for one in shown)
        write(root / f"labels/{key}.txt", text)
    return Yolo


def cvat(root, images):
    labels = "".join(f"<label><name>{name}</name></label>" for name in NAMES)
    rows = [f"<annotations><meta><task><labels>{labels}</labels></task></meta>"]
    for i, (key, shown) in enumerate(images.items()):
        touch(root, f"images/{key}.jpg")
        shapes = "".join(f'<polygon label="{one}" points="1,1;9,1;9,9"/>' for one in shown)
        given = f'id="{i}" name="{key}.jpg" width="20" height="20"'
        rows.append(f'<image {given}>{shapes}<box label="cow" xtl="1"/></image>')
    write(root / "annotations.xml", "\n".join([*rows, "</annotations>"]))
    return Cvat


def supervisely(root, images):
    write(root / "meta.json", {"classes": [{"title": name} for name in NAMES]})
    for key, shown in images.items():
        touch(root, f"all/img/{key}.jpg")
        kept = {"geometryType": "polygon", "points": {"exterior": SQUARE, "interior": []}}
        objects = [{"classTitle": name, **kept} for name in shown]
        document = {"size": {"height": 20, "width": 20}, "objects": objects}
        write(root / f"all/ann/{key}.jpg.json", document)
    return Supervisely


def coco(root, images):
    touch(root, *(f"images/{key}.jpg" for key in images))
    listed = [
        {"id": i, "file_name": f"{key}.jpg", "height": 20, "width": 20}
        for i, key in enumerate(images)
    ]
    polygon = [[1, 1, 9, 1, 9, 9]]
    annotations = [
        {"image_id": i, "category_id": NAMES.index(name) * 3 + 1, "segmentation": polygon}
        for i, shown in enumerate(images.values())
        for name in shown
    ]
    categories = [{"id": i * 3 + 1, "name": name} for i, name in enumerate(NAMES)]
    document = {"images": listed, "annotations": annotations, "categories": categories}
    write(root / "all.json", document)
    return Coco


DRAWN = (labelme, coco, yolo, cvat, supervisely)


def divided(layout, root):
    """Return the last part of each key, with its split."""
    root = str(root)
    layout = layout.bind(root)
    rows = [(s.key, split) for split in layout.splits(root) for s in layout.samples(root, split)]
    found = {key.rpartition("/")[2]: split for key, split in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.parametrize("draw", DRAWN)
@given(
    shown=st.lists(st.lists(st.sampled_from(NAMES), max_size=2), min_size=2, max_size=10),
    seed=st.integers(0, 3),
)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_class_that_two_images_have_is_in_both_splits(draw, shown, seed, tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    images = {f"i{number}": names for number, names in enumerate(shown)}
    made = draw(root, images)
    found = divided(made(val_fraction=0.2, split_seed=seed, stratify=True), root)
    assert found.keys() == images.keys()
    rare = [name for name in NAMES if sum(name in names for names in shown) >= 2]
    lost = [
        name
        for name in rare
        if {found[key] for key, names in images.items() if name in names} != {"train", "val"}
    ]
    if all(len({*names}) < 2 for names in shown):  # else no division may suit every class
        assert not lost
    plain = divided(made(val_fraction=0.2, split_seed=seed), root)
    assert sum(plain[key] != found[key] for key in plain) <= len(rare)


@pytest.mark.parametrize("draw", DRAWN)
def test_images_keep_their_split_when_others_are_added(draw, tmp_path):
    few = {f"i{i}": [NAMES[i % 3]] for i in range(30)}
    more = {**few, **{f"j{i}": [NAMES[i % 2]] for i in range(20)}}
    found = [
        divided(draw(tmp_path / name, images)(val_fraction=0.3, stratify=True), tmp_path / name)
        for name, images in (("few", few), ("more", more))
    ]
    assert found[0].items() <= found[1].items()


@pytest.mark.parametrize("draw", DRAWN)
def test_groups_are_brought_into_both_splits_as_a_whole(draw, tmp_path):
    images = {f"clip{i // 2}_{i}": ["dog" if i in (3, 8) else "cat"] for i in range(24)}
    made = draw(tmp_path, images)
    for seed in range(4):
        options = {"val_fraction": 0.2, "split_seed": seed, "group": r"(clip\d+)_"}
        found = divided(made(**options, stratify=True), tmp_path)
        assert {found["clip1_3"], found["clip4_8"]} == {"train", "val"}
        assert all(found[f"clip{i}_{2 * i}"] == found[f"clip{i}_{2 * i + 1}"] for i in range(12))


@pytest.mark.parametrize("draw", DRAWN)
def test_without_it_recipes_and_splits_are_as_before(draw, tmp_path):
    made = draw(tmp_path, {f"i{i}": [NAMES[i % 3]] for i in range(20)})
    plain = made(val_fraction=0.3)
    assert "stratify" not in fields.document(plain)
    assert fields.document(made(val_fraction=0.3, stratify=True))["stratify"] is True
    above = "all/" if draw is supervisely else ""
    assert all(
        plain.divide(above + key) == split for key, split in divided(plain, tmp_path).items()
    )


@pytest.mark.parametrize("draw", DRAWN)
def test_every_number_of_workers_builds_the_same_shards(draw, tmp_path, two_processes):
    root = tmp_path / "data"
    made = draw(root, {f"i{i}": ["dog" if i in (3, 8) else "cat"] for i in range(9)})
    for path in root.rglob("*.jpg"):
        Image.new("RGB", (20, 20)).save(path)
    layout = made(val_fraction=0.2, stratify=True)
    make(root, tmp_path / "1", layout=layout)
    make(root, tmp_path / "2", layout=layout, engine=two_processes)
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / one).glob("*.tfrecord*")}
        for one in "12"
    )
    assert first == second
    assert any(name.startswith("val") for name in first)


POLYGON = {"geometryType": "polygon", "classTitle": "dog"}
LINE = {"geometryType": "line", "classTitle": "cat"}
CATEGORIES = ((1, "cat"), (4, "dog"))


def of_coco(*rows):
    rows = [dict(zip(("category_id", "iscrowd"), one, strict=True)) for one in rows]
    return {"size": [2, 2], "annotations": rows}


def of_panoptic(*rows):
    segments = [[i, *one] for i, one in enumerate(rows, 1)]
    return {"size": [2, 2], "annotations": [{"file": "a.png", "segments": segments}]}


PANOPTIC = {"labels": "panoptic", "categories": CATEGORIES}


@pytest.mark.parametrize(
    ("layout", "data", "classes"),
    [
        (LabelMe(names=("_background_", *NAMES)), {"shapes": [{"label": "cow"}]}, {3}),
        (LabelMe(names=("_background_", *NAMES)), {"shapes": [{"label": "__ignore__"}]}, set()),
        (LabelMe(names=("_background_", *NAMES)), {"shapes": [{"label": "_background_"}]}, set()),
        (
            LabelMe(names=("_background_", *NAMES)),
            {"shapes": [{"label": "cow"}, {"label": "cwo"}]},
            set(),
        ),
        (LabelMe(names=("_background_", *NAMES)), {"shapes": 7}, set()),
        (Coco(categories=CATEGORIES), of_coco((4, 0), (1, 1)), {1, 2}),
        (Coco(categories=CATEGORIES, crowd="ignore"), of_coco((4, 0), (1, 1)), {2}),
        (Coco(categories=CATEGORIES), of_coco((4, 0), (2, 0)), set()),
        (Coco(categories=((1, "cat"), (4, "background"))), of_coco((4, 0), (1, 0)), {1}),
        (Coco(**PANOPTIC), of_panoptic((1, 0), (4, 0)), {0, 1}),
        (Coco(**PANOPTIC, target="panoptic"), of_panoptic((1, 1), (4, 0)), {2}),
        (Coco(**PANOPTIC), {"size": [2, 2], "annotations": []}, set()),
        (Yolo(names=NAMES), "2 0 0 0 1 1 1\n\n0 0 0 0 1 1 1\n", {0, 2}),
        (Yolo(names=NAMES), "2 0 0 0 1 1 1\n0 0.5 0.5 0.1 0.1\n", set()),
        (Yolo(names=NAMES), "3 0 0 0 1 1 1\n", set()),
        (Cvat(names=NAMES), {"size": [2, 2], "shapes": [{"kind": "mask", "label": "dog"}]}, {2}),
        (Cvat(names=NAMES), {"size": [2, 2], "shapes": [{"kind": "mask"}]}, set()),
        (Supervisely(names=NAMES), [POLYGON], {2}),
        (Supervisely(names=NAMES), [POLYGON, LINE], set()),
        (Supervisely(names=NAMES, others="leave-out"), [POLYGON, LINE], {2}),
    ],
)
def test_classes_are_those_that_a_build_draws(layout, data, classes):
    if isinstance(data, list):
        data = {"size": {"height": 2, "width": 2}, "objects": data}
    text = data if isinstance(data, str) else json.dumps(data)
    assert present(layout, "", Slice("a", "1", text.encode())) == classes
