"""Every kind of bad input ends in one clear line, and loses nothing in silence."""

import io
import json
import os
import pathlib
import struct

import numpy as np
import pytest
from PIL import Image

from dsbuild.format import example, tfrecord
from tests.support import fakes
from tests.support.pictures import jpeg_with_frame, save
from tests.support.runs import content

KEY = "2007_000007"  # a sample in the middle of split train


def image_path(root):
    return pathlib.Path(root, f"JPEGImages/{KEY}.jpg")


def label_path(root):
    return pathlib.Path(root, f"SegmentationClass/{KEY}.png")


def read_label(root):
    return np.asarray(Image.open(label_path(root)))


def missing_image(root):
    image_path(root).unlink()


def missing_label(root):
    label_path(root).unlink()


def unreadable(root):
    missing_image(root)
    image_path(root).mkdir()


def empty_file(root):
    image_path(root).write_bytes(b"")


def truncated_jpeg(root):
    data = image_path(root).read_bytes()
    image_path(root).write_bytes(data[: len(data) // 2])


def truncated_png(root):
    data = label_path(root).read_bytes()
    label_path(root).write_bytes(data[:-30])


def size_mismatch(root):
    label = Image.open(label_path(root))
    label.crop((0, 0, 20, 30)).save(label_path(root))


def value_of_no_class(root):
    plane = read_label(root).copy()
    plane[0, :3] = 200
    Image.fromarray(plane).save(label_path(root))


def rgb_label(root):
    Image.open(label_path(root)).convert("RGB").save(label_path(root))


def luma_label(root):
    Image.open(label_path(root)).convert("RGB").convert("L").save(label_path(root))


def jpeg_label(root):
    image = Image.open(label_path(root)).convert("L")
    label_path(root).write_bytes(save(image, "JPEG"))


def cmyk(root):
    image = Image.open(image_path(root)).convert("CMYK")
    image.save(image_path(root))


def twelve_bits(root):
    image_path(root).write_bytes(jpeg_with_frame(bits=12))


def arithmetic(root):
    image_path(root).write_bytes(jpeg_with_frame(marker=0xC9))


def sixteen_bits(root):
    image = Image.open(image_path(root)).convert("I;16")
    image_path(root).write_bytes(save(image))


def sixteen_bit_label(root):
    plane = read_label(root).astype(np.uint16) * 256
    label_path(root).write_bytes(save(Image.fromarray(plane)))


def animated(root):
    image = Image.open(image_path(root))
    frames = [image.rotate(90 * i) for i in range(3)]
    image_path(root).write_bytes(save(image, save_all=True, append_images=frames))


def bomb(root):
    image_path(root).write_bytes(jpeg_with_frame(height=65000, width=65000))


def rotated_label(root):
    image = Image.open(image_path(root))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(image_path(root), exif=exif)
    label = Image.open(label_path(root))
    label.transpose(Image.Transpose.ROTATE_270).save(label_path(root))


def web_page(root):
    image_path(root).write_bytes(b"<html>404 Not Found</html>")


IMAGE, LABEL = f"JPEGImages/{KEY}.jpg", f"SegmentationClass/{KEY}.png"
DEFECTS = [
    (missing_image, IMAGE, "there is no such file", "fetch them"),
    (missing_label, LABEL, "there is no such file", "fetch them"),
    (unreadable, IMAGE, "found a folder, expected a file", ""),
    (empty_file, IMAGE, "found an empty file", "fetch it again"),
    (truncated_jpeg, IMAGE, "found a truncated JPEG", "fetch or export"),
    (truncated_png, LABEL, "found a truncated PNG", "fetch or export"),
    (size_mismatch, LABEL, "found a label of 20 x 30 pixels, expected the image's 60 x 44", ""),
    (
        value_of_no_class,
        LABEL,
        "found label values 200 (3 pixels), expected classes 0 to 20",
        "map",
    ),
    (rgb_label, LABEL, "found an RGB label", "map its colours to indices"),
    (luma_label, LABEL, "luma of the palette's colours", "use the original palette PNGs"),
    (jpeg_label, LABEL, "found a JPEG label", "export the masks as PNG"),
    (cmyk, IMAGE, "found a CMYK JPEG", "convert it"),
    (twelve_bits, IMAGE, "found 12 bits per channel", "convert it"),
    (arithmetic, IMAGE, "found a JPEG with arithmetic coding", "convert it"),
    (sixteen_bits, IMAGE, "found 16 bits per channel", "convert it"),
    (sixteen_bit_label, LABEL, "found a 16-bit label with values up to 65280", "save them"),
    (animated, IMAGE, "found an animated PNG with 4 frames", "convert it"),
    (bomb, IMAGE, "found 65,000 x 65,000 pixels", "decompression bomb"),
    (rotated_label, LABEL, "found a label of 44 x 60 pixels", "EXIF orientation 6"),
    (web_page, IMAGE, "error page", "expected a JPEG or PNG"),
]


def keys(path):
    return [example.parse(r.data)["image/filename"][0].decode() for r in tfrecord.read(str(path))]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect[0].__name__)
def test_stop_names_the_sample_and_leaves_nothing_that_looks_finished(voc, out, run, defect):
    spoil, file, found, remedy = defect
    spoil(voc)
    result = run("voc", voc, out, "--split", "train", "--shards", 3, "--workers", 1)
    assert result.exit_code == 2
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: sample {KEY}: {voc}/{file}: ")
    assert found in line
    assert remedy in line
    assert not os.path.exists(os.path.join(out, "manifest.json"))
    assert "train-00001-of-00003.tfrecord" not in os.listdir(out) if os.path.isdir(out) else True
    assert not [name for name in content(out) if ".dsbuild-" in name]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect[0].__name__)
