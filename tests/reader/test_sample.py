"""A sample is a mapping whose values are its attributes, and says in a line what it is."""

import copy
import html.parser
import os
import pathlib
import pickle
from collections.abc import Mapping

import numpy as np
import pytest
from PIL import Image

import dsbuild
from dsbuild.errors import PlanError, ShardError
from dsbuild.format import example, tfrecord
from dsbuild.layouts.classes import Classes
from dsbuild.layouts.pairs import Pairs
from dsbuild.reader import Sample
from dsbuild.storage import safe_text
from tests.support import fakes
from tests.support.runs import make


@pytest.fixture
def built(voc, out):
    make(voc, out, splits=("train", "val"), shards=3, extras=("laplacian:png16", "edges"))
    return out


NAMES = [
    "key image label height width format channels label_format laplacian edges canny".split(),
    "key image label height width format channels class_text sobel".split(),
]


def test_values_are_attributes(built):
    sample = dsbuild.open(built, "train", extras=["canny", "laplacian"])[0]
    assert isinstance(sample, Mapping)
    assert sorted(sample) == sorted(NAMES[0])
    assert list(sample)[:5] == ["key", "image", "label", "height", "width"]
    assert len(sample) == len(NAMES[0])
    assert dict(sample).keys() == set(NAMES[0])
    for name, value in sample.items():
        assert getattr(sample, name) is value
        assert sample[name] is value
        assert name in sample
        assert name in dir(sample)
    assert (sample.height, sample["width"]) == sample.image.shape[:2]
    assert (sample.format, sample.label_format, sample.channels) == ("jpeg", "png", 3)
    assert (sample.key, sample.laplacian.dtype) == ("2007_000000", np.int16)
    assert sample.get("nothing", 3) == 3


def test_names_that_a_sample_does_not_have(built):
    sample = dsbuild.open(built, "train", extras=["trimap"])[0]
    with pytest.raises(KeyError, match="no 'heigth'; it has key, image, label, height, width"):
        _ = sample["heigth"]
    with pytest.raises(AttributeError, match="no 'heigth'; it has key, image, label"):
        _ = sample.heigth
    with pytest.raises(AttributeError, match="trimap is computed from the alpha, which is missing"):
        _ = sample.trimap
    assert not hasattr(sample, "alpha")
    assert "trimap" not in sample
    with pytest.raises(AttributeError):
        _ = sample._repr_png_


def test_classes_are_labels(tmp_path, out):
    make(fakes.classes(tmp_path), out, layout=Classes())
    sample = dsbuild.open(out, extras=["sobel", "edges"])[0]
    assert sorted(sample) == sorted(NAMES[1])
    assert (sample["label"], sample.class_text) == (0, "cat")
    with pytest.raises(AttributeError, match="computed from the label"):
        _ = sample.edges


def test_a_sample_without_label(voc, out):
    os.remove(os.path.join(voc, "SegmentationClass/2007_000003.png"))
    fakes.write_list(voc, "test", ["2007_000003"])
    make(voc, out, splits=("test",))
    sample = dsbuild.open(out)[0]
    assert sample.label is None
    assert "label" not in sample
    with pytest.raises(KeyError, match="no 'label'"):
        _ = sample["label"]
    with pytest.raises(PlanError, match="2007_000003: found no label"):
        _ = dsbuild.open(out, as_supervised=True)[0]


def test_sizes_of_other_tools_records_are_those_of_the_image(tmp_path):
    Image.new("RGB", (5, 4)).save(tmp_path / "a.png")
    record = example.serialize({"image/encoded": [(tmp_path / "a.png").read_bytes()]})
    with open(tmp_path / "train.tfrecord", "wb") as file:
        tfrecord.Writer(file).write(record)
    with pytest.warns(UserWarning, match="frames were walked"):
        (sample,) = dsbuild.open(tmp_path / "train.tfrecord")
    assert list(sample) == ["image", "height", "width"]
    assert (sample.height, sample.width, sample.key) == (4, 5, "")


def test_samples_are_their_own_and_travel(built):
    data = dsbuild.open(built, "train")
    one, other = data[0], data[0]
    assert one == one
    assert one != other
    assert len({one, other}) == 2
    for copied in (pickle.loads(pickle.dumps(one)), copy.copy(one), copy.deepcopy(one)):
        np.testing.assert_array_equal(copied.image, one.image)
        assert list(copied) == list(one)


def test_a_sample_of_values():
    sample = Sample((name, name.upper()) for name in ("key", "image"))
    assert dict(sample) == {"key": "KEY", "image": "IMAGE"}
    assert sample.label is None
    assert sample.load() is sample
    with pytest.raises(AttributeError, match="no 'height'; it has key, image"):
        _ = sample.height


