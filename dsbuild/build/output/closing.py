"""Open a folder for work, and close it: write what describes its shards, the manifest last."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dsbuild import interop, storage
from dsbuild.build.output.holder import claim, stranger
from dsbuild.build.output.state import (
    ARRAY,
    FAILED,
    PREVIOUS,
    RECIPE,
    SHARES,
    SIDE,
    WEIGHTS,
    descriptions,
    entries,
    noted_recipe,
    recipe_digest,
    side_names,
    state,
)
from dsbuild.build.recipe import Recipe, load
from dsbuild.errors import ShardError
from dsbuild.format import manifest
from dsbuild.format.documents import normal
from dsbuild.format.manifest import Reject


def write_side_files(out: str, files: Mapping[str, bytes]) -> None:
    """Write side files, after noting that they are ours."""
    names = manifest.dump(sorted(side_names(out) | set(files)))
    storage.write(state(out, SIDE), names.encode())
    for name, data in files.items():
        storage.write(storage.join(out, name), data)


def side_files(out: str, recipe: Recipe, document: Mapping[str, Any]) -> dict[str, bytes]:
    """Return name -> bytes of the files beside the manifest: schema, files for other tools."""
    splits = document["splits"].values()
    records = sum(split["records"] for split in splits)
    labels = sum(split["labels"] for split in splits)
    with_labels = ("label", "label.format", "label.divisor", *recipe.roles("label", "alpha"))
    schema = recipe.schema.select(
        always=(*recipe.roles("image"), *(with_labels if labels == records else ())),
        sometimes=with_labels if labels else (),
    )
    files = interop.side_files(schema, document, interop.load(out), text_schema=True)
    pbtxt, place = interop.pbtxt.NAME, storage.join(out, interop.pbtxt.NAME)
    requested = side_names(out) | _named(out)
    if pbtxt not in requested and not _holds(place, files[pbtxt]):
        del files[pbtxt]  # written on request only
    return {manifest.SCHEMA: schema.text().encode()} | files


def _named(out: str) -> set[str]:
    """Return the control files that the manifest of a finished folder names."""
    try:
        return set((manifest.load(out) or {}).get("files", ()))
    except ShardError:
        return set()


def _holds(place: str, data: bytes) -> bool:
    return storage.stamp(place) is not None and storage.read(place)[0] == data


def unlike(out: str, files: Mapping[str, bytes]) -> list[str]:
    """Return the files that are missing or have other bytes.

    Users may edit the card, so it only has to exist.
    """
    wrong = []
    for name, data in files.items():
        path = storage.join(out, name)
        if not (storage.stamp(path) if name == interop.card.NAME else _holds(path, data)):
            wrong.append(name)
    return wrong


def open_for_work(out: str) -> None:
    """Remove what marks the folder as complete; keep the manifest aside for other splits."""
    document = manifest.load(out)
    if document is not None:
        storage.write(state(out, PREVIOUS), manifest.dump(document, 2).encode())
    for name in descriptions(out):
        storage.remove(storage.join(out, name))
    claim(out)
    storage.remove(*(state(out, name) for name in (SIDE, FAILED, ARRAY, SHARES)))


def save_recipe(
    out: str, recipe: Recipe, splits: Iterable[str], weights: float | None = None
) -> None:
    """Write the recipe of the shards of some splits, and the beta of their class weights."""
    by_split = betas(entries(out))
    if weights is not None:
        by_split |= dict.fromkeys(splits, weights)
    storage.write(state(out, RECIPE), recipe_text(recipe.document(), by_split))


def recipe_text(document: Mapping[str, Any], betas: Mapping[str, float]) -> bytes:
    """Return the file of a recipe and the betas of class weights, which change no record."""
    betas = dict(sorted(betas.items()))
    more = {WEIGHTS: betas, "digest": recipe_digest(normal(document), betas)} if betas else {}
    return manifest.dump({**document, **more}, 2).encode()


def betas(document: Mapping[str, Any]) -> dict[str, float]:
    """Return split -> beta of its class weights, for the splits of a manifest that have some."""
    return {
        split: entry["weights"]["beta"]
        for split, entry in document.get("splits", {}).items()
        if "weights" in entry
    }


def load_recipe(out: str) -> tuple[Recipe, dict[str, float]]:
    """Return the recipe in the folder's state, and the betas of its class weights."""
    document, by_split = noted_recipe(out)
    return load(document), by_split


