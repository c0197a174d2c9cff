"""Statistics that TensorFlow Data Validation makes of shards, held against schema.pbtxt.

It cannot be in one environment with what the other tests need; make one for it, of Python 3.11.
Where the versions of its neighbours are not said, pip looks for them for more than four minutes:

    pip install --editable . pytest-xdist tensorflow-data-validation==1.16.1 \\
        'tensorflow==2.16.*' 'apache-beam==2.65.*' 'opencv-python-headless<4.12'
    pytest tests/interop/test_tfdv.py
"""

import importlib.util
import json
import pathlib
import subprocess
import sys

import pytest

from dsbuild.format import example, tfrecord
from tests.support import fakes

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_data_validation") is None,
    reason="TensorFlow Data Validation is not installed",
)


def anomalies(folder, split):
    """Return how many records TFDV counts, and feature -> what it finds wrong with it."""
    # A process of its own, since importing it warns of much.
    code = """
import json, sys
import tensorflow_data_validation as tfdv
folder, split = sys.argv[1:]
statistics = tfdv.generate_statistics_from_tfrecord(f"{folder}/{split}-*")
found = tfdv.validate_statistics(statistics, tfdv.load_schema_text(f"{folder}/schema.pbtxt"))
told = {name: one.short_description for name, one in found.anomaly_info.items()}
print(json.dumps([statistics.datasets[0].num_examples, told]))
"""
    command = [sys.executable, "-c", code, str(folder), split]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def built(run, out):
    """Build a layout by the command line, with its schema.pbtxt."""

    def call(layout, root, *options):
        result = run(layout, root, out, *options, "--quiet")
        assert result.exit_code == 0, result.stderr
        assert run("interop", out, "--pbtxt").exit_code == 0
        return out

    return call


def test_segmentation_with_extras(voc, built):
    names = ("laplacian", "sobel:raw16", "canny", "edges", "distance", "weights")
    extras = [word for name in names for word in ("--extra", name)]
    folder = built("voc", voc, "--shards", 2, *extras)
    assert anomalies(folder, "train") == [12, {}]
    assert anomalies(folder, "val") == [6, {}]


def test_a_split_without_labels(tmp_path, built):
    folder = built("cityscapes", fakes.cityscapes(tmp_path))
    assert anomalies(folder, "train") == [4, {}]
    assert anomalies(folder, "test") == [1, {}]


def test_mattes_and_classes(tmp_path, run, built):
    options = ("--alpha-threshold", 50, "--keep-alpha", "--trimap", 3)
    folder = built("matting", fakes.matting(tmp_path), *options)
    assert anomalies(folder, "train")[1] == {}
    assert run("classes", fakes.classes(tmp_path), tmp_path / "made", "--quiet").exit_code == 0
    assert run("interop", tmp_path / "made", "--pbtxt").exit_code == 0
    assert anomalies(tmp_path / "made", "train") == [13, {}]


def test_what_is_wrong_is_found(voc, built):
    folder = built("voc", voc, "--split", "val")
    (path,) = pathlib.Path(folder).glob("*.tfrecord")
    records = [example.parse(record.data) for record in tfrecord.read(str(path))]
    records[1]["image/format"] = [b"bmp"]
    records[2]["image/height"] = -1
    records[3]["image/other"] = 7
    del records[4]["image/filename"]
    with open(path, "wb") as file:
        writer = tfrecord.Writer(file)
        for values in records:
            writer.write(example.serialize(values))
    count, found = anomalies(folder, "val")
    assert count == 6
    assert set(found) == {"image/format", "image/height", "image/other", "image/filename"}
