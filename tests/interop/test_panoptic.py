"""Panoptic maps for other tools: exports keep their bytes, and side files say what they are."""

import json
import pathlib
import re
import tarfile

import numpy as np
import pytest

from dsbuild.engines import Local
from dsbuild.interop.export.run import export
from dsbuild.layouts.coco import Coco
from tests.support import panoptic
from tests.support.panoptic import LABEL
from tests.support.runs import make
from tests.support.scripts import printed_alone


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("interop")
    make(panoptic.tree(folder / "d"), folder / "out", layout=Coco(target="panoptic"))
    return folder / "out"


def test_a_tar_holds_the_map_as_it_is(built, tmp_path):
    export(str(built), str(tmp_path / "x"), "webdataset", Local(1))
    (path,) = (tmp_path / "x").glob("*.tar")
    with tarfile.open(path) as tar:
        files = {one.name: tar.extractfile(one).read() for one in tar.getmembers()}
    for key, one in panoptic.records(built).items():
        assert files[f"{key}.segmentation_class_encoded.bin"] == one[LABEL][0]
        rest = json.loads(files[f"{key}.json"])
        assert (rest["segmentation_class_format"], rest["segmentation_class_divisor"]) == (
            "raw",
            256,
        )


def test_a_table_holds_the_map_as_it_is(built, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    export(str(built), str(tmp_path / "x"), "parquet", Local(1))
    (path,) = (tmp_path / "x").glob("*.parquet")
    rows = parquet.read_table(path).to_pylist()
    found = {row["key"]: row["segmentation_class_encoded"] for row in rows}
    assert found == {key: one[LABEL][0] for key, one in panoptic.records(built).items()}


def test_side_files_take_the_map_for_no_picture(built):
    features = json.loads(pathlib.Path(built, "features.json").read_text())
    assert "LabeledImage" not in json.dumps(features)
    croissant = json.loads(pathlib.Path(built, "croissant.json").read_text())
    (records,) = (one for one in croissant["recordSet"] if one["name"] == "train-records")
    kinds = {one["name"]: one["dataType"] for one in records["field"]}
    assert (kinds[LABEL], kinds["image/encoded"]) == ("sc:Text", "sc:ImageObject")
    assert not list(pathlib.Path(built).glob("*.labels.txt"))


@pytest.mark.parametrize(
    ("number", "library"),
    [
        (0, "dsbuild"),
        (3, "numpy"),
        *(pytest.param(*one, marks=pytest.mark.slow) for one in ((4, "webdataset"), (5, "grain"))),
    ],
)
def test_the_code_of_the_card_decodes_the_map(built, number, library):
    pytest.importorskip(library)
    card = pathlib.Path(built, "README.md").read_text()
    assert "tf.io.decode_raw" in card
    assert "decode_png" not in card
    for target, name in (("webdataset", "tars"), ("array_record", "arrays")):
        export(str(built), str(built.parent / name), target, Local(1))
    (one, *_) = panoptic.records(built).values()
    code = re.findall(r"```python\n(.*?)```", card, re.DOTALL)[number] + CHECK[number == 0]
    wanted = np.frombuffer(one[LABEL][0], "<i4").astype(int)
    assert int(printed_alone(code, built)) == wanted.sum()


CHECK = (
    "\n_, found, instance = next(iter(data))\nprint((found.astype(int) * 256 + instance).sum())",
    "\nprint(sample.panoptic.astype(int).sum())",
)


def test_tfds_reads_the_records(built):
    tfds = pytest.importorskip("tensorflow_datasets")
    data = tfds.builder_from_directory(str(built)).as_dataset(split="train")
    found = {one["image"]["filename"].numpy().decode(): one for one in data}
    for key, one in panoptic.records(built).items():
        label = found[key]["image"]["segmentation"]["class"]
        assert label["encoded"].numpy() == one[LABEL][0]
        assert label["divisor"].numpy() == 256
