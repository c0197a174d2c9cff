"""Seeds of layers, without a trace in the process that builds them."""

import contextlib
import random
from collections.abc import Iterator


@contextlib.contextmanager
def layer_seeds(seed: int | None = None) -> Iterator[None]:
    """Build layers in the block and leave Python's random generator as it was.

    Keras draws the seed of each initializer and each dropout from that generator, and from no
    other. With `seed` the layers' first weights are a function of it.
    """
    state = random.getstate()
    if seed is not None:
        random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
