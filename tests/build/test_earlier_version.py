"""Folders that dsbuild 0.1 wrote: resumed, validated, repaired and read as before.

`earlier_version.tar.xz` holds the drawn VOC tree, a finished build of it and one that was killed
before its last two shards.
"""

import json
import pathlib
import tarfile

import pytest

import dsbuild
from dsbuild import extras, images

ARCHIVE = pathlib.Path(__file__).with_name("earlier_version.tar.xz")
OPTIONS = ["--shards", "2", "--extra", "laplacian", "--extra", "weights"]


@pytest.fixture
def earlier(tmp_path):
    """The unpacked archive: VOCdevkit, whole and unfinished."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def content(out):
    """Return file -> bytes of a folder, without receipts, which hold stamps of the sources."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.parent.name != "receipts" and path.name != "statistics.json"
    }


def records(out):
    """Return the same without the card, whose text may change: no manifest has its digest."""
    found = content(out)
    assert "Run in this folder." in found.pop("README.md").decode()
    return found


def test_a_finished_build_is_kept(earlier, run):
    before = content(earlier / "whole")
    result = run("voc", earlier / "VOCdevkit", earlier / "whole", *OPTIONS)
    assert result.exit_code == 0
    assert "nothing to do\n" in result.output
    assert content(earlier / "whole") == before


def test_an_unfinished_build_is_completed(earlier, run):
    result = run("voc", earlier / "VOCdevkit", earlier / "unfinished", *OPTIONS)
    assert result.exit_code == 0
    assert "4 shards kept" in result.output
    assert records(earlier / "unfinished") == records(earlier / "whole")


def test_a_new_build_has_the_same_bytes(earlier, run):
    (receipt, *_) = (earlier / "whole/.dsbuild/receipts").iterdir()
    here = images.versions(False) | extras.versions([extras.parse("laplacian")])
    if json.loads(receipt.read_text())["versions"] != here:
        pytest.skip("libraries that encode pixels have other versions here")
    assert run("voc", earlier / "VOCdevkit", earlier / "new", *OPTIONS).exit_code == 0
    assert records(earlier / "new") == records(earlier / "whole")


def test_its_records_are_validated_and_read(earlier, run):
    result = run("validate", earlier / "whole", earlier / "VOCdevkit", "--level", "source")
    assert result.exit_code == 0, result.output
    reader = dsbuild.open(str(earlier / "whole"), "train")
    assert [sample.image.shape for sample in reader] == [(18, 24, 3), (18, 24, 3), (24, 18, 3)]
    assert reader[0].laplacian.shape == (18, 24)


def test_a_card_that_is_lost_is_written_again(earlier, run):
    before = records(earlier / "whole")
    (earlier / "whole/README.md").unlink()
    assert run("validate", earlier / "whole").exit_code == 1
    assert run("repair", earlier / "whole", earlier / "VOCdevkit").exit_code == 0
    assert run("validate", earlier / "whole").exit_code == 0
    assert records(earlier / "whole") == before


def test_a_damaged_shard_is_repaired(earlier, run):
    before = content(earlier / "whole")
    shard = earlier / "whole/train-00001-of-00002.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-9])
    assert run("validate", earlier / "whole").exit_code != 0
    assert run("repair", earlier / "whole", earlier / "VOCdevkit").exit_code == 0
    assert content(earlier / "whole") == before
