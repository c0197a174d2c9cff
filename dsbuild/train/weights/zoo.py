"""Published weights by name, downloaded once into a cache and checked by their digest.

Sources: DeepLab's model zoo (research/deeplab/g3doc/model_zoo.md in tensorflow/models; its digest
is the one in Open Model Zoo), and torchvision, whose file names end in the first digits of theirs.
"""

import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

from dsbuild.errors import TrainError
from dsbuild.train.weights import download

_ARCHIVE = ".tar.gz"
_INDEX = ".index"
_DATA = ".data-"
_LARGEST = 1 << 30  # bytes of a file in an archive


@dataclass(frozen=True)
class Published:
    """Weights that somebody publishes.

    Attributes:
      url: of a file, or of a .tar.gz with a DeepLab checkpoint.
      sha256: the digest of the file, or its first digits.
      most: bytes that it has at most.
    """

    url: str
    sha256: str
    most: int


_TENSORFLOW = "http://download.tensorflow.org/models/"
_TORCH = "https://download.pytorch.org/models/"
PUBLISHED = {
    "voc-mobilenet_v2": Published(
        f"{_TENSORFLOW}deeplabv3_mnv2_pascal_train_aug_2018_01_29.tar.gz",
        "cd506941e4f88fd053903913761df2e76ea00c01079cecfd35855304a4a5fb48",
        23_882_985,
    ),
    "coco-resnet50_v1_5": Published(
        f"{_TORCH}deeplabv3_resnet50_coco-cd0a2569.pth", "cd0a2569", 200_000_000
    ),
    "coco-resnet101_v1_5": Published(
        f"{_TORCH}deeplabv3_resnet101_coco-586e9e4e.pth", "586e9e4e", 280_000_000
    ),
    "imagenet-resnet50_v1_5": Published(f"{_TORCH}resnet50-0676ba61.pth", "0676ba61", 120_000_000),
    "imagenet-resnet101_v1_5": Published(
        f"{_TORCH}resnet101-63fe2227.pth", "63fe2227", 200_000_000
    ),
}


def cache() -> str:
    """Return the folder that weights are kept in."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(root, "dsbuild", "weights")


def expect(name: str, backbone: str) -> None:
    """Raise TrainError if weights by name are of another backbone, before they are downloaded."""
    theirs = name.partition("-")[2]
    if name in PUBLISHED and not os.path.lexists(name) and theirs != backbone:
        raise TrainError(
            f"weights: {name}: found weights of {theirs}, expected those of {backbone}; give "
            f"--backbone {theirs}"
        )


def located(name: str, talk: Callable[[str], None] = lambda _: None) -> str:
    """Return the path of weights by name, after a download if necessary; others stay as they are.

    `talk` prints a line before a download. Raises TrainError if they cannot be downloaded, or are
    not what was published.
    """
    if name not in PUBLISHED or os.path.lexists(name):
        return name
    published, folder = PUBLISHED[name], cache()
    path = os.path.join(folder, published.url.rpartition("/")[2])
    try:
        os.makedirs(folder, exist_ok=True)
        if not (os.path.isfile(path) and download.digest(path).startswith(published.sha256)):
            talk(f"weights: {name}: downloading {published.url} into {folder}")
            download.fetch(published.url, path, published.sha256, published.most, name)
        return _checkpoint(path) if path.endswith(_ARCHIVE) else path
    except OSError as error:
        raise TrainError(
            f"weights: {name}: {folder} cannot be read or written ({error.strerror or error}); "
            "set XDG_CACHE_HOME to another folder"
        ) from error


def _checkpoint(path: str) -> str:
    """Return the path of the checkpoint in an archive, which is unpacked beside it."""
    folder = path.removesuffix(_ARCHIVE)
    if os.path.isdir(folder) and not _index(folder):  # somebody removed files
        shutil.rmtree(folder)
    if not os.path.isdir(folder):
        room = tempfile.mkdtemp(dir=os.path.dirname(path))
        try:
            _unpack(path, room)
            os.rename(room, folder)
        except OSError:
            if not os.path.isdir(folder):  # another process was not faster
                raise
        finally:
            shutil.rmtree(room, ignore_errors=True)
    return os.path.join(folder, _index(folder).removesuffix(_INDEX))


def _index(folder: str) -> str:
    """Return the name of the index in the folder of a checkpoint; empty if it lacks a file."""
    names = os.listdir(folder)
    index = next((name for name in names if name.endswith(_INDEX)), "")
    return index if any(_DATA in name for name in names) else ""


def _unpack(path: str, room: str) -> None:
    """Write the files of a checkpoint in an archive into a folder, without their folders."""
    with tarfile.open(path) as archive:
        for member in archive:
            name = os.path.basename(member.name)
            data = archive.extractfile(member) if member.isfile() else None
            wanted = name.endswith(_INDEX) or _DATA in name
            if data is None or not wanted or member.size > _LARGEST:
                continue
            with data, open(os.path.join(room, name), "wb") as file:
                shutil.copyfileobj(data, file)
