"""An origin of weights: how it names its layers, and what it needs to compute the same here.

A rule is a pattern of a module's name and the layer here whose variables it has. What no rule
covers is listed in `left`, with the reason; anything else in a file is an error, since it shows
that the file is of another model.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Rules = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The names of one origin.

    Attributes:
      name: what people call it.
      marks: names that all of its files have; patterns.
      rules: of modules, see above.
      window: more rules, if the model has a 3 x 3 convolution after the pyramid.
      left: patterns of what is not loaded, and why.
      parts: prefixes of the layers here that it fills whole, if the model has any of them.
      epsilons: prefix of layers here -> their epsilon there, if it is not that of the layer.
      needs: settings without which its weights compute something else.
      head: the same for its head alone.
      backbone: the backbone here; empty if the number of blocks says which.
      pixels: how pixels are scaled for it, one of SCALINGS.
      refused: why nothing of it fits; empty if something does.
    """

    name: str
    marks: tuple[str, ...]
    rules: Rules = ()
    window: Rules = ()
    left: Rules = ()
    parts: tuple[str, ...] = ("backbone_",)
    epsilons: Mapping[str, float] = field(default_factory=dict)
    needs: Mapping[str, bool | tuple[int, ...]] = field(default_factory=dict)
    head: Mapping[str, bool | tuple[int, ...]] = field(default_factory=dict)
    backbone: str = ""
    pixels: str = "torch"
    refused: str = ""

    def made(self, names: Iterable[str]) -> bool:
        """Tell whether a file with these names is of this origin."""
        names = list(names)
        return all(any(re.fullmatch(mark, name) for name in names) for mark in self.marks)

    def layer(self, module: str, window: bool) -> str | None:
        """Return the layer here of a module there; None if it has none.

        `window` tells whether the model has a 3 x 3 convolution after the pyramid.
        """
        for pattern, layer in self.rules + (self.window if window else ()):
            if match := re.fullmatch(pattern, module):
                return match.expand(layer)
        return None

    def reason(self, module: str) -> str | None:
        """Return why a module is not loaded, maybe empty; None if its name is unknown."""
        for pattern, why in self.left:
            if re.fullmatch(pattern, module):
                return why
        return None