def test_pairs(built):
    data = dsbuild.open(built, "train", extras=["laplacian"], as_supervised=True)
    plain = dsbuild.open(built, "train", extras=["laplacian"])
    assert len(data) == len(plain)
    for found in (data, data.epoch(threads=2), data.epoch(), data[:]):
        for pair, sample in zip(found, plain, strict=True):
            for one, name in zip(pair, ("image", "label", "laplacian"), strict=True):
                np.testing.assert_array_equal(one, sample[name])
    assert len(data[3:]) == len(plain) - 3
    shuffled = [image.sum() for image, *_ in data.epoch(seed=1)]
    assert shuffled == [sample.image.sum() for sample in plain.epoch(seed=1)]


def test_lines(built):
    data = dsbuild.open(built, "train")
    assert repr(data) == f"<Reader of {built}: 12 samples of train, 21 classes>"
    assert repr(data[:1]) == f"<Reader of {built}: 1 sample of train, 21 classes>"
    whole = dsbuild.open(built, extras=["canny"])
    assert repr(whole).endswith(": 18 samples of train+val, 21 classes, extras canny>")
    assert repr(dsbuild.open(built, as_supervised=True)).startswith("<Pairs of ")
    epoch = data.epoch(5, 2, index=1, count=3)
    next(epoch)
    assert repr(epoch) == "<Epoch 2 with seed 5, share 1 of 3: at sample 1 of 4>"
    assert repr(data.epoch()) == "<Epoch 0: at sample 0 of 12>"
    assert repr(data[0]).startswith("<Sample 2007_000000: key, image, label, height, width, ")
    assert "image uint8 (44, 60, 3)" in repr(data[0].load())


class Pictures(html.parser.HTMLParser):
    """Collects the pictures and the text of a page; other tags must be closed in order."""

    def __init__(self, page):
        super().__init__()
        self.open, self.pictures, self.texts = [], [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.pictures.append(dict(attrs)["src"])
        elif tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_notebooks_show_pictures(built, voc):
    data = dsbuild.open(built, "train")
    page = Pictures(data._repr_html_())
    assert len(page.pictures) == 16
    assert all(uri.startswith("data:image/") for uri in page.pictures)
    assert page.texts[0] == repr(data)
    assert page.texts[-1] == "\u2026 and 4 more"
    assert len(data._repr_html_()) < 200_000
    one = Pictures(data[3]._repr_html_())
    assert len(one.pictures) == 2
    assert {f" {i} {name}" for i, name in enumerate(data.classes)} >= {
        text for text in one.texts if text.startswith(" ") and "ignored" not in text
    }
    assert Pictures(dsbuild.open(built, as_supervised=True)._repr_html_()).pictures


def test_notebooks_show_why_a_sample_cannot_be_read(built):
    (path, *_) = sorted(pathlib.Path(built).glob("val-*"))
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(data)
    found = dsbuild.open(built, "val")
    page = Pictures(found._repr_html_())
    assert len(page.pictures) == 10
    assert any("cannot be read" in text and "record 0" in text for text in page.texts)
    sample = dsbuild.open(built, "train")[0]
    sample._stored.features["image/encoded"] = [b"\xff\xd8\xff junk"]
    assert "cannot be read" in sample._repr_html_()
    damaged = dsbuild.open(built, "val", check="none")[0]
    object.__setattr__(damaged._stored, "record", damaged._stored.record._replace(data=b"\xff"))
    assert repr(damaged).startswith("<Sample that cannot be read: ")


@pytest.mark.parametrize("key", ['<script>"&', "a\nb\x1b[31m", "long" * 500])
def test_names_are_harmless(tmp_path, out, key):
    name = key if "long" not in key else "long" * 60
    root = fakes.pairs(tmp_path)
    make(root, out, layout=Pairs(names=("a", name[:50], "c")), shards=1)
    sample = dsbuild.open(out)[0]
    sample = Sample(dict(sample) | {"key": key})
    assert "\n" not in repr(sample)
    assert "\x1b" not in repr(sample)
    page = sample._repr_html_()
    assert "<script" not in page
    assert len(page) < 60_000
    Pictures(page)
    assert safe_text.text(key)[:40] in "".join(Pictures(page).texts)
    Pictures(dsbuild.open(out)[0]._repr_html_())


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_a_loader_of_torch_takes_samples_apart(built):
    data = pytest.importorskip("torch.utils.data")
    loader = data.DataLoader(dsbuild.open(built, "train")[:1], batch_size=1)
    (batch,) = loader
    assert list(batch["key"]) == ["2007_000000"]
    assert batch["image"].shape == (1, 44, 60, 3)


def test_damage_is_no_missing_name(built):
    sample = dsbuild.open(built, "train")[0]
    sample._stored.features["image/encoded"] = [sample.encoded[:200]]
    with pytest.raises(ShardError, match=r"record 0 at byte 0: image of '2007_000000'"):
        _ = sample.image
