import itertools
import os
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from dsbuild.errors import ImageError, LayoutError, PlanError
from dsbuild.format import manifest
from dsbuild.images import mattes
from dsbuild.layouts.matting import Matting
from tests.support import fakes
from tests.support.pictures import PHOTO, save
from tests.support.runs import make, masks


@pytest.fixture
def root(tmp_path):
    return fakes.matting(tmp_path)


def alphas(root):
    """Return key -> alpha, read by Pillow alone."""
    found = {}
    for path in pathlib.Path(root).glob("matting/*/*/*.png"):
        image = Image.open(path)
        assert image.mode == "RGBA"
        found[path.stem] = np.asarray(image)[..., 3]
    return found


def keys(layout, root):
    return {s: [x.key for x in layout.samples(root, s)] for s in layout.splits(root)}


@pytest.mark.parametrize("threshold", [0, 50, 127, 254])
def test_a_mask_is_alpha_greater_than_the_threshold(root, out, threshold):
    make(root, out, layout=Matting(alpha_threshold=threshold))
    expected = alphas(root)
    found = masks(out)
    assert found.keys() == expected.keys()
    for key, mask in found.items():
        np.testing.assert_array_equal(mask, expected[key] > threshold)


@pytest.mark.parametrize("threshold", [-1, 255, 256])
def test_thresholds_that_divide_nothing_are_refused(threshold):
    with pytest.raises(PlanError, match=f"alpha_threshold: found {threshold}, expected a whole"):
        Matting(alpha_threshold=threshold)


def test_the_threshold_belongs_to_the_recipe(root, out):
    make(root, out, layout=Matting(alpha_threshold=50))
    assert make(root, out, layout=Matting(alpha_threshold=50)).written == 0
    assert make(root, out, layout=Matting(alpha_threshold=51), overwrite=True).kept == 0
    assert manifest.load(out)["recipe"]["options"]["alpha_threshold"] == 51


def test_no_shoot_is_in_two_splits(root):
    found = keys(Matting(), root)
    groups = {split: {key.partition("-")[0] for key in names} for split, names in found.items()}
    assert groups.keys() == {"train", "val"}
    assert not groups["train"] & groups["val"]
    by_sample = keys(Matting(split_by="sample", val_fraction=0.5), root)
    assert {*itertools.chain(*by_sample.values())} == {*itertools.chain(*found.values())}
    assert by_sample != found


@pytest.mark.parametrize("split_by", ["group", "sample"])
def test_a_split_never_changes_when_others_are_added(tmp_path, split_by):
    layout = Matting(split_by=split_by)
    few = keys(layout, fakes.matting(tmp_path / "few", groups=6))
    many = keys(layout, fakes.matting(tmp_path / "many", groups=12, photos=3))
    for split, names in few.items():
        assert set(names) <= set(many[split])


def test_fraction_and_seed_decide_the_division(tmp_path):
    root = fakes.matting(tmp_path, groups=60, photos=1)
    assert keys(Matting(val_fraction=0), root).keys() == {"train"}
    half = keys(Matting(val_fraction=0.5), root)
    assert 18 <= len(half["val"]) <= 42
    assert keys(Matting(val_fraction=0.5, split_seed=1), root) != half
    with pytest.raises(PlanError, match=r"val_fraction: found 1\.0, expected a number, at least 0"):
        Matting(val_fraction=1.0)


def test_stray_files_are_left_out_and_counted(root, out, run):
    lonely = pathlib.Path(root, "matting/1803151818/matting_00000000/1803151818-00000009.png")
    shutil.copy(lonely.with_name("1803151818-00000000.png"), lonely)
    result = run("matting", root, out)
    assert result.exit_code == 0
    lines = [line.strip() for line in result.stderr.splitlines()]
    assert "files that belong to no sample (3)" in lines
    assert "train: clip_img/.DS_Store" in lines
    assert f"train: {lonely.relative_to(root)}" in lines
    assert "16 records" in result.stdout


