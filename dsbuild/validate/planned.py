"""Which record a plan has at each place of a file, and what its sources give for it now."""

import functools
from collections.abc import Mapping

from dsbuild.build import tiles
from dsbuild.build.encode import Rejected
from dsbuild.build.image_policy import Policy
from dsbuild.build.recipe import Recipe
from dsbuild.format.example import Parsed
from dsbuild.format.features import number
from dsbuild.format.tiles import key
from dsbuild.layouts import Sample
from dsbuild.layouts.merged import PART
from dsbuild.validate.rules import Planned

_LARGEST = 1 << 31  # pixels per side; a larger number is damage


def at(
    place: int, samples: list[Sample | Planned], values: Mapping[str, Parsed], policy: Policy | None
) -> Planned | None:
    """Return the planned record at a place of a file, None if there is none.

    `samples` are those of the file in order. The plan does not know how many tiles an image has:
    the first one says how large its image is, by its `values`, and the sample is replaced in
    `samples` by its tiles.
    """
    if place >= len(samples):
        return None
    found = samples[place]
    if isinstance(found, Planned):
        return found
    if policy is None or policy.tile is None or PART.search(found.image):
        return Planned(found.key, found)
    height, width = (number(values.get(f"source_{side}")) or 0 for side in ("height", "width"))
    if not (0 < height < _LARGEST and 0 < width < _LARGEST):
        return Planned(found.key, found)
    cut = policy.grid((height, width))
    samples[place : place + 1] = [
        Planned(key(found.key, tile, (height, width)), found, i) for i, tile in enumerate(cut)
    ]
    return at(place, samples, values, policy)


def again(planned: Planned, root: str, recipe: Recipe) -> bytes | None:
    """Return the record that a sample's sources give now, None if it has fewer records.

    Raises Rejected if they give none.
    """
    made = _records(planned.sample, root, recipe)
    if isinstance(made, Rejected):
        raise made
    return made[planned.number] if planned.number < len(made) else None


@functools.lru_cache(1)  # the tiles of an image follow one another
def _records(sample: Sample, root: str, recipe: Recipe) -> tuple[bytes, ...] | Rejected:
    try:
        return tuple(one.record for one in tiles.records(sample, root, recipe))
    except Rejected as error:
        return error
