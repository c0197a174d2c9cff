"""Settings of the command line's own process, made before it imports TensorFlow.

The library never calls this: in somebody else's process their settings hold.
"""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

from dsbuild.errors import TrainError, lacking

_CHATTER = re.compile(
    r"WARNING: All log messages before absl|[IW]\d{4} |fully_quantize: |INFO: Created TensorFlow L"
)
# oneDNN makes steps on CPUs 1.6 to 5 times as fast as kernels that sum in a fixed order. FFmpeg
# prints on stderr, past Python, what dsbuild reports as an error.
_SETTINGS = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
}


def quiet(what: str) -> None:
    """Import TensorFlow with oneDNN's kernels and without its messages; the settings stay.

    Variables of the environment that are set already stay as they are. Raises TrainError if
    TensorFlow, Keras, or the backend that KERAS_BACKEND names is missing; `what` needs them.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        with without_chatter():
            import keras  # noqa: F401 - for the backend that it imports
            import tensorflow  # noqa: F401 - for what it prints
    except (ImportError, ValueError) as error:  # Keras raises the latter for an unknown backend
        backend = os.environ.get("KERAS_BACKEND")
        if isinstance(error, ImportError):
            own = error.name in ("keras", "tensorflow")
            needs = lacking(
                error, what if own or not backend else f"KERAS_BACKEND={backend}", "train" * own
            )
            if needs:
                raise TrainError(needs) from error
        prefix = f"KERAS_BACKEND={backend}: " if backend else ""
        raise TrainError(
            f"{prefix}Keras could not be imported ({error}); install what is missing, or unset "
            "KERAS_BACKEND to train on TensorFlow"
        ) from error


@contextlib.contextmanager
def without_chatter() -> Iterator[None]:
    """Drop what libraries print on stderr for information alone.

    They print it past Python, before TensorFlow's own log level applies.
    """
    try:
        temporary = tempfile.TemporaryFile()  # noqa: SIM115
    except OSError:
        yield  # nowhere to hold the lines back
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with temporary as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            for line in held.read().decode(errors="replace").splitlines():
                if line.strip() and not _CHATTER.match(line):
                    sys.stderr.write(f"{line}\n")