def test_a_photo_without_a_matte_is_named(root, out, run):
    os.remove(os.path.join(root, "matting/1803151819/matting_00000000/1803151819-00000001.png"))
    result = run("matting", root, out)
    assert result.exit_code == 2
    assert "sample 1803151819-00000001" in result.stderr
    assert "there is no such file" in result.stderr
    assert run("matting", root, out, "--on-error", "skip").exit_code == 0
    assert len(masks(out)) == 15


def test_lists_of_four_paths(root, tmp_path, out):
    lines = []
    for path in sorted(pathlib.Path(root).glob("clip_img/*/*/*.jpg")):
        if path.name[0] == ".":
            continue
        matte = str(path.relative_to(root)).replace("clip_", "matting_").replace(".jpg", ".png")
        matte = matte.replace("matting_img", "matting")
        lines.append(f"{path.relative_to(root)}@{matte}@{matte}@{matte}")
    pathlib.Path(root, "train.txt").write_text("\n".join(lines[:5]) + "\n")
    pathlib.Path(root, "val.txt").write_text("\r\n".join(lines[5:7]))
    pathlib.Path(root, "readme.txt").write_text("no list")
    assert {k: len(v) for k, v in keys(Matting(), root).items()} == {"train": 5, "val": 2}
    make(root, out, layout=Matting())
    expected = alphas(root)
    for key, mask in masks(out).items():
        np.testing.assert_array_equal(mask, expected[key] > 50)
    pathlib.Path(root, "val.txt").write_text("a@b@../c@d\n")
    with pytest.raises(LayoutError, match=r"val.txt, line 1: .* expected image@rgba@alpha@mask"):
        keys(Matting(), root)


def test_flat_folders(tmp_path, out):
    for folder in ("photos", "mattes"):
        (tmp_path / "flat" / folder).mkdir(parents=True)
    alpha = np.arange(256, dtype=np.uint8).reshape(16, 16)
    PHOTO.resize((16, 16)).save(tmp_path / "flat/photos/a.jpg")
    Image.fromarray(alpha).save(tmp_path / "flat/mattes/a.png")
    layout = Matting(images="photos", alphas="mattes", val_fraction=0)
    make(layout.find(str(tmp_path / "flat")), out, layout=layout)
    np.testing.assert_array_equal(masks(out)["a"], alpha > 50)
    with pytest.raises(PlanError, match="found one of them"):
        Matting(images="photos")


def test_photos_with_one_name_are_named(root):
    path = pathlib.Path(root, "clip_img/1803151818/clip_00000000/1803151818-00000000.jpg")
    other = pathlib.Path(root, "clip_img/1803151818/clip_00000001")
    other.mkdir()
    shutil.copy(path, other)
    with pytest.raises(LayoutError, match="expected photos with different names"):
        keys(Matting(), root)


def test_folders_without_photos(tmp_path):
    with pytest.raises(LayoutError, match="found neither clip_img nor lists"):
        Matting().find(str(tmp_path))
    (tmp_path / "clip_img").mkdir()
    with pytest.raises(LayoutError, match="found no photo"):
        Matting().splits(str(tmp_path))


def test_alpha():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    grey = Image.fromarray(ramp)
    both = PHOTO.resize((16, 16)).convert("RGBA")
    both.putalpha(grey)
    for image in (grey, both, both.convert("LA")):
        np.testing.assert_array_equal(mattes.alpha(save(image)), ramp)
    for image, kind in ((PHOTO, "PNG"), (PHOTO.convert("P"), "PNG"), (PHOTO, "JPEG")):
        with pytest.raises(ImageError, match="without alpha"):
            mattes.alpha(save(image, kind))


