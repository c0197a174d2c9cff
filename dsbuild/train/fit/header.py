"""What a training is about to do, as a value."""

from dataclasses import dataclass

from dsbuild.train.settings import Settings


@dataclass(frozen=True)
class Header:
    """The facts of a training that is about to begin, for people.

    Attributes:
      run: the folder of the run.
      data: the folder of TFRecords.
      images, val_images: how many images it is trained on and scored on.
      task: as in Facts.
      classes: their names.
      settings: those of the run.
      parameters, trained: numbers of the model, and how many of them training changes.
      device: what it runs on.
      steps: of the whole training.
      every: steps between checkpoints.
      done: steps of an earlier start.
    """

    run: str
    data: str
    images: int
    val_images: int
    task: str
    classes: tuple[str, ...]
    settings: Settings
    parameters: int
    trained: int
    device: str
    steps: int
    every: int
    done: int
