"""Open images with Pillow's readers, one by one, whatever the limits of this process are.

`Image.open` holds every image against `Image.MAX_IMAGE_PIXELS`, and warns through the filters of
the process. Both belong to the program that imports dsbuild and are shared by its threads. So the
readers are called directly; callers compare the size in the header with dsbuild's own limit before
they decode a pixel.
"""

import contextlib
import io
import re
import struct
from collections.abc import Callable

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from dsbuild.errors import PlanError
from dsbuild.images.header import Header

_ORIENTATION = 0x0112  # TIFF 6.0; 5 to 8 swap height and width


class _Tiff(TiffImagePlugin.TiffImageFile):
    """A TIFF whose memory is taken without another look at Pillow's limit."""

    def load_prepare(self) -> None:
        turned = self.tag_v2.get(_ORIENTATION, 1) in range(5, 9)
        size = self.size[::-1] if turned else self.size
        self.im = Image.new(self.mode, size, None).im
        super().load_prepare()


# Format -> how its files begin, and Pillow's reader.
_READERS: dict[str, tuple[bytes, Callable[[io.BytesIO], ImageFile.ImageFile]]] = {
    "JPEG": (rb"\xff\xd8\xff", JpegImagePlugin.jpeg_factory),
    "PNG": (rb"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    "TIFF": (rb"II[*+]\0|MM\0[*+]", _Tiff),
    "WEBP": (rb"RIFF....WEBP", WebPImagePlugin.WebPImageFile),
    "BMP": (rb"BM", BmpImagePlugin.BmpImageFile),
    "GIF": (rb"GIF8[79]a", GifImagePlugin.GifImageFile),
}


def judging() -> None:
    """Raise PlanError if the program lets Pillow load damaged images, which would be admitted."""
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise PlanError(
            "found PIL.ImageFile.LOAD_TRUNCATED_IMAGES set, which hides damaged images; set it to "
            "False while dsbuild checks or converts images"
        )


def opened(data: bytes, *formats: str) -> ImageFile.ImageFile:
    """Return an image of one of these formats, named as in Pillow; no pixel is decoded yet.

    Raises UnidentifiedImageError for any other format and for a damaged header.
    """
    for name in formats:
        start, reader = _READERS[name]
        if re.match(start, data, re.DOTALL):
            with contextlib.suppress(SyntaxError, IndexError, TypeError, struct.error):
                return reader(io.BytesIO(data))
    raise UnidentifiedImageError("cannot identify image file")


def decoded(data: bytes, head: Header, scale: int) -> Image.Image | None:
    """Decode a usual JPEG at 1/scale of its size, in grey if that is not 1; None if it fails.

    This is Pillow's decoder without its reader of headers, which takes a tenth of the time for
    photos of 500 x 375.
    """
    mode = "L" if scale > 1 or head.model == "grey" else "RGB"
    size = (-(-head.width // scale), -(-head.height // scale))
    with contextlib.suppress(ValueError, MemoryError):
        return Image.frombytes(mode, size, data, "jpeg", mode, "", scale, 0)
    return None  # why, the reader says