def described(
    out: str, recipe: Recipe, document: Mapping[str, Any], left: Sequence[Reject]
) -> dict[str, bytes]:
    """Return path below OUT -> bytes of the files that describe its shards, without the manifest.

    `left` are the samples that were left out.
    """
    files = side_files(out, recipe, document)
    names = sorted((side_names(out) | set(files)) - {manifest.SCHEMA})
    files[_below(SIDE)] = manifest.dump(names).encode()
    files[_below(RECIPE)] = recipe_text(normal(recipe.document()), betas(document))
    if left:
        lines = "".join(manifest.dump(vars(reject)) + "\n" for reject in left)
        files[manifest.REJECTS] = lines.encode()
    return files


def _below(name: str) -> str:
    return f"{manifest.STATE}/{name}"


def digests(out: str, document: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, str]:
    """Return path below OUT -> sha256 of the control files that a manifest names.

    `files` are those whose bytes are known; plans and the terms of use are read. The card has no
    digest, since users may edit it.
    """
    by_name = {name: _sha256(data) for name, data in files.items() if name != interop.card.NAME}
    before = _before(out)
    earlier = before.get("files", {})
    for split, entry in document["splits"].items():
        name = _below(f"plan-{split}.jsonl")
        kept = before.get("splits", {}).get(split) == entry and earlier.get(name)
        if kept or storage.stamp(storage.join(out, name)):
            by_name[name] = kept or storage.sha256(storage.join(out, name))[0]
    if storage.stamp(state(out, interop.TERMS)):
        by_name[_below(interop.TERMS)] = storage.sha256(state(out, interop.TERMS))[0]
    return dict(sorted(by_name.items()))


def _before(out: str) -> Mapping[str, Any]:
    """Return the folder's manifest; empty if there is none or it is damaged."""
    try:
        return entries(out)
    except ShardError:
        return {}


def renew(out: str, document: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Write a manifest with the digests of side files that were written again."""
    if "files" not in document:
        return  # earlier versions stored no digests
    side = {_below(SIDE): storage.read(state(out, SIDE))[0]}
    fresh = digests(out, document, {**files, **side})
    rest = {
        name: digest
        for name, digest in document["files"].items()
        if name not in (_below(interop.TERMS), interop.pbtxt.NAME)
    }
    whole = manifest.sealed({**document, "files": dict(sorted((rest | fresh).items()))})
    claim(out, whole, document)
    storage.write(storage.join(out, manifest.NAME), manifest.text(whole))


def _sha256(data: bytes) -> str:
    import hashlib  # here, since OpenSSL is slow to load and often not needed

    return hashlib.sha256(data).hexdigest()


def close(
    out: str, recipe: Recipe, document: Mapping[str, Any], left: Sequence[Reject]
) -> dict[str, Any]:
    """Write all that describes the folder, the manifest last; return that with its digests.

    Files that are already right are not touched.
    """
    files = described(out, recipe, document, left)
    whole = manifest.sealed({**document, "files": digests(out, document, files)})
    wrong = unlike(out, files)
    place = storage.join(out, manifest.NAME)
    if wrong or not _holds(place, manifest.text(whole)) or stranger(out, whole):
        if _below(SIDE) in wrong:  # first, since it says that the others are ours
            storage.write(state(out, SIDE), files[_below(SIDE)])
            wrong.remove(_below(SIDE))
        storage.write_all({storage.join(out, name): files[name] for name in wrong})
        claim(out, whole)
        storage.write(place, manifest.text(whole))
    storage.remove(state(out, PREVIOUS))
    return whole
