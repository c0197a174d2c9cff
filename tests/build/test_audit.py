"""What an audit finds before a pixel is written."""

import dataclasses
import json
import os
import pathlib
import re
import shutil

import pytest
from PIL import Image

from dsbuild.build.audit import audit
from dsbuild.build.preflight import FEW, duplicates, examine
from dsbuild.build.recipe import Recipe
from dsbuild.build.request import Request
from dsbuild.engines import Local
from dsbuild.layouts.cityscapes import Cityscapes
from dsbuild.layouts.finding import KINDS
from dsbuild.layouts.matting import Matting
from dsbuild.layouts.voc import Voc
from tests.support import fakes


def request(root, out="out", layout=None, **asked):
    recipe = Recipe(layout=(layout or Voc()).bind(str(root)))
    return Request(recipe=recipe, root=str(root), out=str(out), **asked)


def found(asked, kind, **options):
    """Return (split, text) of the findings of one kind."""
    audited = examine(asked, audit(asked), every=True, **options)
    return [(one.split, one.text) for one in audited.findings if one.kind == kind]


def test_a_clean_tree_has_no_finding(voc):
    assert {one.kind for one in audit(request(voc)).findings} == {"published"}
    asked = request(voc)
    assert examine(asked, audit(asked), every=True).findings == audit(asked).findings


def test_a_fraction_that_leaves_val_empty(tmp_path):
    asked = request(fakes.matting(tmp_path), layout=Matting(val_fraction=1e-9))
    ((split, text),) = found(asked, "undivided")
    assert split == "train"
    assert text.startswith("val has no sample: by --val-fraction 1e-09, a hash of each picture")
    assert not found(dataclasses.replace(asked, splits=("train",)), "undivided")


def test_missing_files(voc):
    os.remove(f"{voc}/JPEGImages/2007_000003.jpg")
    os.remove(f"{voc}/SegmentationClass/2007_000004.png")
    asked = request(voc, splits=("train",))
    image, label = f"{voc}/JPEGImages/2007_000003.jpg", f"{voc}/SegmentationClass/2007_000004.png"
    nothing = "there is no such file"
    assert found(asked, "image-missing") == [("train", f"sample 2007_000003: {image}: {nothing}")]
    assert found(asked, "label-missing") == [("train", f"sample 2007_000004: {label}: {nothing}")]
    fatal = [one.kind for one in audit(asked).findings if one.fatal]
    assert fatal == ["image-missing", "label-missing"]


def test_ids_that_differ_only_in_case(voc):
    for folder, ending in (("JPEGImages", "jpg"), ("SegmentationClass", "png")):
        for name in ("a_x", "A_x"):
            path = f"{voc}/{folder}/{name}.{ending}"
            shutil.copy(f"{voc}/{folder}/2007_000000.{ending}", path)
    fakes.write_list(voc, "train", ["a_x", "2007_000001", "A_x"])
    assert found(request(voc), "case") == [("train", "A_x and a_x")]


def test_samples_in_two_splits(voc):
    fakes.write_list(voc, "val", ["2007_000012", "2007_000003"])
    fakes.write_list(voc, "train_aug", [f"2007_{i:06d}" for i in range(13)])
    assert found(request(voc), "two-splits") == [
        ("val", "sample 2007_000003 is in train too"),
        ("val", "sample 2007_000003 is in train_aug too"),
        ("val", "sample 2007_000012 is in train_aug too"),
    ]


@pytest.mark.parametrize("workers", [1, 2])
def test_images_of_equal_content(voc, workers):
    shutil.copy(f"{voc}/JPEGImages/2007_000000.jpg", f"{voc}/JPEGImages/2007_000015.jpg")
    asked = request(voc, splits=("train", "val"))
    kinds = [one.kind for one in audit(asked).findings]
    assert "same-content" not in kinds
    audited = duplicates(asked, audit(asked), Local(workers))
    same = [one for one in audited.findings if one.kind == "same-content"]
    assert [(one.split, one.text) for one in same] == [
        ("val", "sample 2007_000015 has the same image as 2007_000000 in train")
    ]
    # What is listed twice on purpose, as in trainval, is one file.
    asked = request(voc, splits=("train", "trainval"))
    assert len(duplicates(asked, audit(asked)).findings) == len(audit(asked).findings) + 1


