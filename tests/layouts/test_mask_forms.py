"""Every form in which tools store masks: read exactly, or refused by name with the remedy."""

import io
import pathlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

import dsbuild
from dsbuild.errors import ImageError, PlanError
from dsbuild.layouts.pairs import Pairs
from tests.support import fakes
from tests.support.pictures import save

PLANE = np.random.default_rng(3).integers(0, 3, (30, 40), np.uint8)
INDICES = Pairs(names=("a", "b", "c"))
BINARY = Pairs(binary=127)
COLOURS = np.array([(0, 0, 0), (128, 64, 128), (9, 200, 7)], np.uint8)
COLORMAP = Pairs(colours=tuple(("abc"[i], *rgb) for i, rgb in enumerate(COLOURS.tolist())))
DISC = np.zeros((64, 64), np.uint8)
DISC[np.hypot(*(np.mgrid[:64, :64] - 32)) < 20] = 255


KINDS = {"gif": "GIF", "tif": "TIFF"}


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("layout", "data"),
    [
        (INDICES, save(Image.fromarray(PLANE))),
        (INDICES, save(Image.fromarray(np.repeat(PLANE[..., None], 3, 2)))),
        (INDICES, save(fakes.with_palette(Image.fromarray(PLANE)))),
        (INDICES, save(Image.fromarray(PLANE.astype(np.uint16)))),
        *((INDICES, save(Image.fromarray(PLANE), form)) for form in ("TIFF", "BMP", "GIF")),
        (INDICES, save(Image.fromarray(PLANE), "TIFF", compression="tiff_lzw")),
        *((INDICES, npy(PLANE.astype(kind))) for kind in ("u1", "<i8", ">u2", "f4")),
        (INDICES, npy(PLANE[None])),
        (INDICES, npy(PLANE[..., None])),
        (COLORMAP, save(Image.fromarray(COLOURS[PLANE]))),
        (COLORMAP, save(Image.fromarray(COLOURS[PLANE]), "BMP")),
        (COLORMAP, npy(COLOURS[PLANE])),
    ],
)
def test_lossless_masks_are_read_exactly(layout, data):
    np.testing.assert_array_equal(layout.plane(data, "x"), PLANE)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "P"])
def test_masks_of_0_and_255(mode):
    image = Image.fromarray(DISC)
    for form in ("PNG", "TIFF", "BMP") if mode != "P" else ("PNG", "GIF"):
        data = save(image.convert(mode), form)
        np.testing.assert_array_equal(BINARY.plane(data, "x"), DISC > 127)
    np.testing.assert_array_equal(BINARY.plane(npy(DISC), "x"), DISC > 127)
    np.testing.assert_array_equal(Pairs(binary=0).plane(npy(DISC > 0), "x"), DISC > 127)


@pytest.mark.parametrize("quality", [60, 95])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_masks_in_jpeg(quality, mode):
    data = save(Image.fromarray(DISC).convert(mode), "JPEG", quality=quality)
    found = BINARY.plane(data, "x")
    assert np.mean(found != (DISC > 127)) < 0.002
    black = save(Image.fromarray(DISC * 0), "JPEG")
    assert not BINARY.plane(black, "x").any()


def refused(layout, data, message):
    with pytest.raises(ImageError, match=message):
        layout.plane(data, "x")


def test_what_is_not_exact_is_refused_by_name():
    photo = save(fakes.photo(np.random.default_rng(0), 64, 64), "JPEG")
    disc = save(Image.fromarray(DISC), "JPEG")
    refused(INDICES, disc, "found a JPEG label, expected a PNG of class indices")
    refused(COLORMAP, save(Image.fromarray(COLOURS[PLANE]), "JPEG"), "colour")
    refused(BINARY, photo, "of the pixels are neither dark nor bright")
    refused(Pairs(binary=0), disc, "--binary 0, which is not between dark and bright; expected")
    refused(INDICES, save(Image.fromarray(PLANE), "TIFF", compression="jpeg"), "compressed as jpeg")
    refused(INDICES, save(Image.fromarray(PLANE), "WEBP", lossless=True), "WebP")
    refused(INDICES, save(Image.fromarray(PLANE.astype(np.uint16) * 200)), "values up to 400")
    refused(INDICES, npy(PLANE * 0.5), "type float64, 0.0 to 1.0, expected")
    refused(INDICES, npy(PLANE.astype(int) - 1), "-1 to 1, expected height x width")
    refused(INDICES, npy(PLANE.astype(int) + 255), "values up to 257")
    refused(INDICES, npy(np.array([{}], object)), "cannot be read without pickles")
    refused(INDICES, npy(PLANE)[:-5], "cannot be read")
    refused(INDICES, npy(np.zeros((2, 3, 4))), r"shape \(2, 3, 4\)")
    refused(INDICES, npy(np.zeros((0, 3), np.uint8)), r"shape \(0, 3\)")
    cut = np.dstack([np.full((64, 64, 3), 7, np.uint8), DISC])
    refused(BINARY, save(Image.fromarray(cut)), "the mask is in the alpha channel")


