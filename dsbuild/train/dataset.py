"""What a model has to know of its data: classes, ignored value, colours, and which data it was."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dsbuild.errors import TrainError
from dsbuild.format import names
from dsbuild.format.documents import fits
from dsbuild.format.folder import Folder, PathLike

TASKS = ("segmentation", "classification")
_PADDING = 255  # where nothing is ignored


@dataclass(frozen=True)
class Facts:
    """What is said of a data set, and kept with a run.

    Attributes:
      task: `segmentation`, or `classification` where a label is one class.
      classes: names by index.
      ignore: the label value that is no class, or None.
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
        """What a training is judged by: the name of a metric."""
        return "mean_iou" if self.task == "segmentation" else "accuracy"

    @property
    def padding(self) -> int | None:
        """The label value of what is padded, which no loss counts; None where images are one class.

        Raises TrainError where 256 classes leave none.
        """
        if self.task == "classification" or self.ignore is not None:
            return self.ignore
        if len(self.classes) > _PADDING:
            raise TrainError(
                f"found {len(self.classes)} classes and no value that is ignored, expected at most "
                f"{_PADDING} classes, for {_PADDING} is what labels are padded with"
            )
        return _PADDING

    def learnable(self, where: str) -> None:
        """Raise TrainError where there are no two classes that a model could tell apart."""
        if len(self.classes) < 2:
            found = f"one class, {self.classes[0]!r}" if self.classes else "no class"
            raise TrainError(
                f"{where}: found {found}, expected two or more: a model learns to tell classes "
                "apart; build the data again with a class for all the rest, such as background, "
                "in place of an ignored value"
            )

    def document(self) -> dict[str, Any]:
        """Return the facts as JSON has them."""
        palette = {str(value): list(colour) for value, colour in self.palette.items()}
        return {**vars(self), "classes": list(self.classes), "palette": palette}

    def expect(self, other: "Facts", where: str) -> None:
        """Raise TrainError where another data set, `where`, is not of this task and classes."""
        if other.task != self.task:
            raise TrainError(f"{where}: found {other.task}, expected {self.task}, as of the model")
        if len(other.classes) != len(self.classes):
            raise TrainError(
                f"{where}: found {len(other.classes)} classes, expected {len(self.classes)}, those "
                "of the model; choose a model for these classes"
            )
        for index, (found, known) in enumerate(zip(other.classes, self.classes, strict=True)):
            if found != known:
                raise TrainError(
                    f"{where}: class {index}: found {found!r}, expected {known!r}, as of the model"
                )


def of(path: PathLike) -> Facts:
    """Return what the manifest of a folder says; raise TrainError if it has none."""
    folder = Folder.of(path)
    known = folder.manifest
    if known is None:
        raise TrainError(
            f"{folder.path}: found no {names.NAME}, expected a folder that dsbuild wrote; its "
            "classes are not known without"
        )
    return Facts(
        "classification" if "class" in folder.schema.roles else "segmentation",
        known.classes,
        known.ignore,
        known.palette,
        hashlib.sha256("\n".join(shard.sha256 for shard in known.shards).encode()).hexdigest(),
    )


def read(document: Any, where: str) -> Facts:
    """Return the facts of a JSON document; raise TrainError where they are none."""
    form = {"task": str, "classes": [str], "ignore": int | None, "palette": dict, "digest": str}
    if not fits(document, form) or document["task"] not in TASKS:
        raise TrainError(f"{where}: found no facts of a data set, expected those of a run")
    palette = {int(value): tuple(rgb) for value, rgb in document["palette"].items()}
    return Facts(
        document["task"],
        tuple(document["classes"]),
        document["ignore"],
        palette,
        document["digest"],
    )