def test_sizes_that_differ(voc):
    path = pathlib.Path(voc, "SegmentationClass/2007_000013.png")
    Image.open(path).crop((0, 0, 20, 30)).save(path)
    (one,) = found(request(voc, splits=("val",)), "size")
    assert one[1].startswith(f"sample 2007_000013: {path}: found a label of 20 x 30 pixels")


def test_stray_files_and_labels_without_an_image(tmp_path):
    root = fakes.cityscapes(tmp_path)
    image = next(pathlib.Path(root).glob("leftImg8bit/train/zurich/*"))
    image.unlink()
    key = image.name.removesuffix("_leftImg8bit.png")
    asked = request(root, layout=Cityscapes())
    (one,) = found(asked, "label-alone")
    assert one == ("train", f"{root}/gtFine/train/zurich/{key}_gtFine_polygons.json")
    root = fakes.matting(tmp_path)
    strays = found(request(root, layout=Matting()), "stray")
    assert len(strays) == 3
    assert ("train", f"{root}/clip_img/.DS_Store") in strays


def test_labels_without_an_image_in_voc(voc):
    shutil.copy(f"{voc}/SegmentationClass/2007_000000.png", f"{voc}/SegmentationClass/alone.png")
    pathlib.Path(voc, "SegmentationClass/._2007_000000.png").touch()
    pathlib.Path(voc, "SegmentationClass/Thumbs.db").touch()
    asked = request(voc, splits=("train", "val"))
    assert found(asked, "label-alone") == [("train", f"{voc}/SegmentationClass/alone.png")]
    assert [os.path.basename(text) for _, text in found(asked, "stray")] == [
        "._2007_000000.png",
        "Thumbs.db",
    ]


def test_every_kind_is_described():
    """Kinds in the code are those of the registry."""
    folder = pathlib.Path(__file__).parents[2] / "dsbuild"
    text = "".join(path.read_text() for path in folder.rglob("*.py"))
    used = set(re.findall(r'(?:Finding|Mistake)\(\s*"([a-z0-9-]+)"', text))
    used |= set(re.findall(r'kind="([a-z0-9-]+)"', text))
    assert used - {"stable"} <= KINDS.keys()  # the kind of a sort
    for kind in KINDS:
        assert f'"{kind}"' in text.replace(f'"{kind}": "', "", 1), kind


def spoil(voc, number):
    path = pathlib.Path(voc, f"SegmentationClass/2007_{number:06d}.png")
    Image.open(path).convert("RGB").save(path)
    return path


def test_a_build_opens_a_few_samples_and_a_dry_run_all(tmp_path, run, out):
    voc = fakes.voc(tmp_path, train=3 * FEW, val=1)
    arguments = ("voc", voc, out, "--split", "train", "--shards", 4, "--workers", 1)
    spoil(voc, 1)
    result = run(*arguments)  # the build comes upon it
    assert result.exit_code == 2
    assert "found an RGB label" in result.stderr
    assert "colours in place of class indices" not in result.stderr
    assert os.path.isdir(out)
    for options in (["--dry-run"], ["--strict"]):
        result = run(*arguments, *options)
        assert result.exit_code == 1
        assert "colours in place of class indices" in result.stderr
    shutil.rmtree(out)
    spoil(voc, 3)
    result = run(*arguments)  # the audit does: nothing was begun
    assert result.exit_code == 2
    assert "colours in place of class indices" in result.stderr
    assert not os.path.exists(out)


def test_what_a_header_check_passes_is_no_reason_to_stop(voc, out, run):
    path = pathlib.Path(voc, "SegmentationClass/2007_000013.png")
    Image.new("L", (60, 44), 77).save(path)
    arguments = ("voc", voc, out, "--split", "val", "--json")
    assert run(*arguments).exit_code == 2
    result = run(*arguments, "--verify", "header")
    assert result.exit_code == 0
    (finding,) = [f for f in json.loads(result.stdout)["findings"] if f["kind"] == "values"]
    assert (finding["key"], finding["fatal"]) == ("2007_000013", False)


def test_strict_makes_any_finding_an_error(voc, out, run):
    arguments = ("voc", voc, out, "--split", "val")
    result = run(*arguments, "--strict")
    assert result.exit_code == 1
    assert "error: 6 samples, but 1,449 were published" in result.stderr
    assert "--strict makes every finding an error" in result.stderr
    assert not os.path.exists(out)
    assert run(*arguments).exit_code == 0
    root = fakes.pairs(pathlib.Path(voc).parent)
    names = pathlib.Path(voc, "names")
    names.write_text("a\nb\nc\n")
    assert run("pairs", root, out, "--overwrite", "--classes", names, "--strict").exit_code == 0


