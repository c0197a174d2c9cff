"""Opening a folder for work, and closing it: what describes its shards, the manifest last."""

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


def write_side_files(out: str, found: Mapping[str, bytes]) -> None:
    """Write side files, and note before that they are ours."""
    noted = manifest.dump(sorted(side_names(out) | set(found)))
    storage.write(state(out, SIDE), noted.encode())
    for name, data in found.items():
        storage.write(storage.join(out, name), data)


def side_files(out: str, recipe: Recipe, document: Mapping[str, Any]) -> dict[str, bytes]:
    """Return name -> bytes of what stands beside the manifest: schema, files for other tools."""
    splits = document["splits"].values()
    records = sum(split["records"] for split in splits)
    labels = sum(split["labels"] for split in splits)
    with_labels = ("label", "label.format", *recipe.roles("label", "alpha"))
    schema = recipe.schema.select(
        always=(*recipe.roles("image"), *(with_labels if labels == records else ())),
        sometimes=with_labels if labels else (),
    )
    found = interop.side_files(schema, document, interop.load(out), text_schema=True)
    pbtxt, place = interop.pbtxt.NAME, storage.join(out, interop.pbtxt.NAME)
    asked = side_names(out) | _named(out)
    if pbtxt not in asked and not _holds(place, found[pbtxt]):
        del found[pbtxt]  # it is written where it was asked for
    return {manifest.SCHEMA: schema.text().encode()} | found


def _named(out: str) -> set[str]:
    """Return the control files that the manifest of a finished folder names."""
    try:
        return set((manifest.load(out) or {}).get("files", ()))
    except ShardError:
        return set()


def _holds(place: str, data: bytes) -> bool:
    return storage.stamp(place) is not None and storage.read(place)[0] == data


def unlike(out: str, found: Mapping[str, bytes]) -> list[str]:
    """Return the files that are missing, or have other bytes.

    The text of the card is anybody's to edit.
    """
    wrong = []
    for name, data in found.items():
        path = storage.join(out, name)
        if not (storage.stamp(path) if name == interop.card.NAME else _holds(path, data)):
            wrong.append(name)
    return wrong


def open_for_work(out: str) -> None:
    """Take away what says that the folder is complete; keep it aside for other splits."""
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
    known = betas(entries(out))
    if weights is not None:
        known |= dict.fromkeys(splits, weights)
    storage.write(state(out, RECIPE), recipe_text(recipe.document(), known))


def recipe_text(document: Mapping[str, Any], known: Mapping[str, float]) -> bytes:
    """Return the file of a recipe; beside it the betas of class weights, which change no record."""
    known = dict(sorted(known.items()))
    more = {WEIGHTS: known, "digest": recipe_digest(normal(document), known)} if known else {}
    return manifest.dump({**document, **more}, 2).encode()


def betas(document: Mapping[str, Any]) -> dict[str, float]:
    """Return split -> beta of its class weights, of the splits of a manifest that have some."""
    return {
        split: entry["weights"]["beta"]
        for split, entry in document.get("splits", {}).items()
        if "weights" in entry
    }


def load_recipe(out: str) -> tuple[Recipe, dict[str, float]]:
    """Return the recipe that lies in the folder's state, and the betas of its class weights."""
    document, known = noted_recipe(out)
    return load(document), known


def described(
    out: str, recipe: Recipe, document: Mapping[str, Any], left: Sequence[Reject]
) -> dict[str, bytes]:
    """Return path below OUT -> bytes of the files that describe its shards, but the manifest."""
    found = side_files(out, recipe, document)
    names = sorted((side_names(out) | set(found)) - {manifest.SCHEMA})
    found[_below(SIDE)] = manifest.dump(names).encode()
    found[_below(RECIPE)] = recipe_text(normal(recipe.document()), betas(document))
    if left:
        lines = "".join(manifest.dump(vars(reject)) + "\n" for reject in left)
        found[manifest.REJECTS] = lines.encode()
    return found


def _below(name: str) -> str:
    return f"{manifest.STATE}/{name}"


def digests(out: str, document: Mapping[str, Any], found: Mapping[str, bytes]) -> dict[str, str]:
    """Return path below OUT -> sha256 of the control files that a manifest names.

    `found` are those that are known, the rest is read: plans, what people told of the data.
    The card's text is anybody's to edit.
    """
    made = {name: _sha256(data) for name, data in found.items() if name != interop.card.NAME}
    before = _before(out)
    known = before.get("files", {})
    for split, entry in document["splits"].items():
        name = _below(f"plan-{split}.jsonl")
        kept = before.get("splits", {}).get(split) == entry and known.get(name)
        if kept or storage.stamp(storage.join(out, name)):
            made[name] = kept or storage.sha256(storage.join(out, name))[0]
    if storage.stamp(state(out, interop.TERMS)):
        made[_below(interop.TERMS)] = storage.sha256(state(out, interop.TERMS))[0]
    return dict(sorted(made.items()))


def _before(out: str) -> Mapping[str, Any]:
    """Return the manifest that is there, an empty one where that is damaged."""
    try:
        return entries(out)
    except ShardError:
        return {}


def renew(out: str, document: Mapping[str, Any], found: Mapping[str, bytes]) -> None:
    """Write a manifest with the digests of side files that were written again."""
    if "files" not in document:
        return  # of an earlier version, which knew none
    side = {_below(SIDE): storage.read(state(out, SIDE))[0]}
    fresh = digests(out, document, {**found, **side})
    rest = {
        name: digest
        for name, digest in document["files"].items()
        if name not in (_below(interop.TERMS), interop.pbtxt.NAME)
    }
    whole = manifest.sealed({**document, "files": dict(sorted((rest | fresh).items()))})
    claim(out, whole, document)
    storage.write(storage.join(out, manifest.NAME), manifest.text(whole))


def _sha256(data: bytes) -> str:
    import hashlib  # here, since OpenSSL is slow to load and much does without

    return hashlib.sha256(data).hexdigest()


def close(
    out: str, recipe: Recipe, document: Mapping[str, Any], left: Sequence[Reject]
) -> dict[str, Any]:
    """Write all that describes the folder, the manifest last; return that, digests included.

    What stands is not touched.
    """
    found = described(out, recipe, document, left)
    whole = manifest.sealed({**document, "files": digests(out, document, found)})
    wrong = unlike(out, found)
    place = storage.join(out, manifest.NAME)
    if wrong or not _holds(place, manifest.text(whole)) or stranger(out, whole):
        if _below(SIDE) in wrong:  # first, since it tells that the others are ours
            storage.write(state(out, SIDE), found[_below(SIDE)])
        for name in wrong:
            storage.write(storage.join(out, name), found[name])
        claim(out, whole)
        storage.write(place, manifest.text(whole))
    storage.remove(state(out, PREVIOUS))
    return whole
