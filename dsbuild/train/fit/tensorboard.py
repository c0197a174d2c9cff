"""TensorBoard events of a run: numbers, pictures, and on request histograms of weights."""

import importlib.util

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from dsbuild import storage
from dsbuild.errors import TrainError, missing
from dsbuild.images import colour
from dsbuild.reader import Reader
from dsbuild.reader.sample import Sample
from dsbuild.train import runs
from dsbuild.train.fit.callbacks import Averaged, Logs
from dsbuild.train.predict.predictor import Predictor

_PICTURES = 4


class Events(keras.callbacks.Callback):
    """Writes the logs of each leg, and image, label and prediction side by side."""

    def __init__(
        self,
        folder: str,
        predictor: Predictor,
        averaged: Averaged,
        held_out: Reader | None,
        every: int,
        histograms: bool,
    ) -> None:
        super().__init__()
        self._writer = tf.summary.create_file_writer(folder)
        self._samples: list[Sample] = []
        if held_out is not None and predictor.pixels:
            self._samples = [held_out[i] for i in range(min(len(held_out), _PICTURES))]
        self._predictor, self._averaged = predictor, averaged
        self._every, self._histograms = every, histograms

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write the events of a leg."""
        step = (epoch + 1) * self._every
        with self._writer.as_default(step):
            for name, value in logs.items():
                tf.summary.scalar(name, value)
            with self._averaged.weights():
                for number, sample in enumerate(self._samples):
                    name = f"image, label, prediction/{number}"
                    tf.summary.image(name, self._picture(sample)[None])
            if self._histograms:
                for variable in self.model.trainable_variables:
                    tf.summary.histogram(variable.path, keras.ops.convert_to_numpy(variable))
        self._writer.flush()

    def _picture(self, sample: Sample) -> NDArray[np.uint8]:
        """Return image, label and prediction of a sample side by side: uint8 (h, 3 w, 3)."""
        colours = self._predictor.trained.facts.colours
        predicted = self._predictor.classes(sample.image)
        planes = [colour.paint(plane, colours) for plane in (np.asarray(sample.label), predicted)]
        return np.concatenate([self._predictor.picture(sample.image), *planes], 1)


def needs(run: str) -> None:
    """Raise TrainError if TensorBoard is not installed, or a run's events cannot be written."""
    if importlib.util.find_spec("tensorboard") is None:  # which `tf.summary` imports when used
        raise TrainError(missing("tensorboard", "--tensorboard"))
    if storage.is_remote(run):
        raise TrainError(
            f"{run}: found a URL, but TensorFlow writes TensorBoard events to local folders only; "
            "use a local run folder, or leave out --tensorboard and --histograms"
        )


def watch(
    run: str,
    predictor: Predictor,
    averaged: Averaged,
    held_out: Reader | None,
    every: int,
    *,
    histograms: bool = False,
) -> list[keras.callbacks.Callback]:
    """Return the callback that writes the events of a run; raise TrainError as `needs` does."""
    needs(run)
    folder = storage.join(run, runs.EVENTS)
    return [Events(folder, predictor, averaged, held_out, every, histograms)]
