"""Whole commands, whole outputs."""

import gzip
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from dsbuild import __version__
from dsbuild.format import example as wire
from dsbuild.format import tfrecord
from tests.support import fakes
from tests.support.runs import content


def plain(text):
    """Return text without what differs from run to run: seconds."""
    return re.sub(r"in (\d+\.\d|less than 1) s", "in S s", text)


def test_voc_shows_plan_and_result(voc, out, run):
    result = run("voc", voc, out, "--shards", 4, "--split", "train", "--split", "val")
    assert result.exit_code == 0
    records = os.path.getsize(f"{out}/train-00000-of-00004.tfrecord")
    assert records > 3000
    lines = plain(result.stdout).splitlines()
    assert lines[0] == voc
    assert lines[2].split() == "split samples labels from shards per shard sources".split()
    assert lines[3].split()[:5] == ["train", "12", "SegmentationClass/*.png", "4", "3"]
    assert lines[4].split()[:5] == ["val", "6", "SegmentationClass/*.png", "4", "1..2"]
    assert re.fullmatch(rf"{out}: 18 records in 8 shards, [\d.]+ kB, in S s", lines[-1])
    assert result.stderr.splitlines()[:4] == [
        "",
        "  splits of another length than published (2)",
        "    train: 12 samples, but 1,464 were published",
        "    val: 6 samples, but 1,449 were published",
    ]


def test_source_and_out_have_defaults(voc, tmp_path, run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("voc", "--shards", 4).exit_code == 0
    assert len(list((tmp_path / "tfrecord").glob("train-*-of-00004.tfrecord"))) == 4
    assert run("inspect").stdout.startswith("tfrecord: 36 records")


def test_a_second_run_says_that_there_is_nothing_to_do(voc, out, run):
    run("voc", voc, out)
    again = run("voc", voc, out)
    assert again.exit_code == 0
    assert re.search(rf"{out} is complete: 36 records in 3 shards, .*; nothing to do", again.stdout)


def test_quiet_prints_nothing(voc, out, run):
    assert run("voc", voc, out, "--quiet").output == ""


def test_json_is_the_summary(voc, out, run):
    result = run("voc", voc, out, "--shards", 2, "--json")
    summary = json.loads(result.stdout)
    assert (summary["out"], summary["written"], summary["kept"]) == (out, 6, 0)
    assert summary["rejects"] == []
    assert summary["manifest"] == json.loads(pathlib.Path(out, "manifest.json").read_text())


def test_dry_run_writes_nothing(voc, out, run):
    result = run("voc", voc, out, "--dry-run", "--split", "train")
    assert result.exit_code == 0
    assert "1 finding; nothing was written, this was a dry run" in result.stdout
    assert not os.path.exists(out)
    os.remove(os.path.join(voc, "JPEGImages/2007_000004.jpg"))
    result = run("voc", voc, out, "--dry-run", "--split", "train", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    plan = document["splits"]["train"]
    assert (plan["samples"], plan["published"]) == (12, 1464)
    missing, published = document["findings"]
    assert missing["text"].startswith("sample 2007_000004: ")
    assert (missing["kind"], missing["split"]) == ("image-missing", "train")
    assert (missing["fatal"], published["fatal"]) == (True, False)
    assert "error: sample 2007_000004: " in result.stderr
    assert not os.path.exists(out)


def test_options_reach_the_build(voc, out, run):
    options = ["--split", "train", "--order", "shuffled", "--seed", 7, "--limit", 5]
    options += ["--extra", "laplacian:raw16", "--verify", "header", "--labels", "class"]
    assert run("voc", voc, out, *options, "--shard-size", "6kB").exit_code == 0
    document = json.loads(pathlib.Path(out, "manifest.json").read_text())
    recipe = document["recipe"]
    assert recipe["extras"] == ["laplacian:raw16"]
    assert recipe["verify"] == "header"
    assert recipe["options"] == {"labels": "class"}
    split = document["splits"]["train"]
    assert split["records"] == 5
    assert len(split["shards"]) > 1
    assert "classes" not in split


@pytest.mark.parametrize(
    ("text", "size"), [("128MB", 128e6), ("1gb", 1e9), ("1.5 k", 1500), ("7", 7), ("2MiB", 2 << 20)]
)
def test_sizes(text, size):
    from dsbuild.cli.options import Bytes

    assert Bytes().convert(text, None, None) == size


def test_completion_knows_the_commands():
    environment = {
        **os.environ,
        "_DSBUILD_COMPLETE": "bash_complete",
        "COMP_WORDS": "dsbuild v",
        "COMP_CWORD": "1",
    }
    command = [sys.executable, "-c", "from dsbuild.cli import main; main(prog_name='dsbuild')"]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True).stdout
    assert shown == "plain,validate\nplain,voc\n"


def test_version(run):
    assert run("--version").stdout == f"dsbuild, version {__version__}\n"


# inspect


def test_inspect_a_folder(voc, out, run):
    run("voc", voc, out, "--split", "train", "--shards", 2, "--extra", "laplacian", "--quiet")
    result = run("inspect", out)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].endswith("; Pascal VOC, verified full, extras laplacian:int64")
    assert lines[3].split()[:4] == ["train", "12", "2", "6"]
    assert "44 x 44 .. 60 x 60" in lines[3]
    rows = [line.split() for line in lines]
    assert ["image/gradient", "int64", "2,640"] in rows
    assert ["image/height", "int64", "1"] in rows
    assert any(row[:2] == ["0", "background"] and row[-1] == "12" for row in rows)
    assert any(row[:2] == ["255", "(ignore)"] for row in rows)


