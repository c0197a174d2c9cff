"""Records as a model saw them, drawn for tests of the learned audit."""

import numpy as np

from dsbuild.train.audit.planes import Seen


def drawn(rng, shape=(24, 32), classes=4, ignore=None, number=0, block=1):
    """Return a record with random label and confidences, and these of all classes (h, w, c).

    Confidences are in units of 1/65535, and equal within blocks of pixels, as labels are.
    """
    coarse = tuple(-(-side // block) for side in shape)
    place = np.ix_(*(np.arange(side) // block for side in shape))
    given = rng.integers(0, classes, coarse).astype(np.uint8)[place]
    units = (rng.dirichlet(np.full(classes, 0.4), coarse) * 65535).round().astype(np.uint16)[place]
    probabilities = (units / 65535).astype(np.float32)
    if ignore is not None:
        given[rng.random(shape) < 0.2] = ignore
    unknown = [] if ignore is None else [ignore]
    place = ("train", number, f"key {number}")
    return Seen.of(place, shape, given, probabilities, unknown), units


def certain(given, model, sure=0.98, number=0, unsure=()):
    """Return a record whose model is sure of its classes, but of pixels that are `unsure`."""
    classes = int(max(given.max(), model.max())) + 1
    shares = np.full((*given.shape, classes), (1 - sure) / (classes - 1), np.float32)
    np.put_along_axis(shares, model[..., None].astype(np.intp), sure, -1)
    for mask in unsure:
        shares[mask] = 1 / classes
    place = ("train", number, f"{number:03d}")
    return Seen.of(place, given.shape, given.astype(np.uint8), shares, [])
