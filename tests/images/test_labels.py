"""A label is what decoders see in it: no lossless tool changes the class of a pixel."""

import io
import pathlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dsbuild import images
from dsbuild.build import palettes, signatures
from dsbuild.errors import ImageError
from dsbuild.format import manifest
from dsbuild.images import labels, lossless
from dsbuild.layouts.cityscapes import KINDS, LABELS, TRAINED, Cityscapes
from dsbuild.layouts.matting import Matting
from dsbuild.layouts.pairs import Pairs
from dsbuild.layouts.voc import Voc
from tests.support import fakes
from tests.support.lossless import QUICK, SLOW, rewritten
from tests.support.pictures import raw_png, save
from tests.support.runs import make

NAMES = tuple(f"c{i}" for i in range(21))
COLOURS = tuple((f"c{i}", *Voc.palette[i]) for i in range(21))


def drawn(rng, values, height=18, width=24):
    """Return a plane of rectangles with at least one pixel of each value: uint8 (h, w)."""
    plane = np.full((height, width), values[0], np.uint8)
    for value in values:
        top, left = rng.integers(0, height - 1), rng.integers(0, width - 1)
        high, wide = rng.integers(2, height), rng.integers(2, width)
        plane[top : top + high, left : left + wide] = value
    plane.reshape(-1)[: len(values)] = values
    return plane


def picked(rng, values, most=6):
    """Return background and some other values in random order."""
    count = rng.integers(1, most)
    return [0, *rng.choice(values, count, replace=False).tolist()]


def in_palette(plane, palette, **options):
    image = Image.fromarray(plane)
    image.putpalette(np.array(palette, np.uint8).ravel().tolist())
    return save(image, **options)


def some(rng, kind):
    """Return a layout, the name of its labels, and four labels: bytes and plane."""
    path, made = "x.png", []
    colours = rng.choice(256**3, 256, replace=False)
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
    """Tell whether planes are the right ones with all values renamed one to one."""
    pairs = {
        pair
        for plane, (_, expected) in zip(found, made, strict=True)
        for pair in zip(expected.flat, plane.flat, strict=True)
    }
    return len(pairs) == len({old for old, _ in pairs}) == len({new for _, new in pairs})


def read(layout, path, files):
    """Return the planes that a build stores for the files of a split, or None if it stops."""
    known, planes = {}, []
    try:
        for i, data in enumerate(files):
            data = lossless.as_png(data) if images.foreign(data) else data
            found = layout.read(data, path)
            if signatures.refusal(found, layout):
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
    trials += [[rng.choice([*each]) for each in forms] for _ in range(8)]
    taken = set()
    for names in trials:
        found = read(layout, path, [each[name] for each, name in zip(forms, names, strict=True)])
        if found is None:
            continue
        taken.add(tuple(names))
        if kind in UNKNOWN and told_by_colours(found, made):
            continue  # one order in all files: nothing shows that it was another one before
        for plane, (_, expected), name in zip(found, made, names, strict=True):
            np.testing.assert_array_equal(plane, expected, f"{kind}: {name} of {names}")
    return {names[0] for names in taken if len({*names}) == 1}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(KINDS_OF), st.integers(0, 2**32))
def test_no_rewriting_changes_a_class(kind, seed):
    check(kind, seed, QUICK)


# These must be read: stopping at every label would pass the tests above.
TAKEN = {
    "voc": {"a palette in another order", "oxipng", "Pillow, BMP", "Pillow, quantize"},
    "grey": {"a palette in reverse", "OpenCV, colour", "grey of 16 bits", "Pillow, RGBA", "oxipng"},
    "palette": {"Pillow, TIFF"},
    "binary": {"grey of 1 bit", "a palette of 4 bits", "Pillow, RGB", "Pillow, GIF"},
    "colormap": {"a palette in another order", "Pillow, RGBA", "Pillow, TIFF, LZW"},
    "matte": {"Pillow, RGBA", "Pillow, LA", "Pillow, RGB", "a palette in reverse"},
    "cut-out": {"OpenCV, as it is", "Pillow, TIFF"},
    "trainids": {"a palette in another order", "oxipng"},
}


@pytest.mark.parametrize("kind", TAKEN)
def test_labels_that_look_the_same_are_read_the_same(kind):
    assert TAKEN[kind] <= check(kind, 5, QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS_OF)
def test_no_tool_changes_a_class(kind):
    for seed in range(3):
        check(kind, seed, QUICK | SLOW)


REAL = {
    "voc": (Voc(), "voc/VOCdevkit/VOC2012/SegmentationClass/*.png", ""),
    "camvid": (Pairs(names=NAMES[:12]), "pairs/camvid/label/*.png", ""),
    "trainids": (Cityscapes(), "cityscapes/gtFine/*/*/*labelTrainIds.png", KINDS["trainids"]),
    "ids": (Cityscapes(), "cityscapes/gtFine/*/*/*labelIds.png", KINDS["ids"]),
    "mattes": (Matting(), "matting/matting_human_half/matting/*/*/[0-9]*.png", ""),
    "alphas": (Matting(), "matting/p3m/alpha/*.png", ""),
}