def test_inspect_json(voc, out, run):
    run("voc", voc, out, "--split", "train", "--shards", 2, "--quiet")
    document = json.loads(run("inspect", out, "--json").stdout)
    assert document["complete"] is True
    assert document["splits"]["train"]["records"] == 12
    assert document["features"][0]["name"] == "image/channels"
    known = document["splits"]["train"]["classes"]
    # Without the manifest the same numbers come from the records themselves.
    os.remove(os.path.join(out, "manifest.json"))
    document = json.loads(run("inspect", out, "--json").stdout)
    assert document["complete"] is False
    found = document["splits"]["train"]["classes"]
    assert {c["value"]: (c["pixels"], c["images"]) for c in found} == {
        c["value"]: (c["pixels"], c["images"]) for c in known if c["pixels"]
    }


def test_inspect_says_that_a_build_is_unfinished(voc, out, run):
    run("voc", voc, out, "--quiet")
    os.remove(os.path.join(out, "manifest.json"))
    assert "This build is unfinished" in run("inspect", out).stdout


def test_inspect_one_record(voc, out, run):
    run("voc", voc, out, "--split", "train", "--shards", 5, "--quiet")
    result = run("inspect", out, "--record", 11)
    assert "train-00004-of-00005.tfrecord: record 1 at byte" in result.stdout
    assert "'2007_000011'" in result.stdout
    assert "JPEG 44 x 60, rgb, 8 bits" in result.stdout
    assert "background" in result.stdout
    document = json.loads(run("inspect", out, "--record", 0, "--json").stdout)
    assert document["features"]["image/width"] == {"kind": "int64", "value": 60}
    assert sum(row["pixels"] for row in document["classes"]) == 60 * 44
    result = run("inspect", out, "--record", 12)
    assert result.exit_code == 2
    assert "found 12 records, but none with number 12" in result.stderr


def test_inspect_a_single_file_and_an_empty_one(voc, out, tmp_path, run):
    run("voc", voc, out, "--split", "train", "--shards", 2, "--quiet")
    shutil.copy(f"{out}/train-00001-of-00002.tfrecord", tmp_path / "any")
    assert f"{tmp_path / 'any'}: 6 records" in run("inspect", tmp_path / "any").stdout
    (tmp_path / "none.tfrecord").touch()
    result = run("inspect", tmp_path / "none.tfrecord")
    assert result.exit_code == 0
    assert "0 records, 0 bytes" in result.stdout


