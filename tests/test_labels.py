"""A label is what decoders see in it: no lossless tool changes the class of a pixel."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dsbuild import images, mistakes, palettes
from dsbuild.errors import ImageError
from dsbuild.images import lossless
from dsbuild.layouts.cityscapes import KINDS, LABELS, TRAINED, Cityscapes
from dsbuild.layouts.matting import Matting
from dsbuild.layouts.pairs import Pairs
from dsbuild.layouts.voc import Voc
from tests import fakes
from tests.lossless import QUICK, rewritten
from tests.test_images import save

NAMES = tuple(f"c{i}" for i in range(21))
COLOURS = tuple((f"c{i}", *Voc.palette[i]) for i in range(21))


def drawn(rng, values, height=18, width=24):
    """Return a plane of rectangles of some values, of each at least a pixel: uint8 (h, w)."""
    plane = np.full((height, width), values[0], np.uint8)
    for value in values:
        top, left = rng.integers(0, height - 1), rng.integers(0, width - 1)
        high, wide = rng.integers(2, height), rng.integers(2, width)
        plane[top : top + high, left : left + wide] = value
    plane.reshape(-1)[: len(values)] = values
    return plane


def picked(rng, values, most=6):
    """Return background and some other values, in an order of their own."""
    count = rng.integers(1, most)
    return [0, *rng.choice(values, count, replace=False).tolist()]


def in_palette(plane, palette, **options):
    image = Image.fromarray(plane)
    image.putpalette(np.array(palette, np.uint8).ravel().tolist())
    return save(image, **options)


def some(rng, kind):
    """Return a layout, the name of its labels, and four labels: bytes and plane."""
    path, made = "x.png", []
    colours = rng.permutation(256**3)[:256]
    colours = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], 1)
    colours[0] = 0
    for _ in range(4):
        plane = drawn(rng, picked(rng, [*range(1, 21), 255]))
        trained = drawn(rng, picked(rng, [*range(1, 19), 255]))
        soft = np.asarray(Image.fromarray(plane).resize((24, 18), Image.Resampling.BICUBIC))
        soft = np.cumsum(soft % 5 * 13, axis=1, dtype=np.uint8)
        if kind == "voc":
            layout, found = Voc(), (in_palette(plane, Voc.palette), plane)
        elif kind == "grey":
            layout, found = Pairs(names=NAMES), (save(Image.fromarray(plane)), plane)
        elif kind == "palette":
            layout, found = Pairs(names=NAMES), (in_palette(plane, colours), plane)
        elif kind == "white":
            colours[1:4] = [[255], [192], [128]]
            plane = plane % 5
            layout, found = Pairs(names=NAMES), (in_palette(plane, colours), plane)
        elif kind == "binary":
            mask = (plane > 9).astype(np.uint8)
            layout, found = Pairs(binary=127), (save(Image.fromarray(mask * 255)), mask)
        elif kind == "low":
            mask = (plane > 9).astype(np.uint8)
            layout, found = Pairs(binary=0), (save(Image.fromarray(mask)), mask)
        elif kind == "colormap":
            plane = plane % 21
            rgb = np.array(Voc.palette, np.uint8)[plane]
            layout, found = Pairs(colours=COLOURS), (save(Image.fromarray(rgb)), plane)
        elif kind == "matte":
            layout = Matting(images="i", alphas="a")
            found = (save(Image.fromarray(soft)), (soft > 50).astype(np.uint8))
        elif kind == "cut-out":
            layout = Matting(images="i", alphas="a")
            image = fakes.photo(rng, 24, 18)
            image.putalpha(Image.fromarray(soft // 86 * 85 if rng.integers(2) else soft))
            alpha = np.asarray(image)[..., 3]
            found = (save(image), (alpha > 50).astype(np.uint8))
        elif kind == "trainids":
            layout, path = Cityscapes(), KINDS["trainids"]
            full = [colour for _, _, colour in TRAINED] + [(0, 0, 0)] * 237
            found = (in_palette(trained, full), trained)
        else:
            layout, path = Cityscapes(), KINDS["ids"]
            ids = drawn(rng, picked(rng, range(1, 34)))
            lut = np.array([train for _, train, _ in LABELS], np.uint8)
            full = [colour for _, _, colour in LABELS] + [(0, 0, 0)] * 222
            data = in_palette(ids, full) if rng.integers(2) else save(Image.fromarray(ids))
            found = (data, lut[ids])
        made.append(found)
    return layout, path, made


KINDS_OF = ("voc", "grey", "palette", "white", "binary", "low", "colormap", "matte", "cut-out")
KINDS_OF += ("trainids", "ids")


UNKNOWN = ("palette", "white")


def told_by_colours(found, made):
    """Tell whether some planes are the right ones with all values renamed, one to one."""
    pairs = {
        pair
        for plane, (_, expected) in zip(found, made, strict=True)
        for pair in zip(expected.flat, plane.flat, strict=True)
    }
    return len(pairs) == len({old for old, _ in pairs}) == len({new for _, new in pairs})


def read(layout, path, files):
    """Return the planes that a build stores of a split's files, None where it stops."""
    known, planes = {}, []
    try:
        for i, data in enumerate(files):
            data = lossless.as_png(data) if images.foreign(data) else data
            found = layout.read(data, path)
            if mistakes.refusal(found, layout):
                return None
            palettes.add(known, found.colours, f"{i}.png")
            kept = images.grey(data, images.header(data)) if layout.indexed(path) else None
            if found.stored and kept:
                np.testing.assert_array_equal(images.plane(kept), found.plane)
            assert found.counts == images.histogram(found.plane)
            planes.append(found.plane)
    except ImageError:
        return None
    return None if palettes.disagreement(known) else planes


def check(kind, seed, writings):
    rng = np.random.default_rng(seed)
    layout, path, made = some(rng, kind)
    first = read(layout, path, [data for data, _ in made])
    if first is not None:
        for found, (_, plane) in zip(first, made, strict=True):
            np.testing.assert_array_equal(found, plane)
    forms = [dict(rewritten(data, writings)) for data, _ in made]
    everywhere = [name for name in forms[0] if all(name in each for each in forms)]
    trials = [[name] * len(made) for name in everywhere]
    trials += [[rng.choice([*each]) for each in forms] for _ in range(20)]
    taken = set()
    for names in trials:
        found = read(layout, path, [each[name] for each, name in zip(forms, names, strict=True)])
        if found is None:
            continue
        taken.add(tuple(names))
        if kind in UNKNOWN and told_by_colours(found, made):
            continue  # one order in all files: nothing tells that it was another once
        for plane, (_, expected), name in zip(found, made, names, strict=True):
            np.testing.assert_array_equal(plane, expected, f"{kind}: {name} of {names}")
    return {names[0] for names in taken if len({*names}) == 1}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(KINDS_OF), st.integers(0, 2**32))
def test_no_rewriting_changes_a_class(kind, seed):
    check(kind, seed, QUICK)
