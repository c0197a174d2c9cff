"""Predict images and videos with a trained model, and write the results.

<name>.png            the class of each pixel, a PNG with the data set's palette
<name>.overlay.jpg    the image under these colours
<name>.npz            `probabilities`, float32 (h, w, c), and the names of the c `classes`
<name>.mp4            for a video: its frames under these colours
predictions.json      for a model that classifies: class and probability of each image
"""

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dsbuild import engines, storage
from dsbuild.errors import ImageError, NoFileError, TrainError
from dsbuild.format import manifest
from dsbuild.format.folder import Folder
from dsbuild.images import colour, display
from dsbuild.train import image_range
from dsbuild.train.predict import records, sources, stitched, video
from dsbuild.train.predict.outputs import (
    Image,
    Size,
    Wanted,
    classified,
    fitted,
    looked,
    prediction_size,
    resized,
    resized_back,
    segmented,
    targets,
)
from dsbuild.train.predict.predictor import Predictor
from dsbuild.train.predict.sources import Source
from dsbuild.train.settings import Settings

PREDICTIONS = "predictions.json"
__all__ = ["PREDICTIONS", "Wanted", "fitted", "predict", "predict_split", "watch"]


def predict(
    predictor: Predictor, paths: Sequence[str], wanted: Wanted, quiet: bool = True
) -> dict[str, Any]:
    """Predict images and videos by files, folders and patterns; return `made` and `failed`.

    Files that cannot be read are in `failed`; all others are predicted. Raises TrainError, before
    any file is written, if a path does not exist or two sources would write the same file.
    """
    return _predict(predictor, sources.find(paths, wanted.out), wanted, quiet)


def predict_split(
    predictor: Predictor, folder: str, split: str, wanted: Wanted, quiet: bool = True
) -> dict[str, Any]:
    """Predict the images of a split of TFRecords, as `predict` does images in files.

    Results are named by the keys of the samples; those of tiles are put together to whole images,
    see `stitched`. Raises TrainError for a split without samples.
    """
    if wanted.out is not None and storage.inside(wanted.out, folder):
        raise TrainError(
            f"{wanted.out}: this is in the folder of the TFRecords; give another --out"
        )
    image_range.expect(predictor.trained.settings, Folder.of(folder), split)
    return _predict(predictor, records.find(folder, split, predictor.pixels), wanted, quiet)


def _predict(
    predictor: Predictor, found: Sequence[Source], wanted: Wanted, quiet: bool
) -> dict[str, Any]:
    _check(predictor, wanted, found)
    made: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    with engines.Bar(len(found), "predict", "images", quiet) as bar:
        settings = predictor.trained.settings
        for group in _groups(_read(found, settings, failed, bar), wanted):
            try:
                if isinstance(group, Source) and group.pieces:
                    image, plane, shares = stitched.predicted(predictor, group, wanted)
                    made.append(segmented(predictor, group, image, plane, shares, wanted))
                elif isinstance(group, Source):
                    made.append(_video(predictor, group, wanted))
                else:
                    made += _images(predictor, group, wanted)
            except TrainError as error:
                failed += [
                    {"path": source.path, "error": _with_path(source.path, error)}
                    for source in _sources(group)
                ]
            bar.advance(len(_sources(group)), 0)
    if wanted.out is not None and not predictor.pixels:
        path = storage.join(wanted.out, PREDICTIONS)
        storage.write(path, manifest.dump({"images": made}, indent=2).encode() + b"\n")
    return {"made": made, "failed": failed}


def watch(
    predictor: Predictor, camera: int | str, wanted: Wanted, frames: int | None = None
) -> dict[str, Any]:
    """Predict frames of a camera and write each, until Ctrl-C or a number of frames.

    `camera` is its number, or the URL of a stream. Raises TrainError if there is no such camera,
    or if the folder has frames already.
    """
    name = f"camera-{camera}" if isinstance(camera, int) else "camera"
    _check(predictor, wanted, [Source(name, name, video=True)])
    folder = storage.join(wanted.out or "", name)
    if storage.is_folder(folder):
        raise TrainError(f"{folder}: found frames of an earlier recording; give another --out")
    made: list[dict[str, Any]] = []
    with video.opened(camera) as capture, contextlib.suppress(KeyboardInterrupt):
        for number, frame in enumerate(itertools.islice(video.frames(capture), frames)):
            source = Source(f"camera {camera}", f"{name}/{number:06}")
            made += _images(predictor, [(source, frame)], wanted)
    return {"made": made, "failed": []}


