"""Records of finished builds that `dsbuild merge` brought to one list of classes.

Manifests name it as the layout of such records. It reads no data set: its options say which builds
were merged, and what became of the values of their labels.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NoReturn

from dsbuild.errors import LayoutError
from dsbuild.fields import field
from dsbuild.layouts.base import RGB, Layout, Sample

# The image of a sample in a plan is a record: `<build>/<file>#<number>`.
PART = re.compile(r"\.[^/#]*#\d+$")
# Name of the build, title of its data set, what its keys begin with, old value -> new value.
Source = tuple[str, str, str, tuple[tuple[int, int], ...]]


@dataclass(frozen=True, kw_only=True)
class Merged(Layout):
    """Records of several builds under one list of classes."""

    name: ClassVar[str] = "merge"
    title: ClassVar[str] = "Merged builds"
    source: ClassVar[str] = "finished builds"
    has_alpha: ClassVar[bool] = True  # records that have one bring it along

    names: tuple[str, ...] = field((), "Names of the classes, by index.", what="names")
    ignore_value: int = field(255, "The label value that is not a class; -1 for none.", least=-1)
    builds: tuple[Source, ...] = field((), "The builds, in their order.", what="builds")
    colours: tuple[RGB, ...] = field((), "RGB of the classes, by index.", what="colours")

    def find(self, source: str | None) -> str:
        """Raise LayoutError: there is no data set."""
        self._refuse()

    def splits(self, root: str) -> tuple[str, ...]:
        """Raise LayoutError: there is no data set."""
        self._refuse()

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Raise LayoutError: there is no data set."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        names = " ".join(build[0] for build in self.builds)
        raise LayoutError(
            "these records were merged from other builds, not made from a data set; run dsbuild "
            f"merge again with these builds: {names}"
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by index."""
        return self.names

    @property
    def ignore(self) -> int | None:
        """The label value that is not a class, or None."""
        return None if self.ignore_value < 0 else self.ignore_value

    @property
    def palette(self) -> tuple[RGB, ...]:
        """RGB colours of the classes; none if two of them would have the same."""
        return self.colours


@dataclass(frozen=True, kw_only=True)
class MergedClasses(Merged):
    """Records of several builds whose labels are one class for each image."""

    name: ClassVar[str] = "merge-classes"
    schema: ClassVar[str] = "classification"
    has_alpha: ClassVar[bool] = False
