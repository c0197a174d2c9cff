"""Mapillary Vistas 1.2 and 2.0, and older ones: labels in the colours of a config.

    {training,validation}/images/<id>.jpg
    {training,validation}/{v1.2,v2.0}/labels/<id>.png      palette; values are places in the config
    config_v1.2.json, config_v2.0.json                     labels: name, color, evaluate
    {training,validation}/labels/<id>.png, config.json     1.0 and 1.1

Classes that the config does not evaluate are stored as 255.

Source: Neuhold et al., The Mapillary Vistas Dataset, ICCV 2017. That the palettes of labels have
the colours of the config is assumed.
"""

import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from dsbuild import storage
from dsbuild.errors import ImageError, LayoutError, PlanError, StorageError
from dsbuild.fields import field
from dsbuild.layouts.base import RGB, Layout
from dsbuild.layouts.finding import Finding
from dsbuild.layouts.folders import by_key, composed, leftovers, require, stem
from dsbuild.layouts.recognition import PUBLISHED, Recognised, listed
from dsbuild.layouts.sample import Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsbuild.images.labels import Label

SPLITS = {"train": "training", "val": "validation"}
# Version -> folder of its labels below that of a split, its config, and how many classes it has.
FORMS = {
    "v2.0": ("v2.0/labels", "config_v2.0.json", 124),
    "v1.2": ("v1.2/labels", "config_v1.2.json", 66),
    "v1.1": ("labels", "config.json", 66),
}
Known = tuple[tuple[str, int, int, int, int], ...]  # name, colour, 1 if it is evaluated


def read_config(path: str) -> Known:
    """Return the labels of a config; raise PlanError if it has none."""
    try:
        found = json.loads(storage.read(path)[0])["labels"]
        rows = []
        for one in found:
            r, g, b = map(int, one["color"])
            rows.append((composed(one["name"]), r, g, b, int(one["evaluate"])))
    except StorageError as error:
        raise PlanError(str(error)) from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise PlanError(
            f"{path}: found no labels ({error!r:.80}); expected those of Mapillary Vistas with "
            "name, color and evaluate"
        ) from error
    if not rows or len({name for name, *_ in rows}) < len(rows):
        raise PlanError(f"{path}: found {len(rows)} labels; expected different names")
    return tuple(rows)


