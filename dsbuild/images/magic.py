"""Recognise a file that is neither JPEG nor PNG by its first bytes."""

import re

_CONVERTED = {
    rb"GIF8": "a GIF",
    rb"BM": "a BMP",
    rb"II[*+]\0|MM\0[*+]": "a TIFF",
    rb"RIFF....WEBP": "a WebP",
}
_PICTURES = {
    **_CONVERTED,
    rb"....ftyp(avif|avis)": "an AVIF",
    rb"....ftyp(he|mif1|msf1)": "a HEIC, as phones save photos",
    rb"\0\0\0\x0cJXL |\xff\x0a": "a JPEG XL",
    rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51": "a JPEG 2000",
    rb"\x76\x2f\x31\x01": "an OpenEXR",
    rb"8BPS": "a Photoshop document",
    rb"%PDF": "a PDF",
}
_NAMES = {
    **_PICTURES,
    rb"\0\x05\x16\x07": "an AppleDouble side file of macOS",
    rb"\x89HDF": "an HDF5 file",
    rb"MATLAB": "a MATLAB file",
    rb"\x93NUMPY": "a NumPy array",
    rb"PK\x03\x04": "a ZIP",
    rb"<": "text (HTML or XML: often an error page saved as a file)",
    rb"version https://git-lfs": "a Git LFS pointer: run `git lfs pull`",
}
CONVERTED, PICTURES = frozenset(_CONVERTED.values()), frozenset(_PICTURES.values())


def name(data: bytes) -> str | None:
    """Return what a file is by how it starts, such as `a GIF`; None if that is unknown."""
    return next((what for form, what in _NAMES.items() if re.match(form, data, re.DOTALL)), None)
