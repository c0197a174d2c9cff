"""Open images with Pillow's readers, one by one, whatever the limits of this process are.

`Image.open` holds every image against `Image.MAX_IMAGE_PIXELS`, and warns through the filters of
the process. Both belong to the program that imports dsbuild and are shared by its threads. So the
readers are called directly; callers compare the size in the header with dsbuild's own limit before
they decode a pixel.
"""

import contextlib
import importlib
import io
import re
import struct

from PIL import Image, ImageFile, UnidentifiedImageError

from dsbuild.errors import PlanError
from dsbuild.images.header import Header

# Format -> how its files begin, and Pillow's reader, which is imported when it is first needed.
_READERS: dict[str, tuple[bytes, str, str]] = {
    "JPEG": (rb"\xff\xd8\xff", "PIL.JpegImagePlugin", "jpeg_factory"),
    "PNG": (rb"\x89PNG\r\n\x1a\n", "PIL.PngImagePlugin", "PngImageFile"),
    "TIFF": (rb"II[*+]\0|MM\0[*+]", "dsbuild.images.tiff_reader", "TiffReader"),
    "WEBP": (rb"RIFF....WEBP", "PIL.WebPImagePlugin", "WebPImageFile"),
    "BMP": (rb"BM", "PIL.BmpImagePlugin", "BmpImageFile"),
    "GIF": (rb"GIF8[79]a", "PIL.GifImagePlugin", "GifImageFile"),
}


def judging() -> None:
    """Raise PlanError if the program lets Pillow load damaged images, which would be admitted."""
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise PlanError(
            "found PIL.ImageFile.LOAD_TRUNCATED_IMAGES set, which hides damaged images; set it to "
            "False while dsbuild checks or converts images"
        )


def preload() -> None:
    """Import the readers of the formats that are stored."""
    for name in ("JPEG", "PNG"):
        importlib.import_module(_READERS[name][1])


def opened(data: bytes, *formats: str) -> ImageFile.ImageFile:
    """Return an image of one of these formats, named as in Pillow; no pixel is decoded yet.

    Raises UnidentifiedImageError for any other format and for a damaged header.
    """
    for name in formats:
        start, module, reader = _READERS[name]
        if re.match(start, data, re.DOTALL):
            read = getattr(importlib.import_module(module), reader)
            with contextlib.suppress(SyntaxError, IndexError, TypeError, struct.error):
                image: ImageFile.ImageFile = read(io.BytesIO(data))
                return image
    raise UnidentifiedImageError("cannot identify image file")


def decoded(data: bytes, head: Header, scale: int) -> Image.Image | None:
    """Decode a usual JPEG at 1/scale of its size, in grey if that is not 1; None if it fails.

    This is Pillow's decoder without its reader of headers, all of which is Python.
    """
    mode = "L" if scale > 1 or head.model == "grey" else "RGB"
    size = (-(-head.width // scale), -(-head.height // scale))
    with contextlib.suppress(ValueError, OSError, MemoryError):
        return Image.frombytes(mode, size, data, "jpeg", mode, "", scale, 0)
    return None  # why, the reader says
