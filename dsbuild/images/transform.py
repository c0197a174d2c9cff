"""Images that are changed before they are stored: convert, turn, shrink, encode anew.

Pixels here keep the channels of their image: uint8 (h, w) grey, or (h, w, c) with 2 grey
and alpha, 3 RGB, 4 RGBA.
"""

import io

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from dsbuild.errors import ImageError, words
from dsbuild.images.header import excuse, orientation
from dsbuild.images.opening import opened

# What Pillow reads and TensorFlow does not, or not alike.
_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF")
_DARK = 64  # of 255: what samples of 14 bits at most reach in the upper 8 of 16
_JPEG_SIDE = 65500  # libjpeg's limit
_AREA = (1 << 31) // 255  # pixels whose sum is an int of 32 bits
_MODES = {
    **{mode: mode for mode in ("L", "LA", "RGB", "RGBA")},
    **dict.fromkeys(("CMYK", "YCbCr", "LAB", "HSV", "RGBX"), "RGB"),
    **dict.fromkeys(("PA", "RGBa"), "RGBA"),
    "1": "L",
    "La": "LA",
}


def versions(shrunk: bool) -> dict[str, str]:
    """Return the versions of what writes images, and of what shrinks them."""
    if not shrunk:
        return {"pillow": PIL.__version__}
    import cv2

    return {"pillow": PIL.__version__, "opencv": cv2.__version__}


def convert(data: bytes, most: int) -> tuple[NDArray[np.uint8], int]:
    """Return the pixels of an image of any common format, and its orientation by EXIF or XMP.

    Of 16 bits the upper 8, as TensorFlow takes them; of CMYK what Pillow makes of it; of
    several frames or pages the first. `most` is the number of pixels from which an image
    is refused. Raises ImageError.
    """
    try:
        image = opened(data, *_FORMATS)
        if image.height * image.width >= most:
            raise ImageError(
                f"found {image.width:,} x {image.height:,} pixels, too many to convert"
            )
        deep = any("16" in _raw_mode(tile) for tile in image.tile) or image.mode[:4] == "I;16"
        image.load()
        exif, xmp = (image.info.get(name, b"") for name in ("exif", "xmp"))
        pixels = of(image)
        if deep:
            _refuse_dark(pixels)
        # Pillow turns a TIFF by itself.
        return pixels, 1 if image.format == "TIFF" else orientation(exif, xmp)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(
            "found an image that cannot be converted: its header is damaged, or of a kind that "
            "Pillow does not know; save it as a PNG of 8 bits"
        ) from error
    except Exception as error:  # Pillow's many readers raise many kinds for damaged files
        excuse(error)
        raise ImageError(
            f"found an image that cannot be converted: {words(error)}; fetch or export the file "
            "again"
        ) from error


def _raw_mode(tile: ImageFile._Tile) -> str:
    """Return how samples lie in the file, by what Pillow's reader is told of one tile."""
    return str(tile[3] if isinstance(tile[3], str) else next(iter(tile[3] or ()), ""))


def _refuse_dark(pixels: NDArray[np.uint8]) -> None:
    """Raise ImageError where the upper 8 of 16 bits hold hardly anything: all would be dark."""
    colours = pixels[..., :-1] if pixels.ndim == 3 and pixels.shape[2] in (2, 4) else pixels
    bright = np.quantile(colours, 0.999)
    if bright < _DARK:
        raise ImageError(
            f"found 16 bits a channel, of which the upper 8 reach {int(bright)} of 255, so the "
            "image would become dark: its samples have fewer bits; scale them to 8 bits yourself"
        )


def of(image: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels of a Pillow image in their own channels, 8 bits each."""
    if image.mode.startswith("I;16"):
        return (np.asarray(image) >> 8).astype(np.uint8)
    mode = _MODES.get(image.mode)
    if image.mode == "P":
        mode = "RGBA" if "transparency" in image.info else "RGB"
    if mode is None:
        raise ImageError(f"found pixels of mode {image.mode}, whose range is not known; convert it")
    return np.asarray(image.convert(mode))


def turn(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return pixels as viewers show them by their EXIF orientation, 1 to 8 (EXIF 2.32, 4.6.4)."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(pixels[::rows, ::columns])


def shrink(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the means over areas of pixels at (height, width), which are at most as many.

    Areas end within pixels where they have to: 500 columns become 450 by means of 1 1/9 of
    them. Every channel by itself, for readers drop an alpha and show the colours below it.
    Raises ImageError for areas whose sums OpenCV does not hold.
    """
    import cv2

    height, width = pixels.shape[:2]
    if (height, width) == size:
        return pixels
    if height * width > _AREA * size[0] * size[1]:
        raise ImageError(
            f"found {width:,} x {height:,} pixels to shrink to {size[1]} x {size[0]}, expected at "
            f"most {_AREA:,} for one; use a larger --max-side"
        )
    means = cv2.resize(np.ascontiguousarray(pixels), size[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(means, np.uint8).reshape(*size, *pixels.shape[2:])


def pick(plane: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a plane of classes at (height, width): of every area the value at its centre."""
    return np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.NEAREST))


def resample(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return pixels at (height, width), smaller or larger, by Lanczos' filter."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize(size[::-1], Image.Resampling.LANCZOS))


def encode(
    pixels: NDArray[np.uint8] | NDArray[np.uint16],
    jpeg_quality: int | None = None,
    level: int = 6,
) -> bytes:
    """Return pixels as a PNG, or as a JPEG of a quality, which has no alpha.

    Also uint16 (h, w) as a PNG of 16 bits; `level` is zlib's, 0 to 9.
    """
    out = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if jpeg_quality is None:
        image.save(out, "PNG", compress_level=level)
    else:
        if max(image.size) > _JPEG_SIDE:
            raise ImageError(
                f"found {image.width:,} x {image.height:,} pixels to encode, expected at most "
                f"{_JPEG_SIDE:,} a side for JPEG; use --max-side {_JPEG_SIDE} or less, or leave "
                "--jpeg-quality out"
            )
        image = image.convert("L" if image.mode in ("L", "LA") else "RGB")
        image.save(out, "JPEG", quality=jpeg_quality)
    return out.getvalue()
