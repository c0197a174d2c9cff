"""Measure training steps beside a plain Keras loop, and predictions beside ONNX Runtime.

    python bench/beside.py steps DATA BACKBONE CROP BATCH
    python bench/beside.py predictions DATA BACKBONE SIDE THREADS

`bench/train.py` calls this, once per row of its tables `loop` and `onnx`, and explains them. All
variants of a row run in one process, in turns of some steps or images; training has two threads.
Prints JSON: for each variant and turn, the seconds by the wall and the CPU.
"""

import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable

THREADS = 2
ROUNDS = 5
STEPS = 20  # measured in each round
WARM = 5  # before these
IMAGES = 24
Times = dict[str, list[tuple[float, float]]]


def now() -> tuple[float, float]:
    """Return the seconds by the wall and the CPU, all threads together."""
    return time.perf_counter(), time.process_time()


def since(begun: tuple[float, float]) -> tuple[float, float]:
    """Return the seconds that have passed."""
    wall, cpu = now()
    return wall - begun[0], cpu - begun[1]


def steps(data: str, backbone: str, crop: str, batch: str) -> Times:
    """Time steps of `dsbuild train`, of `Model.fit`, and of a loop around a `tf.function`.

    dsbuild trains as always, with all checks, callbacks and checkpoints; after each leg the others
    have their turns. All have the same layers, batches, cross entropy and SGD with momentum; `fit`
    also has the mean IoU that dsbuild shows.
    """
    import keras
    import tensorflow as tf

    from dsbuild.train import dataset
    from dsbuild.train.fit import batches as fed
    from dsbuild.train.fit import run
    from dsbuild.train.fit.network import compiled
    from dsbuild.train.settings import Settings

    leg = WARM + STEPS
    total = (ROUNDS + 1) * leg
    settings = Settings(
        backbone=backbone, crop=int(crop), batch=int(batch), val="", steps=total, every=leg
    )
    facts = dataset.of(data)
    found: Times = {"dsbuild": [], "fit": [], "loop": []}

    class Clock(keras.callbacks.Callback):
        """Times a leg but its first steps, then lets the others work."""

        def __init__(self, name: str, then: Callable[[], None] | None = None) -> None:
            super().__init__()
            self.name, self.then = name, then

        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            if batch == WARM - 1:
                self.begun = now()
            if batch == leg - 1:
                found[self.name].append(since(self.begun))

        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            if self.then is not None:
                self.then()

    def plain(metrics: list) -> keras.Model:
        layers, _ = compiled(data, settings, facts, total)
        made = keras.Model(layers.inputs[0], layers.outputs[0])
        rate = keras.optimizers.schedules.PolynomialDecay(settings.rate, total, 0.0, settings.power)
        made.compile(
            keras.optimizers.SGD(rate, settings.sgd_momentum, weight_decay=settings.decay),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255),
            metrics=metrics,
        )
        return made

    classes = len(facts.classes)
    score = keras.metrics.MeanIoU(classes, ignore_class=255, sparse_y_pred=False)
    scored, looped = plain([score]), plain([])
    given = fed.batches(data, settings, facts)

    @tf.function
    def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = looped.loss(labels, looped(images, training=True))
        variables = looped.trainable_variables
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        looped.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    stream = iter(given)

    def loop() -> None:
        for number, (images, labels) in enumerate(itertools.islice(stream, leg)):
            float(step(images, labels))
            if number == WARM - 1:
                begun = now()
        found["loop"].append(since(begun))

    def others() -> None:
        scored.fit(given, shuffle=False, steps_per_epoch=leg, verbose=0, callbacks=[Clock("fit")])
        loop()

    with tempfile.TemporaryDirectory() as folder:
        watch = [Clock("dsbuild", others)]
        run.train(data, f"{folder}/run", settings, quiet=True, watch=lambda *_: watch)
    return {name: times[1:] for name, times in found.items()}  # without the round that traces


def predictions(data: str, backbone: str, side: str, threads: str) -> Times:
    """Time predictions of images by `DeepLabModel`, and by ONNX Runtime with the run's export.

    Both get the same images, one by one, whose longest side has this length, and return classes.
    ONNX Runtime's threads wait without spinning, which would count as work.
    """
    import onnxruntime

    import dsbuild
    from dsbuild import images
    from dsbuild.train.export.run import export
    from dsbuild.train.fit import run
    from dsbuild.train.predict.deeplab import DeepLabModel
    from dsbuild.train.predict.outputs import fitted
    from dsbuild.train.settings import Settings

    samples = list(itertools.islice(dsbuild.open(data, "train"), IMAGES))
    pictures = [
        images.resample(sample.image, fitted(sample.image.shape[:2], int(side)))
        for sample in samples
    ]
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(backbone=backbone, crop=129, batch=4, val="", steps=0)
        run.train(data, f"{folder}/run", settings, quiet=True)
        exported = export(f"{folder}/run", f"{folder}/onnx", "onnx")
        own = DeepLabModel(f"{folder}/run", int(side)).predictor
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(threads)
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(
            exported.path, options, providers=["CPUExecutionProvider"]
        )
    variants: dict[str, Callable] = {
        "dsbuild": own.classes,
        "onnx": lambda image: session.run(None, {"images": image[None]})[0][0],
    }
    found: Times = {name: [] for name in variants}
    for _ in range(ROUNDS + 1):
        for name, predict in variants.items():
            begun = now()
            for picture in pictures:
                predict(picture)
            found[name].append(since(begun))
    return {name: times[1:] for name, times in found.items()}


def main(what: str, *rest: str) -> None:
    """Print what was measured."""
    threads = int(rest[3]) if what == "predictions" else THREADS
    os.environ["OMP_NUM_THREADS"] = str(threads)
    from dsbuild.train import tensorflow_env

    tensorflow_env.quiet("bench")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    print(json.dumps({"steps": steps, "predictions": predictions}[what](*rest)))


if __name__ == "__main__":
    main(*sys.argv[1:])
