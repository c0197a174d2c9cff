"""Frames of videos and cameras, and videos of frames, by OpenCV."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dsbuild import storage
from dsbuild.errors import TrainError
from dsbuild.storage import temporary

_RATE = 25.0  # frames a second, where a video does not say
_CODE = "mp4v"  # MPEG-4 part 2, which the wheels of OpenCV can write everywhere


@contextlib.contextmanager
def opened(source: str | int) -> Iterator[Any]:
    """Give OpenCV's capture of a video file, of a camera by its number, or of a stream by its URL.

    Raises TrainError where it cannot be opened.
    """
    import cv2

    if isinstance(source, str) and (found := storage.odd(source)):
        raise TrainError(f"{source}: found {found}, expected a video")
    # FFmpeg says on stderr, past Python, what is an error here; read at its first use.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    capture = cv2.VideoCapture()
    try:
        # OpenCV takes no number past int32, and ends the process at a negative one.
        if isinstance(source, str) or 0 <= source < 1 << 31:
            capture.open(source)
        if not capture.isOpened():
            if isinstance(source, int):
                raise TrainError(
                    f"camera {source}: found none that can be read; give the number of another, "
                    "or a video"
                )
            if "://" in source:
                raise TrainError(
                    f"{source}: found no stream that can be read; look at its address, and "
                    "whether it is reachable"
                )
            raise TrainError(
                f"{source}: found no video that OpenCV can read, expected one such as MP4; convert "
                "it"
            )
        yield capture
    finally:
        capture.release()
        cv2.utils.logging.setLogLevel(before)


def frames(capture: Any) -> Iterator[np.ndarray]:
    """Yield the frames of a capture, RGB uint8 (h, w, 3), to its end.

    Raises TrainError where one has another size than the first.
    """
    import cv2

    size = None
    while True:
        there, frame = capture.read()
        if not there:
            return
        size = size or frame.shape
        if frame.shape != size:
            raise TrainError(
                f"found a frame of {frame.shape[1]} x {frame.shape[0]} pixels behind some of "
                f"{size[1]} x {size[0]}, expected one size; convert the video"
            )
        yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def rate(capture: Any) -> float:
    """Return the frames a second of a capture."""
    import cv2

    found = capture.get(cv2.CAP_PROP_FPS)
    return found if 0 < found < 1000 else _RATE


@contextlib.contextmanager
def writing(path: str, rate: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Give what adds a frame, RGB uint8 (h, w, 3), to an MP4, which appears when the block ends.

    OpenCV leaves out the last row or column where their number is odd. Raises TrainError where
    OpenCV cannot write it; a block without any frame writes nothing.
    """
    import cv2

    with contextlib.ExitStack() as stack:
        with temporary.named(path):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="dsbuild-"))
        made = os.path.join(folder, "frames.mp4")
        writer = None

        def add(frame: np.ndarray) -> None:
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