def test_skip_lists_the_sample_and_keeps_all_others(voc, out, run, defect):
    spoil, file, found, _ = defect
    spoil(voc)
    arguments = ["voc", voc, out, "--split", "train", "--shards", 3, "--on-error", "skip"]
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert f"left out 1 sample, listed in {out}/rejects.jsonl" in result.stderr
    (reject,) = map(json.loads, pathlib.Path(out, "rejects.jsonl").read_text().splitlines())
    assert (reject["split"], reject["key"]) == ("train", KEY)
    assert reject["file"] == file
    assert found in reject["reason"]
    found = [key for i in range(3) for key in keys(f"{out}/train-{i:05d}-of-00003.tfrecord")]
    assert found == [f"2007_{i:06d}" for i in range(12) if f"2007_{i:06d}" != KEY]
    manifest = json.loads(pathlib.Path(out, "manifest.json").read_text())
    assert manifest["splits"]["train"]["rejects"] == 1
    # The finished folder is found complete with skip, and is no answer to stop.
    assert "nothing to do" in run(*arguments).stdout
    assert run(*arguments[:-2]).exit_code == 2


def spoil_all(root, split="train", keep=0):
    names = pathlib.Path(root, f"ImageSets/Segmentation/{split}.txt").read_text().split()
    for name in names[keep:]:
        pathlib.Path(root, f"JPEGImages/{name}.jpg").write_bytes(b"no picture")
    return names


@pytest.mark.parametrize("how", [[], ["--dry-run"], ["--split", "train"], ["--shards", 3]])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_split_of_which_nothing_is_left_stops_the_build(voc, out, run, how, workers):
    names = spoil_all(voc)
    result = run("voc", voc, out, "--on-error", "skip", "--workers", workers, *how)
    code = 1 if "--dry-run" in how else 2
    assert result.exit_code == code, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: split train: all {len(names)} samples were left out")
    assert f"JPEGImages/{names[0]}.jpg: found" in line
    assert line.endswith("name the other splits with --split")
    assert not os.path.exists(os.path.join(out, "manifest.json"))
    assert run("voc", voc, out, "--on-error", "skip", *how).exit_code == code  # again, too
    if not how:
        assert run("voc", voc, out, "--on-error", "skip", "--split", "val").exit_code == 0


def test_nothing_left_is_noticed_where_only_a_full_look_sees_it(voc, out, run):
    """The few samples that are opened first may be fewer than those that are bad."""
    for path in pathlib.Path(voc, "JPEGImages").iterdir():
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
    result = run("voc", voc, out, "--verify", "full", "--on-error", "skip", "--quiet")
    assert result.exit_code == 2
    assert "samples were left out" in result.stderr


