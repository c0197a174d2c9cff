"""What is to be built, and what listing the sources shows before a pixel is read."""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from dsbuild import images, plan, storage
from dsbuild.errors import DsbuildError, LayoutError, PlanError, SampleError
from dsbuild.extras import FORMS, parse
from dsbuild.layouts import Sample
from dsbuild.plan import ShardPlan
from dsbuild.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be built, from where, to where.

    Attributes:
      recipe: what decides the bytes of a record.
      root: the layout's root, as `Layout.find` gives it.
      out: the output folder.
      splits: names, or none for every split that root has.
      shards: how many a split; None for as many as `shard_size` bytes each take.
      order, seed, limit: as in `plan.order`.
      on_error: `stop` at the first bad sample, or `skip` it into rejects.jsonl.
      rehash: compare sources by content where size and mtime are unchanged.
      overwrite: forget what the folder holds.
    """

    recipe: Recipe
    root: str
    out: str
    splits: tuple[str, ...] = ()
    shards: int | None = None
    shard_size: int = plan.SHARD_SIZE
    order: str = "listed"
    seed: int = 0
    limit: int | None = None
    on_error: str = "stop"
    rehash: bool = False
    overwrite: bool = False

    def __post_init__(self):
        if self.limit is not None and self.limit < 1:
            raise PlanError(f"--limit {self.limit}: expected at least 1 sample")
        if self.on_error not in ("stop", "skip"):
            raise PlanError(f"--on-error {self.on_error}: expected 'stop' or 'skip'")


@dataclass(frozen=True)
class Audit:
    """A split as planned, and what its listing already shows.

    Attributes:
      split: its name.
      plans: its shards.
      listed: how many samples it lists, before any limit.
      published: how many were published, or None where that is not known.
      missing: one line for every file that is not there.
      bytes: size of its sources.
      labels: where its labels come from, as a pattern; None where it has none.
      remarks: what the layout says of it.
    """

    split: str
    plans: tuple[ShardPlan, ...]
    listed: int
    published: int | None
    missing: tuple[str, ...]
    bytes: int
    labels: str | None
    remarks: tuple[str, ...]

    @property
    def samples(self) -> int:
        """How many samples are planned."""
        return sum(len(shard.samples) for shard in self.plans)


def audit(request: Request) -> list[Audit]:
    """Plan every split of a request, and look for each listed file."""
    layout, root, out = request.recipe.layout, request.root, request.out
    if storage.inside(out, root):
        raise PlanError(
            f"{out}: the output folder lies inside the data set {root}, where its shards would be "
            "taken for part of it; name another OUT"
        )
    there = layout.splits(root)
    for split in request.splits:
        if split not in there:
            raise LayoutError(
                f"{root}: found no split {split!r}, expected one of {', '.join(there)}"
            )
    chosen = tuple(dict.fromkeys(request.splits or there))
    for split in chosen:
        if not split.isprintable() or not split.isascii():
            raise LayoutError(
                f"{root}: found a list named {split!a}, expected a name in plain ASCII, since "
                "shards are called after it; rename it"
            )
    return [_audit(request, split) for split in chosen]


def _audit(request: Request, split: str) -> Audit:
    layout, root = request.recipe.layout, request.root
    listed = list(layout.samples(root, split))
    _check_keys(root, split, listed)
    samples = plan.order(listed, request.order, request.seed, request.limit)
    size, missing = 0, []
    for sample in samples:
        for path in (sample.image, sample.label):
            if isinstance(path, str):
                stamp = storage.stamp(storage.join(root, path))
                size += stamp.size if stamp else 0
                if stamp is None:
                    missing.append(
                        f"sample {sample.key}: {storage.join(root, path)}: there is no such file"
                    )
    count = request.shards
    if count is None:
        total = size + _extra_size(request.recipe, root, samples)
        count = plan.shard_count(total, request.shard_size, len(samples))
    return Audit(
        split=split,
        plans=tuple(plan.shards(split, root, samples, count, request.recipe)),
        listed=len(listed),
        published=layout.published(root).get(split),
        missing=tuple(missing),
        bytes=size,
        labels=_pattern(samples[0], samples[-1]),
        remarks=tuple(layout.remarks(root, split, samples)),
    )


def _check_keys(root: str, split: str, samples: Sequence[Sample]) -> None:
    """Raise LayoutError where a key occurs twice in a split, or leads out of the data set."""
    seen: set[str] = set()
    for key in (sample.key for sample in samples):
        if key in seen:
            raise LayoutError(f"{root}: split {split} lists {key!r} twice; list it once")
        if key.startswith("/") or ".." in key.split("/") or not key.isprintable():
            raise LayoutError(
                f"{root}: split {split} lists {key!r}, expected a plain name, without '..', a "
                "leading '/' or control characters"
            )
        seen.add(key)


def _pattern(first: Sample, last: Sample) -> str | None:
    """Return where labels lie: their common folder, and a name with a star for the key."""
    if not isinstance(first.label, str) or not isinstance(last.label, str):
        return None
    folder = posixpath.commonpath([posixpath.dirname(s.label) for s in (first, last)])
    return f"{folder}/{posixpath.basename(first.label).replace(first.key, '*')}"


def _extra_size(recipe: Recipe, root: str, samples: Sequence[Sample]) -> int:
    """Return about how many bytes the extras will take, from some samples' headers."""
    forms = [FORMS[form] for _, form in map(parse, recipe.extras)]
    if not forms or not samples:
        return 0
    pixels = []
    for sample in samples[:: max(1, len(samples) // 64)]:
        try:
            head = images.header(storage.read(storage.join(root, sample.image))[0])
        except DsbuildError:
            continue  # this is an estimate; the build itself names every bad file
        pixels.append(head.height * head.width)
    mean = sum(pixels) / max(len(pixels), 1)
    return int(mean * len(samples) * sum(form.bytes_per_pixel for form in forms))


def warnings(audits: Sequence[Audit], title: str) -> list[str]:
    """Return a line for every split whose list has not the published length, and all remarks."""
    remarks = [f"split {found.split}: {text}" for found in audits for text in found.remarks]
    return remarks + [
        f"split {found.split} lists {found.listed:,} samples; {title} was published with "
        f"{found.published:,}"
        for found in audits
        if found.published not in (None, found.listed)
    ]


def refuse_missing(audits: Sequence[Audit]) -> None:
    """Raise SampleError for the first file that is not there, with the number of all."""
    missing = [line for found in audits for line in found.missing]
    if missing:
        more = f" (and {len(missing) - 1:,} files more)" if len(missing) > 1 else ""
        raise SampleError(
            f"{missing[0]}{more}; expected every listed sample to have its files: fetch them, "
            "correct the list, or leave such samples out with --on-error skip"
        )
