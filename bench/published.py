"""Compare DeepLab's published weights in another runtime with dsbuild, by image size.

    python bench/published.py --weights WEIGHTS --source VOCdevkit

WEIGHTS has `mnv2_dm05_pascal`, a checkpoint, and `mnv2_dm05_pascal_257.tflite`, the same weights as
a float model of 257 x 257; SOURCE is a folder of Pascal VOC. Each image of its val split is shrunk
to a longest side, padded by this script and given to LiteRT; dsbuild gets it unpadded. This script
computes both scores.
"""

import argparse
import os
import tempfile

import build
import numpy as np
from PIL import Image

CANVAS = 257
LONGEST = (257, 256, 240, 200, 129, 128, 97, 65)


def runtime(path: str):
    """Return a function from RGB (h, w, 3) to the logits (h, w, c) of LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    lite = Interpreter(path)
    lite.allocate_tensors()
    (taken,), (given,) = lite.get_input_details(), lite.get_output_details()

    def logits(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        seen = np.zeros((1, CANVAS, CANVAS, 3), np.float32)
        seen[0, :height, :width] = image / np.float32(127.5) - 1
        lite.set_tensor(taken["index"], seen)
        lite.invoke()
        return lite.get_tensor(given["index"])[0, :height, :width]

    return logits


def ours(run: str):
    """Return a function from RGB to the logits of dsbuild's predictions."""
    import keras

    from dsbuild.train import runs
    from dsbuild.train.predict import logits as sized

    trained = runs.load(run)
    entry = keras.Input((None, None, 3))
    network = keras.Model(entry, sized.logits(trained, [entry], least=CANVAS))
    return lambda image: np.asarray(network(image[None].astype(np.float32), training=False))[0]


def mean_iou(matrix: np.ndarray) -> float:
    """Return mIoU over the classes in a label or a prediction."""
    union = matrix.sum(0) + matrix.sum(1) - matrix.diagonal()
    return float((matrix.diagonal()[union > 0] / union[union > 0]).mean())


def main() -> None:
    """Print one row per size."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--weights", required=True)
    options.add_argument("--source", required=True)
    asked = options.parse_args()
    weights = os.path.join(asked.weights, "mnv2_dm05_pascal")
    root = os.path.join(asked.source, "VOC2012")
    with open(os.path.join(root, "ImageSets", "Segmentation", "val.txt")) as file:
        names = file.read().split()
    with tempfile.TemporaryDirectory() as folder:
        data, run = os.path.join(folder, "data"), os.path.join(folder, "run")
        build.run([build.DSBUILD, "voc", asked.source, data, "--quiet"])
        command = [build.DSBUILD, "train", data, "--run", run, "--weights", weights, "--quiet"]
        command += ["--width", "0.5", "--no-decoder", "--rates", "", "--output-stride", "8"]
        build.run([*command, "--steps", "0", "--val", ""])
        models = runtime(f"{weights}_{CANVAS}.tflite"), ours(run)
    print("| longest side | largest difference of logits | equal classes | LiteRT | dsbuild |")
    print("|--:|--:|--:|--:|--:|")
    for longest in LONGEST:
        matrices = np.zeros((2, 21, 21), np.int64)
        largest, same, total = 0.0, 0, 0
        for name in names:
            image = Image.open(os.path.join(root, "JPEGImages", f"{name}.jpg")).convert("RGB")
            label = Image.open(os.path.join(root, "SegmentationClass", f"{name}.png"))
            size = tuple(max(1, side * longest // max(image.size)) for side in image.size)
            pixels = np.asarray(image.resize(size, Image.Resampling.BILINEAR))
            label = np.asarray(label.resize(size, Image.Resampling.NEAREST))
            found = [model(pixels) for model in models]
            largest = max(largest, float(np.abs(found[0] - found[1]).max()))
            planes = [logits.argmax(-1) for logits in found]
            same += int((planes[0] == planes[1]).sum())
            total += label.size
            for matrix, plane in zip(matrices, planes, strict=True):
                counts = label != 255
                np.add.at(matrix, (label[counts], plane[counts]), 1)
        scores = " | ".join(f"{mean_iou(matrix):.4f}" for matrix in matrices)
        print(f"| {longest} | {largest:.1e} | {100 * same / total:.3f} % | {scores} |", flush=True)


if __name__ == "__main__":
    main()