def cropped(data):
    """Return a mask, or the middle of a large one, which tools rewrite within a second."""
    image = Image.open(io.BytesIO(data))
    if image.width * image.height < 1 << 18:
        return data
    left, top = image.width // 2 - 200, image.height // 2 - 150
    return save(image.crop((left, top, left + 400, top + 300)))


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_no_tool_changes_a_class_of_real_masks(shared, name):
    layout, pattern, path = REAL[name]
    files = [cropped(file.read_bytes()) for file in sorted(shared.glob(pattern))[:3]]
    (*expected,) = read(layout, path, files)
    forms = [dict(rewritten(data, QUICK | SLOW)) for data in files]
    for writing in {name for each in forms for name in each}:
        mixed = [each.get(writing, data) for each, data in zip(forms, files, strict=True)]
        found = read(layout, path, mixed)
        if found is None:
            assert layout != Voc() or "palette" not in writing, writing
            continue
        for plane, right in zip(found, expected, strict=True):
            np.testing.assert_array_equal(plane, right, writing)


PLANE = drawn(np.random.default_rng(3), [0, 1, 2, 3])
CLASSES = Pairs(names=("background", "cat", "dog"))


def refused(layout, data, path="x.png"):
    """Return why a layout refuses a label."""
    with pytest.raises(ImageError) as raised:
        wrong = signatures.refusal(layout.read(data, path), layout)
        if wrong:
            raise wrong
    return str(raised.value)


@pytest.mark.parametrize("bits", [2, 4])
def test_classes_in_grey_with_fewer_bits_are_named(bits):
    text = refused(CLASSES, raw_png(PLANE % 3, bits, 0))
    assert "decoders scale grey of fewer bits" in text
    assert "stored, 0, 1, 2, would be classes" in text


def test_classes_in_a_grey_palette_are_named():
    text = refused(CLASSES, in_palette(PLANE % 3, [(0, 0, 0), (128,) * 3, (255,) * 3], bits=2))
    assert "greys of its palette" in text


def test_greys_of_a_palette_with_colours_have_one_meaning_or_none():
    palette = [(0, 0, 0), (255, 255, 255), (200, 0, 0), (0, 200, 0)]
    assert "only its greys occur" in refused(CLASSES, in_palette(PLANE % 2, palette))
    palette[1] = (77, 77, 77)  # no class as a level, so its number counts
    np.testing.assert_array_equal(CLASSES.plane(in_palette(PLANE % 2, palette), ""), PLANE % 2)


def test_two_values_with_one_colour_are_refused():
    text = refused(CLASSES, in_palette(PLANE % 3, [(0, 0, 0), (9, 8, 7), (9, 8, 7)]))
    assert "1 and 2 both have the colour (9, 8, 7)" in text


def test_values_beyond_their_palette_are_read():
    """Some tools give colours only to classes."""
    plane = np.where(PLANE == 3, 255, PLANE)
    data = bytearray(in_palette(plane, np.arange(768).reshape(256, 3) % 251))
    at = data.index(b"PLTE") - 4
    short = png_chunk(b"PLTE", bytes(data[at + 8 : at + 17]))
    np.testing.assert_array_equal(
        CLASSES.plane(bytes(data[:at]) + short + bytes(data[at + 780 :]), ""), plane
    )


def png_chunk(kind, body):
    from dsbuild.images import png

    return png.chunk(kind, body)


def test_known_colours_beside_unknown_ones_are_refused():
    palette = [Voc.palette[0], Voc.palette[19], (1, 2, 3)]
    assert "some of which the data set has" in refused(Voc(), in_palette(PLANE % 3, palette))


def test_greys_with_other_numbers_in_the_data_set_are_refused():
    bus = [Voc.palette[0], Voc.palette[7]]
    assert "under other numbers" in refused(Voc(), in_palette(PLANE % 2, bus))


@pytest.mark.parametrize("layout", [CLASSES, Pairs(binary=127), Pairs(colours=COLOURS), Voc()])
@pytest.mark.parametrize("writing", ["as it is", "oxipng", "Pillow, LA"])
def test_a_mask_in_the_alpha_is_named(layout, writing):
    white = Image.new("RGBA", (24, 18), "white")
    white.putalpha(Image.fromarray(np.where(PLANE > 0, 255, 0).astype(np.uint8)))
    text = refused(layout, QUICK[writing](save(white)))
    assert "alpha" in text or "one colour" in text


