"""Export a folder of TFRecords as an annotated data set, read it back, and write the receipt.

    OUT/...                      the data set, as its own tools read it
    OUT/receipt.json             what was written, read back and changed; the last file
    OUT/UNFINISHED.txt           there until the receipt is
    OUT/.dsbuild/annotations/    what was written of each shard

Shards are written and compared by any engine. A shard whose records and settings are unchanged is
kept, so an export that was stopped continues.
"""

import collections
import dataclasses
import functools
from collections.abc import Callable, Sequence

from dsbuild import storage
from dsbuild.engines import Engine, Job, Local
from dsbuild.errors import PlanError, ShardError, nearest
from dsbuild.format import manifest, names
from dsbuild.format.folder import Folder
from dsbuild.format.names import RECEIPT
from dsbuild.interop.annotations import about as about_of
from dsbuild.interop.annotations import measure, parts, reading, shard
from dsbuild.interop.annotations.base import Target
from dsbuild.interop.annotations.formats import TARGETS
from dsbuild.interop.annotations.loss import Loss, summed
from dsbuild.interop.annotations.parts import Parts
from dsbuild.interop.annotations.receipt import Receipt
from dsbuild.interop.annotations.shard import Shard
from dsbuild.interop.export.run import stem, usual_ending
from dsbuild.interop.export.sample import Keys
from dsbuild.interop.export.splits import split
from dsbuild.layouts import Layout

MARK = "UNFINISHED.txt"
_SAID = (
    b"dsbuild export has not finished this folder: it lacks samples. Run the command again, or "
    b"remove the folder.\n"
)
Note = Callable[[str], None]


def export(
    path: str,
    out: str,
    target: str,
    *,
    objects: str = "components",
    shapes: str = "",
    splits: Sequence[str] = (),
    classes: Sequence[str] = (),
    engine: Engine | None = None,
    note: Note = lambda _: None,
) -> Receipt:
    """Write a folder's records, or those of one file, as a target; return the receipt.

    `splits` are those to export, by default all; `classes` are the names for a folder without a
    manifest. Raises PlanError if the target cannot hold the records at all, or OUT holds other
    files, or other splits than those that are asked for.
    """
    engine = engine or Local()
    folder = Folder.of(path)
    made = chosen(folder, target, engine, objects, shapes, splits, classes)
    shards = tuple(one for one in plan(folder) if one.split in made.about.splits)
    check(out, path)
    with storage.lock(names.state(out, "lock"), note):
        same(out, splits)
        storage.sweep(out)
        storage.sweep(parts.folder(out))
        parts.begin(out)
        storage.write(storage.join(out, MARK), _SAID)
        storage.remove(storage.join(out, RECEIPT))
        parts.stale(out, [one.name for one in shards if _kept(one, out, made)])
        kept = _write(out, shards, made, engine, _records(folder, shards))
        receipt = _receipt(out, shards, made, engine, kept)
        storage.write(storage.join(out, RECEIPT), receipt.text())
        storage.remove(storage.join(out, MARK))
    return receipt


def chosen(
    folder: Folder,
    name: str,
    engine: Engine,
    objects: str,
    shapes: str,
    splits: Sequence[str] = (),
    classes: Sequence[str] = (),
) -> Target:
    """Return a target with its options; raise PlanError if it cannot hold what a folder says."""
    kind = asked(name, objects, shapes)
    about = about_of.of(folder, splits, classes)
    form = shapes or next(iter(kind.choices), "")
    made = kind(about=about, objects=objects, shapes=form)
    made.refuse()
    ending = usual_ending(folder, _keys(folder), engine) or "jpg" if kind.one_ending else ""
    return dataclasses.replace(made, ending=ending)


def asked(name: str, objects: str, shapes: str) -> type[Target]:
    """Return the kind of a target; raise PlanError if it does not have what is asked for."""
    if name not in TARGETS:
        raise PlanError(
            f"--to {name}: expected one of {', '.join(TARGETS)}{nearest(name, TARGETS)}"
        )
    kind = TARGETS[name]
    if objects != "components" and not kind.shaped:
        raise PlanError(f"--objects {objects}: --to {name} holds masks, not objects; leave it out")
    if shapes and shapes not in kind.choices:
        words = f"expected {' or '.join(kind.choices)}" if kind.choices else "leave it out"
        raise PlanError(f"--shapes {shapes}: --to {name} does not have them; {words}")
    return kind


def _keys(folder: Folder) -> Keys:
    own = folder.schema
    return Keys(own["image"].name, own["key"].name, folder.labels)