def test_one_sample_that_is_left_is_a_split(voc, out, run):
    spoil_all(voc, keep=1)
    assert run("voc", voc, out, "--on-error", "skip").exit_code == 0


def test_two_workers_skip_what_one_skips(voc, out, run, tmp_path):
    truncated_jpeg(voc)
    arguments = ["--split", "train", "--shards", 3, "--on-error", "skip"]
    for folder, workers in ((out, 2), (tmp_path / "one", 1)):
        result = run("voc", voc, folder, *arguments, "--workers", workers)
        assert result.exit_code == 0, result.output
    assert content(out) == content(tmp_path / "one")


def test_skipping_luma_labels_says_that_the_others_are_suspect(voc, out, run):
    luma_label(voc)
    result = run("voc", voc, out, "--split", "train", "--on-error", "skip")
    assert "labels from the same source that passed" in result.stderr


def test_rejects_do_not_say_where_the_sources_lay(voc, out, run, tmp_path, monkeypatch):
    truncated_jpeg(voc)
    monkeypatch.chdir(tmp_path)
    for source, folder in ((voc, "one"), ("VOCdevkit", "two")):
        assert run("voc", source, folder, "--on-error", "skip", "--quiet").exit_code == 0
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_a_link_to_itself_is_a_missing_file(voc, out, run):
    missing_image(voc)
    image_path(voc).symlink_to(image_path(voc))
    assert f"sample {KEY}" in run("voc", voc, out).stderr
    assert run("voc", voc, out, "--on-error", "skip").exit_code == 0


def test_a_dry_run_with_skip_passes_if_something_is_left(voc, out, run):
    missing_image(voc)
    result = run("voc", voc, out, "--dry-run", "--on-error", "skip")
    assert result.exit_code == 0
    assert "images that are listed but missing" in result.stderr


def test_a_fixed_source_is_included(voc, out, run):
    whole = image_path(voc).read_bytes()
    truncated_jpeg(voc)
    assert run("voc", voc, out, "--shards", 3, "--on-error", "skip", "--quiet").exit_code == 0
    image_path(voc).write_bytes(whole)
    assert run("voc", voc, out, "--shards", 3).exit_code == 0
    assert not os.path.exists(os.path.join(out, "rejects.jsonl"))
    assert KEY in keys(f"{out}/train-00001-of-00003.tfrecord")


def test_a_png_named_jpg_is_accepted_as_what_it_is(voc, out, run):
    data = save(Image.open(image_path(voc)))
    image_path(voc).write_bytes(data)
    assert run("voc", voc, out, "--split", "train", "--shards", 1).exit_code == 0
    records = [example.parse(r.data) for r in tfrecord.read(f"{out}/train-00000-of-00001.tfrecord")]
    (record,) = [r for r in records if r["image/filename"] == [KEY.encode()]]
    assert record["image/format"] == [b"png"]
    assert record["image/encoded"] == [data]


def test_an_exif_rotated_image_is_kept_as_stored(voc, out, run):
    image = Image.open(image_path(voc))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(image_path(voc), exif=exif)
    assert run("voc", voc, out, "--split", "train", "--shards", 1).exit_code == 0
    records = [example.parse(r.data) for r in tfrecord.read(f"{out}/train-00000-of-00001.tfrecord")]
    (record,) = [r for r in records if r["image/filename"] == [KEY.encode()]]
    assert record["image/encoded"] == [image_path(voc).read_bytes()]
    assert (record["image/height"].tolist(), record["image/width"].tolist()) == ([44], [60])
    manifest = json.loads(pathlib.Path(out, "manifest.json").read_text())
    assert manifest["splits"]["train"]["rotated"] == 1


def test_header_verification_still_notices_cuts_and_sizes(voc, out, run):
    arguments = ("voc", voc, out, "--split", "train", "--verify", "header")
    for spoil in (truncated_jpeg, truncated_png, size_mismatch, rgb_label, cmyk):
        fakes.voc(pathlib.Path(voc).parents[1])
        spoil(voc)
        result = run(*arguments)
        assert result.exit_code == 2, spoil
        assert f"sample {KEY}" in result.stderr