@dataclass(frozen=True, kw_only=True)
class Mapillary(Layout):
    """Mapillary Vistas."""

    name: ClassVar[str] = "mapillary"
    title: ClassVar[str] = "Mapillary Vistas"
    source: ClassVar[str] = "the folder that holds training, validation and the config"

    labels: str = field(
        "auto",
        "Version of the labels; v1.1 is that of labels straight below training. auto: the one "
        "that is there.",
        choices=("auto", *FORMS),
    )
    config: tuple[tuple[str, int, int, int, int], ...] = field(
        (),
        "JSON file whose labels are the classes. Default: the version's config in SOURCE.",
        read=read_config,
    )
    unevaluated: str = field(
        "ignore",
        "What the classes are that the config does not evaluate: ignored, or classes.",
        choices=("ignore", "class"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.config) > 255:
            raise PlanError(f"found {len(self.config)} labels in the config; expected at most 255")

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the config's labels, in its order."""
        return tuple(name for name, *_ in self.config)

    @property
    def palette(self) -> tuple[RGB, ...]:
        """The colours of the config."""
        return tuple((r, g, b) for _, r, g, b, _ in self.config)

    def find(self, source: str | None) -> str:
        """Return the folder that holds training or validation with images and labels."""
        for start in [source] if source is not None else [".", "data"]:
            if storage.is_folder(start) and _versions(start, self.labels):
                return storage.normal(start)
        require(source)
        raise LayoutError(
            f"{source or '. and ./data'}: found no training/images with "
            f"{' or '.join(f'training/{form[0]}' for form in FORMS.values())}; name {self.source}: "
            "dsbuild mapillary SOURCE"
        )

    @classmethod
    def recognise(cls, path: str, given: Mapping[str, str], /) -> Recognised:
        """Recognise images and labels of training or validation, with the config of a version."""
        found = _versions(path, given.get("labels", "auto"))
        found = [one for one in found if storage.stamp(storage.join(path, FORMS[one][1]))]
        if not found:
            return cls.seen(0, "no training/images with labels of a version and its config")
        needs = f"--labels {' or '.join(found)}" if found[1:] else ""
        return cls.seen(PUBLISHED, f"{cls.title} {listed(found)}", needs=needs)

    def bind(self, root: str) -> "Mapillary":
        """Return the layout with the version that is there, and the labels of its config."""
        found = _versions(root, self.labels)
        if len(found) > 1:
            raise LayoutError(
                f"{root}: found labels of {listed(found)}, whose values mean other classes; choose "
                f"one with --labels {' or '.join(found)}"
            )
        version = found[0]
        path = storage.join(root, FORMS[version][1])
        if not self.config and storage.stamp(path) is None:
            raise LayoutError(
                f"{path}: there is no such file; name the config of {version}: --config FILE"
            )
        known = self.config or _config(path)
        other = {form[2] for form in FORMS.values()} - {FORMS[version][2]}
        if len(known) in other:
            raise LayoutError(
                f"{path}: found {len(known)} labels for {version}, which has {FORMS[version][2]}; "
                "this is the config of another version: --config FILE"
            )
        return replace(self, labels=version, config=known)

    def splits(self, root: str) -> tuple[str, ...]:
        """Return train and val, as far as there are images."""
        return tuple(
            split
            for split, folder in SPLITS.items()
            if storage.is_folder(storage.join(root, folder, "images"))
        )

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        """Yield the images of a split by name."""
        images, labels = self._folders(root, split)
        for key, image in by_key(root, images).items():
            yield Sample(key, image, f"{labels}/{key}.png")

    def findings(self, root: str, split: str, samples: Iterable[Sample]) -> list[Finding]:
        """Find labels without an image, and stray files."""
        return leftovers(root, split, *self._folders(root, split), stem)

    def _folders(self, root: str, split: str) -> tuple[str, str]:
        version = self.labels if self.labels != "auto" else _versions(root, "auto")[0]
        return f"{SPLITS[split]}/images", f"{SPLITS[split]}/{FORMS[version][0]}"

    def indexed(self, path: str) -> bool:
        """Return False: values that are not evaluated become 255."""
        return False

    def read(self, data: bytes, path: str) -> "Label":
        """Return the places of a label's values in the config; 255 for those not evaluated."""
        from dsbuild.images import codec, labels, palette

        head = codec.label_header(data)
        entries = palette.read(data)[0] if head.model == "palette" else ()
        label = labels.read(data, dict(enumerate(entries)))
        high = max(label.counts)
        if high >= len(self.config):
            raise ImageError(
                f"found the value {high}; expected 0 to {len(self.config) - 1}, the places of the "
                f"labels in the config: these may be labels of another version than {self.labels}",
                kind="values",
            )
        shown = {value: entries[value] if value < len(entries) else None for value in label.counts}
        levels = all(colour == (value, value, value) for value, colour in shown.items())
        for value, colour in shown.items() if entries and not levels else ():
            if colour != self.palette[value]:
                raise ImageError(
                    f"found the colour {colour} for {value}; the config has "
                    f"{self.palette[value]} for {self.classes[value]}: these may be labels of "
                    f"another version than {self.labels}",
                    kind="palettes",
                )
        return label.through(_table(self.config, self.unevaluated))


@functools.lru_cache(maxsize=8)
def _table(known: Known, unevaluated: str) -> "NDArray[np.uint8]":
    import numpy as np

    table = np.arange(256, dtype=np.uint8)
    if unevaluated == "ignore":
        table[[i for i, row in enumerate(known) if not row[4]]] = 255
    return table


def _versions(root: str, wanted: str) -> list[str]:
    """Return the versions whose labels are below training or validation."""
    return [
        version
        for version, (folder, *_) in FORMS.items()
        if wanted in ("auto", version)
        and any(
            storage.is_folder(storage.join(root, split, "images"))
            and storage.is_folder(storage.join(root, split, folder))
            for split in SPLITS.values()
        )
    ]


def _config(path: str) -> Known:
    try:
        return read_config(path)
    except PlanError as error:
        raise LayoutError(str(error)) from error
