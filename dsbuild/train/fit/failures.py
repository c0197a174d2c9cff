"""TensorFlow's errors in the middle of a training, in dsbuild's words."""

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf

from dsbuild.errors import TrainError


@contextlib.contextmanager
def errors_named() -> Iterator[None]:
    """Turn TensorFlow's errors about data and memory into one line."""
    try:
        yield
    except (tf.errors.InvalidArgumentError, tf.errors.DataLossError) as error:
        message = re.search(r"assertion failed: \[(.*)\]", error.message)
        if message is None:
            raise
        raise TrainError(message[1].replace("] [", " ").replace("\\'", "'")) from error
    except tf.errors.ResourceExhaustedError as error:
        raise TrainError(
            "found too little memory for a step; use a smaller --batch or --crop, or --mixed"
        ) from error
