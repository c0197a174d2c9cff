"""What the labels of pairs mean: classes, colours and the ignore value, by the options."""

from collections.abc import Mapping

from dsbuild.layouts.base import RGB, Layout
from dsbuild.layouts.label_maps import CLASS, Mapped, mapped


class Meant(Layout):
    """Layouts whose options say what the values of labels mean."""

    names: tuple[str, ...]
    colours: tuple[tuple[str, int, int, int], ...]
    binary: int
    channel: str
    ignore_value: int | None
    mapping: tuple[tuple[str, str], ...]
    zero: str

    @property
    def _mapped(self) -> Mapped | None:
        """What --map and --zero make of the classes, if they are given."""
        if not self.mapping and self.zero == CLASS:
            return None
        names = tuple(name for name, *_ in self.colours) or self.names
        ignored = -1 if self.colours else self.ignored
        return mapped(names, self.mapping, self.zero, ignored, bool(self.colours))

    @property
    def maps(self) -> Mapping[int, int]:
        """Class index by value in a file; empty if values are the indices."""
        return self._mapped.table if self._mapped else {}

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by class index."""
        if self._mapped:
            return self._mapped.classes
        if self.colours:
            return tuple(name for name, *_ in self.colours)
        return self.names or ("background", "foreground")

    @property
    def palette(self) -> tuple[RGB, ...]:
        """Colours by class index, if the labels hold colours."""
        places = self._mapped.firsts if self._mapped and self.colours else range(len(self.colours))
        return tuple(self.colours[place][1:] for place in places)

    @property
    def ignore(self) -> int | None:
        """The label value without a class; None for colours and two values, unless mapped."""
        if self._mapped:
            ignored = self._mapped.ignored
            return ignored if ignored in self.maps.values() else None
        indices = not self.colours and self.binary < 0
        return self.ignored if indices and self.ignored >= 0 else None

    @property
    def ignored(self) -> int:
        """The value in the files that is not a class; -1 for none."""
        return -1 if self.ignore_value is None else self.ignore_value

    def indexed(self, path: str) -> bool:
        """Tell whether the labels hold class indices."""
        return not (self.colours or self.binary >= 0 or self.maps or self.channel == "alpha")
