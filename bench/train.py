"""Measure what the trainer learns, and how fast it is.

    python bench/train.py --table voc --source VOCdevkit/VOC2012

overfit     mobilenet_v2 on 40 drawn pairs: how fast it learns them
voc         real pairs, used for training and scoring, compared with all background
texture     held-out classes that differ only in texture, with and without the gradient branch
waiting     the share of a step in which the model waits for its batch
loop        a step of `dsbuild train` beside `Model.fit` and a plain loop of the same model
onnx        predictions beside ONNX Runtime with the export of the same run

Each training of the first three is a `dsbuild train` process. Scores are from `log.csv`.
"""

import argparse
import csv
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from statistics import median

import beside
import build
import draw

from tests.support import fakes

ADAM = ("--optimiser", "adam", "--rate", "3e-3", "--batch-norm-momentum", "0.8")
AS_IT_IS = ("--scales", "1,1", "--scale-step", "0")
SEEDS = 3


def trained(data: str, run: str, *options: str) -> tuple[list[dict[str, float]], float]:
    """Train; return the rows of the log, and the seconds that the command took."""
    begun = time.monotonic()
    build.run([build.DSBUILD, "train", data, "--run", run, *options, "--quiet"])
    with open(os.path.join(run, "log.csv"), newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return rows, time.monotonic() - begun


def built(folder: str, source: str, *options: str) -> str:
    """Build folders of images and labels with their class names; return the output folder."""
    names = os.path.join(source, "classes.txt")
    build.run([build.DSBUILD, "pairs", source, folder, "--classes", names, *options, "--quiet"])
    return folder


def overfit(folder: str, _: str | None) -> None:
    """Print the learning curve of mobilenet_v2 on 40 drawn pairs."""
    data = built(f"{folder}/data", fakes.shapes(folder, 40, 128))
    options = ("--backbone", "mobilenet_v2", "--crop", "129", "--batch", "8", "--val", "train")
    options += (*ADAM, "--steps", "300", "--every", "50")
    rows, seconds = trained(data, f"{folder}/run", *options, *AS_IT_IS)
    print(f"\n## Overfit: mobilenet_v2, 40 drawn pairs of 128 x 128, {seconds:.0f} s in total\n")
    curve(rows)
    reached(rows[-1]["val_mean_iou"], 0.9)


def curve(rows: Sequence[dict[str, float]]) -> None:
    """Print the rows of a log."""
    print("| step | loss | mIoU on the training pairs | images/s |\n|--:|--:|--:|--:|")
    for row in rows:
        speed = row["images_per_second"]
        print(
            f"| {row['step']:.0f} | {row['loss']:.4f} | {row['val_mean_iou']:.3f} | {speed:.1f} |"
        )


def reached(found: float, target: float) -> None:
    """Print whether a target was reached."""
    end = "reached" if found > target else "missed"
    print(f"\ntarget: above {target:.3f}; measured: {found:.3f}; {end}")


def voc(folder: str, source: str | None) -> None:
    """Print the learning curve on real pairs, and the mIoU of predicting only background."""
    if source is None:
        print("\nvoc: left out; needs --source VOCdevkit/VOC2012")
        return
    data = f"{folder}/data"
    build.run([build.DSBUILD, "voc", source, data, "--split", "train", "--split", "val", "--quiet"])
    options = ("--backbone", "mobilenet_v2", "--crop", "193", "--batch", "8", *ADAM)
    options += ("--split", "train+val", "--val", "train+val", "--resize", "193,193,1")
    # Rates for maps of 13 x 13: wider ones see only padding in crops, but not in whole images.
    options += ("--rates", "2,4,6", "--steps", "480", "--every", "120")
    run = f"{folder}/run"
    rows, seconds = trained(data, run, *options, *AS_IT_IS)
    shown = json.loads(
        build.run([build.DSBUILD, "evaluate", run, data, "--split", "train+val", "--json"])
    )
    counts = [one["label_pixels"] for one in shown["classes"]]
    ground = counts[0] / sum(counts) / sum(count > 0 for count in counts)
    pairs = shown["samples"]
    print(f"\n## Pascal VOC: mobilenet_v2 from random weights, {pairs} pairs, {seconds:.0f} s\n")
    curve(rows)
    print(f"\nall background: mIoU {ground:.3f}, pixel accuracy {counts[0] / sum(counts):.3f}")
    print(f"trained: mIoU {shown['mean_iou']:.3f}, pixel accuracy {shown['pixel_accuracy']:.3f}")
    reached(shown["mean_iou"], 3 * ground)


def texture(folder: str, _: str | None) -> None:
    """Print the scores on held-out pairs with and without the gradient branch."""
    data = built(f"{folder}/data", draw.textures(folder, 60), "--val-fraction", "0.4")
    options = ("--backbone", "tiny", "--crop", "97", "--batch", "8", *ADAM, *AS_IT_IS)
    print("\n## Texture alone: held-out mIoU of tiny, 240 steps\n")
    print("| seed | plain | gradient branch |\n|--:|--:|--:|")
    found: dict[str, list[float]] = {"--no-gradient": [], "--gradient": []}
    for seed in range(SEEDS):
        for flag, scores in found.items():
            run = f"{folder}/run-{seed}{flag}"
            more = ("--steps", "240", "--every", "240", "--seed", str(seed), flag)
            rows, _ = trained(data, run, *options, *more)
            scores.append(rows[-1]["val_mean_iou"])
        print(f"| {seed} | {' | '.join(f'{scores[-1]:.3f}' for scores in found.values())} |")
    print(f"| median | {' | '.join(f'{median(scores):.3f}' for scores in found.values())} |")


def waiting(folder: str, source: str | None) -> None:
    """Print for several models how long a step takes and how long it waits."""
    data = voc_pairs(folder, source)
    print("\n## Waiting for data: pairs of VOC's size, batches of 8, medians of 30 steps\n")
    print("| model | crop | ms per step | waiting, ms | share | ms per step without input |")
    print("|---|--:|--:|--:|--:|--:|")
    for backbone, crop in (("tiny", 129), ("tiny", 513), ("mobilenet_v2", 257)):
        shown = build.run([sys.executable, __file__, "--child", data, backbone, str(crop)])
        one = json.loads(shown.splitlines()[-1])
        share = one["waiting"] / one["step"]
        print(
            f"| {backbone} | {crop} | {one['step']:.0f} | {one['waiting']:.1f} | {share:.1%} "
            f"| {one['alone']:.0f} |"
        )


def child(data: str, backbone: str, crop: str) -> None:
    """Train on batches that are fetched one by one, and print how long that takes."""
    from dsbuild.train import tensorflow_env

    tensorflow_env.quiet()
    from dsbuild.train import dataset
    from dsbuild.train.fit import batches as fed
    from dsbuild.train.fit.network import compiled
    from dsbuild.train.settings import Settings

    asked = Settings(backbone=backbone, crop=int(crop), batch=8, val="")
    known = dataset.of(data)
    network, _ = compiled(data, asked, known, 1000)
    batches = iter(fed.batches(data, asked, known))
    for _ in range(5):  # traces the model and fills the pipeline
        batch = next(batches)
        network.train_on_batch(*batch)
    steps, waits, alone = [], [], []
    for _ in range(30):
        begun = time.perf_counter()
        batch = next(batches)
        waits.append(time.perf_counter() - begun)
        network.train_on_batch(*batch)
        steps.append(time.perf_counter() - begun)
    del batches
    time.sleep(1)
    for _ in range(30):
        begun = time.perf_counter()
        network.train_on_batch(*batch)
        alone.append(time.perf_counter() - begun)
    found = {"step": steps, "waiting": waits, "alone": alone}
    print(json.dumps({name: 1000 * median(values) for name, values in found.items()}))


def loop(folder: str, source: str | None) -> None:
    """Print how many steps and images per second dsbuild trains on, beside plain Keras."""
    data = voc_pairs(folder, source)
    print("\n## A step beside plain Keras: medians of rounds in turns, two threads\n")
    print("| model | crop | batch | | steps/s | images/s | CPU ms per step | dsbuild's CPU to it |")
    print("|---|--:|--:|---|--:|--:|--:|--:|")
    for backbone, crop, batch in (("tiny", 129, 8), ("mobilenet_v2", 129, 4)):
        found = beside_of("steps", data, backbone, crop, batch)
        for name, (wall, cpu) in found.items():
            speed = beside.STEPS / wall
            print(
                f"| {backbone} | {crop} | {batch} | {name} | {speed:.2f} | {speed * batch:.1f} "
                f"| {1000 * cpu / beside.STEPS:.0f} | {found['dsbuild'][1] / cpu:.2f} |"
            )


def onnx(folder: str, source: str | None) -> None:
    """Print how long predictions take in dsbuild and in ONNX Runtime."""
    data = voc_pairs(folder, source)
    print("\n## Predictions beside ONNX Runtime: medians of rounds in turns\n")
    print("| model | side | threads | | images/s | CPU ms per image | dsbuild's CPU to it |")
    print("|---|--:|--:|---|--:|--:|--:|")
    for threads in (1, 2):
        found = beside_of("predictions", data, "mobilenet_v2", 513, threads)
        for name, (wall, cpu) in found.items():
            print(
                f"| mobilenet_v2 | 513 | {threads} | {name} | {beside.IMAGES / wall:.2f} "
                f"| {1000 * cpu / beside.IMAGES:.0f} | {found['dsbuild'][1] / cpu:.2f} |"
            )


def voc_pairs(folder: str, source: str | None) -> str:
    """Build 60 pairs of VOC's size; return the output folder."""
    tree = build.make_tree(folder, 60, source)
    build.run([build.DSBUILD, "voc", tree, f"{folder}/data", "--split", "train", "--quiet"])
    return f"{folder}/data"


def beside_of(*options: str | int) -> dict[str, tuple[float, float]]:
    """Run `bench/beside.py`; return the median seconds by the wall and the CPU of each variant."""
    shown = build.run([sys.executable, beside.__file__, *map(str, options)])
    times = json.loads(shown.splitlines()[-1])
    return {
        name: (median(wall for wall, _ in turns), median(cpu for _, cpu in turns))
        for name, turns in times.items()
    }


TABLES = {
    "overfit": overfit,
    "voc": voc,
    "texture": texture,
    "waiting": waiting,
    "loop": loop,
    "onnx": onnx,
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", choices=TABLES)
    parser.add_argument(
        "--source", help="a VOC2012 folder; its pairs are used instead of drawn ones"
    )
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return
    for name, table in TABLES.items():
        if options.table in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                table(folder, options.source)


if __name__ == "__main__":
    main()
