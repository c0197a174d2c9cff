"""The tree of Cityscapes, for records with its classes.

    leftImg8bit/<split>/<city>/<key>_leftImg8bit.png
    gtFine/<split>/<city>/<key>_gtFine_labelIds.png
    gtFine/<split>/<city>/<key>_gtFine_labelTrainIds.png

A city is what a key has before its first `_`. Records with the 19 trainIds give both files, where
ignored pixels become `unlabeled` in labelIds; records with all 34 ids give both, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dsbuild import images
from dsbuild.errors import PlanError, nearest
from dsbuild.interop.annotations.base import Drawn
from dsbuild.interop.annotations.masks import IGNORED, Masks, grey
from dsbuild.interop.annotations.picture import Picture
from dsbuild.layouts import Layout
from dsbuild.layouts.city_folders import ENDING, IMAGES
from dsbuild.layouts.city_labels import LABELS, TRAINED
from dsbuild.layouts.cityscapes import Cityscapes
from dsbuild.storage import safe_text

_NAMES = {"trainids": tuple(n for n, *_ in TRAINED), "ids": tuple(n for n, *_ in LABELS)}


@dataclass(frozen=True)
class City(Masks):
    """Images and masks of Cityscapes, by city."""

    name: ClassVar[str] = "cityscapes"

    @property
    def _encoding(self) -> str:
        return "ids" if self.about.classes == _NAMES["ids"] else "trainids"

    def refuse(self) -> None:
        """Raise PlanError if the classes are not those of Cityscapes."""
        super().refuse()
        names = _NAMES[self._encoding]
        if self.about.classes != names:
            odd = next((n for n in self.about.classes if n not in names), self.about.classes[0])
            raise PlanError(
                f"--to {self.name}: found the class {odd!r}; expected the {len(names)} trainIds of "
                f"Cityscapes in their order, or all {len(LABELS)} ids{nearest(odd, names)}; "
                "choose another target, such as mmseg"
            )

    @property
    def ignored(self) -> int | None:
        """255 for trainIds; ids have a class for such pixels."""
        return IGNORED if self._encoding == "trainids" else None

    def image(self, one: Picture) -> str:
        """Return the path of a record's image in the target."""
        return f"{IMAGES}/{one.split}/{_place(one.key)}{ENDING}.png"

    def draw(self, one: Picture) -> Drawn:
        """Return a record's mask as labelIds and as labelTrainIds."""
        mask, plane = grey(one, self.values()), one.labelled[1]
        start = f"gtFine/{one.split}/{_place(one.key)}_gtFine_"
        other = images.write(_other(self._encoding)[plane])
        both = (mask, other) if self._encoding == "ids" else (other, mask)
        return Drawn({f"{start}labelIds.png": both[0], f"{start}labelTrainIds.png": both[1]})

    def layout(self, root: str) -> Layout:
        """Return the layout of Cityscapes for these classes."""
        return Cityscapes(encoding=self._encoding, labels=self._encoding)


def _place(key: str) -> str:
    """Return the folder and name of a key.

    >>> _place("aachen_000000_000019"), _place("a/b")
    ('aachen/aachen_000000_000019', 'a%2Fb/a%2Fb')
    """
    stem = safe_text.stem(key)
    return f"{stem.partition('_')[0] or stem}/{stem}"


def _other(encoding: str) -> NDArray[np.uint8]:
    """Return the table from trainIds to ids, or from ids to trainIds: uint8 (256,)."""
    trained = [train for _, train, _ in LABELS]
    table = np.full(256, IGNORED if encoding == "ids" else 0, np.uint8)
    if encoding == "ids":
        table[: len(trained)] = trained
    else:
        found: Mapping[int, int] = {t: i for i, t in enumerate(trained) if t != IGNORED}
        table[list(found)] = list(found.values())
    return table
