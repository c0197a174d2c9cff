"""The recipe: everything that decides the bytes of a record, as one value."""

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dsbuild import fields
from dsbuild.build.image_policy import Policy
from dsbuild.build.planes import Plane
from dsbuild.build.planes import parse as parse_plane
from dsbuild.errors import PlanError
from dsbuild.extras import Chosen, parse
from dsbuild.fields import field
from dsbuild.format import aligned, schema
from dsbuild.format.documents import dump
from dsbuild.layouts import RECORDED, Layout

FORMAT = 1  # of records and their order; raised when the same recipe gives other bytes
VERIFY = ("full", "header")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Layout with its options, extras, image policy, and how much of every file is decoded.

    `verify` is part of it because it decides which samples pass, and so what a shard holds. Raises
    PlanError for a value outside a field's bounds, or an extra that samples of the layout cannot
    have.
    """

    layout: Layout
    extras: tuple[str, ...] = field(
        (),
        "Also store derived features, with commas between: laplacian, laplacian:png16, "
        "laplacian:raw16, sobel, sobel:raw16, canny, edges, distance, alpha, trimap, weights; "
        "parameters follow a colon, as in edges:width=2. Bytes per pixel: laplacian 5 (int64), "
        "png16 1.2, raw16 2, the fastest.",
        option="extra",
    )
    planes: tuple[str, ...] = field(
        (),
        "Also store planes of the image's size from files of their own: NAME=PATTERN:KIND, such as "
        "depth=depth/{key}.png:png16. Kinds: png8, png16, rgb. In a pattern {key} is the sample's "
        "key, {stem} the name of its image, {folder} the image's folder without the first one, "
        "{1} to {9} its folders one by one.",
        option="plane",
    )
    verify: str = field(
        "full",
        "full: decode every image and label. header: trust their headers.",
        choices=VERIFY,
    )
    policy: Policy = dataclasses.field(default_factory=Policy)

    def __post_init__(self) -> None:
        fields.check(self, PlanError)
        names = [one.name for one in self.chosen]
        mine = [plane.name for plane in self.aligned]
        for name in mine:
            if mine.count(name) > 1:
                raise PlanError(f"--plane {name}: found twice, expected once")
        for one in self.chosen:
            if names.count(one.name) > 1:
                raise PlanError(
                    f"--extra {one.name}: found twice, expected once: its forms share one key"
                )
            self._check(one)
        deep = [one.name for one in self.chosen if one.extra.of == "image"]
        if self.policy.depth == 16 and deep:
            raise PlanError(
                f"--extra {deep[0]}: it is computed from images of 8 bits, and --depth 16 stores 16"
            )
        if self.policy.tile is not None and "label" not in self.schema.roles:
            raise PlanError(
                f"--tile {self.policy.tile}: found samples with one class per image, expected "
                f"labels of pixels; dsbuild {self.layout.name} has none"
            )

    def _check(self, one: Chosen) -> None:
        layout = self.layout
        missing = [role for role in one.roles if role not in self.schema.roles]
        if missing or (one.extra.of == "alpha" and not layout.has_alpha):
            raise PlanError(
                f"--extra {one.name}: it is computed from the {one.extra.of} of samples, and "
                f"samples of dsbuild {layout.name} have none"
            )

    @functools.cached_property
    def chosen(self) -> tuple[Chosen, ...]:
        """The requested extras, and those that options of the layout imply."""
        return tuple(map(parse, (*self.extras, *self.layout.extras)))

    @functools.cached_property
    def aligned(self) -> tuple[Plane, ...]:
        """The planes that are stored beside image and label."""
        return tuple(map(parse_plane, self.planes))

    @property
    def schema(self) -> schema.Schema:
        """The schema of the records, with every feature that they may have."""
        layout = self.layout
        tiles = () if self.policy.tile is None else ("tiles",)
        named = tuple((plane.name, plane.kind) for plane in self.aligned)
        if named:
            return aligned.joined((layout.schema, *tiles), named, layout.bits, layout.divisor)
        if layout.divisor is not None:
            return schema.panoptic(layout.divisor, *tiles)
        return schema.load(layout.schema, *tiles, bits=layout.bits)

    def roles(self, *of: str) -> tuple[str, ...]:
        """Return the roles that extras computed from these kinds of pixels add to records."""
        return tuple(role for one in self.chosen if one.extra.of in of for role in one.roles)

    def document(self) -> dict[str, Any]:
        """Return the canonical JSON form, which the digests of plans are made of."""
        return {
            "format": FORMAT,
            "layout": self.layout.name,
            "options": fields.document(self.layout),
            "classes": list(self.layout.classes),
            "ignore": self.layout.ignore,
            "extras": [str(one) for one in self.chosen],
            "images": self.policy.document(),
            "verify": self.verify,
            **({"planes": list(self.planes)} if self.planes else {}),
            "features": {f.role: f.name for f in self.schema.features},
        }

    @functools.cached_property
    def text(self) -> str:
        """The JSON text of `document()`."""
        return dump(self.document())


def load(document: Mapping[str, Any]) -> Recipe:
    """Return the recipe of a document as `Recipe.document` gives it; raise PlanError otherwise."""
    try:
        layout = RECORDED[document["layout"]](**_frozen(document["options"]))
        recipe = Recipe(
            layout=layout,
            extras=tuple(
                text for text in document["extras"] if parse(text).name not in _implied(layout)
            ),
            planes=tuple(document.get("planes", ())),
            verify=document["verify"],
            policy=Policy.load(document["images"]),
        )
        same = _frozen(recipe.document()) == _frozen(document)
    except (KeyError, TypeError, AttributeError) as error:
        raise PlanError(f"found a recipe that this version does not know ({error!r})") from error
    if not same:
        raise PlanError("found a recipe of another version of dsbuild; build the folder again")
    return recipe


def _implied(layout: Layout) -> set[str]:
    return {parse(text).name for text in layout.extras}


def _frozen(value: Any) -> Any:
    """Return a JSON value as a frozen dataclass holds it, with tuples for lists."""
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    return {key: _frozen(item) for key, item in value.items()} if isinstance(value, dict) else value
