"""Predict images and videos with a trained model, and write what it says of them.

<name>.png            the class of each pixel, a PNG with the data set's palette
<name>.overlay.jpg    the image with these colours over it
<name>.npz            `probabilities`, float32 (h, w, c), and the names of the c `classes`
<name>.mp4            of a video: its frames with the colours over them
predictions.json      of a model that classifies: class and probability of each image
"""

import contextlib
import io
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dsbuild import engines, images, storage
from dsbuild.errors import ImageError, NoFileError, TrainError
from dsbuild.format import manifest
from dsbuild.images import colour, display
from dsbuild.train.predict import sources, video
from dsbuild.train.predict.predictor import Predictor
from dsbuild.train.predict.sources import Source

PREDICTIONS = "predictions.json"
_QUALITY = 92  # of overlays in JPEG


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is made of images.

    Attributes:
      out: the folder for it; None where a model that classifies need not write any.
      overlay: whether the image is written with the colours of its classes, too.
      probabilities: whether they are written, too, at the size that was predicted.
      batch: how many images of equal sizes, one behind the other, are predicted together.
      resize: the longest side, to which images are resized before; None for as they are.
    """

    out: str | None
    overlay: bool = False
    probabilities: bool = False
    batch: int = 1
    resize: int | None = None


def fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return (height, width) whose longer one is `side`, as DeepLab's demo has it.

    >>> fitted((375, 500), 513)
    (384, 513)
    """
    height, width = (max(1, length * side // max(size)) for length in size)
    return height, width


def predict(
    predictor: Predictor, asked: Sequence[str], wanted: Wanted, quiet: bool = True
) -> dict[str, Any]:
    """Predict images and videos by files, folders and patterns; return what was made, and failed.

    What cannot be read is in `failed`, and all else is made. Raises TrainError before anything
    is made where an image is not there, or where two would make one file.
    """
    found = sources.find(asked, wanted.out)
    _check(predictor, wanted, found)
    made: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    with engines.Bar(len(found), "predict", "images", quiet) as bar:
        for group in _groups(_read(found, failed, bar), wanted):
            paths = [source.path for source, _ in group]
            try:
                if group[0][1] is None:
                    made.append(_video(predictor, group[0][0], wanted))
                else:
                    made += _images(predictor, group, wanted)
            except TrainError as error:
                failed += [{"path": path, "error": _once(path, error)} for path in paths]
            bar.advance(len(group), 0)
    if wanted.out is not None and not predictor.pixels:
        path = storage.join(wanted.out, PREDICTIONS)
        storage.write(path, manifest.dump({"images": made}, indent=2).encode() + b"\n")
    return {"made": made, "failed": failed}


def watch(
    predictor: Predictor, camera: int | str, wanted: Wanted, frames: int | None = None
) -> dict[str, Any]:
    """Predict the frames of a camera, until there are so many, or Ctrl-C; write each.

    `camera` is its number, or the URL of a stream. Raises TrainError where there is no such
    camera, or where frames of it were written before.
    """
    name = f"camera-{camera}" if isinstance(camera, int) else "camera"
    _check(predictor, wanted, [Source(name, name, video=True)])
    folder = storage.join(wanted.out or "", name)
    if storage.is_folder(folder):
        raise TrainError(
            f"{folder}: found frames of another time, which cannot be taken again; give another "
            "--out"
        )
    made: list[dict[str, Any]] = []
    with video.opened(camera) as capture, contextlib.suppress(KeyboardInterrupt):
        for number, frame in enumerate(itertools.islice(video.frames(capture), frames)):
            source = Source(f"camera {camera}", f"{name}/{number:06}")
            made += _images(predictor, [(source, frame)], wanted)
    return {"made": made, "failed": []}


def _check(predictor: Predictor, wanted: Wanted, found: Sequence[Source]) -> None:
    """Raise TrainError for what cannot be made, or would be made twice or over a source."""
    if predictor.pixels and wanted.out is None:
        raise TrainError("found no --out, expected the folder to write to")
    if not predictor.pixels:
        if wanted.overlay or wanted.probabilities:
            raise TrainError(
                "found a model that classifies images as a whole, which makes no overlays and no "
                "files of probabilities; leave --overlay and --probabilities out"
            )
        moving = next((source.path for source in found if source.video), None)
        if moving is not None:
            raise TrainError(
                f"{moving}: found a video, expected images: the model classifies images as a whole"
            )
        return
    given = {os.path.realpath(source.path): source.path for source in found}
    makers: dict[str, str] = {}
    for source in found:
        for target in _targets(source, wanted).values():
            other = makers.setdefault(target, source.path)
            if other != source.path:
                raise TrainError(
                    f"{target}: would be made of both {other} and {source.path}; rename one, or "
                    "predict them into different folders"
                )
            if os.path.realpath(target) in given:
                raise TrainError(
                    f"{target}: would be written over {given[os.path.realpath(target)]}; give "
                    "another --out"
                )


def _targets(source: Source, wanted: Wanted) -> dict[str, str]:
    """Return what is made of a source, by kind: paths."""
    base = storage.join(wanted.out or "", source.name)
    if source.video:
        return {"video": f"{base}.mp4"}
    found = {"classes": f"{base}.png"}
    if wanted.overlay:
        found["overlay"] = f"{base}.overlay.jpg"
    if wanted.probabilities:
        found["probabilities"] = f"{base}.npz"
    return found


Read = tuple[Source, np.ndarray | None]  # the pixels of an image; a video has none yet


def _read(
    found: Iterable[Source], failed: list[dict[str, str]], bar: engines.Bar
) -> Iterator[Read]:
    """Yield sources with their pixels; those that cannot be read are put into `failed`."""
    for source in found:
        if source.video:
            yield source, None
            continue
        try:
            data = storage.read(source.path)[0]
            yield replace(source, pictures=display.count(data)), display.pixels(data)
        except (ImageError, NoFileError) as error:
            failed.append({"path": source.path, "error": _once(source.path, error)})
            bar.advance(1, 0)


def _once(path: str, error: Exception) -> str:
    """Return the text of an error with the path in front, once."""
    return str(error) if str(error).startswith(path) else f"{path}: {error}"


def _groups(read: Iterable[Read], wanted: Wanted) -> Iterator[list[Read]]:
    """Yield images of one size, one behind the other, up to a batch; videos alone."""
    for size, some in itertools.groupby(read, lambda one: _size(one[1], wanted)):
        yield from _batched(some, wanted.batch if size else 1)


def _batched(some: Iterable[Any], count: int) -> Iterator[list[Any]]:
    some = iter(some)
    return iter(lambda: list(itertools.islice(some, count)), [])


def _size(image: np.ndarray | None, wanted: Wanted) -> tuple[int, ...] | None:
    """Return (height, width) that is predicted; None of a video."""
    if image is None:
        return None
    return fitted(image.shape[:2], wanted.resize) if wanted.resize else image.shape[:2]


def _images(
    predictor: Predictor, group: Sequence[tuple[Source, np.ndarray]], wanted: Wanted
) -> list[dict[str, Any]]:
    """Predict images of one size together; return what was made of each."""
    size = _size(group[0][1], wanted)
    stack = np.stack([_resized(image, size) for _, image in group])
    if predictor.pixels and not wanted.probabilities:
        planes, probable = predictor.classes(stack), itertools.repeat(None)
    else:
        probable = predictor.probabilities(stack)
        planes = predictor.decided(probable)
    made = zip(group, planes, probable, strict=False)
    return [_one(predictor, *one, plane, some, wanted) for one, plane, some in made]


def _resized(image: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    return image if image.shape[:2] == size else images.resample(image, size)


def _one(
    predictor: Predictor,
    source: Source,
    image: np.ndarray,
    plane: np.ndarray,
    probable: np.ndarray | None,
    wanted: Wanted,
) -> dict[str, Any]:
    """Write what is wanted of an image; return what it is."""
    names = predictor.trained.facts.classes
    several = {"pictures": source.pictures} if source.pictures > 1 else {}
    about = {"path": source.path, **several}
    if probable is not None and predictor.binary:
        probable = np.concatenate([1 - probable, probable], -1)
    if not predictor.pixels:
        shares = probable
        return {
            **about,
            "class": names[int(plane)],
            "probability": float(shares[int(plane)]),
            "probabilities": dict(zip(names, shares.astype(float).tolist(), strict=True)),
        }
    plane = _back(plane, image.shape[:2])
    colours = colour.table(predictor.trained.facts.palette)
    targets = _targets(source, wanted)
    files = {targets["classes"]: colour.paletted(plane, colours)}
    if "overlay" in targets:
        drawn = colour.overlay(image, plane, colours)
        files[targets["overlay"]] = images.encode(drawn, _QUALITY)
    if "probabilities" in targets:
        data = io.BytesIO()
        np.savez_compressed(data, probabilities=probable, classes=np.array(names))
        files[targets["probabilities"]] = data.getvalue()
    storage.write_all(files)
    counts = np.bincount(plane.ravel(), minlength=len(names))
    there = {names[i]: int(counts[i]) / plane.size for i in np.argsort(-counts) if counts[i]}
    return {**about, **targets, "shares": there}


def _back(plane: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    return plane if plane.shape == size else images.pick(plane, size)


def _video(predictor: Predictor, source: Source, wanted: Wanted) -> dict[str, Any]:
    """Write a video with the colours of classes over its frames; return what it is."""
    if storage.is_remote(source.path):
        raise TrainError(
            f"{source.path}: found a video on a store, expected a local file; fetch it first"
        )
    target = _targets(source, wanted)["video"]
    colours = colour.table(predictor.trained.facts.palette)
    count = 0
    with video.opened(source.path) as capture, video.writing(target, video.rate(capture)) as add:
        for some in _batched(video.frames(capture), wanted.batch):
            size = _size(some[0], wanted)
            planes = predictor.classes(np.stack([_resized(frame, size) for frame in some]))
            for frame, plane in zip(some, planes, strict=True):
                add(colour.overlay(frame, _back(plane, frame.shape[:2]), colours))
            count += len(some)
        if not count:
            raise TrainError(f"{source.path}: found a video without any frame that can be read")
    return {"path": source.path, "video": target, "frames": count}