@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_every_plane_survives_every_form(plane):
    layout = Pairs(names=tuple(map(str, range(256))), ignore_value=-1)
    image = Image.fromarray(plane)
    for data in (save(image, "TIFF"), save(image, "BMP"), npy(plane), npy(plane.astype(np.int64))):
        np.testing.assert_array_equal(layout.plane(data, "x"), plane)


@given(st.binary(max_size=60))
def test_damaged_arrays_are_image_errors(data):
    for start in (b"", b"\x93NUMPY", npy(PLANE)[:64]):
        if start:
            try:
                INDICES.plane(start + data, "x")
            except ImageError:
                continue


def test_arrays_and_gifs_are_built(tmp_path, run, out):
    for part in ("images", "masks"):
        (tmp_path / "d" / part).mkdir(parents=True)
    for i, form in enumerate(("npy", "gif", "tif")):
        fakes.photo(np.random.default_rng(i), 40, 30).save(tmp_path / f"d/images/{i}.jpg")
        path = pathlib.Path(tmp_path / f"d/masks/{i}.{form}")
        path.write_bytes(
            npy(PLANE)
            if form == "npy"
            else save(Image.fromarray(PLANE), form.replace("tif", "tiff").upper())
        )
    result = run("build", tmp_path / "d", out, "--classes", "a,b,c", "--workers", 1)
    assert result.exit_code == 0, result.stderr
    import dsbuild

    for sample in dsbuild.open(out, "train"):
        np.testing.assert_array_equal(sample.label, PLANE)


def cut_out(alpha, mode="RGBA"):
    """Return the PNG of a picture cut out by an alpha."""
    picture = fakes.photo(np.random.default_rng(3), *alpha.shape[::-1]).convert(mode)
    picture.putalpha(Image.fromarray(alpha))
    return save(picture)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_masks_in_the_alpha_channel(mode):
    alpha = np.zeros((20, 30), np.uint8)
    alpha[4:12, 5:20] = 255
    found = Pairs(binary=127, channel="alpha").read(cut_out(alpha, mode), "x.png")
    np.testing.assert_array_equal(found.plane, alpha // 255)
    indices = alpha // 255 * 2
    found = Pairs(names=("a", "b", "c"), channel="alpha").read(cut_out(indices, mode), "x.png")
    np.testing.assert_array_equal(found.plane, indices)


def test_alpha_is_read_only_where_it_is_asked_for(tmp_path, run):
    alpha = np.zeros((20, 30), np.uint8)
    alpha[4:12, 5:20] = 255
    for part in ("images", "labels"):
        (tmp_path / "d" / part).mkdir(parents=True)
    fakes.photo(np.random.default_rng(3), 30, 20).save(tmp_path / "d/images/a.jpg")
    black = Image.new("RGBA", (30, 20))
    black.putalpha(Image.fromarray(alpha))
    black.save(tmp_path / "d/labels/a.png")
    words = ("pairs", tmp_path / "d", tmp_path / "out", "--binary", 127, "--workers", 1)
    result = run(*words)
    assert result.exit_code == 2
    assert "the mask is in the alpha channel" in result.stderr
    assert "build with dsbuild pairs --channel alpha --binary 127" in result.stderr
    assert run(*words, "--channel", "alpha").exit_code == 0
    (sample,) = dsbuild.open(str(tmp_path / "out"), "train")
    np.testing.assert_array_equal(sample.label, alpha // 255)
    Image.new("RGB", (30, 20)).save(tmp_path / "d/labels/a.png")
    result = run(*words[:2], tmp_path / "new", *words[3:], "--channel", "alpha")
    assert "found a PNG in RGB without alpha channel" in result.stderr
    with pytest.raises(PlanError, match="an alpha has no colours"):
        Pairs(colours=(("a", 0, 0, 0), ("b", 1, 1, 1)), channel="alpha")
