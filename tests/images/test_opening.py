"""Images are opened without a trace in the process of the program that imports dsbuild."""

import io
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from dsbuild import images
from dsbuild.errors import PlanError
from dsbuild.images import lossless, opening


def save(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


GUEST = """
    import importlib, io, os, pkgutil, random, threading, warnings
    import cv2
    import numpy as np
    from PIL import Image, ImageFile

    def saved(image, form):
        out = io.BytesIO()
        image.save(out, form)
        return out.getvalue()

    Image.MAX_IMAGE_PIXELS = 500
    warnings.simplefilter("error")
    pixels = np.arange(40 * 20 * 3, dtype=np.uint8).reshape(40, 20, 3)
    files = {form: saved(Image.fromarray(pixels), form) for form in ("JPEG", "PNG", "TIFF", "BMP")}
    files["GIF"] = saved(Image.fromarray(pixels[..., 0]), "GIF")

    def state():
        name, keys, *rest = np.random.get_state()
        return {
            "filters": list(warnings.filters),
            "environment": dict(os.environ),
            "pixels": Image.MAX_IMAGE_PIXELS,
            "truncated": ImageFile.LOAD_TRUNCATED_IMAGES,
            "threads": cv2.getNumThreads(),
            "random": random.getstate(),
            "numpy": (name, keys.tolist(), *rest),
        }

    before = state()
    for wing in ("errors", "images", "storage", "extras", "layouts"):
        module = importlib.import_module(f"dsbuild.{wing}")
        path = getattr(module, "__path__", ())
        for _, name, _ in pkgutil.walk_packages(path, f"dsbuild.{wing}."):
            importlib.import_module(name)
    assert state() == before, "after the import"

    from dsbuild import images
    from dsbuild.images import display, lossless

    def decode():
        try:
            for form, data in files.items():
                display.pixels(data)
                display.count(data)
                if form in ("JPEG", "PNG"):
                    head = images.header(data)
                    images.check(data, head)
                    images.decode(data, head, strict=True)
                else:
                    lossless.as_png(data)
            images.shrink(pixels, (20, 10))
        except BaseException as error:
            failed.append(repr(error))

    failed = []
    threads = [threading.Thread(target=decode) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed
    assert state() == before, "after decoding"
"""


def test_the_process_of_the_host_stays_as_it_was():
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(GUEST)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", ["raw", "tiff_deflate"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
def test_a_tiff_has_the_pixels_that_pillow_gives_it(mode, compression, orientation):
    pixels = np.random.default_rng(3).integers(0, 256, (13, 8, 3), np.uint8)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[0x0112] = orientation
    image = Image.fromarray(pixels).convert("L" if mode == "I;16" else mode)
    data = save(image.convert(mode), "TIFF", compression=compression, tiffinfo=tags)
    with Image.open(io.BytesIO(data)) as expected:
        expected.load()
    image = opening.opened(data, "TIFF")
    image.load()
    assert (image.mode, image.size, image.format) == (expected.mode, expected.size, "TIFF")
    np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))
    assert image.getpalette() == expected.getpalette()


def test_a_large_tiff_is_opened_without_a_warning(monkeypatch, recwarn):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    data = save(Image.new("L", (20, 20), 7), "TIFF", compression="tiff_deflate")
    assert np.asarray(opening.opened(data, "TIFF")).tolist() == [[7] * 20] * 20
    assert not recwarn.list


def test_only_the_formats_that_are_asked_for_are_opened():
    data = save(Image.new("L", (4, 4)), "GIF")
    assert opening.opened(data, "TIFF", "GIF").format == "GIF"
    for formats in (("TIFF", "PNG"), ()):
        with pytest.raises(UnidentifiedImageError, match=r"^cannot identify image file$"):
            opening.opened(data, *formats)
    with pytest.raises(UnidentifiedImageError, match="image file"):
        opening.opened(b"\x89PNG\r\n\x1a\n", "PNG")


def test_images_are_not_judged_while_the_host_loads_damaged_ones(monkeypatch):
    photo = Image.fromarray(np.random.default_rng(3).integers(0, 256, (16, 16, 3), np.uint8))
    files = {form: save(photo, form) for form in ("JPEG", "PNG", "TIFF")}
    head = images.header(files["JPEG"])
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for call in (
        lambda: images.check(files["JPEG"], head),
        lambda: images.convert(files["TIFF"]),
        lambda: lossless.as_png(files["TIFF"]),
    ):
        with pytest.raises(PlanError, match="LOAD_TRUNCATED_IMAGES set"):
            call()
    images.decode(files["JPEG"], head)  # reading records goes on
    np.testing.assert_array_equal(
        images.decode(files["PNG"], images.header(files["PNG"])), np.asarray(photo)
    )
