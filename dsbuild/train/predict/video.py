"""Read frames of videos and cameras, and write videos, with OpenCV."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dsbuild import storage
from dsbuild.errors import TrainError
from dsbuild.storage import temporary

if TYPE_CHECKING:
    import cv2

_RATE = 25.0  # frames per second, if a video does not say
_CODE = "mp4v"  # MPEG-4 part 2, which the wheels of OpenCV can write everywhere


@contextlib.contextmanager
def opened(source: str | int) -> Iterator["cv2.VideoCapture"]:
    """Yield OpenCV's capture of a video file, a camera number, or the URL of a stream.

    Raises TrainError if it cannot be opened. OpenCV itself logs nothing meanwhile.
    """
    import cv2

    if isinstance(source, str) and (kind := storage.odd(source)):
        raise TrainError(f"{source}: found {kind}, expected a video")
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    capture = cv2.VideoCapture()
    try:
        # OpenCV takes no number beyond int32, and aborts the process at a negative one.
        if isinstance(source, str) or 0 <= source < 1 << 31:
            capture.open(source)
        if not capture.isOpened():
            if isinstance(source, int):
                raise TrainError(
                    f"camera {source}: found no readable camera; give another number, or a video"
                )
            if "://" in source:
                raise TrainError(
                    f"{source}: found no readable stream; check its address and the network"
                )
            raise TrainError(
                f"{source}: found no video that OpenCV can read; convert it, for example to MP4"
            )
        yield capture
    finally:
        capture.release()
        cv2.utils.logging.setLogLevel(before)


def frames(capture: "cv2.VideoCapture") -> Iterator[NDArray[np.uint8]]:
    """Yield all frames of a capture, RGB uint8 (h, w, 3).

    Raises TrainError if the size changes.
    """
    import cv2

    size = None
    while True:
        success, frame = capture.read()
        if not success:
            return
        size = size or frame.shape
        if frame.shape != size:
            raise TrainError(
                f"found a frame of {frame.shape[1]} x {frame.shape[0]} pixels after frames of "
                f"{size[1]} x {size[0]}, expected one size; convert the video"
            )
        yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)


def rate(capture: "cv2.VideoCapture") -> float:
    """Return the frames per second of a capture."""
    import cv2

    stated = float(capture.get(cv2.CAP_PROP_FPS))
    return stated if 0 < stated < 1000 else _RATE


@contextlib.contextmanager
def writing(path: str, rate: float) -> Iterator[Callable[[NDArray[np.uint8]], None]]:
    """Yield a function that adds a frame, RGB uint8 (h, w, 3), to an MP4.

    The file appears when the block ends; a block without any frame writes nothing. OpenCV drops
    the last row or column if their number is odd. Raises TrainError if OpenCV cannot write videos.
    """
    import cv2

    with contextlib.ExitStack() as stack:
        with temporary.named(path):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="dsbuild-"))
        made = os.path.join(folder, "frames.mp4")
        writer = None

        def add(frame: NDArray[np.uint8]) -> None:
            nonlocal writer
            if writer is None:
                code = cv2.VideoWriter.fourcc(*_CODE)
                writer = cv2.VideoWriter(made, code, rate, frame.shape[1::-1])
                if not writer.isOpened():
                    raise TrainError(
                        f"{path}: OpenCV cannot write videos of {frame.shape[1]} x "
                        f"{frame.shape[0]} pixels here; predict single images"
                    )
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

        try:
            yield add
        finally:
            if writer is not None:
                writer.release()
        if writer is not None:
            with open(made, "rb") as file, storage.writing(path) as out:
                shutil.copyfileobj(file, out)