def test_inspect_names_damage(voc, out, run):
    run("voc", voc, out, "--split", "train", "--shards", 2, "--quiet")
    path = pathlib.Path(out, "train-00001-of-00002.tfrecord")
    path.write_bytes(path.read_bytes()[:-9])
    result = run("inspect", out)
    assert result.exit_code == 1
    assert re.search(r"problem: .*train-00001.*bytes, but the manifest lists ", result.stderr)
    result = run("inspect", path)
    assert result.exit_code == 1
    assert re.search(
        r"problem: .*train-00001.*: record 5 at byte \d+: found a record", result.stderr
    )
    path.unlink()
    assert "it is missing" in run("inspect", out).stderr


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"not a TFRecord file at all", "this is not a TFRecord file"),
        (b"abc", "expected a frame's 12-byte header"),
    ],
)
def test_inspect_names_a_file_that_is_not_tfrecord(tmp_path, run, data, message):
    (tmp_path / "x.tfrecord").write_bytes(data)
    result = run("inspect", tmp_path)
    assert result.exit_code == 1
    assert message in result.stderr


def test_inspect_records_that_are_no_examples(tmp_path, run):
    with open(tmp_path / "x.tfrecord", "wb") as file:
        tfrecord.Writer(file).write(b"\xff\xff\xff")
    result = run("inspect", tmp_path)
    assert result.exit_code == 1
    assert "record 0 at byte 0: found bytes that are not a tf.train.Example" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("diff", "x.tfrecord", "x.tfrecord"),
        ("inspect", "x.tfrecord", "--key", "nowhere"),
        ("inspect", "x.tfrecord", "--record", 1),
        ("export", "x.tfrecord", "other", "--to", "webdataset"),
    ],
)
def test_records_that_are_no_examples_are_located(voc, out, tmp_path, run, monkeypatch, words):
    """A record whose checksums are right and whose content is none is found by all that read it."""
    monkeypatch.chdir(tmp_path)
    run("voc", voc, out, "--split", "val", "--shards", 1, "--quiet")
    good = next(tfrecord.read(f"{out}/val-00000-of-00001.tfrecord")).data
    with open("x.tfrecord", "wb") as file:
        writer = tfrecord.Writer(file)
        writer.write(good)
        writer.write(good[:-1])
    result = run(*words)
    assert result.exit_code == 2
    where = f"error: x.tfrecord: record 1 at byte {len(good) + 16}: "
    assert f"{where}found bytes that are not a tf.train.Example" in result.stderr


def test_inspect_records_without_labels(voc, out, tmp_path, run):
    shutil.copy(f"{voc}/JPEGImages/2007_000000.jpg", f"{voc}/JPEGImages/a.jpg")
    fakes.write_list(voc, "test", ["a"])
    run("voc", voc, out, "--split", "test", "--quiet")
    assert "'a'" in run("inspect", out, "--record", 0).stdout
    assert "classes of test are not counted: no label was found" in run("inspect", out).stdout
    os.remove(os.path.join(out, "manifest.json"))
    assert run("inspect", out).exit_code == 0


@pytest.mark.parametrize("text", ["[]", '{"splits": {}}', '{"splits": [], "classes": []}', "1"])
def test_inspect_with_an_invalid_manifest(tmp_path, run, text):
    (tmp_path / "manifest.json").write_text(text)
    result = run("inspect", tmp_path)
    assert result.exit_code == 2
    assert "found no manifest of dsbuild" in result.stderr


def test_inspect_links_that_lead_nowhere_and_gzip(tmp_path, run):
    (tmp_path / "a.tfrecord").symlink_to(tmp_path / "nowhere")
    (tmp_path / "b.tfrecord").write_bytes(gzip.compress(b"x" * 100))
    result = run("inspect", tmp_path)
    assert result.exit_code == 1
    assert "a.tfrecord: there is no such file" in result.stderr
    assert "b.tfrecord: record 0 at byte 0: the checksum" in result.stderr


