"""`dsbuild interop`: side files written anew."""

import json
import os
import pathlib

import pytest

from tests.support import fakes
from tests.support.runs import content, make

SIDE = (
    "README.md",
    "croissant.json",
    "dataset_info.json",
    "features.json",
    "image-segmentation-class-encoded.labels.txt",
)
TERMS = ("--license", "CC-BY-4.0", "--citation", "@misc{a, year=1}", "--description", "Drawn.")


def test_it_writes_what_a_build_writes(voc, out, run):
    make(voc, out)
    before = content(out)
    assert run("interop", out).stdout.split() == [os.path.join(out, name) for name in SIDE]
    assert content(out) == before


def test_a_folder_of_an_older_version_gets_them(voc, out, run):
    make(voc, out)
    before = content(out)
    for name in SIDE:
        os.remove(os.path.join(out, name))
    os.remove(os.path.join(out, ".dsbuild", "side.json"))
    assert run("interop", out).exit_code == 0
    assert content(out) == before


def test_given_terms_are_written_and_kept(voc, out, run):
    import tensorflow_datasets as tfds

    make(voc, out)
    assert run("interop", out, *TERMS).exit_code == 0
    told = content(out)
    croissant = json.loads(told["croissant.json"])
    assert (croissant["license"], croissant["citeAs"]) == ("CC-BY-4.0", "@misc{a, year=1}")
    assert croissant["description"] == "Drawn."
    info = tfds.builder_from_directory(out).info
    assert (info.citation, info.description) == ("@misc{a, year=1}", "Drawn.")
    assert info.redistribution_info.license == "CC-BY-4.0"
    assert b"Licence: CC-BY-4.0" in told["README.md"]
    # A later call changes what it tells alone; a later build keeps all of it.
    assert run("interop", out, "--description", "Drawn anew.").exit_code == 0
    assert json.loads(content(out)["croissant.json"])["license"] == "CC-BY-4.0"
    assert run("interop", out, *TERMS).exit_code == 0
    os.remove(os.path.join(out, "train-00000-of-00001.tfrecord"))
    assert make(voc, out).written == 1
    assert content(out) == told
    make(voc, out, overwrite=True)
    assert b"CC-BY" not in content(out)["README.md"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_croissant_is_then_complete_but_for_a_date(voc, out, run):
    mlc = pytest.importorskip("mlcroissant")
    make(voc, out)
    assert run("interop", out, *TERMS).exit_code == 0
    found = mlc.Dataset(f"{out}/croissant.json").metadata.ctx.issues
    assert not found.errors
    (warning,) = found.warnings
    assert "datePublished" in warning


def test_pbtxt_is_the_schema(voc, tmp_path, out, run):
    from google.protobuf import json_format, text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    fakes.write_list(voc, "test", ["2007_000000"])
    make(voc, out, extras=("laplacian:raw16", "distance"))
    assert run("interop", out, "--pbtxt").exit_code == 0
    found = text_format.Parse(pathlib.Path(out, "schema.pbtxt").read_text(), schema_pb2.Schema())
    text = pathlib.Path(out, "schema.json").read_text()
    assert found == json_format.Parse(text, schema_pb2.Schema())
    # It goes with the next work on the folder, as all that describes it.
    make(voc, out, extras=("laplacian:png16",), overwrite=True)
    assert not os.path.exists(os.path.join(out, "schema.pbtxt"))


@pytest.mark.parametrize("name", ["README.md", "croissant.json", "schema.pbtxt"])
def test_foreign_files_are_left_alone(voc, out, run, name):
    make(voc, out)
    path = pathlib.Path(out, name)
    pathlib.Path(out, ".dsbuild", "side.json").unlink()
    for side in SIDE:
        pathlib.Path(out, side).unlink()
    path.write_text("mine")
    result = run("interop", out)
    assert result.exit_code == 2
    assert f"{name}: dsbuild did not write this" in result.stderr
    result = run("voc", voc, out, "--shards", "2", "--quiet")
    assert result.exit_code == 2
    assert f"{name}: dsbuild did not write this" in result.stderr
    assert path.read_text() == "mine"


def test_an_unfinished_folder_is_refused(voc, out, run):
    result = run("interop", out)
    assert result.exit_code == 2
    assert f"{out}: no such folder" in result.stderr
    assert not os.path.exists(out)
    os.mkdir(out)
    result = run("interop", out)
    assert result.exit_code == 2
    assert "dsbuild finished no build here" in result.stderr
    assert not os.listdir(out)
