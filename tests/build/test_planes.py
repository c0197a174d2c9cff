"""Planes from files of their own are stored with image and label, and read back as they are."""

import json
import pathlib

import numpy as np
import pytest
from PIL import Image

import dsbuild
from dsbuild.build import planes
from dsbuild.build.recipe import Recipe, load
from dsbuild.build.repair import repair
from dsbuild.errors import LayoutError, PlanError
from dsbuild.layouts import Sample
from dsbuild.layouts.classes import Classes
from dsbuild.validate.run import validate
from tests.support import fakes
from tests.support.runs import content

PLANES = (
    "depth=depth/{folder}/{stem}_d.png:png16",
    "normals=normals/{stem}.png:rgb",
    "parts=parts/{key}.png:png8",
)
NAMES = {"classes": "a,b,c", "workers": 1}


@pytest.fixture
def drawn(tmp_path):
    """Pairs with planes: the folder, and (name, stem) -> pixels."""
    root = pathlib.Path(fakes.pairs(tmp_path, count=6))
    rng, found = np.random.default_rng(4), {}
    for image in sorted(root.glob("images/*/*")):
        with Image.open(image) as photo:
            size = photo.size[::-1]
        key = f"{image.parent.name}/{image.stem}"
        for name, path, shape, top in (
            ("depth", f"depth/{image.parent.name}/{image.stem}_d.png", size, 65536),
            ("normals", f"normals/{image.stem}.png", (*size, 3), 256),
            ("parts", f"parts/{key}.png", size, 256),
        ):
            pixels = rng.integers(0, top, shape).astype(np.uint16 if top > 256 else np.uint8)
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / path)
            found[name, key] = pixels
    return root, found


def test_planes_are_stored_under_their_names(drawn, tmp_path):
    root, pixels = drawn
    out = str(tmp_path / "out")
    built = dsbuild.build("pairs", root, out, plane=PLANES, **NAMES)
    assert built.manifest["recipe"]["planes"] == list(PLANES)
    assert not [one for one in built.findings if one.kind == "stray"]
    for one in dsbuild.open(out):
        assert one.aligned == ("depth", "normals", "parts")
        for name in one.aligned:
            assert name in list(one)
            np.testing.assert_array_equal(one[name], pixels[name, one.key])
        source = root / "depth" / f"{one.key}_d.png"
        assert one.stored("depth.encoded") == [source.read_bytes()]
    assert not validate(out, "source", str(root)).problems
    again = dsbuild.build("pairs", root, out, plane=PLANES, **NAMES)
    assert (again.written, again.kept) == (0, len(built.manifest["splits"]))


def test_every_reader_gives_them(drawn, tmp_path):
    tf = pytest.importorskip("tensorflow")
    torch = pytest.importorskip("torch")
    root, pixels = drawn
    out = str(tmp_path / "out")
    dsbuild.build("pairs", root, out, plane=PLANES, **NAMES)
    data = dsbuild.tf_dataset(out)
    assert data.element_spec["depth"].dtype == tf.uint16
    for one in data:
        key = one["key"].numpy().decode()
        for name in ("depth", "normals", "parts"):
            plane = pixels[name, key]
            np.testing.assert_array_equal(one[name], plane.reshape(*plane.shape[:2], -1))
    for one in dsbuild.torch_dataset(out):
        assert one["depth"].dtype == torch.int32
        for name in ("depth", "normals", "parts"):
            plane = pixels[name, one["key"]]
            plane = plane.reshape(*plane.shape[:2], -1).transpose(2, 0, 1)
            np.testing.assert_array_equal(one[name], plane)
    settings = dsbuild.Augmentation(crop=(20, 24), scales=(1.0, 1.0), flip=0.5)
    for one in dsbuild.augmented(data, settings, seed=3):
        key = one["key"].numpy().decode()
        seen = {name: np.asarray(one[name]) for name in ("depth", "normals", "parts")}
        for flip in (1, -1):
            places = [
                (top, left)
                for top in range(11)
                for left in range(17)
                if all(
                    np.array_equal(
                        seen[name][:, ::flip],
                        pixels[name, key][top : top + 20, left : left + 24].reshape(20, 24, -1),
                    )
                    for name in seen
                )
            ]
            if places:
                break
        assert len(places) == 1  # all are cut from one window


def test_planes_are_cut_and_shrunk_with_the_image(drawn, tmp_path):
    root, pixels = drawn
    out = str(tmp_path / "tiles")
    dsbuild.build("pairs", root, out, plane=PLANES, tile=16, tile_overlap=4, **NAMES)
    for one in dsbuild.open(out):
        rows = slice(one.tile_y, one.tile_y + one.height)
        columns = slice(one.tile_x, one.tile_x + one.width)
        for name in one.aligned:
            np.testing.assert_array_equal(one[name], pixels[name, one.source_key][rows, columns])
    assert not validate(out, "source", str(root)).problems
    small = str(tmp_path / "small")
    dsbuild.build("pairs", root, small, plane=PLANES, max_side=17, **NAMES)
    for one in dsbuild.open(small):
        assert one.image.shape[:2] == one.label.shape
        whole = np.asarray(Image.open(root / "labels" / f"{one.key}.png"))
        parts = Image.fromarray(pixels["parts", one.key])
        size = one.label.shape[::-1]
        np.testing.assert_array_equal(one.parts, parts.resize(size, Image.Resampling.NEAREST))
        label = Image.fromarray(whole).resize(size, Image.Resampling.NEAREST)
        np.testing.assert_array_equal(one.label, label)
        depth = Image.fromarray(pixels["depth", one.key])
        np.testing.assert_array_equal(one.depth, depth.resize(size, Image.Resampling.NEAREST))
        assert one.normals.shape == one.image.shape
    assert not validate(small, "source", str(root)).problems


