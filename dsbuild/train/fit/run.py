"""Train a model on the shards of a folder, into the folder of a run."""

import contextlib
import dataclasses
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dsbuild import storage
from dsbuild.errors import TrainError
from dsbuild.format.documents import dump
from dsbuild.format.folder import Folder, PathLike
from dsbuild.train import dataset, model, runs
from dsbuild.train.fit import batches, notes, optimisers, warm_start
from dsbuild.train.fit.callbacks import (
    Averaged,
    Chance,
    Checkpoints,
    HardShare,
    MovingAverages,
    Scores,
    Sound,
)
from dsbuild.train.fit.class_weights import class_weights
from dsbuild.train.fit.compile import Loss, metric
from dsbuild.train.fit.devices import strategy
from dsbuild.train.fit.progress import Lines, Talk
from dsbuild.train.metrics.evaluate import measure
from dsbuild.train.predict.predictor import Predictor
from dsbuild.train.runs import Trained
from dsbuild.train.settings import Settings


def train(
    path: PathLike,
    run: str,
    asked: Settings,
    *,
    devices: int | None = None,
    talk: Talk = print,
    quiet: bool = False,
    watch: Callable[..., list[keras.callbacks.Callback]] | None = None,
) -> dict[str, Any]:
    """Train on a folder of TFRecords, or go on with it; return what `metrics.json` has.

    Args:
      path: what dsbuild wrote.
      run: the folder of the run; one of the same settings and data goes on where it was left.
      asked: the settings.
      devices: GPUs, or where there is none logical CPUs; all GPUs, or one CPU, without it.
      talk: is given lines to print.
      quiet: give none, and show no bar.
      watch: returns callbacks, such as TensorBoard's, for the run, what predicts, averaged weights,
        a reader, and the steps between.

    Raises TrainError, or another DsbuildError, for what does not fit.
    """
    waits, talk = talk, (lambda _: None) if quiet else talk
    folder = Folder.of(path)
    known = dataset.of(folder)
    known.learnable(folder.path)
    asked = _fitting(warm_start.fitted(asked), known, talk)
    count = len(batches.labelled(folder, asked))
    held = batches.labelled(folder, asked, "val") if asked.val else None
    every, legs = _legs(asked, count)
    lacks = notes.absent(asked.split, known, folder.manifest.splits) if legs else ""
    kept = _patient(asked, known.score)
    batches.augmentation(asked, known)  # for what it refuses
    resumed = runs.stands(run, asked, known)
    done = storage.join(run, runs.METRICS)
    if resumed and storage.stamp(done) is not None:
        talk(f"{run}: its training is finished; give another folder to train anew")
        return json.loads(storage.read(done)[0])
    with strategy(devices, asked.batch).scope():
        network, share = compiled(folder, asked, known, every * legs, talk)
        moving = MovingAverages(network, asked.momentum, every)
    with storage.lock(storage.join(run, runs.ROOM, "lock"), waits):
        averaged = Averaged(network)
        predictor = Predictor(Trained(network, asked, known, 0))
        judge = None if held is None else lambda: measure(predictor, held).confusion
        files = Checkpoints(run, averaged, kept, known.score, every)
        files.set_model(network)
        step = files.resume()
        fed = batches.batches(folder, asked, known, start=step)
        if not step:
            runs.begin(run, asked, known)
        else:
            talk(f"{run}: goes on behind step {step:,}")
        scores = Scores(judge, averaged, known.score, asked.batch)
        if not legs:
            if not files.rows:
                files.keep(0, scores.scored({}))
            return _finish(run, files)
        lines = Lines(talk, files, known.score, legs, every, asked.batch, quiet)
        callbacks = [
            Chance(asked.seed, every),
            moving,
            Sound(every),
            scores,
            *kept.values(),
            files,
            lines,
        ]
        if share is not None:
            callbacks.insert(0, HardShare(share, asked.hard_share, asked.hard_steps, every))
        if watch is not None:
            callbacks += watch(run, predictor, averaged, held, every)
        if not files.rows or not _stopped(kept, files):
            with _named():
                network.fit(
                    fed,
                    epochs=legs,
                    initial_epoch=step // every,
                    shuffle=False,
                    steps_per_epoch=every,
                    verbose=0,
                    callbacks=callbacks,
                )
        return _finish(run, files, lacks, notes.monotonous(scores.found, known))


def _fitting(asked: Settings, known: dataset.Facts, talk: Talk) -> Settings:
    """Return the settings with a crop on whose first and last pixels features lie, and say so."""
    if known.task != "segmentation" or asked.crop == asked.aligned:
        return asked
    talk(
        f"crop: {asked.crop} is no multiple of the output stride, {asked.output_stride}, plus 1; "
        f"takes {asked.aligned}, so that features lie on the first and the last pixel"
    )
    return dataclasses.replace(asked, crop=asked.aligned)


