"""List the samples of splits, and find the mistakes that their keys alone show."""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from dsbuild import storage
from dsbuild.build import planes, slices
from dsbuild.build.planes import Plane
from dsbuild.errors import LayoutError
from dsbuild.layouts import Layout, Sample
from dsbuild.layouts.finding import Finding
from dsbuild.storage import spool
from dsbuild.storage.spool import Spool


class Listing(NamedTuple):
    """What a split lists, the first folders of its paths, and samples that cannot be stored.

    `kept` holds the slices of its labels.
    """

    samples: Spool[Sample]
    tops: Collection[str]
    findings: Sequence[Finding]
    kept: slices.Store


def refusal(key: str) -> str | None:
    """Return why no record can have this key, or None: keys are stored and shown as UTF-8."""
    if key.isprintable():
        return None
    lost = any("\udc80" <= character <= "\udcff" for character in key)
    what = "a name that is not UTF-8" if lost else "control characters in a name"
    return (
        f"found {what}, expected printable text; rename the file (convmv, for names from a zip), "
        "or leave it out with --on-error skip"
    )


def read(root: str, split: str, layout: Layout, chosen: tuple[Plane, ...] = ()) -> Listing:
    """List a split, with the files of the chosen planes.

    Raises LayoutError if it has no sample, or one that leads out of root.
    """
    tops: set[str] = set()
    kept = slices.Store()
    findings: list[Finding] = []

    def checked() -> Iterator[Sample]:
        for sample in planes.named(layout.samples(root, split), chosen):
            key = sample.key
            if key[:1] == "/" or (".." in key and ".." in key.split("/")):
                raise LayoutError(
                    f"{root}: split {split} lists {key!r}, expected a plain name, without '..' "
                    "or a leading '/'"
                )
            if reason := refusal(key):
                path = storage.join(root, sample.image)
                text = f"sample {key!a}: {path!a}: {reason}"
                findings.append(Finding("names", split, text, fatal=True, key=key))
            paths = sample.files if sample.parts else (*sample.files, str(sample.label))
            for path in paths:
                end = path.find("/")
                tops.add(f"{path}/" if end < 0 else path[: end + 1])
            yield kept.keep(sample)

    samples = Spool(checked())
    if not samples:
        raise LayoutError(f"{root}: {layout.why_empty(root, split)}")
    return Listing(samples, tops, findings, kept)


def compare(listings: Mapping[str, Spool[Sample]], root: str, layout: Layout) -> Iterator[Finding]:
    """Find keys that differ only in case or are in two splits.

    Keys that differ only in case are one file on macOS and Windows. Splits that share a part by
    design, such as train and trainval, may share keys. Raises LayoutError if a key occurs twice in
    a split.
    """
    parts = {split: layout.unions.get(split, {split}) for split in listings}
    places = {split: i for i, split in enumerate(listings)}
    keys = (
        (sample.key.casefold(), sample.key, places[split], split)
        for split, samples in listings.items()
        for sample in samples
    )
    for _, group in itertools.groupby(spool.ordered(keys, key=itemgetter(0, 1, 2)), itemgetter(0)):
        alike = [*group]
        if len(alike) == 1:
            continue
        first: dict[str, str] = {}  # split -> key
        splits: list[str] = []
        last = None
        for _, key, _, split in alike:
            if (key, split) == last:
                raise LayoutError(f"{root}: split {split} lists {key!r} twice; list it once")
            if first.setdefault(split, key) != key:
                yield Finding("case", split, f"{first[split]} and {key}")
            splits = [*splits, split] if last and key == last[0] else [split]
            last = key, split
            for other in splits[:-1]:
                if not parts[other] & parts[split]:
                    yield Finding("two-splits", split, f"sample {key} is in {other} too")
