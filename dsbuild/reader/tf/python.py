"""Functions of Python in a graph of TensorFlow, which refuse to run in another process.

TensorFlow knows such a function by a number. A worker of tf.data's service in another process does
not know it, or has another one under that number, which could return wrong data in silence. So
each call first asks for a variable that only this process has.
"""

import functools
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

_PORTABLE = "make the dataset with tf_dataset(..., portable=True)"
_ELSEWHERE = (
    "found a dataset outside the process that made it, as in workers of tf.data's service, where "
    "functions of Python are not known; "
)


def call(
    work: Callable[..., Any],
    given: Sequence[tf.Tensor],
    spec: Sequence[tf.TensorSpec],
    remedy: str = _PORTABLE,
) -> tuple[tf.Tensor, ...]:
    """Return what a function of arrays returns, as `spec` has it.

    In another process it fails with an InvalidArgumentError, which ends with the remedy.
    """
    here = tf.raw_ops.VarIsInitializedOp(resource=_variable(_present()))
    with tf.control_dependencies([insist(here, _ELSEWHERE + remedy)]):
        types = [one.dtype for one in spec]
        found = tf.numpy_function(work, given, types, stateful=False)
    return tuple(tf.ensure_shape(x, one.shape) for x, one in zip(found, spec, strict=True))


def plain(work: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that AutoGraph does not rewrite, which would take most of the start."""
    return tf.autograph.experimental.do_not_convert(work)  # type: ignore[no-any-return]


def insist(good: tf.Tensor, text: tf.Tensor | str) -> tf.Operation:
    """Return an operation that fails with a text, bytes (), unless `good`, bool ().

    `tf.debugging.Assert` adds a `tf.cond`, which takes longer to prepare.
    """
    return tf.raw_ops.Assert(condition=good, data=[text])


@functools.cache
def _present() -> str:
    """Return the name of a variable that exists in this process."""
    name = f"dsbuild-{uuid.uuid4().hex}"
    with tf.init_scope(), tf.device("CPU:0"):
        tf.raw_ops.AssignVariableOp(resource=_variable(name), value=True)
    return name


def _variable(name: str) -> tf.Tensor:
    return tf.raw_ops.VarHandleOp(dtype=tf.bool, shape=[], shared_name=name)