def test_a_changed_plane_rewrites_its_shard_alone(drawn, tmp_path):
    root, _ = drawn
    out = tmp_path / "out"
    how = {"plane": PLANES, "shards": 3, "val_fraction": 0, **NAMES}
    dsbuild.build("pairs", root, out, **how)
    path = sorted((root / "parts").rglob("*.png"))[0]
    with Image.open(path) as plane:
        plane.rotate(180).save(path)
    again = dsbuild.build("pairs", root, out, **how)
    assert (again.written, again.kept) == (1, 2)
    fresh = content(out)
    (out / ".dsbuild" / "plan-train.jsonl").unlink()
    repair(str(out), str(root))
    assert content(out) == fresh


def test_a_missing_or_wrong_plane_is_named(drawn, tmp_path, run):
    root, _ = drawn
    words = ["pairs", root, tmp_path / "out", "--classes", "a,b,c"]
    for text in PLANES:
        words += ["--plane", text]
    gone = root / "parts" / "a" / "000.png"
    data = gone.read_bytes()
    gone.unlink()
    result = run(*words)
    assert result.exit_code == 2
    assert "planes that are missing (1)" in result.output
    assert f"sample a/000: {gone}: there is no such file" in result.output
    gone.write_bytes(data)
    Image.fromarray(np.zeros((9, 8), np.uint8)).save(gone)
    result = run(*words)
    assert f"sample a/000: {gone}: found a plane parts of 8 x 9 pixels, expected the image's" in (
        result.output
    )
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(gone)
    result = run(*words)
    assert (
        "found 8 bits of rgb in a PNG, expected a PNG of one channel with 8 bits" in result.output
    )
    assert run(*words, "--on-error", "skip").exit_code == 0
    assert "a/000" not in [one.key for one in dsbuild.open(tmp_path / "out")]
    rejects = pathlib.Path(tmp_path, "out", "rejects.jsonl").read_text()
    assert json.loads(rejects)["file"] == "parts/a/000.png"


def test_planes_go_with_images_of_a_class():
    recipe = Recipe(layout=Classes(), planes=("depth=x/{1}/{stem}.png:png16",))
    sample = Sample("a", "cat/1.jpg", 0)
    (named,) = planes.named([sample], recipe.aligned)
    assert named.planes == ("x/cat/1.png",)
    assert named.sources == ("cat/1.jpg", None, "x/cat/1.png")
    assert load(json.loads(json.dumps(recipe.document()))) == recipe


def test_patterns_lead_to_files():
    sample = Sample("aachen_1", "leftImg8bit/train/aachen/aachen_1_leftImg8bit.png", None)
    for pattern, path in (
        ("disparity/{folder}/{key}_disparity.png", "disparity/train/aachen/aachen_1_disparity.png"),
        ("d/{2}/{stem}.png", "d/train/aachen_1_leftImg8bit.png"),
        ("d/{3}-{1}.png", "d/aachen-leftImg8bit.png"),
    ):
        plane = planes.parse(f"x={pattern}:png8")
        assert plane.path(sample) == path
    with pytest.raises(LayoutError, match="has fewer folders"):
        planes.parse("x=d/{4}.png:png8").path(sample)
    flat = planes.parse("x=d/{folder}/{key}.png:png8").path(Sample("k", "images/k.png", None))
    assert flat == "d/k.png"


@pytest.mark.parametrize(
    "text",
    [
        "depth",
        "depth=x.png",
        "depth={key}.png:png32",
        "Depth={key}.png:png16",
        "label={key}.png:png8",
        "laplacian={key}.png:png8",
        "image_name={key}.png:png8",  # TensorFlow's samples have it
        "instances={key}.png:png8",
        "label_format={key}.png:png8",
        "panoptic={key}.png:png16",
        "source_key={key}.png:png8",
        "tile_x={key}.png:png8",
        "depth={id}.png:png8",
        "depth=../{key}.png:png8",
        "depth=/x/{key}.png:png8",
        "depth=one.png:png8",
    ],
)
def test_wrong_planes_are_refused(text):
    with pytest.raises(PlanError, match="--plane "):
        Recipe(layout=Classes(), planes=(text,))


def test_the_recipe_is_as_before_without_planes():
    assert "planes" not in Recipe(layout=Classes()).document()
    with pytest.raises(PlanError, match="--plane x: found twice"):
        Recipe(layout=Classes(), planes=("x={key}.png:png8", "x={key}.png:png16"))
