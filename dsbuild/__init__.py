"""dsbuild: segmentation data sets as published, to sharded TFRecords that can be trusted."""

import importlib
import sys
from typing import Any

__version__ = "0.1.0"

# What users of the library need, by the module that has it; imported when it is asked for.
_PUBLIC = {
    "DeepLabModel": "train.predict.deeplab",
    "Augmentation": "reader.tf.augment",
    "augmented": "reader.tf.augment",
    "kfold": "reader",
    "load_model": "train.export.layers",
    "open": "reader",
    "tf_dataset": "reader.tf.dataset",
    "torch_dataset": "reader.torch.dataset",
}


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"dsbuild.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module 'dsbuild' has no attribute {name!r}")


# So that `keras.saving.load_model` knows the layers of what `dsbuild export --to keras` wrote.
if "keras" in sys.modules:
    importlib.import_module("dsbuild.train.export.layers")
