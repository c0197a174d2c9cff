"""Train a model on the shards of a folder, into the folder of a run."""

import dataclasses
import functools
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import keras

from dsbuild import storage
from dsbuild.errors import TrainError
from dsbuild.format.documents import dump
from dsbuild.format.folder import Folder, PathLike
from dsbuild.reader import Reader
from dsbuild.reader.caching import NONE, Caching
from dsbuild.train import dataset, image_range, model, runs
from dsbuild.train.dataset import Facts
from dsbuild.train.described import keep_data
from dsbuild.train.fit import batches, checkpoints, crop, notes, optimisers, warm_start
from dsbuild.train.fit.callbacks import Averaged, FiniteLoss, HardShare, MovingAverages, Scores
from dsbuild.train.fit.checkpoints import Checkpoints
from dsbuild.train.fit.devices import described, strategy
from dsbuild.train.fit.failures import errors_named
from dsbuild.train.fit.header import Header
from dsbuild.train.fit.network import compiled
from dsbuild.train.fit.progress import ProgressLines, Talk
from dsbuild.train.fit.step_seeds import StepSeeds, generators_restored
from dsbuild.train.metrics.confusion import Confusion
from dsbuild.train.metrics.evaluate import measure
from dsbuild.train.predict.predictor import Predictor
from dsbuild.train.runs import Trained
from dsbuild.train.settings import Settings
from dsbuild.train.weights import zoo

Begun = Callable[[Header], None]
Watch = Callable[[str, Predictor, Averaged, Reader | None, int], list[keras.callbacks.Callback]]


@dataclasses.dataclass(frozen=True)
class _Task:
    """A training that was checked: what to fit on which data, into which folder.

    Attributes:
      folder: the folder of TFRecords.
      run: the folder of the run.
      settings: with a crop and a width that fit the model.
      facts: those of the data.
      images: how many images it is trained on.
      held_out: the validation samples, if there are any.
      every: steps in a leg, after each of which a checkpoint is written.
      legs: how many there are.
      resumed: whether the run has a checkpoint.
      missing: a note on classes without an image, or nothing.
      caching: whether decoded samples are kept.
    """

    folder: Folder
    run: str
    settings: Settings
    facts: Facts
    images: int
    held_out: Reader | None
    every: int
    legs: int
    resumed: bool
    missing: str
    caching: Caching


def train(
    path: PathLike,
    run: str,
    settings: Settings,
    *,
    devices: int | None = None,
    talk: Talk = print,
    quiet: bool = False,
    watch: Watch | None = None,
    begun: Begun | None = None,
    caching: Caching = NONE,
) -> dict[str, Any]:
    """Train on a folder of TFRecords, or resume a run; return the content of `metrics.json`.

    The process is left as it was: no generator of random numbers is seeded, and no setting of
    Keras changes. (More than one device on CPUs is a setting of TensorFlow's that stays.)

    Args:
      path: the folder that dsbuild wrote.
      run: the folder of the run; a run with the same settings and data is resumed.
      settings: the settings of the run.
      devices: number of GPUs, or of logical CPUs if there are none. Default: all GPUs, or one CPU.
      talk: prints a line.
      quiet: print no lines, and show no progress bar.
      watch: returns more callbacks, such as TensorBoard's.
      begun: is called with what the training is, before its first step.
      caching: whether decoded samples are kept, and where.

    Raises TrainError, or another DsbuildError, for invalid input.
    """
    say = _silent if quiet else talk
    folder = Folder.of(path)
    task = _checked(folder, run, settings, say, caching)
    finished = storage.join(run, runs.METRICS)
    if task.resumed and storage.stamp(finished) is not None:
        say(f"{run}: this training is finished; use another folder to train again")
        metrics: dict[str, Any] = json.loads(storage.read(finished)[0])
        return metrics
    with generators_restored():
        parts = task.settings.accumulate
        spread = strategy(devices, task.settings.batch, parts)
        with spread.scope():
            steps = task.every * task.legs
            network, share = compiled(folder, task.settings, task.facts, steps, say)
            moving = MovingAverages(network, task.settings.momentum, task.every, parts)
        with storage.lock(storage.join(run, runs.ROOM, "lock"), talk):
            tell = functools.partial(_tell, begun, task, network, spread.num_replicas_in_sync)
            return _fit(task, network, share, moving, say, tell, quiet, watch)


def _silent(line: str) -> None:
    """Print nothing."""


def _checked(folder: Folder, run: str, settings: Settings, say: Talk, caching: Caching) -> _Task:
    """Return the training that is asked for; raise TrainError before anything is written."""
    facts = dataset.of(folder)
    facts.learnable(folder.path)
    zoo.expect(settings.weights, settings.backbone)
    zoo.located(settings.weights, say)
    settings = crop.fitted(warm_start.fitted(settings), facts, say)
    samples = batches.labelled(folder, settings)
    chosen = bool(settings.image_range)
    settings, count = image_range.fitted(settings, samples), len(samples)
    held_out = batches.labelled(folder, settings, "val") if settings.val else None
    every, legs = checkpoints.legs(settings, count)
    entries = folder.manifest.splits if folder.manifest else {}
    missing = notes.absent(settings.split, facts, entries) if legs else ""
    _counting(settings, facts.score)
    batches.augmentation(settings, facts)  # which checks its values
    resumed = runs.resumable(run, settings, facts)
    if not resumed:  # earlier versions accepted more
        optimisers.expect(settings)
    image_range.check(settings, samples, settings.split, say, chosen=chosen or resumed)
    rest = every, legs, resumed, missing, caching
    return _Task(folder, run, settings, facts, count, held_out, *rest)


