"""Mistakes that the labels of a split show together, each with valid values by itself."""

from collections.abc import Collection, Iterator, Sequence

from dsbuild.build import palettes
from dsbuild.build.signatures import FROM_1, Mistake
from dsbuild.layouts import Layout

_VOID = 255  # marks pixels to ignore in most labels of 8 bits


def one_based(refused: int, others: int) -> str:
    """Say that all labels of a split seem to count from 1, though some hold no value too large."""
    return (
        f"{refused} of {refused + others} labels hold the value above the last class, and none "
        f"holds 0, so classes seem to be counted from 1 in all of them: {FROM_1}; if that value "
        "marks pixels to ignore, name it with --ignore"
    )


# Kinds for a split whose labels all have one value. A single picture, however often it is listed,
# says nothing about how labels were made.
CONSTANT = ("all-background", "all-ignore", "one-value")


def of_all(values: Collection[int], known: palettes.Meanings, layout: Layout) -> Iterator[Mistake]:
    """Yield the mistakes that all labels of a split show together, in their values and colours."""
    for mistake in (of_values(values, layout), of_colours(known)):
        if mistake:
            yield mistake


def of_colours(known: palettes.Meanings) -> Mistake | None:
    """Return the mistake of labels whose palettes disagree, or None."""
    text = palettes.disagreement(known)
    return Mistake(palettes.KIND, text) if text else None


def of_values(values: Collection[int], layout: Layout, which: str = "all labels") -> Mistake | None:
    """Return the mistake of a split's labels whose values together are these, or None."""
    if len(layout.classes) < 2:
        return None  # there are no other values
    if values == {0, layout.ignore} != {0}:
        return Mistake("binary-255", f"{which} {_binary(layout)}; {_meant('binary-255')}")
    if len(values) != 1:
        return None
    (value,) = values
    if value == layout.ignore:
        name, kind = "the ignore value", "all-ignore"
    else:
        name, kind = layout.classes[value], "one-value" if value else "all-background"
    return Mistake(
        kind,
        f"{which} hold {name} ({value}) and nothing else, expected more than one value; look "
        f"at them, and at the options that say what they hold; {_meant(kind)}",
    )


def _meant(kind: str) -> str:
    return f"if that is intended, --accept {kind}"


def _binary(layout: Layout) -> str:
    return (
        f"hold only 0 and {layout.ignore}, and {layout.ignore} is ignored, so their objects have "
        f"no class; map {layout.ignore} to 1, or build them with dsbuild pairs --binary 127"
    )


def of_split(labels: Sequence[frozenset[int]], layout: Layout) -> Mistake | None:
    """Return the mistake that the values of a split's labels show together, or None.

    Each label by itself has valid values.
    """
    mixed = [values for values in labels if len(values) > 1 and not layout.draws]
    binary = sum(values == {0, layout.ignore} for values in mixed)
    if binary and 2 * binary >= len(mixed) and len(layout.classes) > 1:
        return Mistake(
            "binary-255",
            f"{binary} of {len(labels)} labels {_binary(layout)}; {_meant('binary-255')}",
        )
    many = len(layout.classes) > _VOID != layout.ignore and not layout.palette
    if many and not any(max(values) > _VOID for values in mixed):
        void = sum(_VOID in values for values in mixed)
        if void and 2 * void >= len(mixed):
            return Mistake(
                "ignore-255",
                f"{void} of {len(labels)} labels hold {_VOID} and none a larger value, so it seems "
                f"to mark pixels to ignore, not the class {layout.classes[_VOID]!r}: dsbuild pairs "
                f"--map {_VOID}=ignore; {_meant('ignore-255')}",
            )
    background = layout.classes[0].lower() == "background"  # a class `void` may occur nowhere
    if len(mixed) > 2 and background and not any(0 in values for values in labels):
        return Mistake(
            "one-based",
            f"none of {len(labels)} labels has {layout.classes[0]} (0), so classes seem to be "
            f"counted from 1; {FROM_1}",
        )
    return None
