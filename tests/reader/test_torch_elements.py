import os
import pickle
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

import dsbuild
from dsbuild.errors import DsbuildError, PlanError, ShardError
from tests.support import fakes
from tests.support.drawn import DRAWN
from tests.support.runs import make

torch = pytest.importorskip("torch")
elements = pytest.importorskip("dsbuild.reader.torch.elements")


@pytest.fixture
def built(voc, out):
    make(voc, out, splits=("train",), shards=2, extras=("laplacian",))
    return out


@pytest.mark.parametrize("given", DRAWN, ids=repr)
def test_pixels_are_those_of_the_sources(given, tmp_path, out):
    draw, decode = DRAWN[given]
    root = draw(tmp_path)
    layout = given.bind(root)
    make(root, out, layout=layout)
    split = layout.splits(root)[0]
    opened, found = dsbuild.open(out, split), dsbuild.torch_dataset(out, split)
    listed = list(layout.samples(root, split))
    assert len(found) == len(opened) == len(listed) > 0
    for sample, one, element in zip(listed, opened, found, strict=True):
        photo = np.asarray(Image.open(os.path.join(root, sample.image)).convert("RGB"))
        assert element["key"] == one.key == sample.key
        np.testing.assert_array_equal(element["image"], photo.transpose(2, 0, 1))
        np.testing.assert_array_equal(element["image"], one.image.transpose(2, 0, 1))
        assert element["image"].dtype == torch.uint8
        np.testing.assert_array_equal(element["label"], one.label)
        if isinstance(sample.label, int):
            assert (element["label"].dtype, element["label"].shape) == (torch.int64, ())
            assert element["label"] == sample.label
        else:
            wide = one.label.dtype == np.uint16
            assert element["label"].dtype == (torch.int32 if wide else torch.uint8)
            expected = decode(os.path.join(root, str(sample.label)))
            np.testing.assert_array_equal(element["label"], expected)


@pytest.mark.parametrize("form", ["int64", "png16", "raw16"])
def test_extras_are_planes_in_every_form(voc, out, form):
    make(voc, out, splits=("val",), extras=(f"laplacian:{form}", "edges"))
    opened = dsbuild.open(out)
    data = dsbuild.torch_dataset(out, extras=("edges", "laplacian"))
    for one, element in zip(opened, data, strict=True):
        assert list(element) == ["key", "image", "label", "edges", "laplacian"]
        assert element["laplacian"].dtype == torch.int16
        np.testing.assert_array_equal(element["laplacian"], one.laplacian[None])
        np.testing.assert_array_equal(element["edges"], one.edges[None])
    computed = dsbuild.torch_dataset(out, extras=["canny:low=50"])[0]["canny"]
    assert computed.shape == (1, *dsbuild.open(out)[0].label.shape)
    pairs = dsbuild.torch_dataset(out, extras=["laplacian"], as_supervised=True)
    image, label, laplacian = pairs[1]
    assert (image.shape[1:], laplacian.shape[1:]) == (label.shape, label.shape)


def test_memory_is_the_tensors_own(built):
    """A tensor may be written to, and nobody else sees it."""
    data = dsbuild.torch_dataset(built, extras=("laplacian",))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = data[0]
        for name in ("image", "label", "laplacian"):
            first[name].fill_(7)
    assert not (data[0]["image"] == 7).all()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"extras": ("sobel ",)}, "extra sobel : no such extra; there are laplacian"),
        ({"extras": ("trimap",)}, "2007_000000: extra trimap: .* computed from the alpha, which"),
        ({"transform": abs, "transforms": abs}, "found transform or target_transform as well"),
        (
            {"transforms": lambda *given: given[0]},
            "found Tensor, expected one value for each .*image, label",
        ),
        ({"transforms": lambda *given: given[1:]}, "found tuple, expected one value for each"),
    ],
)
def test_impossible_requests_are_named(built, asked, message):
    with pytest.raises(PlanError, match=message):
        _ = dsbuild.torch_dataset(built, **asked)[0]


def test_samples_without_label(tmp_path, out):
    root = fakes.voc(tmp_path)
    fakes.write_list(root, "test", ["a"])
    os.link(f"{root}/JPEGImages/2007_000000.jpg", f"{root}/JPEGImages/a.jpg")
    make(root, out, splits=("test",), shards=1)
    assert set(dsbuild.torch_dataset(out)[0]) == {"key", "image"}
    doubled = dsbuild.torch_dataset(out, transforms=lambda image: image * 0, target_transform=None)
    assert doubled[0]["image"].sum() == 0
    with pytest.raises(PlanError, match="a: found no label, expected one for \\(image, label\\)"):
        _ = dsbuild.torch_dataset(out, as_supervised=True)[0]


class Mirror:
    """Flips an image and all planes with it, as transforms of torchvision's v2 do."""

    def __call__(self, *planes):
        return tuple(plane.flip(-1) for plane in planes)


