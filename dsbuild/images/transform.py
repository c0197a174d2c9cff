"""Change images before they are stored: convert, turn, shrink, re-encode.

Pixels keep the channels of their image: uint8 (h, w) for grey, or (h, w, c) with c = 2 for grey
and alpha, 3 for RGB, 4 for RGBA.
"""

import io
from typing import TypeVar

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from dsbuild.errors import ImageError, words
from dsbuild.images.header import excuse, orientation
from dsbuild.images.opening import judging, opened
from dsbuild.images.png import Plane

Value = TypeVar("Value", np.uint8, np.uint16, np.uint8 | np.uint16)

# Formats to convert from: TensorFlow does not read them, or reads them differently.
_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF")
_DARK = 64  # of 255, in the upper 8 of 16 bits; samples with at most 14 bits stay below it
_JPEG_SIDE = 65500  # libjpeg's limit
_AREA = (1 << 31) // 255  # pixels whose sum fits a 32-bit int
_MODES = {
    **{mode: mode for mode in ("L", "LA", "RGB", "RGBA")},
    **dict.fromkeys(("CMYK", "YCbCr", "LAB", "HSV", "RGBX"), "RGB"),
    **dict.fromkeys(("PA", "RGBa"), "RGBA"),
    "1": "L",
    "La": "LA",
}


def versions(shrunk: bool) -> dict[str, str]:
    """Return the versions of the libraries that write images, and shrink them if `shrunk`."""
    if not shrunk:
        return {"pillow": PIL.__version__}
    import cv2

    return {"pillow": PIL.__version__, "opencv": cv2.__version__}


def convert(data: bytes, most: int) -> tuple[NDArray[np.uint8], int]:
    """Return the pixels of an image in any common format, and its orientation by EXIF or XMP.

    16-bit samples keep their upper 8 bits, as in TensorFlow; Pillow converts CMYK; only the
    first frame or page is used. An image with `most` pixels or more is refused. Raises
    ImageError.
    """
    judging()
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
            "found an image that cannot be converted: its header is damaged or unknown to Pillow; "
            "save it as an 8-bit PNG"
        ) from error
    except Exception as error:  # Pillow's many readers raise many kinds for damaged files
        excuse(error)
        raise ImageError(
            f"found an image that cannot be converted: {words(error)}; fetch or export the file "
            "again"
        ) from error


def _raw_mode(tile: ImageFile._Tile) -> str:
    """Return how the file stores samples, as Pillow's reader describes one tile."""
    return str(tile[3] if isinstance(tile[3], str) else next(iter(tile[3] or ()), ""))


def _refuse_dark(pixels: NDArray[np.uint8]) -> None:
    """Raise ImageError if the upper 8 of 16 bits are nearly unused: the image would be dark."""
    colours = pixels[..., :-1] if pixels.ndim == 3 and pixels.shape[2] in (2, 4) else pixels
    bright = np.quantile(colours, 0.999)
    if bright < _DARK:
        raise ImageError(
            f"found 16 bits per channel, of which the upper 8 reach only {int(bright)} of 255: the "
            "samples have fewer than 16 bits, and the image would be dark; scale them to 8 bits "
            "with --scale LOW:HIGH, such as --scale 0:4095, or store them with --depth 16"
        )


def of(image: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels of a Pillow image in its own channels, with 8 bits each."""
    if image.mode.startswith("I;16"):
        return (np.asarray(image) >> 8).astype(np.uint8)
    mode = _MODES.get(image.mode)
    if image.mode == "P":
        mode = "RGBA" if "transparency" in image.info else "RGB"
    if mode is None:
        raise ImageError(f"found pixels of mode {image.mode}, whose range is unknown; convert it")
    return np.asarray(image.convert(mode))


def turn(pixels: NDArray[Value], orientation: int) -> NDArray[Value]:
    """Return pixels as viewers show them for an EXIF orientation, 1 to 8 (EXIF 2.32, 4.6.4)."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(pixels[::rows, ::columns])


def shrink(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Shrink pixels to (height, width): each new pixel is the mean of an area.

    Areas may end within pixels: each of 450 columns is the mean of 1 1/9 of 500. Channels are
    averaged separately, since readers drop alpha and show the colours below it. Raises
    ImageError for areas whose sums overflow in OpenCV.
    """
    import cv2

    height, width = pixels.shape[:2]
    if (height, width) == size:
        return pixels
    if height * width > _AREA * size[0] * size[1]:
        raise ImageError(
            f"found {width:,} x {height:,} pixels to shrink to {size[1]} x {size[0]}, expected at "
            f"most {_AREA:,} per new pixel; use a larger --max-side"
        )
    means = cv2.resize(np.ascontiguousarray(pixels), size[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(means, pixels.dtype).reshape(*size, *pixels.shape[2:])


def pick(plane: Plane, size: tuple[int, int]) -> Plane:
    """Resize a plane of classes to (height, width): each area takes the value at its centre."""
    resized = Image.fromarray(plane).resize(size[::-1], Image.Resampling.NEAREST)
    return np.asarray(resized, plane.dtype)


def pick_wide(plane: NDArray[np.int32], size: tuple[int, int]) -> NDArray[np.int32]:
    """Resize a plane of numbers to (height, width) in the same way."""
    return np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.NEAREST))


def resample(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize pixels to (height, width), smaller or larger, with a Lanczos filter."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize(size[::-1], Image.Resampling.LANCZOS))


def encode(
    pixels: NDArray[np.uint8] | NDArray[np.uint16],
    jpeg_quality: int | None = None,
    level: int = 6,
) -> bytes:
    """Encode pixels as a PNG, or with `jpeg_quality` as a JPEG without alpha.

    uint16 (h, w) gives a 16-bit PNG; `level` is zlib's, 0 to 9.
    """
    out = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if jpeg_quality is None:
        image.save(out, "PNG", compress_level=level)
    else:
        if max(image.size) > _JPEG_SIDE:
            raise ImageError(
                f"found {image.width:,} x {image.height:,} pixels to encode, expected at most "
                f"{_JPEG_SIDE:,} per side for JPEG; use --max-side {_JPEG_SIDE} or less, or omit "
                "--jpeg-quality"
            )
        image = image.convert("L" if image.mode in ("L", "LA") else "RGB")
        image.save(out, "JPEG", quality=jpeg_quality)
    return out.getvalue()