def test_several_missing_files_are_counted(voc, out, run):
    for i in range(3):
        os.remove(os.path.join(voc, f"JPEGImages/2007_{i:06d}.jpg"))
    result = run("voc", voc, out, "--split", "train")
    assert "sample 2007_000000" in result.stderr
    assert "(and 2 more findings)" in result.stderr
    assert not os.path.exists(out)


LISTS = [
    ("2007_000001\n2007_000001\n", "line 2: found '2007_000001' again"),
    ("../x\n", "leads out of the data set"),
    ("/x\n", "leads out of the data set"),
    ("", "the list is empty"),
    (None, "found no list"),
]


@pytest.mark.parametrize(("text", "message"), LISTS)
def test_bad_lists(voc, out, run, text, message):
    lists = pathlib.Path(voc, "ImageSets/Segmentation")
    for path in lists.iterdir():
        path.unlink()
    if text is not None:
        (lists / "train.txt").write_text(text)
    result = run("voc", voc, out)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert not os.path.exists(out)


# the output folder


def test_out_that_cannot_be_written(voc, tmp_path, run):
    (tmp_path / "file").write_text("not a folder")
    result = run("voc", voc, tmp_path / "file" / "out")
    assert result.exit_code == 2
    assert "file/out" in result.stderr
    assert "choose a folder that can be written" in result.stderr


@pytest.mark.parametrize("below", ["", "JPEGImages/a/b", "SegmentationClass"])
def test_out_inside_source(voc, run, below):
    result = run("voc", voc, os.path.join(voc, below))
    assert result.exit_code == 2
    assert "is inside the data set" in result.stderr
    assert "name another OUT" in result.stderr


def test_out_with_unrelated_files(voc, out, run):
    os.makedirs(out)
    pathlib.Path(out, "train-00000-of-00001.tfrecord").write_bytes(b"mine")
    result = run("voc", voc, out)
    assert result.exit_code == 2
    assert "dsbuild did not write this file" in result.stderr
    assert pathlib.Path(out, "train-00000-of-00001.tfrecord").read_bytes() == b"mine"


def test_out_beside_what_is_read(voc, run, tmp_path, monkeypatch):
    assert run("voc", voc, os.path.join(voc, "tfrecord")).exit_code == 0
    root = fakes.pairs(tmp_path)
    names = tmp_path / "names"
    names.write_text("a\nb\nc\n")
    monkeypatch.chdir(root)
    for _ in range(2):
        assert run("pairs", "--classes", names).exit_code == 0  # SOURCE is ., OUT ./tfrecord
    monkeypatch.chdir(fakes.classes(tmp_path))
    result = run("classes", ".")
    assert result.exit_code == 2
    assert "is inside the data set" in result.stderr


@pytest.mark.parametrize("path", ["https://host/voc", "file:///voc", "hdfs://host/voc"])
def test_other_urls_are_refused_by_name(voc, run, path):
    for arguments in (("voc", path), ("voc", voc, path), ("inspect", path)):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "found a URL of this kind, expected a local path" in result.stderr


def test_unknown_split_extra_and_numbers(voc, out, run):
    assert "expected one of train, val, trainval" in run("voc", voc, out, "--split", "x").stderr
    assert "there are laplacian" in run("voc", voc, out, "--extra", "x").stderr
    for option, value in (("--shards", 0), ("--limit", 0), ("--workers", 0), ("--shard-size", "x")):
        assert run("voc", voc, out, option, value).exit_code == 2
    assert not os.path.exists(out)


def test_the_signature_of_luma_is_a_set_not_a_value(voc, out, run):
    """14 and 19 are lumas of colours, and classes: a mask of them alone is right."""
    plane = read_label(voc).copy()
    plane[plane > 0] = 14
    plane[0, 0] = 19
    Image.fromarray(plane).save(label_path(voc))
    assert run("voc", voc, out, "--split", "train").exit_code == 0


def test_truncated_exif_is_accepted(voc, out, run):
    data = save(Image.open(image_path(voc)), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", 12) + b"Exif\0\0II*\0"
    image_path(voc).write_bytes(data[:2] + segment + data[2:])
    assert run("voc", voc, out, "--split", "train").exit_code == 0
    assert Image.open(io.BytesIO(image_path(voc).read_bytes())).size == (60, 44)
