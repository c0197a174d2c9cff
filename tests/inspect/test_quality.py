"""Quality sheets: each rule on data that break it, the file of rules, the page."""

import json
import os
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

import dsbuild
from dsbuild import images
from dsbuild.build.image_policy import Policy
from dsbuild.errors import PlanError, ShardError
from dsbuild.inspect.quality import rules as rule_sets
from tests.support.runs import make


@pytest.fixture
def built(voc, out):
    make(voc, out, shards=2, splits=("train", "val"))
    return out


def verdicts(sheet):
    return {row["rule"]: row["verdict"] for row in sheet["rules"]}


def row(sheet, rule):
    return next(one for one in sheet["rules"] if one["rule"] == rule)


def write(path, text):
    path.write_text(text)
    return path


def test_every_rule_has_a_verdict_and_the_gravest_is_that_of_all(built):
    sheet = dsbuild.check(built)
    assert [one["rule"] for one in sheet["rules"]] == list(rule_sets.RULES)
    found = verdicts(sheet)
    assert found["damage"] == found["label_values"] == found["left_out"] == "pass"
    assert found["licence"] == "warn"
    assert found["drift"] == "skip"
    assert sheet["verdict"] == ("fail" if "fail" in found.values() else "warn")
    assert sheet["records"] == 18
    assert len(sheet["digest"]) == 64


def test_the_digest_is_that_of_the_data(voc, built, tmp_path):
    first = dsbuild.check(built)["digest"]
    shutil.copytree(built, tmp_path / "copy")
    assert dsbuild.check(tmp_path / "copy")["digest"] == first
    path = pathlib.Path(voc, "SegmentationClass/2007_000004.png")
    plane = np.asarray(Image.open(path)).copy()
    plane[:20] = 7
    path.write_bytes(images.encode(plane))
    make(voc, tmp_path / "other", shards=2, splits=("train", "val"))
    assert dsbuild.check(tmp_path / "other")["digest"] != first


def test_damage_fails_and_has_no_digest(built):
    path = next(pathlib.Path(built).glob("train-00000*"))
    path.write_bytes(path.read_bytes()[:-9])
    sheet = dsbuild.check(built)
    assert verdicts(sheet)["damage"] == "fail"
    assert sheet["verdict"] == "fail"
    assert sheet["digest"] is None
    assert not pathlib.Path(built, ".dsbuild/quality.json").exists()


def test_leaks_and_duplicates(voc, out):
    shutil.copy(f"{voc}/JPEGImages/2007_000000.jpg", f"{voc}/JPEGImages/2007_000013.jpg")
    shutil.copy(f"{voc}/JPEGImages/2007_000003.jpg", f"{voc}/JPEGImages/2007_000004.jpg")
    lists = pathlib.Path(voc, "ImageSets/Segmentation")
    train, val = ((lists / f"{name}.txt").read_text().split() for name in ("train", "val"))
    twin = val[0]
    shutil.copy(f"{voc}/JPEGImages/{train[0]}.jpg", f"{voc}/JPEGImages/{twin}.jpg")
    shutil.copy(f"{voc}/SegmentationClass/{train[0]}.png", f"{voc}/SegmentationClass/{twin}.png")
    make(voc, out, shards=2, splits=("train", "val"))
    sheet = dsbuild.check(out)
    assert row(sheet, "leaks")["verdict"] == "fail"
    (example,) = [one for one in row(sheet, "leaks")["examples"] if twin in one]
    assert train[0] in example
    assert "train and val" in example
    assert row(sheet, "duplicates")["verdict"] in ("warn", "pass")


def test_one_sample_in_two_lists_leaks(voc, out):
    lists = pathlib.Path(voc, "ImageSets/Segmentation")
    train = (lists / "train.txt").read_text().split()
    with open(lists / "val.txt", "a") as file:
        file.writelines(f"{key}\n" for key in train[:2])
    make(voc, out, shards=2)
    found = row(dsbuild.check(out), "leaks")
    assert found["verdict"] == "fail"
    assert found["examples"] == [f"{key} (in train and trainval and val)" for key in train[:2]]


def test_train_and_val_are_no_leaks_of_trainval(voc, out):
    shutil.copy(f"{voc}/JPEGImages/2007_000000.jpg", f"{voc}/JPEGImages/2007_000001.jpg")
    make(voc, out, shards=2)
    sheet = dsbuild.check(out)
    assert verdicts(sheet)["leaks"] == verdicts(sheet)["near_leaks"] == "pass"
    assert row(sheet, "duplicates")["examples"] == ["2007_000000, 2007_000001"]


