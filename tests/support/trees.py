"""Trees of empty files, and what pairs finds in them."""

import os

from dsbuild.layouts.pairs import Pairs

NAMES = ("background", "cat", "dog")


def touch(root, *paths):
    for path in paths:
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        open(full, "x").close()
    return str(root)


def listed(root, **options):
    """Return split -> (key, image, label) of each sample."""
    layout = Pairs(names=NAMES, **options)
    root = layout.find(str(root))
    return {split: [s[:3] for s in layout.samples(root, split)] for split in layout.splits(root)}


def recognised(root):
    """Return what is recognised, and the samples that its options give."""
    found = Pairs.recognise(str(root), {"classes": "names.txt"})
    assert found
    assert not found.needs
    return found, listed(root, **found.options)
