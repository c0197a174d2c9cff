"""Plan all splits, and find what listing the sources shows before a pixel is read."""

import functools
import hashlib
import os
import posixpath
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dsbuild import images, storage
from dsbuild.build import listing, plan, plan_files, slices
from dsbuild.build.listing import Listing
from dsbuild.build.plan import ShardPlan
from dsbuild.build.recipe import Recipe
from dsbuild.build.rejected import none_left
from dsbuild.build.request import Request as Request
from dsbuild.build.seen import Packed, Seen
from dsbuild.errors import ImageError, LayoutError, NoFileError, PlanError, SampleError, nearest
from dsbuild.format import split_names
from dsbuild.layouts import Layout, Sample
from dsbuild.layouts.finding import KINDS, Finding
from dsbuild.storage.spool import Spool, spaced

_PNG, _JPEG = 1.5, 0.3  # bytes per pixel of tiles, roughly


class Entry(NamedTuple):
    """A planned shard: name, number of samples, digest and bytes of its plan, number of files."""

    name: str
    samples: int
    digest: str
    bytes: int
    files: int


class Written(NamedTuple):
    """A split's plan as it is written: its shards, the sha256 of its file, bytes of its slices."""

    entries: tuple[Entry, ...]
    file: str
    size: int


@dataclass(frozen=True)
class Planned:
    """A planned split; its samples may be iterated any number of times.

    Attributes:
      split: its name.
      samples: the planned samples, in the order of their records.
      count: number of shards.
      root, recipe: as in Request.
      listed: number of samples that the split lists, before any limit.
      published: number of samples that were published, or None if unknown.
      bytes: size of its sources.
      labels: where its labels come from, as a pattern; None if it has none.
      kept: the slices of its labels.
      seen: the stamps of its sources.
    """

    split: str
    samples: Spool[Sample]
    count: int
    root: str
    recipe: Recipe
    listed: int
    published: int | None = None
    bytes: int = 0
    labels: str | None = None
    kept: slices.Store | None = None
    seen: Seen | None = None

    def filled(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """Yield some of its samples with the bytes of their slices."""
        return slices.filled(samples, self.kept.read) if self.kept else iter(samples)

    def plans(self) -> Iterator[ShardPlan]:
        """Yield the plans of the shards, one at a time."""
        total = len(self.samples)
        return plan.shards(self.split, self.root, self.samples, total, self.count, self.recipe)

    @functools.cached_property
    def written(self) -> Written:
        """Its plan as it is written, without the samples."""
        entries, lines, size = [], hashlib.sha256(), 0
        for shard, offset in plan_files.offsets(self.plans()):
            lines.update(line := shard.line(offset).encode())
            files = sum(len(sample.files) for sample in shard.samples)
            entries.append(Entry(shard.name, len(shard.samples), shard.digest, len(line), files))
            size = offset + shard.size()
        return Written(tuple(entries), lines.hexdigest(), size)

    @property
    def shards(self) -> tuple[Entry, ...]:
        """All shards, without their samples."""
        return self.written.entries

    def stamps(self) -> Iterator[Packed | None]:
        """Yield the packed stamps of the sources of each shard, None if they are not known."""
        if self.seen is None:
            return (None for _ in self.shards)
        return self.seen.parts(shard.files for shard in self.shards)

    @property
    def digest(self) -> str:
        """The digest of the split's plan."""
        return plan.digest(shard.digest for shard in self.shards)


@dataclass(frozen=True)
class Audit:
    """The planned splits of a request, and what was found before a pixel is written."""

    splits: tuple[Planned, ...]
    findings: tuple[Finding, ...]

    def refuse(
        self, strict: bool = False, skip: bool = False, accept: Collection[str] = ()
    ) -> None:
        """Raise SampleError for the first fatal finding; with `strict`, for any finding.

        With `skip`, samples that cannot become records are ignored, unless a split has no other
        ones; so are findings of splits whose kind is in `accept`.
        """
        refused = [
            one
            for one in self.findings
            if (one.kind not in accept or (one.key and one.fatal))
            and (strict or (one.fatal and not (skip and one.key)))
        ]
        if not refused:
            self._refuse_empty()
            return
        first = refused[0]
        more = f" (and {len(refused) - 1:,} more findings)" if len(refused) > 1 else ""
        remedy = ""
        if not first.fatal:
            remedy = f": {KINDS[first.kind]}; --strict makes every finding an error"
        elif first.kind.endswith("-missing"):
            remedy = (
                "; expected every listed sample to have its files: fetch them, correct the list, "
                "or leave such samples out with --on-error skip"
            )
        where = "" if first.key or not first.fatal else f"split {first.split}: "
        raise SampleError(f"{where}{first.text}{more}{remedy}")

    def _refuse_empty(self) -> None:
        """Raise SampleError for a split of which no sample can become a record."""
        for one in self.splits:
            mine = [f for f in self.findings if f.split == one.split and f.fatal and f.key]
            if mine and len({f.key for f in mine}) == len(one.samples):
                raise none_left(one.split, len(one.samples), mine[0].text)


def audit(request: Request) -> Audit:
    """Plan every split of a request, and find what its listing shows."""
    layout, root, out = request.recipe.layout, request.root, request.out
    _check_place(root, out, layout)
    there = layout.splits(root)
    for split in request.splits:
        if split not in there:
            raise LayoutError(
                f"{root}: found no split {split!r}; expected one of {', '.join(there)}"
                f"{nearest(split, there)}"
            )
    chosen = tuple(dict.fromkeys(request.splits or there))
    for split in chosen:
        if reason := split_names.refusal(split):
            raise LayoutError(
                f"{root}: {reason}; rename its list or folder, or name the others with --split"
            )
    alike = split_names.clash(chosen)
    if alike:
        raise LayoutError(
            f"{root}: found the splits {alike[0]} and {alike[1]}, expected names that differ in "
            "more than case, none of which begins with another name and a dash, because readers "
            f"look for {alike[0]}-*; rename one of them, or build one with --split"
        )
    splits: list[Planned] = []
    findings = [] if request.splits else [*layout.undivided(root, there)]
    aligned = [plane.pattern.partition("/")[0] for plane in request.recipe.aligned]
    known = {storage.join(root, folder) for folder in aligned}
    listings: dict[str, Spool[Sample]] = {}
    for split in chosen:
        listed = listing.read(root, split, layout, request.recipe.aligned)
        listings[split] = listed.samples
        _check_place(root, out, layout, listed.tops)
        findings += listed.findings
        planned, missing = _plan(request, split, listed)
        splits.append(planned)
        findings += missing
        if planned.published not in (None, planned.listed):
            text = f"{planned.listed:,} samples, but {planned.published:,} were published"
            findings.append(Finding("published", split, text))
        findings += (
            one
            for one in layout.findings(root, split, listed.samples)
            if one.kind != "stray" or one.text.partition(": ")[0] not in known
        )
    return Audit(tuple(splits), (*findings, *listing.compare(listings, root, layout)))


def _check_place(root: str, out: str, layout: Layout, paths: Collection[str] = ()) -> None:
    """Raise PlanError if the output folder is inside a folder that the layout reads, as `paths`."""
    below = storage.relative(out, root)
    if below is None:
        return
    first = below.split(os.sep)[0]
    if layout.reads_all or below == "." or any(path.startswith(f"{first}/") for path in paths):
        raise PlanError(
            f"{out}: the output folder is inside the data set {root}, so its shards would become "
            "part of it; name another OUT"
        )


def _plan(request: Request, split: str, listing: Listing) -> tuple[Planned, list[Finding]]:
    """Return a planned split, and its missing files."""
    root, recipe, listed = request.root, request.recipe, listing.samples
    samples = listed
    if request.order != "listed" or request.limit is not None:
        samples = Spool(plan.order(listed, request.order, request.seed, request.limit))
    size, missing, seen = 0, [], Seen()
    if listing.kept.used:
        size += sum(slices.held(part).size for part in slices.of(samples))
    for sample, path, stamp in seen.sources(samples, root):
        if stamp is not None and stamp[0]:
            size += stamp[0]
            continue
        full = storage.join(root, path)
        odd = "" if stamp is None else storage.odd(full)
        if stamp is None or odd:
            reason = f"found {odd}, expected a file" if odd else "there is no such file"
            text = f"sample {sample.key}: {full}: {reason}"
            kind = _missing(sample, path)
            missing.append(Finding(kind, split, text, fatal=True, key=sample.key))
    some = spaced(samples, 64)
    count = request.shards
    if count is None:
        total = _stored_size(size, recipe, root, some, len(samples))
        count = plan.shard_count(total, request.shard_size, len(samples))
    planned = Planned(
        split=split,
        samples=samples,
        count=count,
        root=root,
        recipe=recipe,
        listed=len(listed),
        published=recipe.layout.published(root).get(split),
        bytes=size,
        labels=_pattern(some[0], some[-1]),
        kept=listing.kept,
        seen=seen,
    )
    return planned, missing


def _missing(sample: Sample, path: str) -> str:
    """Return the kind of a finding that a file of a sample is missing."""
    if path in sample.planes:
        return "plane-missing"
    return "image-missing" if path == sample.image else "label-missing"


def _pattern(first: Sample, last: Sample) -> str | None:
    """Return where labels are: their common folder, and a name with a star for the key.

    Labels that are class indices come from the images' folders.
    """
    if isinstance(first.label, int):
        return "folders"
    if not first.parts or not last.parts:
        return None
    one, other = first.parts[0], last.parts[0]
    if not isinstance(one, str) or not isinstance(other, str):
        return one if isinstance(one, str) else one.path
    folder = posixpath.commonpath([posixpath.dirname(path) for path in (one, other)])
    name = posixpath.basename(one).replace(posixpath.basename(first.key), "*")
    return posixpath.join(folder, name)


def _stored_size(size: int, recipe: Recipe, root: str, some: Sequence[Sample], total: int) -> int:
    """Estimate the bytes of all records from the size of the sources and the headers of some."""
    per_pixel = sum(one.bytes_per_pixel for one in recipe.chosen)
    policy = recipe.policy
    if not per_pixel and policy.tile is None:
        return size
    pixels = []
    for sample in some:
        try:
            head = images.header(storage.read(storage.join(root, sample.image))[0])
        except (ImageError, NoFileError):
            continue  # only an estimate; the build itself names every bad file
        cut = policy.grid((head.height, head.width))
        pixels.append(len(cut) * cut[0].height * cut[0].width)
    of_all = sum(pixels) / max(len(pixels), 1) * total
    if of_all and policy.tile is not None:
        size = int(of_all * (_PNG if policy.jpeg_quality is None else _JPEG))
    return size + int(of_all * per_pixel)