def test_inspect_floats_that_json_cannot_hold(tmp_path, run):
    record = wire.serialize({"x": np.array([np.nan, np.inf, 1.5], np.float32)})
    with open(tmp_path / "x.tfrecord", "wb") as file:
        tfrecord.Writer(file).write(record)
    shown = json.loads(run("inspect", tmp_path, "--record", 0, "--json").stdout)
    assert shown["features"]["x"]["value"] == ["nan", "inf", 1.5]


def test_inspect_nothing(tmp_path, run):
    assert "no such file or folder" in run("inspect", tmp_path / "nowhere").stderr
    assert "found no TFRecord file" in run("inspect", tmp_path).stderr


@pytest.mark.heavy
def test_inspect_records_written_by_tensorflow(tmp_path, run):
    import tensorflow as tf

    feature = {
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[3])),
        "scores": tf.train.Feature(float_list=tf.train.FloatList(value=[0.5, 1.5])),
        "nothing": tf.train.Feature(),
    }
    with tf.io.TFRecordWriter(str(tmp_path / "my-00000-of-00001")) as writer:
        for _ in range(3):
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())
    rows = [line.split() for line in run("inspect", tmp_path).stdout.splitlines()]
    assert ["scores", "float32", "2"] in rows
    assert ["nothing", "none", "0"] in rows
    assert any(row[:2] == ["my", "3"] for row in rows)


@pytest.mark.shared
def test_inspect_published_shards(shared, run):
    result = run("inspect", shared / "tfrecords/takayu99_voc/tfrecord", "--json")
    assert result.exit_code == 0
    splits = json.loads(result.stdout)["splits"]
    assert {name: split["records"] for name, split in splits.items()} == {
        "train": 1,
        "trainval": 5,
        "val": 4,
    }
    empty = [s["name"] for split in splits.values() for s in split["shards"] if s["bytes"] == 0]
    assert len(empty) == 4
    assert [c["value"] for c in splits["val"]["classes"]] == [0, 1]


@pytest.mark.shared
def test_voc_on_real_data(shared, tmp_path, run):
    result = run("voc", shared / "voc", tmp_path / "out", "--shards", 4, "--workers", 2)
    assert result.exit_code == 0
    splits = json.loads((tmp_path / "out/manifest.json").read_text())["splits"]
    assert {name: split["records"] for name, split in splits.items()} == {
        "train": 24,
        "train_aug": 36,
        "trainval": 48,
        "val": 24,
    }
    one = content(tmp_path / "out")
    run("voc", shared / "voc", tmp_path / "again", "--shards", 4, "--workers", 1)
    assert content(tmp_path / "again") == one


@pytest.mark.parametrize(
    ("arguments", "function", "said"),
    [
        (
            ["voc", "x"],
            "dsbuild.build.audit.audit",
            "finished shards are kept; run the same command ",
        ),
        (
            ["voc", "x", "--overwrite"],
            "dsbuild.build.audit.audit",
            "run the same command again to start over",
        ),
        (["validate"], "dsbuild.validate.run.validate", "nothing was written"),
        (["diff", "a", "b"], "dsbuild.inspect.diff.read", "nothing was written"),
        (["repair"], "dsbuild.build.repair.repair", "files written so far are complete"),
        (
            ["statistics"],
            "dsbuild.inspect.statistics.statistics",
            "files written so far are complete",
        ),
        (["interop"], "dsbuild.build.side_files.describe", "files written so far are complete"),
    ],
)
def test_what_an_interruption_leaves(arguments, function, said, voc, run, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(function, stop)
    result = run(*(voc if word == "x" else word for word in arguments))
    assert result.exit_code == 130
    assert result.stderr.startswith("interrupted: ")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_wrong_field_is_named_by_its_option(tmp_path, out, run):
    result = run("matting", fakes.matting(tmp_path), out, "--val-fraction", 2)
    assert result.exit_code == 2
    assert result.stderr == (
        "error: --val-fraction: found 2.0, expected a number, at least 0 and below 1\n"
    )
