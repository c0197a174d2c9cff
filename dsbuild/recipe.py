"""The recipe: everything that decides the bytes of a record, as one value."""

import dataclasses
from dataclasses import dataclass

from dsbuild import extras, schema
from dsbuild.errors import PlanError
from dsbuild.layouts import Layout

FORMAT = 1  # of records and their order; raised when the same recipe gives other bytes
VERIFY = ("full", "header")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Layout with its options, extras, and how much of every file is decoded.

    `verify` belongs to it, since which samples pass decides what a shard holds.
    """

    layout: Layout
    extras: tuple[str, ...] = ()
    verify: str = "full"

    def __post_init__(self):
        if self.verify not in VERIFY:
            raise PlanError(f"--verify {self.verify}: found {self.verify!r}, expected {VERIFY}")
        names = [extras.parse(text)[0] for text in self.extras]
        for name in names:
            if names.count(name) > 1:
                raise PlanError(
                    f"--extra {name}: found twice, expected once: its stored forms share one key"
                )

    @property
    def schema(self) -> schema.Schema:
        """The schema of the layout's records, with all that they may have."""
        return schema.load(self.layout.schema)

    def document(self) -> dict:
        """Return the recipe's one JSON form, from which the digests of plans are made."""
        return {
            "format": FORMAT,
            "layout": self.layout.name,
            "options": dataclasses.asdict(self.layout),
            "classes": list(self.layout.classes),
            "ignore": self.layout.ignore,
            "extras": [":".join(extras.parse(text)) for text in self.extras],
            "verify": self.verify,
            "features": {f.role: f.name for f in self.schema.features},
        }