@pytest.mark.shared
def test_real_mattes(shared, out):
    make(shared / "matting/matting_human_half", out, layout=Matting(val_fraction=0))
    expected = alphas(shared / "matting/matting_human_half")
    found = masks(out)
    assert found.keys() == expected.keys()
    for key, mask in found.items():
        np.testing.assert_array_equal(mask, expected[key] > 50)


@pytest.mark.shared
def test_real_flat_folders_by_grey_and_by_rgba(shared, out):
    """The alpha of the cut-out is the grey alpha, or 1 more."""
    root = shared / "matting" / "p3m"
    found = []
    for folder in ("alpha", "color_rgba"):
        layout = Matting(images="original", alphas=folder, val_fraction=0)
        make(root, f"{out}-{folder}", layout=layout)
        found.append(masks(f"{out}-{folder}"))
    assert len(found[0]) == 3
    for key, mask in found[0].items():
        expected = np.asarray(Image.open(root / f"alpha/{key}.png").convert("L"))
        np.testing.assert_array_equal(mask, expected > 50)
        assert not (mask & ~found[1][key] & 1).any()


def test_a_text_with_an_address_is_not_a_list(tmp_path, run):
    root = fakes.matting(tmp_path)
    pathlib.Path(root, "README.txt").write_text("Mail to me@example.org.\nOr you@example.org.\n")
    assert run("matting", root, tmp_path / "out").exit_code == 0


def frames(folder, splits=("train", "test"), ending="jpg", mode="L"):
    """Draw clips as VideoMatte240K has them: frames of each clip under the same numbers."""
    alpha = np.clip((np.indices((24, 32))[1] - 8) * 12, 0, 255).astype(np.uint8)
    for number, split in enumerate(splits):
        for clip in ("0000", "0001"):
            for part in ("fgr", "pha"):
                (folder / split / part / clip).mkdir(parents=True)
            for frame in range(2):
                name = f"{clip}/{frame:05d}"
                picture = fakes.photo(np.random.default_rng(2 * number + frame), 32, 24)
                picture.save(folder / split / f"fgr/{name}.jpg")
                matte = Image.fromarray(alpha).convert(mode)
                matte.save(folder / split / f"pha/{name}.{ending}", quality=95)
    return alpha


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_clips_with_grey_jpeg_mattes(tmp_path, out, run, mode):
    alpha = frames(tmp_path / "clips", mode=mode)
    result = run("build", tmp_path / "clips", out, "--alpha-threshold", 127, "--keep-alpha")
    assert result.exit_code == 0, result.stderr
    assert "photos and mattes: fgr and pha, in each of test and train" in result.stdout
    found = masks(out)
    names = [f"{clip}/{frame:05d}" for clip in ("0000", "0001") for frame in range(2)]
    assert sorted(found) == names
    for mask in found.values():
        np.testing.assert_array_equal(mask, alpha > 127)


def test_clips_stay_together(tmp_path):
    frames(tmp_path, splits=(".",))
    layout = Matting(images="fgr", alphas="pha", val_fraction=0.5)
    found = keys(layout, str(tmp_path))
    clips = {split: {key.partition("/")[0] for key in names} for split, names in found.items()}
    assert sum(map(len, clips.values())) == 2


def test_a_coloured_jpeg_is_no_matte(tmp_path, run, out):
    frames(tmp_path / "clips", splits=("train",))
    matte = tmp_path / "clips/train/pha/0000/00000.jpg"
    shutil.copy(tmp_path / "clips/train/fgr/0000/00000.jpg", matte)
    result = run("build", tmp_path / "clips", out)
    assert result.exit_code == 2
    assert "found a JPEG matte in RGB without alpha" in result.stderr


def test_photos_and_mattes_in_folders_of_splits(tmp_path):
    for split in ("train", "val"):
        for part in ("clip_img", "matting"):
            (tmp_path / split / part).mkdir(parents=True)
        PHOTO.save(tmp_path / split / f"clip_img/{split}.jpg")
        Image.new("L", PHOTO.size, 255).save(tmp_path / split / f"matting/{split}.png")
    assert keys(Matting(), str(tmp_path)) == {"train": ["train"], "val": ["val"]}


