"""README.md of an output folder: what it says is true, and its code runs."""

import io
import json
import os
import pathlib
import re

import numpy as np
import pytest
from PIL import Image

from dsbuild.format import example, tfrecord
from dsbuild.interop.export.run import export
from dsbuild.layouts.classes import Classes
from dsbuild.layouts.pairs import Pairs
from tests.support import fakes
from tests.support.runs import make
from tests.support.scripts import printed, printed_alone

CHECK = """
import json
found = []
for _, one in zip(range(3), data):
    one = one if isinstance(one, tuple) else (one,)
    found.append([np.asarray(part).astype(int).sum().item() for part in one])
print(json.dumps(found))
"""
OF_A_SAMPLE = "(one.image,) if one.label is None else (one.image, one.label)"


def card(out):
    return pathlib.Path(out, "README.md").read_text()


def blocks(out):
    return re.findall(r"```python\n(.*?)```", card(out), re.DOTALL)


def results(out, code, check=CHECK, printed=printed_alone):
    """Run a block of the card in its folder; return sums of the first three of its `data`."""
    return json.loads(printed(f"import numpy as np\n{code}\n{check}", out).splitlines()[-1])


def by_pillow(data):
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


def by_tensorflow(data):
    """Decode as TensorFlow does by default, which is a little off for JPEG."""
    import tensorflow as tf

    return tf.io.decode_image(data, channels=3).numpy()


def expected(out, shard, decode):
    """Return the same sums of a shard's records."""
    for record in list(tfrecord.read(f"{out}/{shard}"))[:3]:
        values = example.parse(record.data)
        row = [int(decode(values["image/encoded"][0]).sum(dtype=int))]
        if "image/class/label" in values:
            row.append(int(values["image/class/label"][0]))
        elif label := values.get("image/segmentation/class/encoded"):
            row.append(int(np.array(Image.open(io.BytesIO(label[0]))).sum(dtype=int)))
        yield row


def example_of(kind, tmp_path, out):
    """Build a folder with masks, classes or no labels; return its split."""
    if kind == "classes":
        make(fakes.classes(tmp_path), out, layout=Classes(), shards=1)
        return "train"
    if kind == "masks":
        make(fakes.pairs(tmp_path), out, layout=Pairs(names=("a", "b", "c")), shards=1)
        return "train"
    root = fakes.voc(tmp_path)
    fakes.write_list(root, "test", ["a", "b", "c"])
    for name in "abc":
        os.link(f"{root}/JPEGImages/2007_000000.jpg", f"{root}/JPEGImages/{name}.jpg")
    make(root, out, splits=("test",), shards=1)
    return "test"


@pytest.mark.parametrize(
    "kind", ["masks", *(pytest.param(k, marks=pytest.mark.slow) for k in ("classes", "none"))]
)
def test_its_code_runs(tmp_path, out, kind):
    split = example_of(kind, tmp_path, out)
    own, tf, tfds, torch, *_ = blocks(out)
    shard = f"{split}-00000-of-00001.tfrecord"
    wanted = list(expected(out, shard, by_pillow))
    assert len(wanted) == 3
    rows = CHECK.replace("one if isinstance(one, tuple) else (one,)", OF_A_SAMPLE)
    assert results(out, own, rows) == wanted
    assert results(out, torch) == wanted
    assert results(out, tf, printed=printed) == list(expected(out, shard, by_tensorflow))
    check = "import json\nprint(json.dumps([builder.name, len(data)]))"
    found = results(out, tfds, check, printed)
    document = json.loads(pathlib.Path(out, "manifest.json").read_text())
    assert found == [document["recipe"]["layout"], document["splits"][split]["records"]]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["masks", "classes", "none"])
def test_its_code_for_exports_runs(tmp_path, out, kind):
    shard = f"{example_of(kind, tmp_path, out)}-00000-of-00001.tfrecord"
    wanted = list(expected(out, shard, by_pillow))
    *_, wds, grain = blocks(out)
    for code, target, name in ((wds, "webdataset", "tars"), (grain, "array_record", "arrays")):
        pytest.importorskip({"array_record": "grain"}.get(target, target))
        export(out, os.path.join(os.path.dirname(out), name), target)
        assert results(out, code) == wanted


def test_hugging_face_reads_its_front_matter(voc, out, run):
    hub = pytest.importorskip("huggingface_hub")
    make(voc, out)
    assert run("interop", out, "--license", "CC-BY-4.0").exit_code == 0
    data = hub.DatasetCard.load(f"{out}/README.md").data
    assert data.pretty_name == "Pascal VOC"
    assert data.license == "cc-by-4.0"
    assert data.task_categories == ["image-segmentation"]
    assert data.size_categories == ["n<1K"]
    assert run("interop", out, "--license", 'Terms: of "Flickr"').exit_code == 0
    data = hub.DatasetCard.load(f"{out}/README.md").data
    assert (data.license, data.license_name) == ("other", 'Terms: of "Flickr"')


def test_it_describes_the_data_set(voc, out):
    make(voc, out, shards=2)
    text = card(out)
    document = json.loads(pathlib.Path(out, "manifest.json").read_text())
    for split, entry in document["splits"].items():
        assert f"| {split} | {entry['records']} | {entry['labels']} | 2 |" in text
    images = [document["splits"][name]["classes"][15]["images"] for name in document["splits"]]
    assert f"| 15 | person | #c08080 | {' | '.join(map(str, images))} |" in text
    assert '"verify": "full"' in text
    assert out not in text


def test_names_cannot_break_its_tables(tmp_path, out):
    root = fakes.pairs(tmp_path)
    make(root, out, layout=Pairs(names=("a|b", "c\nd", "e")))
    assert "| 0 | a\\|b | " in card(out)
    assert "| 1 | c d | " in card(out)
