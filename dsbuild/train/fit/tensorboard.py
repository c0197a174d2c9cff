"""What TensorBoard shows of a run: numbers, pictures, and histograms of weights on demand."""

import keras
import numpy as np
import tensorflow as tf

from dsbuild import storage
from dsbuild.errors import TrainError
from dsbuild.images import colour
from dsbuild.reader import Reader
from dsbuild.train import runs
from dsbuild.train.fit.callbacks import Averaged
from dsbuild.train.predict.predictor import Predictor

_PICTURES = 4


class Events(keras.callbacks.Callback):
    """Writes the logs of each leg, and image, label and prediction side by side."""

    def __init__(
        self,
        folder: str,
        predictor: Predictor,
        averaged: Averaged,
        held: Reader | None,
        every: int,
        histograms: bool,
    ):
        super().__init__()
        self._writer = tf.summary.create_file_writer(folder)
        shown = held is not None and predictor.pixels
        self._samples = [held[i] for i in range(min(len(held), _PICTURES))] if shown else []
        self._predictor, self._averaged = predictor, averaged
        self._every, self._histograms = every, histograms

    def on_epoch_end(self, epoch, logs=None):
        """Write what there is."""
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

    def _picture(self, sample) -> np.ndarray:
        """Return the three pictures of a sample side by side: uint8 (h, 3 w, 3)."""
        colours = colour.table(self._predictor.trained.facts.palette)
        found = self._predictor.classes(sample.image)
        planes = [colour.paint(plane, colours) for plane in (sample.label, found)]
        return np.concatenate([sample.image, *planes], 1)


def needs(run: str) -> None:
    """Raise TrainError if TensorBoard is not installed, or a run's events cannot be written."""
    try:
        import tensorboard  # noqa: F401 - what `tf.summary` needs, and fails without at use
    except ImportError as error:
        raise TrainError("found no tensorboard; run pip install tensorboard") from error
    if storage.is_remote(run):
        raise TrainError(
            f"{run}: found a URL, but TensorFlow writes TensorBoard events to local folders only; "
            "use a local run folder, or leave out --tensorboard and --histograms"
        )


def watch(
    run: str,
    predictor: Predictor,
    averaged: Averaged,
    held: Reader | None,
    every: int,
    *,
    histograms: bool = False,
) -> list[keras.callbacks.Callback]:
    """Return the callback of a run; raise TrainError as `needs` does."""
    needs(run)
    folder = storage.join(run, runs.EVENTS)
    return [Events(folder, predictor, averaged, held, every, histograms)]
