"""DeepLabV3+ in Keras, with any backbone of the registry, for images of any size."""

from dsbuild.train.model.deeplab import (
    MERGES,
    STRIDES,
    Architecture,
    build,
    freeze,
    freeze_batch_norm,
    named,
    single,
)

__all__ = [
    "MERGES",
    "STRIDES",
    "Architecture",
    "build",
    "freeze",
    "freeze_batch_norm",
    "named",
    "single",
]