def plan(folder: Folder) -> tuple[Shard, ...]:
    """Return the files of a folder as shards; raise PlanError if two have one name."""
    keys = _keys(folder)
    names = [stem(source) for source in folder.files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PlanError(f"{folder.path}: several files are called {twice[0]}; rename them")
    return tuple(
        Shard(source, split(source), name, keys)
        for source, name in zip(folder.files, names, strict=True)
    )


def check(out: str, path: str = "") -> None:
    """Raise PlanError if OUT is in PATH, or holds anything but an earlier export of this kind."""
    there = [name for name in storage.names(out) if name != manifest.STATE]
    inside = bool(path) and storage.is_folder(path) and storage.inside(out, path)
    if inside or (there and not storage.is_folder(parts.folder(out))):
        raise PlanError(
            f"{out}: found {there[0] if there else 'it in PATH'}; expected an empty folder, or an "
            "earlier export as annotations; choose another OUT"
        )


def same(out: str, splits: Sequence[str]) -> None:
    """Raise PlanError if OUT holds other splits than those that are asked for, if any are."""
    others = sorted(parts.splits(out) - {*splits}) if splits else []
    if others:
        raise PlanError(
            f"{out}: found an export of the split {others[0]}, which this one would remove; name "
            f"all splits in one command, as --split {','.join((*others, *splits))}, or choose "
            "another OUT"
        )


def _write(out: str, shards: Sequence[Shard], target: Target, engine: Engine, count: int) -> int:
    """Write the files of all records, then those about all; return how many shards were kept."""
    work = storage.carried(functools.partial(shard.write, out=out, target=target))
    made = engine.map(Job(shards, work, count, f"exporting to {target.name}"))
    known = _parts(out, shards)
    if target.shared:
        parts.clash(known)
    whole = list(target.whole(known))
    parts.announce(out, [name for name, _ in whole])
    for name, content in whole:
        with storage.writing(storage.join(out, name)) as file:
            for data in content:
                file.write(data)
    return sum(one.kept for one in made)


def _kept(one: Shard, out: str, target: Target) -> bool:
    """Tell whether a shard's files may stay until it is written.

    Files that shards share have to go before any shard finds them where they should be.
    """
    return not target.shared or not shard.outdated(one, out, target)


def _parts(out: str, shards: Sequence[Shard]) -> Parts:
    return Parts(out, tuple((one.split, one.name) for one in shards))


def _receipt(
    out: str, shards: tuple[Shard, ...], target: Target, engine: Engine, kept: int
) -> Receipt:
    """Read the target back, and return what was found."""
    known, layout = _parts(out, shards), target.layout(out)
    facts: dict[str, int] = {}
    splits, labelled = collections.Counter[str](), collections.Counter[str]()
    for of_split, name in known.shards:
        for one in parts.written(out, name):
            facts = summed(facts, one.facts)
            splits[of_split] += 1
            labelled[of_split] += one.row.labelled
    mixed = [name for name, count in splits.items() if 0 < labelled[name] < count]
    if mixed:
        raise ShardError(
            f"{mixed[0]}: {labelled[mixed[0]]:,} of {splits[mixed[0]]:,} records have a label; a "
            "split of both cannot be exported, since an image without objects is background"
        )
    ours = [name for name in target.about.splits if labelled[name]]
    unread = sum(count for name, count in splits.items() if not labelled[name])
    names = reading.splits(layout, out, ours)
    tasks = reading.matched(layout, out, known, names)
    work = functools.partial(measure.compare, shards=shards, root=out, target=target, layout=layout)
    job = Job(tasks, work, sum(splits.values()) - unread, "reading it back")
    loss = sum(engine.map(job), Loss())
    options = {"objects": target.objects, "shapes": target.shapes} if target.shaped else {}
    return Receipt(
        target.name,
        options,
        target.about,
        layout.name,
        names,
        _renamed(target, layout),
        loss,
        facts,
        unread,
        kept,
    )


def _renamed(target: Target, layout: Layout) -> dict[int, str]:
    """Return class index -> name, where the layout calls a class otherwise."""
    theirs = {
        value: layout.classes[to]
        for value, to in target.values().items()
        if to < len(layout.classes)
    }
    ours = {i: name for i, name in enumerate(target.about.classes) if i in theirs}
    ours.pop(-1 if target.about.background is None else target.about.background, None)
    return {i: theirs[i] for i, name in ours.items() if theirs[i] != name}


def _records(folder: Folder, shards: Sequence[Shard]) -> int:
    """Return how many records shards have by the manifest."""
    known = folder.surrounding.manifest
    counts = {one.name: one.records for one in known.shards} if known else {}
    return sum(counts.get(storage.name(one.source), 0) for one in shards)