def _tell(begun: Begun | None, task: _Task, network: keras.Model, devices: int, step: int) -> None:
    """Say what a training is, which has done some steps before."""
    if begun is None:
        return
    sizes = [math.prod(variable.shape) for variable in network.trainable_variables]
    begun(
        Header(
            run=task.run,
            data=task.folder.path,
            images=task.images,
            val_images=len(task.held_out) if task.held_out else 0,
            task=task.facts.task,
            classes=task.facts.classes,
            settings=task.settings,
            parameters=network.count_params(),
            trained=sum(sizes),
            device=described(devices),
            steps=task.legs * task.every,
            every=task.every,
            done=step,
        )
    )


def _fit(
    task: _Task,
    network: keras.Model,
    share: keras.Variable | None,
    moving: MovingAverages,
    say: Talk,
    tell: Callable[[int], None],
    quiet: bool,
    watch: Watch | None,
) -> dict[str, Any]:
    """Fit a compiled model from its last checkpoint to the end; write and return the metrics."""
    settings, facts, every = task.settings, task.facts, task.every
    averaged = Averaged(network)
    predictor = Predictor(Trained(model.single(network), settings, facts, 0))
    counting = _counting(settings, facts.score)
    files = Checkpoints(task.run, averaged, counting, facts.score, every)
    files.set_model(network)
    step = files.resume()
    tell(step)
    data = batches.batches(task.folder, settings, facts, step, task.caching)
    if step:
        say(f"{task.run}: continues after step {step:,}")
        keep_data(task.run, task.folder.path)
    else:
        runs.begin(task.run, settings, facts, task.folder.path)
    lines = ProgressLines(say, files, facts.score, task.legs, every, settings.val, quiet)
    measured = _measure(predictor, task.held_out, lines)
    scores = Scores(measured, averaged, facts.score, settings.batch)
    if not task.legs:
        if not files.rows:
            files.write(0, scores.scored({}))
        return _finish(task.run, files)
    callbacks = [
        StepSeeds(settings.seed, every),
        moving,
        FiniteLoss(every),
        scores,
        *counting.values(),
        files,
        lines,
    ]
    if share is not None:
        hard = HardShare(share, settings.hard_share, settings.hard_steps, every)
        callbacks.insert(0, hard)
    if watch is not None:
        callbacks += watch(task.run, predictor, averaged, task.held_out, every)
    if not files.rows or not _stopped(counting, files):
        with errors_named(), lines:
            network.fit(
                data,
                epochs=task.legs,
                initial_epoch=step // every,
                shuffle=False,
                steps_per_epoch=every,
                verbose=0,
                callbacks=callbacks,
            )
    return _finish(task.run, files, task.missing, notes.monotonous(scores.latest, facts))


def _measure(
    predictor: Predictor, samples: Reader | None, lines: ProgressLines
) -> Callable[[], Confusion] | None:
    if samples is None:
        return None

    def measured() -> Confusion:
        with lines.scoring(len(samples)) as advance:
            return measure(predictor, samples, advance=advance).confusion

    return measured


def _counting(settings: Settings, score: str) -> dict[str, keras.callbacks.Callback]:
    """Return Keras' callbacks that count scores, by name."""
    callbacks: dict[str, keras.callbacks.Callback] = {}
    if (settings.patience or settings.schedule == "plateau") and not settings.val:
        raise TrainError("val: found none, expected a split for --patience and --schedule plateau")
    if settings.schedule == "plateau":
        callbacks["plateau"] = keras.callbacks.ReduceLROnPlateau(
            f"val_{score}", factor=0.1, patience=settings.plateau, mode="max"
        )
    if settings.patience:
        callbacks["stop"] = keras.callbacks.EarlyStopping(
            f"val_{score}", patience=settings.patience, mode="max"
        )
    return callbacks


def _stopped(counting: Mapping[str, keras.callbacks.Callback], files: Checkpoints) -> bool:
    """Tell whether a resumed run had already run out of patience."""
    stop = counting.get("stop")
    return stop is not None and files.state("stop").get("wait", 0) >= stop.patience


def _finish(run: str, files: Checkpoints, *remarks: str) -> dict[str, Any]:
    """Write and return the metrics of a run."""
    last = files.rows[-1]
    metrics: dict[str, Any] = {"steps": last["step"], "last": last}
    best = next((row for row in files.rows if row["step"] == files.best_step), None)
    if best is not None:  # without --val there is no score
        metrics["best"] = best
    if any(remarks):
        metrics["note"] = "; ".join(filter(None, remarks))
    data = dump(metrics, indent=2).encode() + b"\n"
    storage.write(storage.join(run, runs.METRICS), data)
    return metrics