def clips(folder, names=("walk", "run", "sit"), parts=("image", "alpha"), frames=3):
    """Draw one folder per clip, with a folder of photos and one of mattes in each."""
    alpha = np.clip((np.indices((24, 32))[1] - 8) * 12, 0, 255).astype(np.uint8)
    for number, name in enumerate(names):
        for part in parts:
            (folder / name / part).mkdir(parents=True)
        for frame in range(frames):
            picture = fakes.photo(np.random.default_rng(10 * number + frame), 32, 24)
            picture.save(folder / name / parts[0] / f"{frame:04d}.jpg")
            Image.fromarray(alpha).save(folder / name / parts[1] / f"{frame:04d}.png")
    return alpha


@pytest.mark.parametrize("parts", [("image", "alpha"), ("fgr", "pha")])
def test_a_folder_per_clip_is_recognised(tmp_path, out, run, parts):
    alpha = clips(tmp_path / "clips", parts=parts)
    result = run("build", tmp_path / "clips", out)
    assert result.exit_code == 0, result.stderr
    said = f"photos and mattes of clips: {parts[0]} and {parts[1]} in run and others"
    assert said in result.stdout
    found = masks(out)
    assert sorted(found) == [f"{c}/{i:04d}" for c in ("run", "sit", "walk") for i in range(3)]
    for mask in found.values():
        np.testing.assert_array_equal(mask, alpha > 50)


def test_a_clip_stays_in_one_split_unless_samples_are_divided(tmp_path):
    clips(tmp_path, names=[f"clip{i}" for i in range(9)])
    layout = {"images": "image", "alphas": "alpha", "val_fraction": 0.4}
    found = keys(Matting(**layout), str(tmp_path))
    groups = {split: {key.partition("/")[0] for key in names} for split, names in found.items()}
    assert groups.keys() == {"train", "val"}
    assert not groups["train"] & groups["val"]
    alone = keys(Matting(**layout, split_by="sample"), str(tmp_path))
    assert {*itertools.chain(*alone.values())} == {*itertools.chain(*found.values())}
    assert alone != found
    grouped = keys(Matting(**layout, group=r"(clip)\d"), str(tmp_path))
    assert len(grouped) == 1


def test_clips_below_folders_of_splits(tmp_path, out, run):
    clips(tmp_path / "clips/train")
    clips(tmp_path / "clips/test", names=("fall",))
    result = run("build", tmp_path / "clips", out)
    assert result.exit_code == 0, result.stderr
    found = {s: len(e["shards"]) for s, e in manifest.load(out)["splits"].items()}
    assert found == {"test": 1, "train": 1}
    layout = Matting(images="image", alphas="alpha")
    root = str(tmp_path / "clips")
    assert keys(layout, root)["test"] == ["fall/0000", "fall/0001", "fall/0002"]
    clips(tmp_path / "clips", names=("beside",))
    with pytest.raises(LayoutError, match="found the clip beside beside"):
        layout.splits(root)


def test_nothing_of_a_clip_is_left_out_in_silence(tmp_path, out, run):
    root = tmp_path / "clips"
    clips(root)
    (root / "walk/alpha/0001.png").unlink()
    (root / "run/image/0002.jpg").unlink()
    (root / "sit/image/notes.doc").write_text("?")
    shutil.copytree(root / "walk/image", root / "others/pictures")
    shutil.rmtree(root / "sit/alpha")
    result = run("matting", root, out, "--images", "image", "--alphas", "alpha", "--all")
    assert result.exit_code == 2
    for name in ("walk/alpha/0001.png", "sit/alpha/0000.png"):
        assert f"{name}: there is no such file" in result.stderr
    for name in ("run/alpha/0002.png", "sit/image/notes.doc", "others/pictures"):
        assert name in result.stderr
