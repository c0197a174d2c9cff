"""Panoptic quality: equal to a second count by its rules, and to panopticapi's on its sample."""

import json
import shutil

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from dsbuild.errors import TrainError
from dsbuild.layouts.coco import Coco
from dsbuild.train.metrics.panoptic import Form, Quality, evaluate, quality
from tests.support import panoptic
from tests.support.objects import SHARED
from tests.support.runs import make

FORM = Form(4, 256, 0, frozenset({1, 2}))
VALUES = (0, 256, 257, 258, 512, 513, 514, 768)  # void, crowds of 1 and 2, their things, stuff 3
GUESSES = (0, 257, 258, 513, 768)
PLANES = st.tuples(
    *(st.lists(st.sampled_from(values), min_size=12, max_size=12) for values in (VALUES, GUESSES))
)


def counted(label, guess):
    """Count by the rules, mask by mask: class -> [IoU, matched, extra, missing]."""
    found = {kind: [0.0, 0, 0, 0] for kind in range(4)}
    void = label == 0
    truths = [one for one in np.unique(label).tolist() if one]
    guesses = [one for one in np.unique(guess).tolist() if one]
    crowds = [one for one in truths if one in (256, 512)]
    left = set(guesses)
    for truth in truths:
        if truth in crowds:
            continue
        for one in guesses:
            mine, theirs = label == truth, (guess == one) & ~void
            iou = (mine & theirs).sum() / (mine | theirs).sum()
            if one // 256 == truth // 256 and iou > 0.5:
                found[truth // 256][0] += iou
                found[truth // 256][1] += 1
                left.discard(one)
                break
        else:
            found[truth // 256][3] += 1
    for one in left:
        beside = void | (label == one // 256 * 256) if one // 256 in (1, 2) else void
        if 2 * ((guess == one) & beside).sum() <= (guess == one).sum():
            found[one // 256][2] += 1
    return found


@hypothesis.given(PLANES)
def test_every_segment_is_counted_by_the_rules(planes):
    label, guess = (np.array(values, np.int32).reshape(3, 4) for values in planes)
    found = quality(label, guess, FORM, 256)
    for kind, (overlap, *counts) in counted(label, guess).items():
        assert found.overlap[kind] == pytest.approx(overlap)
        assert [found.matched[kind], found.extra[kind], found.missing[kind]] == counts
    other = quality(label, guess // 256 * 1000 + guess % 256, FORM, 1000)
    assert np.array_equal(other.matched, found.matched)
    both = found + other
    assert np.array_equal(both.missing, found.missing + other.missing)


def test_a_perfect_prediction_is_perfect_and_nothing_is_nothing():
    plane = np.array([[257, 258, 768, 0]], np.int32)
    found = quality(plane, plane, FORM, 256)
    assert found.mean(range(4)) == {"pq": 1.0, "sq": 1.0, "rq": 1.0, "n": 2}
    assert Quality.empty(4).mean(range(4)) == {"pq": None, "sq": None, "rq": None, "n": 0}
    assert quality(plane, 0 * plane, FORM, 256).mean(range(4))["pq"] == 0


def shifted(root, folder):
    """Draw predictions: every map moved by 5 and 8 pixels, every fifth segment of another class."""
    shutil.copytree(root / "val2017", folder / "val2017")
    maps = folder / "annotations" / "panoptic_val2017"
    maps.mkdir(parents=True)
    document = json.loads((root / "annotations" / "panoptic_val2017.json").read_text())
    things = {one["id"]: one["isthing"] for one in document["categories"]}
    for annotation in document["annotations"]:
        name = annotation["file_name"]
        pixels = np.asarray(Image.open(root / "annotations" / "panoptic_val2017" / name))
        moved = np.zeros_like(pixels)
        moved[5:, 8:] = pixels[:-5, :-8]
        ids = moved.astype(np.int64) @ [1, 256, 65536]
        there, segments, stuff = {*np.unique(ids).tolist()}, [], {}
        for number, one in enumerate(annotation["segments_info"]):
            if one["id"] not in there:
                continue
            if number % 5 == 4:
                kind = sorted(id_ for id_ in things if things[id_] == things[one["category_id"]])
                one["category_id"] = kind[(kind.index(one["category_id"]) + 1) % len(kind)]
            one["iscrowd"] = 0
            if not things[one["category_id"]] and one["category_id"] in stuff:
                ids[ids == one["id"]] = stuff[one["category_id"]]
                continue
            stuff[one["category_id"]] = one["id"]
            segments.append(one)
        annotation["segments_info"] = segments
        channels = np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1)
        Image.fromarray(channels.astype(np.uint8)).save(maps / name)
    (folder / "annotations" / "panoptic_val2017.json").write_text(json.dumps(document))
    return folder


@pytest.mark.shared
def test_scores_are_those_of_panopticapi(tmp_path, run, out):
    root = SHARED / "coco_panoptic"
    guess = shifted(root, tmp_path / "predicted")
    options = ("--target", "panoptic", "--crowd", "class")
    assert run("coco", root, out, *options).exit_code == 0
    assert run("coco", guess, f"{out}2", *options).exit_code == 0
    result = run("evaluate", f"{out}2", out, "--panoptic", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    # What panopticapi's pq_compute_single_core and pq_average count of the same maps.
    expected = {
        "all": (0.25957599143832194, 0.35867217429586706, 0.3827838827838828, 13),
        "things": (0.09827492452548352, 0.22286271145744357, 0.16369047619047616, 8),
        "stuff": (0.5176576984988634, 0.5759673148373448, 0.7333333333333333, 5),
    }
    for part, scores in expected.items():
        assert tuple(found[part].values()) == pytest.approx(scores, abs=1e-12)
    person = found["classes"][0]
    assert [person[key] for key in ("name", "matched", "extra", "missing")] == ["person", 4, 18, 22]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quality")
    root = panoptic.tree(folder / "d")
    for name, how in {"out": {}, "fewer": {"limit": 2}}.items():
        make(root, folder / name, layout=Coco(target="panoptic"), **how)
    make(root, folder / "classes", layout=Coco(labels="panoptic"))
    make(root, folder / "wide", layout=Coco(target="panoptic", divisor=1000))
    return folder


def test_a_divisor_of_its_own_changes_no_score(built):
    found = evaluate(str(built / "wide"), str(built / "out"), "train")
    assert found["all"] == {"pq": 1.0, "sq": 1.0, "rq": 1.0, "n": 3}
    assert [one["name"] for one in found["classes"]] == ["cat", "dog", "sky"]


def test_what_cannot_be_compared_is_named(built):
    data, fewer, classes = (str(built / name) for name in ("out", "fewer", "classes"))
    with pytest.raises(TrainError, match=r"fewer: found no record 'img2', expected a prediction"):
        evaluate(fewer, data, "train")
    with pytest.raises(TrainError, match="classes: found no panoptic labels, expected a folder"):
        evaluate(classes, data, "train")
    assert evaluate(data, fewer, "train")["samples"] == 2


def test_scores_are_printed(built, run):
    result = run("evaluate", built / "out", built / "out", "--panoptic", "--split", "train")
    assert result.exit_code == 0
    assert "all     100.0 %  100.0 %  100.0 %        3" in result.output
    for options, said in {
        ("--flip",): "--panoptic: it compares two folders; omit --flip",
        ("--matting",): "omit --matting",
    }.items():
        result = run("evaluate", built / "out", built / "out", "--panoptic", *options)
        assert result.exit_code == 2
        assert said in result.stderr
    result = run("evaluate", built / "out", "--panoptic")
    assert "--panoptic: found no DATA" in result.stderr
