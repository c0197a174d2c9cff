"""What is to be built, and what listing the sources shows before a pixel is read."""

import itertools
import os
import posixpath
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from dsbuild import images, plan, storage
from dsbuild.errors import DsbuildError, LayoutError, PlanError, SampleError
from dsbuild.findings import KINDS, Finding
from dsbuild.layouts import Layout, Sample
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
      sources: how a resume finds that they changed: by `stamp` (size and mtime), by
        `content` too, or not at all (`ignore`).
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
    sources: str = "stamp"
    overwrite: bool = False

    def __post_init__(self):
        if self.limit is not None and self.limit < 1:
            raise PlanError(f"--limit {self.limit}: expected at least 1 sample")
        if self.sources not in ("stamp", "content", "ignore"):
            raise PlanError(f"sources {self.sources!r}: expected stamp, content or ignore")
        if self.on_error not in ("stop", "skip"):
            raise PlanError(f"--on-error {self.on_error}: expected 'stop' or 'skip'")


@dataclass(frozen=True)
class Planned:
    """A split as planned.

    Attributes:
      split: its name.
      plans: its shards.
      listed: how many samples it lists, before any limit.
      published: how many were published, or None where that is not known.
      bytes: size of its sources.
      labels: where its labels come from, as a pattern; None where it has none.
    """

    split: str
    plans: tuple[ShardPlan, ...]
    listed: int
    published: int | None
    bytes: int
    labels: str | None

    @property
    def samples(self) -> list[Sample]:
        """The samples that are planned, in order."""
        return [sample for shard in self.plans for sample in shard.samples]


@dataclass(frozen=True)
class Audit:
    """What a request comes to before a pixel is written: splits as planned, and findings."""

    splits: tuple[Planned, ...]
    findings: tuple[Finding, ...]

    def refuse(self, strict: bool = False) -> None:
        """Raise SampleError for the first finding that is fatal; with `strict` for any."""
        found = [one for one in self.findings if one.fatal or strict]
        if not found:
            return
        first = found[0]
        more = f" (and {len(found) - 1:,} findings more)" if len(found) > 1 else ""
        remedy = ""
        if not first.fatal:
            remedy = f": {KINDS[first.kind]}; --strict makes whatever is found an error"
        elif first.kind in ("image-missing", "label-missing"):
            remedy = (
                "; expected every listed sample to have its files: fetch them, correct the list, "
                "or leave such samples out with --on-error skip"
            )
        raise SampleError(f"{first.text}{more}{remedy}")


def audit(request: Request) -> Audit:
    """Plan every split of a request, and find what its listing shows."""
    layout, root, out = request.recipe.layout, request.root, request.out
    _check_place(root, out, layout)
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
    splits, findings, keys = [], [], {}
    for split in chosen:
        listed = list(layout.samples(root, split))
        if not listed:
            raise LayoutError(
                f"{root}: split {split} has no sample, expected images in it; remove it, or name "
                "the others with --split"
            )
        _check_keys(root, split, listed)
        tops = {path.partition("/")[0] + "/" for s in listed for path in (s.image, str(s.label))}
        _check_place(root, out, layout, tops)
        keys[split] = {sample.key for sample in listed}
        planned, missing = _plan(request, split, listed)
        splits.append(planned)
        findings += [*missing, *_of_case(split, keys[split])]
        if planned.published not in (None, len(listed)):
            text = f"{len(listed):,} samples, where {planned.published:,} were published"
            findings.append(Finding("published", split, text))
        findings += layout.findings(root, split, listed)
    return Audit(tuple(splits), (*findings, *_in_two(keys, layout)))


def _check_place(root: str, out: str, layout: Layout, paths: Collection[str] = ()) -> None:
    """Raise PlanError where the output folder lies where the layout reads: `paths` are read."""
    below = storage.relative(out, root)
    if below is None:
        return
    first = below.split(os.sep)[0]
    if layout.reads_all or below == "." or any(path.startswith(f"{first}/") for path in paths):
        raise PlanError(
            f"{out}: the output folder lies inside the data set {root}, where its shards would be "
            "taken for part of it; name another OUT"
        )


def _plan(request: Request, split: str, listed: Sequence[Sample]) -> tuple[Planned, list[Finding]]:
    """Return a split as planned, and its files that are not there."""
    root = request.root
    samples = plan.order(listed, request.order, request.seed, request.limit)
    size, missing = 0, []
    files = [
        (sample.key, kind, storage.join(root, path))
        for sample in samples
        for kind, path in (("image-missing", sample.image), ("label-missing", sample.label))
        if isinstance(path, str)
    ]
    stamps = storage.stamps(path for _, _, path in files)
    for (key, kind, path), stamp in zip(files, stamps, strict=True):
        size += stamp.size if stamp else 0
        if stamp is None:
            text = f"sample {key}: {path}: there is no such file"
            missing.append(Finding(kind, split, text, fatal=True, key=key))
    count = request.shards
    if count is None:
        total = size + _extra_size(request.recipe, root, samples)
        count = plan.shard_count(total, request.shard_size, len(samples))
    planned = Planned(
        split=split,
        plans=tuple(plan.shards(split, root, samples, count, request.recipe)),
        listed=len(listed),
        published=request.recipe.layout.published(root).get(split),
        bytes=size,
        labels=_pattern(samples[0], samples[-1]),
    )
    return planned, missing


def _of_case(split: str, keys: Collection[str]) -> list[Finding]:
    """Find keys that differ only in case, which are one file on macOS and Windows."""
    seen: dict[str, str] = {}
    found = []
    for key in sorted(keys):
        first = seen.setdefault(key.casefold(), key)
        if first != key:
            found.append(Finding("case", split, f"{first} and {key}"))
    return found


def _in_two(keys: Mapping[str, set[str]], layout: Layout) -> list[Finding]:
    """Find keys that are in two splits, but for splits that share a part by design."""
    parts = {split: layout.unions.get(split, {split}) for split in keys}
    return [
        Finding("two-splits", other, f"sample {key} is in {one}, too")
        for one, other in itertools.combinations(keys, 2)
        if not parts[one] & parts[other]
        for key in sorted(keys[one] & keys[other])
    ]


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
    """Return where labels lie: their common folder, and a name with a star for the key.

    A class index is told by the image's folder.
    """
    if isinstance(first.label, int):
        return "folders"
    if not isinstance(first.label, str) or not isinstance(last.label, str):
        return None
    folder = posixpath.commonpath([posixpath.dirname(s.label) for s in (first, last)])
    name = posixpath.basename(first.label).replace(posixpath.basename(first.key), "*")
    return posixpath.join(folder, name)


def _extra_size(recipe: Recipe, root: str, samples: Sequence[Sample]) -> int:
    """Return about how many bytes the extras will take, from some samples' headers."""
    per_pixel = sum(one.bytes_per_pixel for one in recipe.chosen)
    if not per_pixel or not samples:
        return 0
    pixels = []
    for sample in samples[:: max(1, len(samples) // 64)]:
        try:
            head = images.header(storage.read(storage.join(root, sample.image))[0])
        except DsbuildError:
            continue  # this is an estimate; the build itself names every bad file
        pixels.append(head.height * head.width)
    mean = sum(pixels) / max(len(pixels), 1)
    return int(mean * len(samples) * per_pixel)