def _check(predictor: Predictor, wanted: Wanted, found: Sequence[Source]) -> None:
    """Raise TrainError for results that cannot be written, or that two sources share."""
    if predictor.pixels and wanted.out is None:
        raise TrainError("found no --out, expected a folder for the results")
    if wanted.probabilities and wanted.resize and any(source.pieces for source in found):
        raise TrainError(
            "found tiles, whose probabilities at another size cannot be put together; leave out "
            "--resize or --probabilities"
        )
    if not predictor.pixels:
        if wanted.overlay or wanted.probabilities:
            raise TrainError(
                "found a model that classifies whole images, which writes no overlays and no files "
                "of probabilities; leave out --overlay and --probabilities"
            )
        moving = next((source.path for source in found if source.video), None)
        if moving is not None:
            raise TrainError(
                f"{moving}: found a video, expected images: the model classifies whole images"
            )
        return
    files = [one for one in found if one.pixels is None and not one.pieces]
    given = {os.path.realpath(one.path): one.path for one in files}
    makers: dict[str, str] = {}
    for source in found:
        for target in targets(source, wanted).values():
            other = makers.setdefault(target, source.path)
            if other != source.path:
                raise TrainError(
                    f"{target}: both {other} and {source.path} would write it; rename one, or "
                    "predict them into different folders"
                )
            if os.path.realpath(target) in given:
                raise TrainError(
                    f"{target}: would replace {given[os.path.realpath(target)]}; give another --out"
                )


Pixels = tuple[Source, Image]
Group = Source | list[Pixels]  # a video, an image in pieces, or images predicted together


def _read(
    found: Iterable[Source], settings: Settings, failed: list[dict[str, str]], bar: engines.Bar
) -> Iterator[Source | Pixels]:
    """Yield videos and images in pieces, and other images with their pixels.

    Files that cannot be read are added to `failed`.
    """
    for source in found:
        if source.video or source.pieces:
            yield source
            continue
        if source.pixels is not None:
            yield source, source.pixels()
            continue
        try:
            data = storage.read(source.path)[0]
            yield replace(source, pictures=display.count(data)), image_range.read(data, settings)
        except (ImageError, NoFileError) as error:
            failed.append({"path": source.path, "error": _with_path(source.path, error)})
            bar.advance(1, 0)


def _with_path(path: str, error: Exception) -> str:
    """Return the text of an error, which begins with the path, once."""
    return str(error) if str(error).startswith(path) else f"{path}: {error}"


def _groups(read: Iterable[Source | Pixels], wanted: Wanted) -> Iterator[Group]:
    """Yield videos and images in pieces alone, other images of one size and type in batches."""

    def key(one: Source | Pixels) -> tuple[Size, int, str] | None:
        if isinstance(one, Source):
            return None
        return prediction_size(one[1], wanted), one[1].shape[2], one[1].dtype.name

    for _, some in itertools.groupby(read, key):
        pixels: list[Pixels] = []
        for one in some:
            if isinstance(one, Source):
                yield one
                continue
            pixels.append(one)
            if len(pixels) == wanted.batch:
                yield pixels
                pixels = []
        if pixels:
            yield pixels


def _sources(group: Group) -> list[Source]:
    return [group] if isinstance(group, Source) else [source for source, _ in group]


def _images(predictor: Predictor, group: Sequence[Pixels], wanted: Wanted) -> list[dict[str, Any]]:
    """Predict images of one size together; return a document for each."""
    size = prediction_size(group[0][1], wanted)
    stack = np.stack([resized(image, size) for _, image in group])
    planes, probabilities = looked(predictor, stack, wanted.probabilities)
    made = []
    for (source, image), plane, shares in zip(group, planes, probabilities, strict=True):
        if predictor.pixels:
            made.append(segmented(predictor, source, image, plane, shares, wanted))
        elif shares is not None:
            made.append(classified(predictor, source, int(plane), shares))
    return made


def _video(predictor: Predictor, source: Source, wanted: Wanted) -> dict[str, Any]:
    """Write a video with its frames under the colours of the classes; return its document."""
    if storage.is_remote(source.path):
        raise TrainError(
            f"{source.path}: found a video on a store, expected a local file; download it first"
        )
    target = targets(source, wanted)["video"]
    colours = predictor.trained.facts.colours
    count = 0
    with video.opened(source.path) as capture, video.writing(target, video.rate(capture)) as add:
        for frames in _batched(video.frames(capture), wanted.batch):
            size = prediction_size(frames[0], wanted)
            planes = predictor.classes(np.stack([resized(frame, size) for frame in frames]))
            for frame, plane in zip(frames, planes, strict=True):
                add(colour.overlay(predictor.picture(frame), resized_back(plane, frame), colours))
            count += len(frames)
        if not count:
            raise TrainError(f"{source.path}: found a video without any readable frame")
    return {"path": source.path, "video": target, "frames": count}


def _batched(frames: Iterator[Image], count: int) -> Iterator[list[Image]]:
    return iter(lambda: list(itertools.islice(frames, count)), [])