def test_transforms_see_all_planes_together(built):
    plain = dsbuild.torch_dataset(built, extras=("laplacian",))
    mirrored = dsbuild.torch_dataset(built, extras=("laplacian",), transforms=Mirror())
    for one, other in zip(plain, mirrored, strict=True):
        for name in ("image", "label", "laplacian"):
            assert torch.equal(one[name].flip(-1), other[name])


def test_transforms_of_one_part(built):
    data = dsbuild.torch_dataset(
        built, as_supervised=True, transform=torch.Tensor.float, target_transform=torch.Tensor.long
    )
    image, label = pickle.loads(pickle.dumps(data))[0]
    assert (image.dtype, label.dtype) == (torch.float32, torch.int64)
    # The loss takes no other type of label.
    torch.nn.functional.cross_entropy(image[None, :1].expand(-1, 21, -1, -1), label[None] % 21)


def test_torchvision_is_told_what_is_a_mask(built, monkeypatch):
    """Stands in for torchvision.tv_tensors: v2 moves what is of these kinds, no plain tensor."""

    class Image(torch.Tensor):
        pass

    class Mask(torch.Tensor):
        pass

    class Kinds:
        Image = staticmethod(lambda tensor: tensor.as_subclass(Image))
        Mask = staticmethod(lambda tensor: tensor.as_subclass(Mask))

    Kinds.types, seen = (Image, Mask), []

    def flip(*planes):
        seen.extend(map(type, planes))
        return tuple(p.flip(-1) if isinstance(p, Kinds.types) else p for p in planes)

    monkeypatch.setitem(sys.modules, "torchvision.tv_tensors", Kinds)
    plain = dsbuild.torch_dataset(built, extras=("laplacian",))[2]
    found = dsbuild.torch_dataset(built, extras=("laplacian",), transforms=flip)[2]
    assert seen == [Image, Mask, Mask]
    for name in ("image", "label", "laplacian"):
        assert type(found[name]) is torch.Tensor
        assert torch.equal(found[name], plain[name].flip(-1))


@pytest.mark.parametrize("as_supervised", [False, True])
def test_batches_are_padded(built, as_supervised):
    data = dsbuild.torch_dataset(built, extras=("laplacian",), as_supervised=as_supervised)
    loader = torch.utils.data.DataLoader(data, batch_size=5, collate_fn=data.collate)
    sizes, start = set(), 0
    for batch in loader:
        planes = list(batch.values())[1:] if isinstance(batch, dict) else batch
        assert [plane.dtype for plane in planes] == [torch.uint8, torch.uint8, torch.int16]
        assert planes[0].is_contiguous(memory_format=torch.channels_last)
        count, _, height, width = planes[0].shape
        sizes.add((height, width))
        for i in range(count):
            one = data[start + i]
            wanted = list(one.values())[1:] if isinstance(one, dict) else one
            h, w = wanted[1].shape
            for plane, inner, fill in zip(planes, wanted, (0, 255, 0), strict=True):
                expected = torch.full((*inner.shape[:-2], height, width), fill, dtype=inner.dtype)
                expected[..., :h, :w] = inner
                assert torch.equal(plane[i], expected)
        start += count
    assert start == len(data)
    assert (60, 60) in sizes
    with pytest.raises(RuntimeError, match="equal size"):
        list(torch.utils.data.DataLoader(data, batch_size=5))


def test_batches_of_classes_and_of_transformed_planes(tmp_path, out):
    make(fakes.classes(tmp_path), out, layout=next(x for x in DRAWN if x.name == "classes"))
    data = dsbuild.torch_dataset(out, "train")
    batch = data.collate([data[i] for i in range(4)])
    assert batch["label"].tolist() == [int(data[i]["label"]) for i in range(4)]
    assert len(batch["key"]) == 4
    floats = [{"image": torch.rand(3, 4, 5)}, {"image": torch.rand(3, 5, 4)}]
    assert elements.pad(floats)["image"].shape == (2, 3, 5, 5)
    with pytest.raises(PlanError, match=r"collate: found image of .*expected one kind"):
        elements.pad([*floats, {"image": torch.zeros(3, 2, 2, dtype=torch.uint8)}])


def test_undecodable_pixels_are_named(built):
    data = dsbuild.torch_dataset(built)
    sample = data.reader[1]
    sample._stored.features["image/encoded"] = [sample.encoded[:300]]
    with pytest.raises(ShardError, match=r"record 1 at byte \d+: image of '2007_\d+'"):
        data.element(sample)
    assert issubclass(ShardError, DsbuildError)


@pytest.mark.parametrize("kind", [torch.uint8, torch.uint16, torch.bfloat16, torch.float32])
def test_planes_of_every_type_are_collated(kind):
    sizes = [(3, 2), (2, 4)]
    planes = [torch.arange(a * b).reshape(a, b).to(kind) for a, b in sizes]
    found = elements.pad([{"label": plane} for plane in planes], 7)["label"]
    assert (found.dtype, found.shape) == (kind, (2, 3, 4))
    for one, plane, (a, b) in zip(found, planes, sizes, strict=True):
        assert one[:a, :b].tolist() == plane.tolist()
        assert {*one[a:].flatten().tolist(), *one[:a, b:].flatten().tolist()} == {7}