@pytest.mark.parametrize("layout", [CLASSES, Pairs(colours=COLOURS), Matting()])
def test_no_message_names_an_option_that_does_not_help(layout):
    import cv2

    deep = np.repeat(PLANE[..., None].astype(np.uint16) * 257, 3, 2)
    moving = save(Image.fromarray(PLANE), save_all=True, append_images=[Image.fromarray(PLANE + 1)])
    for data in (cv2.imencode(".png", deep)[1].tobytes(), moving):
        assert "--unreadable" not in refused(layout, data)


def test_alpha_and_grey_that_both_vary_are_refused():
    both = Image.merge("LA", [Image.fromarray(PLANE), Image.fromarray(PLANE * 80)])
    assert "alpha and colours both vary" in refused(CLASSES, save(both))


def test_binary_masks_whose_palette_contradicts_them():
    reverse = in_palette(PLANE % 2, [(255, 255, 0), (0, 0, 9)])
    assert "different sides of 0" in refused(
        Pairs(binary=0), in_palette(PLANE % 2, [(9, 9, 0), (0, 0, 1)])
    )
    assert "different sides of 127" in refused(Pairs(binary=127), reverse)


@pytest.mark.parametrize(
    ("values", "good"), [([0, 2], True), ([0, 257, 514], True), ([0, 300], False)]
)
def test_16_bit_grey(values, good):
    data = save(Image.fromarray(np.array(values, np.uint16)[PLANE % len(values)]))
    if good:
        small = np.array([v if max(values) < 256 else v // 257 for v in values], np.uint8)
        np.testing.assert_array_equal(CLASSES.plane(data, ""), small[PLANE % len(values)])
    else:
        assert "16-bit label with values up to 300" in refused(CLASSES, data)


def test_ids_of_cityscapes_with_the_same_colour_are_not_separated_by_it():
    shuffled = [(0, 0, 0), (0, 0, 0), (128, 64, 128)]  # road is 7
    layout, path = Cityscapes(), KINDS["ids"]
    assert "under other numbers" in refused(layout, in_palette(PLANE % 3, shuffled), path)


@pytest.mark.parametrize("form", ["TIFF", "BMP", "GIF"])
def test_labels_in_other_lossless_formats_are_read(tmp_path, out, form):
    root = fakes.pairs(tmp_path, count=3)
    planes = {}
    for file in pathlib.Path(root).glob("labels/*/*.png"):
        plane = np.asarray(Image.open(file))
        planes["/".join([file.parent.name, file.stem])] = plane
        file.with_suffix(f".{form.lower()}").write_bytes(save(Image.fromarray(plane), form))
        file.unlink()
    layout = Pairs(names=CLASSES.names)
    make(root, out, layout=layout)
    import dsbuild

    found = {sample.key: sample.label for sample in dsbuild.open(out, "train")}
    assert found.keys() == planes.keys()
    for key, plane in planes.items():
        np.testing.assert_array_equal(found[key], plane)


def test_lossy_formats_and_several_pages_are_refused():
    grey = Image.fromarray(PLANE)
    pages = save(grey, "TIFF", save_all=True, append_images=[grey])
    for data, found in (
        (save(grey, "TIFF", compression="jpeg"), "compressed as jpeg"),
        (pages, "2 pages"),
        (save(Image.fromarray(PLANE.astype(np.float32)), "TIFF"), "mode F"),
        (save(grey, "BMP")[:-30], "cannot be read"),
    ):
        with pytest.raises(ImageError, match=found):
            lossless.as_png(data)


def test_labels_mapped_by_colour_are_counted_and_reported(voc, out, run):
    for file in pathlib.Path(voc, "SegmentationClass").iterdir():
        file.write_bytes(QUICK["a palette in another order"](file.read_bytes()))
    result = run("voc", voc, out, "--split", "train", "--workers", 1)
    assert result.exit_code == 0, result.output
    assert "palettes in another order, read by their colours" in result.stderr
    assert manifest.load(out)["splits"]["train"]["changes"] == {"mapped": 12}


def test_only_plain_palettes_are_trusted_by_their_header(voc, out):
    first = pathlib.Path(voc, "SegmentationClass/2007_000000.png")
    right = np.asarray(Image.open(first))
    first.write_bytes(QUICK["a palette in another order"](first.read_bytes()))
    make(voc, out, verify="header", splits=("train",), shards=1)
    import dsbuild

    np.testing.assert_array_equal(dsbuild.open(out, "train")[0].label, right)


def test_an_index_beyond_the_palette_is_refused_beside_colours_of_other_numbers():
    black, red = (0, 0, 0), (9, 0, 0)
    data = raw_png(np.array([[0, 1, 2]], np.uint8), 8, 3, palette=[*red, *black])
    with pytest.raises(ImageError, match="2 is None"):
        labels.read(data, {0: black, 1: red})
