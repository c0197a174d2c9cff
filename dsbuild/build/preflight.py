"""Open samples before they are built, and find common mistakes in their labels.

Nothing is written. A build opens a few samples of every split, since most mistakes are in all of
them; with `every`, as in a dry run, all samples are opened.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dsbuild import images, storage
from dsbuild.build import palettes, signatures, split_signatures
from dsbuild.build.audit import Audit
from dsbuild.build.encode import Loaded, Rejected, load, named, paths
from dsbuild.build.recipe import Recipe
from dsbuild.build.request import Request
from dsbuild.build.signatures import Mistake
from dsbuild.engines import Advance, Engine, Job, Local, batch, turn
from dsbuild.errors import ImageError, NoFileError
from dsbuild.format import manifest
from dsbuild.images import mattes
from dsbuild.layouts import Layout, Sample
from dsbuild.layouts.finding import ACCEPTABLE, Finding
from dsbuild.storage.spool import batches, spaced

FEW = 16  # samples of a split that a build opens first
_LANES = 4  # tasks that wait for a store at a time
_SECONDS = 0.005  # roughly what opening a sample takes
_SPEED = 1 << 26  # roughly how many bytes of sources are opened per second


class Task(NamedTuple):
    """Samples of a split that one worker opens."""

    split: str
    samples: Sequence[Sample]


class Seen(NamedTuple):
    """What opening some samples of a split showed.

    Attributes:
      split: its name.
      findings: of single samples.
      labels: the values of each label.
      colours: the meanings of the labels' colours, as in `palettes`.
      images: checksums of the images.
    """

    split: str
    findings: list[Finding]
    labels: list[frozenset[int]]
    colours: palettes.Meanings
    images: set[int | None]


def examine(
    request: Request, audit: Audit, engine: Engine | None = None, *, every: bool = False
) -> Audit:
    """Add to an audit what opening samples shows: a few of each split, or `every` one.

    Samples are opened as a build opens them, so whatever a build would refuse is found; but labels
    are checked as they are, before they are shrunk.
    """
    engine = engine or Local()
    policy = request.recipe.policy.plain
    recipe = dataclasses.replace(request.recipe, extras=(), policy=policy)
    built = {} if request.overwrite else (manifest.load(request.out) or {}).get("splits", {})
    few, count, size = {}, 0, 0
    for planned in audit.splits:
        if every:
            count += len(planned.samples)
        elif built.get(planned.split, {}).get("plan") != planned.digest:
            few[planned.split] = spaced(planned.samples, FEW)[:FEW]
            count += len(few[planned.split])
            size += planned.bytes * FEW // len(planned.samples)
        # else its samples were opened when it was built
    tasks = (
        Task(planned.split, chunk)
        for planned in audit.splits
        for chunk in (
            batches(planned.filled(planned.samples), batch(engine, _SECONDS))
            if every
            else batches(planned.filled(few.get(planned.split, ())), FEW // 4)
        )
    )
    work = functools.partial(_open, root=request.root, recipe=recipe)
    seconds = None if every else size / _SPEED
    lanes = _LANES if storage.is_remote(request.root) else 1
    results = engine.map(Job(tasks, work, count, "examining", seconds=seconds, lanes=lanes))
    findings = list(audit.findings)
    listed = {(one.kind, one.split, one.key) for one in findings}  # found by the listing already
    for planned in audit.splits:
        seen = [part for part in results if part.split == planned.split]
        opened = [one for part in seen for one in part.findings]
        whole = sum(len(part.labels) for part in seen) == len(planned.samples)
        refused = sum(one.kind == "one-based" for one in opened)
        findings += _of_split(planned.split, seen, whole, recipe.layout, refused)
        findings += [one for one in opened if (one.kind, one.split, one.key) not in listed]
    return dataclasses.replace(audit, findings=tuple(findings))


def _of_split(
    split: str, seen: Sequence[Seen], whole: bool, layout: Layout, refused: int
) -> Iterator[Finding]:
    """Yield what the opened labels of a split show together; `whole` if all were opened.

    `refused` is the number of labels that were refused since they seem to count from 1.
    """
    labels = [values for part in seen for values in part.labels]
    if refused and not any(0 in values for values in labels):
        yield Finding(
            "one-based", split, split_signatures.one_based(refused, len(labels)), fatal=True
        )
    if not labels:
        return
    which = "all labels" if whole else f"all {len(labels)} labels that were opened"
    mistake = split_signatures.of_split(labels, layout)
    constant = split_signatures.of_values(frozenset().union(*labels), layout, which)
    several = len(set().union(*(part.images for part in seen))) > 1
    known = palettes.joined(palettes.rows(part.colours) for part in seen)
    for shown, sure in (
        (mistake, mistake is not None and mistake.kind in ACCEPTABLE),
        (None if mistake else constant, whole and several),
        (split_signatures.of_colours(known), True),
    ):
        if shown:
            yield Finding(shown.kind, split, shown.text, fatal=sure)


def _open(task: Task, advance: Advance, *, root: str, recipe: Recipe) -> Seen:
    seen = Seen(task.split, [], [], {}, set())
    with storage.ahead(paths(task.samples, root)) as read, turn():
        for sample in task.samples:
            with named(sample):
                _look(sample, seen, root, recipe, read)
            advance(1, 0)
    return seen


def _look(sample: Sample, seen: Seen, root: str, recipe: Recipe, read: storage.Read) -> None:
    """Add to `seen` what opening a sample shows."""
    try:
        loaded = load(sample, root, dataclasses.replace(recipe, verify="full"), read)
    except Rejected as error:
        finding = _refused(sample, seen.split, root, recipe.layout, error)
        if recipe.verify == "header" and _passes(sample, root, recipe):
            finding = dataclasses.replace(finding, fatal=False)
        seen.findings.append(finding)
    else:
        if loaded.counts:
            seen.labels.append(frozenset(loaded.counts))
        palettes.add(seen.colours, loaded.colours, sample.label_name)
        seen.images.add(loaded.sources[2])
        for mistake in _mistakes(sample, root, recipe.layout, loaded):
            path = storage.join(root, sample.label_name)
            text = f"sample {sample.key}: {path}: {mistake.text}"
            seen.findings.append(Finding(mistake.kind, seen.split, text, key=sample.key))


def _passes(sample: Sample, root: str, recipe: Recipe) -> bool:
    """Tell whether a build accepts a sample that a full check refuses."""
    try:
        load(sample, root, recipe)
    except Rejected:
        return False
    return True


def _refused(sample: Sample, split: str, root: str, layout: Layout, error: Rejected) -> Finding:
    """Return the finding for a sample that cannot be built, by the kind of its mistake."""
    path = sample.label
    if path == error.file and isinstance(path, str) and error.kind not in ("label-missing", "size"):
        image, label = (storage.read(storage.join(root, name))[0] for name in (sample.image, path))
        mistake = signatures.swapped(image, label, sample.image, layout)
        if mistake:
            text = f"{error!s}: {mistake.text}"
            return Finding(mistake.kind, split, text, fatal=True, key=sample.key)
    return Finding(error.kind, split, str(error), fatal=True, key=sample.key)


def _mistakes(sample: Sample, root: str, layout: Layout, loaded: Loaded) -> list[Mistake]:
    """Return the mistakes of a sample that would be built."""
    if not sample.parts:
        return []
    mistakes = [signatures.of_constant(loaded.counts, layout)]
    if not isinstance(sample.label, str):
        return [mistake for mistake in mistakes if mistake]
    if loaded.mapped:
        mistakes.append(signatures.MAPPED)
    if layout.indexed(sample.label):
        mistakes.append(signatures.of_plane(loaded.planes["label"]))
    else:
        mistakes.append(_of_alpha(sample.image, sample.label, root, layout))
    return [mistake for mistake in mistakes if mistake]


def _of_alpha(photo: str, matte: str, root: str, layout: Layout) -> Mistake | None:
    """Return the mistake of a matte or grey label that is the brightness of its image, or None."""
    label = storage.read(storage.join(root, matte))[0]
    image = storage.read(storage.join(root, photo))[0]
    try:
        if layout.has_alpha:
            alpha = mattes.alpha(label)
        elif label.startswith(images.PNG) and images.header(label).model == "grey":
            alpha = images.plane(label)
        else:
            return None
        return signatures.of_alpha(alpha, images.decode(image, images.header(image)))
    except ImageError:
        return None  # only the image policy makes this image readable


def duplicates(request: Request, audit: Audit, engine: Engine | None = None) -> Audit:
    """Add to an audit the images that have the same content as another one, by sha256."""
    places = [(planned.split, sample) for planned in audit.splits for sample in planned.samples]
    paths = list(dict.fromkeys(sample.image for _, sample in places))
    work = functools.partial(_digests, root=request.root)
    engine = engine or Local()
    chunks = batches(paths, batch(engine, _SECONDS))
    results = engine.map(Job(chunks, work, len(paths), "comparing"))
    digests = dict(zip(paths, [one for part in results for one in part], strict=True))
    first: dict[str, tuple[str, Sample]] = {}
    findings = []
    for split, sample in places:
        digest = digests[sample.image]
        if digest is None:
            continue
        other, twin = first.setdefault(digest, (split, sample))
        if twin.image != sample.image:
            text = f"sample {sample.key} has the same image as {twin.key} in {other}"
            findings.append(Finding("same-content", split, text))
    return dataclasses.replace(audit, findings=(*audit.findings, *findings))


def _digests(paths: Sequence[str], advance: Advance, *, root: str) -> list[str | None]:
    digests: list[str | None] = []
    for path in paths:
        try:
            digests.append(hashlib.sha256(storage.read(storage.join(root, path))[0]).hexdigest())
        except NoFileError:
            digests.append(None)  # the audit reports it as missing
        advance(1, 0)
    return digests
