"""What a model must know about its data set: classes, ignore value, colours, and a digest."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsbuild import storage
from dsbuild.errors import TrainError
from dsbuild.format import names, planes
from dsbuild.format.documents import fits
from dsbuild.format.folder import Folder, PathLike
from dsbuild.images import colour

TASKS = ("segmentation", "classification")


@dataclass(frozen=True)
class Facts:
    """The facts of a data set that are kept with a run.

    Attributes:
      task: `segmentation`, or `classification` if a label is one class.
      classes: names by index.
      ignore: the label value that stands for no class, or None.
      palette: RGB by label value.
      digest: sha256 over the checksums of all shards.
    """

    task: str
    classes: tuple[str, ...]
    ignore: int | None
    palette: Mapping[int, tuple[int, int, int]]
    digest: str

    @property
    def score(self) -> str:
        """The metric that picks the best weights: `mean_iou` or `accuracy`."""
        return "mean_iou" if self.task == "segmentation" else "accuracy"

    @property
    def colours(self) -> NDArray[np.uint8]:
        """RGB of every label value: uint8 (256, 3), or (65536, 3) with more than 256 classes."""
        palette = {str(value): rgb for value, rgb in self.palette.items()}
        return colour.table(palette, planes.bits(len(self.classes), self.ignore))

    @property
    def padding(self) -> int | None:
        """The label value of padding, which no loss counts; None for classification without one.

        Raises TrainError if 256 classes leave no value free.
        """
        if self.task == "classification" or self.ignore is not None:
            return self.ignore
        padding = planes.unnamed(planes.bits(len(self.classes), None))
        if len(self.classes) > padding:
            raise TrainError(
                f"found {len(self.classes)} classes and no ignore value, expected at most "
                f"{padding} classes, since labels are padded with {padding}"
            )
        return padding

    def learnable(self, where: str) -> None:
        """Raise TrainError unless there are two or more classes for a model to tell apart."""
        if len(self.classes) < 2:
            found = f"one class, {self.classes[0]!r}" if self.classes else "no class"
            raise TrainError(
                f"{where}: found {found}, expected two or more for a model to tell apart; build "
                "the data again with a class for everything else, such as background, instead of "
                "an ignore value"
            )

    def document(self) -> dict[str, Any]:
        """Return the facts as a JSON document."""
        palette = {str(value): list(colour) for value, colour in self.palette.items()}
        return {**vars(self), "classes": list(self.classes), "palette": palette}

    def expect(self, other: "Facts", where: str) -> None:
        """Raise TrainError if the data set at `where` has another task or other classes."""
        if other.task != self.task:
            raise TrainError(f"{where}: found {other.task}, expected {self.task}, the model's task")
        if len(other.classes) != len(self.classes):
            raise TrainError(
                f"{where}: found {len(other.classes)} classes, expected {len(self.classes)}, as in "
                "the model; choose a model for these classes"
            )
        for index, (found, expected) in enumerate(zip(other.classes, self.classes, strict=True)):
            if found != expected:
                raise TrainError(
                    f"{where}: class {index}: found {found!r}, expected {expected!r}, as in the "
                    "model"
                )


def of(path: PathLike) -> Facts:
    """Return the facts in the manifest of a folder; raise TrainError if it has none."""
    folder = Folder.of(path)
    manifest = folder.manifest
    if manifest is None:
        if folder.is_file and storage.stamp(folder.path) is None:
            raise TrainError(storage.missing(folder.path))
        raise TrainError(
            f"{folder.path}: found no {names.NAME}, expected a folder that dsbuild wrote, with its "
            "class names"
        )
    shards = [shard.sha256 for shard in manifest.shards]
    return Facts(
        "classification" if "class" in folder.schema.roles else "segmentation",
        manifest.classes,
        manifest.ignore,
        manifest.palette,
        hashlib.sha256("\n".join(shards).encode()).hexdigest(),
    )


def read(document: Any, where: str) -> Facts:
    """Return the facts in a JSON document; raise TrainError if it holds none."""
    form = {"task": str, "classes": [str], "ignore": int | None, "palette": dict, "digest": str}
    if not fits(document, form) or document["task"] not in TASKS:
        raise TrainError(f"{where}: found no facts of a data set, expected the run.json of a run")
    palette = {int(value): tuple(rgb) for value, rgb in document["palette"].items()}
    return Facts(
        document["task"],
        tuple(document["classes"]),
        document["ignore"],
        palette,
        document["digest"],
    )
