"""Find SBD beside a VOC tree: its labels as MATLAB files, its lists, its images.

    cls/<id>.mat                 GTcls(1).Segmentation: the class indices
    train.txt val.txt            lists of ids; not VOC's: many ids of VOC's val are in SBD's train
    img/<id>.jpg                 VOC's own images

They are in VOC2012 itself, or beside VOC2012 or VOCdevkit: in benchmark_RELEASE/dataset as it is
unpacked, VOCaug/dataset as mmsegmentation has it, or SBD or sbd, with or without dataset in it.

Source: Hariharan et al., Semantic Contours from Inverse Detectors, ICCV 2011.
"""

import posixpath
from collections.abc import Iterable
from typing import TYPE_CHECKING

from dsbuild import storage
from dsbuild.errors import ImageError
from dsbuild.layouts import matlab
from dsbuild.layouts.texts import lines

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LABELS = ("cls", ".mat")
IMAGES = ("img", ".jpg")
LISTS = ("train.txt", "val.txt")
_BESIDE = (
    *("benchmark_RELEASE/dataset", "VOCaug/dataset"),
    *("SBD", "SBD/dataset", "sbd", "sbd/dataset"),
)
PLACES = ("", *(f"{up}/{name}" for up in ("..", "../..") for name in _BESIDE))


def place(root: str, name: str = "") -> str:
    """Return the path of SBD's file or folder with this name, relative to root: beside cls."""
    paths = [storage.join(root, above, LABELS[0]) for above in PLACES]
    for above, there in zip(PLACES, storage.at_once(root, storage.is_folder, paths), strict=True):
        if there:
            return posixpath.join(above, name)
    return name


def stems(folder: str, extension: str) -> set[str]:
    """Return the names of the files in a folder that have an extension, without it."""
    return without(storage.names(folder), extension)


def without(names: Iterable[str], extension: str) -> set[str]:
    """Return those of some names that have an extension and are not hidden, without it."""
    end = -len(extension)
    return {name[:end] for name in names if name.endswith(extension) and name[0] != "."}


def listed(root: str) -> set[str]:
    """Return the ids in SBD's two lists; none if a list is missing, or SBD is not there."""
    paths = [storage.join(root, place(root, name)) for name in LISTS]
    there = storage.is_folder(storage.join(root, place(root, LABELS[0])))
    if not there or not all(map(storage.stamp, paths)):
        return set()
    return {key for path in paths for key in lines(path)}


def plane(data: bytes) -> "NDArray[np.uint8]":
    """Return the class indices in an SBD MATLAB file: uint8 (h, w)."""
    from dsbuild.images.header import excuse  # here: no image is decoded to find a file

    try:
        plane = matlab.array(data, "GTcls", "Segmentation")
    except ValueError as error:
        excuse(error)
        raise ImageError(f"found a MATLAB file without GTcls(1).Segmentation ({error})") from error
    if plane.ndim != 2 or plane.dtype.kind not in "ui" or plane.size == 0:
        raise ImageError(
            f"found an SBD label of {plane.dtype} {plane.shape}, expected integers (h, w)"
        )
    if plane.min() < 0 or plane.max() > 255:
        raise ImageError(f"found SBD label values up to {plane.max()}, expected 0 to 255")
    indices: NDArray[np.uint8] = plane.astype("uint8")
    return indices