def test_the_list_of_findings_is_json(voc, out, run):
    path = spoil(voc, 14)
    arguments = ("voc", voc, out, "--split", "val", "--json", "--check-duplicates")
    result = run(*arguments, "--on-error", "skip")
    assert result.exit_code == 0
    published, colours = json.loads(result.stdout)["findings"]
    assert published["kind"] == "published"
    assert colours == {
        "kind": "colours",
        "split": "val",
        "text": colours["text"],
        "fatal": True,
        "key": "2007_000014",
    }
    assert colours["text"].startswith(f"sample 2007_000014: {path}: found an RGB label")
    rejects = pathlib.Path(out, "rejects.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in rejects] == ["colours"]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_audit_is_the_same_for_any_workers(tmp_path, workers):
    voc = fakes.voc(tmp_path, train=150, val=6)
    for number in (3, 77, 140, 151):
        spoil(voc, number)
    asked = request(voc, splits=("train", "val"))
    audited = examine(asked, audit(asked), Local(workers), every=True)
    keys = [(one.split, one.text[:18]) for one in audited.findings if one.kind == "colours"]
    assert keys == [
        *(("train", f"sample 2007_{number:06d}") for number in (3, 77, 140)),
        ("val", "sample 2007_000151"),
    ]


def test_a_strange_name_fits_in_one_line(tmp_path, run):
    root = fakes.pairs(tmp_path)
    (tmp_path / "names.txt").write_text("background\ncat\ndog")
    for name in (b"new\nline.txt", b"\xff.txt"):
        open(os.fsencode(root) + b"/labels/" + name, "w").close()
    result = run("pairs", root, tmp_path / "out", "--classes", tmp_path / "names.txt")
    assert result.exit_code == 0
    assert "    train: labels/new\\nline.txt\n" in result.stderr


@pytest.mark.parametrize("name", [b"\xd6\xd0\xce\xc4", b"new\nline", b"bell\x07"])
def test_names_that_cannot_be_stored(tmp_path, run, out, name):
    """They stop the build, or are left out and listed."""
    root = fakes.pairs(tmp_path)
    (tmp_path / "names.txt").write_text("background\ncat\ndog")
    for part, ending in (("images", b".jpg"), ("labels", b".png")):
        data = pathlib.Path(root, part, f"a/000{ending.decode()}").read_bytes()
        with open(os.fsencode(f"{root}/{part}/") + name + ending, "wb") as file:
            file.write(data)
    arguments = ("pairs", root, out, "--classes", tmp_path / "names.txt")
    result = run(*arguments)
    assert result.exit_code == 2
    assert re.search("found (a name that is not UTF-8|control characters in a name)", result.stderr)
    assert "--on-error skip" in result.stderr
    for order in ("listed", "shuffled"):
        skipping = (*arguments, "--on-error", "skip", "--order", order, "--overwrite")
        result = run(*skipping)
        assert result.exit_code == 0, result.output
        assert "12 records" in result.stdout
        (reject,) = pathlib.Path(out, "rejects.jsonl").read_text().splitlines()
        assert json.loads(reject)["kind"] == "names"
        assert os.fsencode(json.loads(reject)["key"]) == name
        assert "nothing to do" in run(*skipping[:-1]).stdout


@pytest.mark.parametrize("split", ["val.v2", "train - Copy", "all", "v\u00e4l", "-"])
def test_a_split_that_tfds_cannot_read_is_refused(voc, run, out, split):
    fakes.write_list(voc, split, ["2007_000000"])
    result = run("voc", voc, out)
    assert result.exit_code == 2
    assert f"found a split named {split!a}" in result.stderr
    assert run("voc", voc, out, "--split", "train").exit_code == 0


@pytest.mark.parametrize("split", ["train-extra", "Train"])
def test_splits_whose_shards_would_be_mixed_are_refused(voc, run, out, split):
    fakes.write_list(voc, split, ["2007_000000"])
    result = run("voc", voc, out)
    assert result.exit_code == 2
    assert "train-*; rename one of them" in result.stderr.lower()
    assert run("voc", voc, out, "--split", split).exit_code == 0
