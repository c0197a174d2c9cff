"""The receipt of an export: what was written, read back and changed, as a document and as text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dsbuild.format import manifest
from dsbuild.format.names import RECEIPT, WRITTEN_AS
from dsbuild.interop.annotations.about import About
from dsbuild.interop.annotations.loss import Loss, Tally

__all__ = ["RECEIPT", "Receipt"]


@dataclass(frozen=True)
class Receipt:
    """What an export wrote, and what of it its own layout reads back.

    Attributes:
      target: name of the format.
      options: that shape it.
      about: what it holds.
      layout: that read it back.
      splits: split -> what the layout calls it; unlabelled ones that it does not read are missing.
      names: class index -> name that the layout has for it, where it is another one.
      loss: what was counted.
      facts: what was done without a loss, with how often.
      unread: images of splits that the layout does not read.
      kept: shards whose files were kept.
    """

    target: str
    options: Mapping[str, str]
    about: About
    layout: str
    splits: Mapping[str, str]
    names: Mapping[int, str]
    loss: Loss
    facts: Mapping[str, int]
    unread: int = 0
    kept: int = 0

    @property
    def complete(self) -> bool:
        """Whether every image was found again, with the bytes that it had."""
        return self.loss.read == self.loss.images and not self.loss.altered

    @property
    def instances(self) -> str:
        """Whether objects that panoptic records tell apart are `kept` or `lost`; `none` if none."""
        if not self.about.counted:
            return "none"
        return "kept" if self.options.get("objects") == "components" else "lost"

    def document(self) -> dict[str, Any]:
        """Return the content of receipt.json."""
        loss, about = self.loss, self.about
        total = loss.total
        return {
            "dsbuild": WRITTEN_AS,
            "target": self.target,
            "options": dict(self.options),
            "source": {"title": about.title, "digest": about.digest, **vars(about.terms)},
            "read_by": self.layout,
            "splits": dict(self.splits),
            **({"splits_not_exported": [*about.others]} if about.others else {}),
            "images": {
                "written": loss.images + self.unread,
                "read": loss.read,
                "changed": loss.changed,
                "altered": loss.altered,
                "renamed": loss.renamed,
                "unlabelled": loss.unlabelled + self.unread,
                "left_out": about.left_out,
            },
            "pixels": {**_pixels(total), "share": round(total.lost / max(1, total.pixels), 9)},
            "objects": _objects(total),
            "instances": self.instances,
            "reasons": {name: loss.reasons[name] for name in sorted(loss.reasons)},
            "facts": {name: self.facts[name] for name in sorted(self.facts)},
            "classes": [self._row(value) for value in sorted({*about.values} & {*loss.classes})],
            "worst": [one._asdict() for one in loss.worst],
            "renamed": dict(loss.names),
        }

    def _row(self, value: int) -> dict[str, Any]:
        tally = self.loss.classes[value]
        return {
            "value": value,
            "name": self.name(value),
            **({"read_as": self.names[value]} if value in self.names else {}),
            "pixels": _pixels(tally),
            "objects": _objects(tally),
            "images": {
                "written": tally.images,
                "read": tally.images_read,
                "changed": tally.images_changed,
            },
        }

    def name(self, value: int) -> str:
        """Return what a label value is called."""
        about = self.about
        return "ignored" if value == about.ignore else about.classes[value]

    def text(self) -> bytes:
        """Return the file."""
        return (manifest.dump(self.document(), 1) + "\n").encode()


def _pixels(tally: Tally) -> dict[str, int]:
    return {
        "written": tally.pixels,
        "read": tally.read,
        "lost": tally.lost,
        "gained": tally.gained,
    }


def _objects(tally: Tally) -> dict[str, int]:
    return {
        "written": tally.objects,
        "read": tally.objects_read,
        "changed": tally.objects_changed,
        "lost": tally.objects_lost,
    }
