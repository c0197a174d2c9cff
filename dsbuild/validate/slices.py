"""Labels that are slices of larger files, compared with what these files hold now.

Records are made again from the slices that the build kept beside the plan, so a file that changed
since would not be noticed otherwise.
"""

from collections.abc import Iterable, Iterator

from dsbuild import storage
from dsbuild.build import listing, plan_files, slices
from dsbuild.build.recipe import Recipe
from dsbuild.format.manifest import split_of
from dsbuild.layouts import Sample
from dsbuild.validate.problem import Problem


def problems(home: str, splits: Iterable[str], root: str, recipe: Recipe) -> Iterator[Problem]:
    """Yield the samples whose slices are others than when they were built."""
    kept = [split for split in splits if storage.stamp(slices.path(home, split))]
    for split in kept:
        listed = listing.read(root, split, recipe.layout).samples
        now = {sample.key: _content(sample) for sample in listed}
        for line in plan_files.lines(home):
            for sample in line.samples if split_of(line.name) == split else ():
                if now.get(sample.key) != _content(sample):
                    text = f"its label {sample.label_name} differs from what {root} holds now"
                    place = storage.join(home, line.name)
                    yield Problem("source", place, text, key=sample.key)


def _content(sample: Sample) -> list[tuple[int, int]]:
    """Return size and crc32c of each slice of a sample."""
    return [(one.size, one.crc) for one in map(slices.held, slices.of([sample]))]