def test_empty_masks_are_those_with_background_and_ignored_pixels_alone(voc, out):
    train = pathlib.Path(voc, "ImageSets/Segmentation/train.txt").read_text().split()
    for key, fill in zip(train[:3], (0, 255, 0), strict=True):
        path = pathlib.Path(voc, f"SegmentationClass/{key}.png")
        plane = np.full_like(np.asarray(Image.open(path)), fill)
        if key == train[2]:
            plane[0, 0] = 5
        path.write_bytes(images.encode(plane))
    make(voc, out, shards=2, splits=("train",))
    found = row(dsbuild.check(out), "empty_masks")
    decoded = [sample["label"] for sample in dsbuild.open(out, "train")]
    expected = sum(not np.isin(label, range(1, 255)).any() for label in decoded)
    assert expected >= 2
    assert found["value"] == pytest.approx(expected / len(decoded))


def test_small_images_and_their_side(built, tmp_path):
    sizes = [
        sample["image"].shape[:2]
        for split in ("train", "val")
        for sample in dsbuild.open(built, split)
    ]
    side = sorted(min(size) for size in sizes)[len(sizes) // 2]
    file = write(tmp_path / "q.toml", f"[small_images]\nside = {side}\nfail = 0\n")
    found = row(dsbuild.check(built, rules=file), "small_images")
    assert found["value"] == pytest.approx(sum(min(size) < side for size in sizes) / len(sizes))


def test_drift_against_another_build(voc, built, tmp_path):
    for path in pathlib.Path(voc, "SegmentationClass").iterdir():
        plane = np.asarray(Image.open(path)).copy()
        plane[:40] = 7
        path.write_bytes(images.encode(plane))
    make(voc, tmp_path / "other", shards=2, splits=("train", "val"))
    found = row(dsbuild.check(tmp_path / "other", against=built), "drift")
    assert found["verdict"] == "fail"
    assert 0.1 < found["value"] <= 1
    same = row(dsbuild.check(built, against=tmp_path / "other"), "drift")
    assert same["value"] == pytest.approx(found["value"])
    with pytest.raises(PlanError, match="same build"):
        dsbuild.check(built, against=built)


def test_a_reference_is_what_its_manifest_says(voc, built, tmp_path):
    make(voc, tmp_path / "other", shards=1, splits=("train", "val"))
    sheet = dsbuild.check(tmp_path / "other", against=built)
    kept = pathlib.Path(built, ".dsbuild/statistics.json")
    whole = kept.read_bytes()
    for change in (lambda made: made.pop("digest"), lambda made: made["splits"].popitem()):
        made = json.loads(whole)
        change(made)
        kept.write_text(json.dumps(made))
        again = dsbuild.check(tmp_path / "other", against=built)
        assert row(again, "drift") == row(sheet, "drift")
        assert kept.read_bytes() == whole
    path = next(pathlib.Path(built).glob("train-00000*"))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ShardError, match=r"train-00000.* found other bytes than the manifest says"):
        dsbuild.check(tmp_path / "other", against=built)
    path.unlink()
    with pytest.raises(ShardError, match=r"train-00000.* it is missing, .*; build it again"):
        dsbuild.check(tmp_path / "other", against=built)


def test_files_that_are_no_pages_are_passed_over(built, run, tmp_path):
    (tmp_path / "a.html").symlink_to("nothing.html")
    os.mkfifo(tmp_path / "b.html")
    page = tmp_path / "quality.html"
    assert run("check", built, "--html", page).exit_code in (0, 1)
    pathlib.Path(os.fsdecode(bytes(tmp_path) + b"/c\xff.html")).write_bytes(page.read_bytes())
    for other, links in ((tmp_path / "page.html", True), (page, False)):
        result = run("inspect", built, "--html", other)
        assert result.exit_code == 0, result.stderr
        assert ('<a href="quality.html">' in other.read_text()) == links


def test_tiles_of_equal_images_are_one_group(voc, out):
    lists = pathlib.Path(voc, "ImageSets/Segmentation")
    first, other = ((lists / f"{name}.txt").read_text().split()[0] for name in ("train", "val"))
    shutil.copy(f"{voc}/JPEGImages/{first}.jpg", f"{voc}/JPEGImages/{other}.jpg")
    shutil.copy(f"{voc}/SegmentationClass/{first}.png", f"{voc}/SegmentationClass/{other}.png")
    make(voc, out, shards=1, splits=("train", "val"), policy=Policy(tile=32))
    found = row(dsbuild.check(out), "leaks")
    assert found["examples"] == [f"{first}, {other} (in train and val)"]
    assert found["value"] == 1


