"""Read images from bytes: header, admission, checked decode, class plane."""

from dsbuild.images import deep
from dsbuild.images.codec import (
    PNG,
    TOO_MANY_BYTES,
    check,
    class_header,
    convert,
    convertible,
    decode,
    draw,
    foreign,
    grey,
    header,
    histogram,
    label_header,
    plane,
    preload,
    refusal,
    refuse_label,
    unread,
)
from dsbuild.images.deep import own
from dsbuild.images.header import Header, of_pixels
from dsbuild.images.png import Plane, write
from dsbuild.images.transform import encode, pick, resample, shrink, turn, versions

__all__ = [
    "PNG",
    "TOO_MANY_BYTES",
    "Header",
    "Plane",
    "check",
    "class_header",
    "convert",
    "convertible",
    "decode",
    "deep",
    "draw",
    "encode",
    "foreign",
    "grey",
    "header",
    "histogram",
    "label_header",
    "of_pixels",
    "own",
    "pick",
    "plane",
    "preload",
    "refusal",
    "refuse_label",
    "resample",
    "shrink",
    "turn",
    "unread",
    "versions",
    "write",
]
