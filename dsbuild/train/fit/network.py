"""The model of a training, with its first weights, loss and optimiser."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dsbuild.errors import TrainError
from dsbuild.format.folder import Folder, PathLike
from dsbuild.train import loss_terms, model, runs
from dsbuild.train.dataset import Facts
from dsbuild.train.fit import batches, optimisers, warm_start
from dsbuild.train.fit.class_weights import class_weights
from dsbuild.train.fit.compile import Loss, metric
from dsbuild.train.fit.progress import Talk
from dsbuild.train.fit.trainer import Trainer
from dsbuild.train.model.seeds import layer_seeds
from dsbuild.train.settings import Settings


def compiled(
    path: PathLike, settings: Settings, facts: Facts, steps: int, talk: Talk = print
) -> tuple[keras.Model, keras.Variable | None]:
    """Return a model that is ready to train, and the share of hard pixels if it is scheduled.

    Args:
      path: the folder whose manifest has the class weights.
      settings: the settings of the run.
      facts: those of the folder.
      steps: in the whole training, for the schedule.
      talk: prints which weights were loaded.
    """
    with layer_seeds(settings.seed), _precision(settings):
        network = model.build(
            **warm_start.backbone(settings),
            **runs.architecture(settings, facts),
            auxiliary=settings.auxiliary > 0,
        )
        if settings.auxiliary or settings.accumulate > 1:
            network = Trainer.of(network, settings.accumulate, settings.auxiliary)
        warm_start.load(network, settings, facts, talk)
        _check_weights(network, settings)
        if not network.trainable_variables:
            raise TrainError("freeze: found no layer left to train; freeze fewer layers")
        share, options = _loss_options(settings, path)
        network.compile(
            optimisers.build(settings, steps, network.trainable_variables),
            Loss(settings.loss, sigmoid=settings.sigmoid, ignore=facts.padding, **options),
            metrics=[metric(facts)],
            jit_compile=False,
        )
        network.optimizer.build(network.trainable_variables)
    return network, share


def _check_weights(network: keras.Model, settings: Settings) -> None:
    """Raise TrainError if a first weight is NaN or infinite."""
    for variable in network.variables:
        if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
            raise TrainError(
                f"weights: {settings.weights}: {variable.path}: found NaN or infinite values, "
                "expected finite ones; start from other weights"
            )


@contextlib.contextmanager
def _precision(settings: Settings) -> Iterator[None]:
    """Build models in the block that compute in 16 bits, if the settings say so."""
    before = keras.config.dtype_policy()
    if settings.mixed:
        gpu = bool(tf.config.list_physical_devices("GPU"))
        keras.config.set_dtype_policy("mixed_float16" if gpu else "mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _loss_options(
    settings: Settings, path: PathLike
) -> tuple[keras.Variable | None, dict[str, Any]]:
    """Return the share of hard pixels if it is scheduled, and the options of the loss."""
    options: dict[str, Any] = {}
    names = {term.name for term in loss_terms.terms(settings.loss)}
    if "focal" in names:
        options["gamma"] = settings.focal_gamma
    if "tversky" in names:
        options["alpha"], options["beta"] = settings.tversky
    folder = Folder.of(path)
    samples = batches.labelled(folder, settings)
    weights = class_weights(settings.class_weights, folder.manifest, settings.split, samples)
    if weights is not None:
        options["class_weights"] = weights
    if settings.smoothing:
        options["smoothing"] = settings.smoothing
    if settings.hard_share == 1:
        return None, options
    if not settings.hard_steps:
        return None, options | {"share": settings.hard_share}
    share = keras.Variable(1.0, trainable=False, name="hard_share")
    return share, options | {"share": share}