def test_shares_of_classes(built, tmp_path):
    file = write(
        tmp_path / "q.toml", "[class_share.car]\nleast = 0.9\n[class_share.cat]\nmost = 1\n"
    )
    found = verdicts(dsbuild.check(built, rules=file))
    assert (found["class_share.car"], found["class_share.cat"]) == ("fail", "pass")
    file = write(tmp_path / "q.toml", "[class_share.carr]\nleast = 0.9\n")
    with pytest.raises(PlanError, match="did you mean car"):
        dsbuild.check(built, rules=file)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[leak]\nwarn = 0", "did you mean leaks"),
        ("[leaks]\nlimit = 0", "expected warn, fail"),
        ("[leaks]\nwarn = -1", "0 or more, or false"),
        ("[leaks]\nwarn = true", "0 or more, or false"),
        ("[leaks]\nwarn = nan", "0 or more, or false"),
        ("[ignored]\nwarn = 0.5\nfail = 0.1", "above fail"),
        ("[leaks]\nside = 3", "expected warn, fail"),
        ("[small_images]\nside = 0", "number of pixels"),
        ("[class_share.car]\nleast = 2", "from 0 to 1"),
        ("[class_share.car]\nleast = 0.5\nmost = 0.1", "above most"),
        ("[class_share]\ncar = 1", "least and most"),
        ("leaks = 1", "expected a table"),
        ("[", "no TOML"),
    ],
)
def test_wrong_rules_are_named(tmp_path, text, error):
    file = write(tmp_path / "q.toml", text)
    with pytest.raises(PlanError, match=error) as raised:
        rule_sets.load(str(file))
    assert str(raised.value).startswith(str(file))


def test_a_rule_can_be_switched_off(built, tmp_path):
    file = write(tmp_path / "q.toml", "[licence]\nwarn = false\n")
    assert verdicts(dsbuild.check(built, rules=file))["licence"] == "skip"


def test_exit_codes_and_strict(built, run, tmp_path):
    off = "".join(f"[{name}]\nwarn = false\nfail = false\n" for name in rule_sets.RULES)
    passing = write(tmp_path / "pass.toml", off)
    assert run("check", built, "--rules", passing, "--strict").exit_code == 0
    warning = write(
        tmp_path / "warn.toml", off.replace("[licence]\nwarn = false", "[licence]\nwarn = 0")
    )
    assert run("check", built, "--rules", warning).exit_code == 0
    assert run("check", built, "--rules", warning, "--strict").exit_code == 1
    failing = write(
        tmp_path / "fail.toml",
        off.replace("[licence]\nwarn = false\nfail = false", "[licence]\nfail = 0\nwarn = 0"),
    )
    result = run("check", built, "--rules", failing, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["verdict"] == "fail"


def test_the_page_and_inspect_show_it(built, run, tmp_path):
    page = tmp_path / "quality.html"
    assert run("check", built, "--html", page).exit_code in (0, 1)
    text = page.read_text()
    assert all(name in text for name in rule_sets.RULES)
    assert "<script" not in text
    assert dsbuild.check(built)["digest"] in text
    other = tmp_path / "page.html"
    assert run("inspect", built, "--html", other).exit_code == 0
    assert "Quality sheet (dsbuild check)" in other.read_text()
    assert '<a href="quality.html">quality.html</a>' in other.read_text()
    page.rename(pathlib.Path(built, "of it.html"))
    name = pathlib.Path(built).name
    assert run("inspect", built, "--html", other).exit_code == 0
    assert f'<a href="{name}/of%20it.html">{name}/of it.html</a>' in other.read_text()
    changed = pathlib.Path(built, "of it.html")
    changed.write_text(changed.read_text().replace(dsbuild.check(built)["digest"], "0" * 64))
    assert run("inspect", built, "--html", other).exit_code == 0
    assert "of it.html" not in other.read_text()


def test_a_sheet_of_other_shards_is_not_shown(voc, built, run, tmp_path):
    dsbuild.check(built)
    make(voc, built, shards=3, splits=("train", "val"), overwrite=True)
    page = tmp_path / "page.html"
    assert run("inspect", built, "--html", page).exit_code == 0
    assert "Quality sheet (dsbuild check)" not in page.read_text()
    assert run("validate", built).exit_code == 0


def test_a_file_and_no_records(built, tmp_path):
    file = next(pathlib.Path(built).glob("train-00000*"))
    sheet = dsbuild.check(file)
    assert sheet["digest"] is None
    assert verdicts(sheet)["licence"] == "skip"
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ShardError):
        dsbuild.check(tmp_path / "nothing")
