"""What the records of a merge hold besides images and labels: extras, terms of use, origins."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dsbuild import interop, layouts
from dsbuild.build import output
from dsbuild.build.image_policy import Policy
from dsbuild.build.merge.builds import Build, Seen
from dsbuild.build.merge.records import CORE
from dsbuild.errors import PlanError
from dsbuild.extras import parse
from dsbuild.format import schema, tiles
from dsbuild.interop import Terms


def kind(builds: Sequence[Build], seen: Mapping[str, Seen]) -> str:
    """Return `pixels` or `class`, what the labels of all builds are; raise PlanError if both."""
    found: dict[str, str] = {}
    for build in builds:
        for source in build.sources:
            for one in seen[source.path].kinds:
                found.setdefault(one, build.name)
    if len(found) > 1:
        raise PlanError(
            f"{found['pixels']} labels pixels and {found['class']} whole images; expected builds "
            "of one kind"
        )
    return next(iter(found), "pixels")


def extras(
    builds: Sequence[Build], seen: Mapping[str, Seen], drop: Collection[str]
) -> tuple[str, ...]:
    """Return the extras that all records keep; raise PlanError for one that only some have.

    Also for a feature that dsbuild does not know. `drop` names extras and features to leave out.
    """
    kept: dict[str, tuple[str, ...]] = {}
    unused = set(drop)
    for build in builds:
        known = build.folder.manifest
        mine = tuple(known.recipe.get("extras", ())) if known else ()
        kept[build.name] = tuple(one for one in mine if parse(one).name not in drop)
        roles = CORE | {role for one in mine for role in parse(one).roles}
        roles |= set(tiles.ROLES if known and known.recipe["images"].get("tile") else ())
        names = {
            name for role in roles for name in (*build.folder.names.get(role, ()), *_own(role))
        }
        there = {name for source in build.sources for name in seen[source.path].features}
        unused -= there | {parse(one).name for one in mine}
        strange = sorted(there - names - set(drop))
        if strange:
            raise PlanError(
                f"{build.name}: its records have the feature {strange[0]}, which a merge does not "
                f"carry over; leave it out with --drop {strange[0]}"
            )
    if unused:
        raise PlanError(f"--drop {min(unused)}: no build has this extra or feature")
    first, *others = builds
    for build in others:
        unlike = set(kept[first.name]) ^ set(kept[build.name])
        if unlike:
            one = min(unlike)
            have, without = (first, build) if one in kept[first.name] else (build, first)
            raise PlanError(
                f"{have.name} has the extra {one}, and {without.name} does not; build "
                f"{without.name} with --extra {one}, or leave it out with --drop "
                f"{parse(one).name}"
            )
    return kept[first.name]


def _own(role: str) -> tuple[str, ...]:
    """Return the names that dsbuild's schemas have for a role."""
    loaded = [schema.load(name) for name in ("segmentation", "classification")]
    return tuple(one[role].name for one in loaded if role in one.roles)


def policy(builds: Sequence[Build]) -> Policy:
    """Return the policy of all images; raise PlanError if depths or tiles differ."""
    depths: dict[int, str] = {}
    cuts: dict[tuple[int | None, int], str] = {}
    for build in builds:
        known = build.folder.manifest
        images = known.recipe.get("images", {}) if known else {}
        depths.setdefault(images.get("depth", 8), build.name)
        cuts.setdefault((images.get("tile"), images.get("tile_overlap", 0)), build.name)
    if len(depths) > 1:
        raise PlanError(
            f"{depths[16]} has images of 16 bits per channel and {depths[8]} of 8; expected one "
            "depth: build both with --depth 16, or one with --scale LOW:HIGH"
        )
    if len(cuts) > 1:
        one, other = list(cuts.values())[:2]
        raise PlanError(
            f"{one} and {other} are not cut into the same tiles; expected all builds with the same "
            "--tile and --tile-overlap, or all without"
        )
    ((tile, overlap),) = cuts
    return Policy(depth=next(iter(depths)), tile=tile, tile_overlap=overlap)


def beta(builds: Sequence[Build]) -> tuple[float | None, list[str]]:
    """Return the beta of class weights if all builds have the same, and a note if only some do."""
    found = set()
    for build in builds:
        known = build.folder.manifest
        mine = output.betas(known.document) if known else {}
        splits = known.splits if known else ()
        found |= {mine.get(split) for split in splits} or {None}
    if len(found) == 1:
        return found.pop(), []
    return None, ["class weights are left out, since the builds do not all have the same"]


def terms(builds: Sequence[Build]) -> Terms:
    """Return the terms of use of a merge: those that all builds share, or each with its build."""
    each = {build.name: interop.load(build.folder.path) for build in builds}
    licences = {name: one.license for name, one in each.items()}
    licence = _shared(licences, "; ", "not stated")
    cited = {name: one.citation for name, one in each.items()}
    citations = dict.fromkeys(one.strip() for one in cited.values() if one)
    about = "; ".join(f"{build.name}: {build.title}" for build in builds)
    return Terms(
        license=licence,
        citation="\n\n".join(citations) or None,
        description=f"Merged from {len(builds)} builds ({about}) under one list of classes.",
    )


def _shared(found: Mapping[str, str | None], between: str, nothing: str) -> str | None:
    values = set(found.values())
    if len(values) == 1:
        return values.pop()
    return between.join(f"{name}: {one or nothing}" for name, one in found.items())


def origins(builds: Sequence[Build]) -> list[dict[str, Any]]:
    """Return what the manifest says of each build: name, data set, digest, terms of use."""
    rows = []
    for build in builds:
        known, mine = build.folder.manifest, interop.load(build.folder.path)
        rows.append(
            {
                "name": build.name,
                "title": build.title,
                "layout": known.recipe["layout"] if known else None,
                "manifest": known.document.get("digest") if known else None,
                "license": mine.license,
                "citation": mine.citation,
            }
        )
    return rows


def layout(pixels: bool) -> type[layouts.Merged]:
    """Return the layout that the manifest names."""
    return layouts.Merged if pixels else layouts.MergedClasses
