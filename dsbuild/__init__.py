"""dsbuild: published segmentation data sets as sharded TFRecords.

`build`, `merge`, `validate`, `check`, `inspect`, `diff` and `audit` do what the commands of these
names do.
`open`, `tf_dataset` and `torch_dataset` read what was built; the rest is for training. All errors
are `DsbuildError`.
"""

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

from dsbuild.errors import (
    DataError,
    DeniedError,
    DsbuildError,
    ImageError,
    LayoutError,
    LostLease,
    MachineError,
    ModelError,
    NoFileError,
    PlanError,
    SampleError,
    SchemaError,
    ShardError,
    StorageError,
    TrainError,
    lacking,
)

if TYPE_CHECKING:
    from dsbuild.build.merge.public import merge
    from dsbuild.build.public import build
    from dsbuild.build.recognition import recognise
    from dsbuild.inspect.audited import audit
    from dsbuild.inspect.public import diff, inspect
    from dsbuild.inspect.quality.public import check
    from dsbuild.reader import open  # noqa: A004
    from dsbuild.reader.opening import kfold
    from dsbuild.reader.tf.augment import augmented
    from dsbuild.reader.tf.augmentation import Augmentation
    from dsbuild.reader.tf.dataset import tf_dataset
    from dsbuild.reader.torch.dataset import torch_dataset
    from dsbuild.train.export.layers import load_model
    from dsbuild.train.predict.deeplab import DeepLabModel
    from dsbuild.validate.public import validate

__version__ = "0.2.0"
__all__ = [
    "Augmentation",
    "DataError",
    "DeepLabModel",
    "DeniedError",
    "DsbuildError",
    "ImageError",
    "LayoutError",
    "LostLease",
    "MachineError",
    "ModelError",
    "NoFileError",
    "PlanError",
    "SampleError",
    "SchemaError",
    "ShardError",
    "StorageError",
    "TrainError",
    "audit",
    "augmented",
    "build",
    "check",
    "diff",
    "inspect",
    "kfold",
    "load_model",
    "merge",
    "open",
    "recognise",
    "tf_dataset",
    "torch_dataset",
    "validate",
]

# Public name -> the module that has it, imported when the name is first used.
_PUBLIC = {
    "DeepLabModel": "train.predict.deeplab",
    "Augmentation": "reader.tf.augmentation",
    "audit": "inspect.audited",
    "augmented": "reader.tf.augment",
    "check": "inspect.quality.public",
    "diff": "inspect.public",
    "kfold": "reader.opening",
    "load_model": "train.export.layers",
    "merge": "build.merge.public",
    "open": "reader",
    "recognise": "build.recognition",
    "tf_dataset": "reader.tf.dataset",
    "torch_dataset": "reader.torch.dataset",
}


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        try:
            return getattr(importlib.import_module(f"dsbuild.{_PUBLIC[name]}"), name)
        except ImportError as error:
            if why := lacking(error, f"dsbuild.{name}"):
                raise DsbuildError(why) from error
            raise
    raise AttributeError(f"module 'dsbuild' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Verb(types.ModuleType):
    """A subpackage that is also the public function of its name: `dsbuild.build(...)`.

    So `import dsbuild.build.run` goes on working next to the function.
    """

    @property
    def _function(self) -> types.FunctionType:
        module = importlib.import_module(f"{self.__name__}.public")
        function: types.FunctionType = getattr(module, self.__name__.rpartition(".")[2])
        return function

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]  # a property over a plain name
        return self._function.__doc__

    @property
    def __signature__(self) -> Any:
        from inspect import signature  # here, since it takes longer to import than the rest

        return signature(self._function)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._function(*args, **options)

    def __reduce__(self) -> tuple[Any, ...]:
        return importlib.import_module, (self.__name__,)


for _name in ("build", "inspect", "validate"):
    importlib.import_module(f"dsbuild.{_name}").__class__ = _Verb

# `keras.saving.load_model` then knows the layers of what `dsbuild export --to keras` wrote.
if sys.modules.get("keras"):
    importlib.import_module("dsbuild.train.export.layers")