def compiled(
    path: PathLike, asked: Settings, known: dataset.Facts, steps: int, talk: Talk = print
) -> tuple[keras.Model, keras.Variable | None]:
    """Return a model that is ready to train, and the share of hard pixels where that is scheduled.

    Args:
      path: the folder whose manifest has the weights of classes.
      asked: the settings.
      known: facts of that folder.
      steps: of the whole training, for the schedule.
      talk: is told which weights were loaded.
    """
    keras.utils.set_random_seed(asked.seed)
    with _policy(asked):
        network = model.build(**warm_start.backbone(asked), **runs.architecture(asked, known))
        warm_start.give(network, asked, known, talk)
        _numbers(network, asked)
        if not network.trainable_variables:
            raise TrainError("freeze: found nothing that is left to train; hold fewer layers")
        share, options = _objective(asked, path)
        network.compile(
            optimisers.build(asked, steps, network.trainable_variables),
            Loss(asked.loss, **options, ignore=known.padding),
            metrics=[metric(known)],
            jit_compile=False,
        )
        network.optimizer.build(network.trainable_variables)
    return network, share


def _legs(asked: Settings, count: int) -> tuple[int, int]:
    """Return the steps between checkpoints, and how often they come."""
    once = math.ceil(count / asked.batch)
    steps = asked.steps
    if steps is None:
        steps = math.ceil(asked.epochs * count / asked.batch)
    if not steps:
        return 0, 0
    every = min(asked.every or once, steps)
    return every, math.ceil(steps / every)


def _numbers(network: keras.Model, asked: Settings) -> None:
    """Raise TrainError where a model begins with weights that are no numbers."""
    for variable in network.variables:
        if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
            raise TrainError(
                f"weights: {asked.weights}: {variable.path}: found values that are no numbers, "
                "expected finite ones; begin with other weights"
            )


@contextlib.contextmanager
def _policy(asked: Settings) -> Iterator[None]:
    """Compute in 16 bits, where that is asked for, in models that are built within."""
    was = keras.config.dtype_policy()
    if asked.mixed:
        gpu = bool(tf.config.list_physical_devices("GPU"))
        keras.config.set_dtype_policy("mixed_float16" if gpu else "mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(was)


def _objective(asked: Settings, path: PathLike) -> tuple[keras.Variable | None, dict[str, Any]]:
    """Return the share of hard pixels where it is scheduled, and the options of the loss."""
    options: dict[str, Any] = {}
    folder = Folder.of(path)
    samples = batches.labelled(folder, asked)
    weights = class_weights(asked.class_weights, folder.manifest, asked.split, samples)
    if weights is not None:
        options["class_weights"] = weights
    if asked.smoothing:
        options["smoothing"] = asked.smoothing
    if asked.hard_share == 1:
        return None, options
    if not asked.hard_steps:
        return None, options | {"share": asked.hard_share}
    share = keras.Variable(1.0, trainable=False, name="hard_share")
    return share, options | {"share": share}


def _patient(asked: Settings, score: str) -> dict[str, keras.callbacks.Callback]:
    """Return Keras' callbacks that count scores, by name."""
    found: dict[str, keras.callbacks.Callback] = {}
    if (asked.patience or asked.schedule == "plateau") and not asked.val:
        raise TrainError("val: found none, expected a split for --patience and --schedule plateau")
    if asked.schedule == "plateau":
        found["plateau"] = keras.callbacks.ReduceLROnPlateau(
            f"val_{score}", factor=0.1, patience=asked.plateau, mode="max"
        )
    if asked.patience:
        found["stop"] = keras.callbacks.EarlyStopping(
            f"val_{score}", patience=asked.patience, mode="max"
        )
    return found


def _stopped(kept: Mapping[str, Any], files: Checkpoints) -> bool:
    """Tell whether a run that is taken up had stopped by itself."""
    stop = kept.get("stop")
    return stop is not None and files.state("stop").get("wait", 0) >= stop.patience


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """Turn what TensorFlow says of data and memory into one line."""
    try:
        yield
    except (tf.errors.InvalidArgumentError, tf.errors.DataLossError) as error:
        found = re.search(r"assertion failed: \[(.*)\]", error.message)
        if found is None:
            raise
        raise TrainError(found[1].replace("] [", " ").replace("\\'", "'")) from error
    except tf.errors.ResourceExhaustedError as error:
        raise TrainError(
            "found too little memory for a step; give a smaller --batch or --crop, or --mixed"
        ) from error


def _finish(run: str, files: Checkpoints, *remarks: str) -> dict[str, Any]:
    """Write and return what a run came to."""
    last = files.rows[-1]
    found: dict[str, Any] = {"steps": last["step"], "last": last}
    best = next((row for row in files.rows if row["step"] == files.best_step), None)
    if best is not None:  # without --val nothing is scored
        found["best"] = best
    if any(remarks):
        found["note"] = "; ".join(filter(None, remarks))
    storage.write(storage.join(run, runs.METRICS), dump(found, indent=2).encode() + b"\n")
    return found
