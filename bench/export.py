"""Compare exports with the work that they cannot do without.

    python bench/export.py DATA --rounds 3

DATA is a folder that dsbuild built. Each row is a new process on one core that prints its CPU time
inside, without imports; compared rows alternate (A B A B ...) after a warm-up round.

    copy       read the shards and write their bytes: what a container needs
    contours   read the records, decode the masks, find the contours of every class
    files      the same, and write image and mask of each record to files

A container is compared with `copy`, a target of shapes with `contours` and with `files`; exports as
annotations also read everything back, which the others do not.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from statistics import median

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

CHILD = "_child"
CONTAINERS = ("webdataset", "parquet", "array_record")
ANNOTATIONS = ("coco", "yolo", "labelme", "cvat", "png", "mmseg", "voc")


def records(data: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield image and mask of all records."""
    from dsbuild.format import example, tfrecord
    from dsbuild.format.folder import Folder

    for path in Folder.of(data).files:
        for record in tfrecord.read(path):
            values = example.parse(record.data)
            yield (
                example.first(values["image/encoded"]),
                example.first(values["image/segmentation/class/encoded"]),
            )


def copy(data: str, out: str) -> None:
    """Read the shards and write their bytes."""
    from dsbuild.format.folder import Folder

    for path in Folder.of(data).files:
        with open(path, "rb") as file, open(os.path.join(out, os.path.basename(path)), "wb") as to:
            while part := file.read(1 << 20):
                to.write(part)
            to.flush()
            os.fsync(to.fileno())


def contours(data: str, out: str, files: bool = False) -> None:
    """Decode the masks and find all contours; with `files`, write both files of each record."""
    import cv2
    import numpy as np

    from dsbuild import images

    for number, (image, mask) in enumerate(records(data)):
        plane = images.plane(mask)
        for value in np.unique(plane).tolist():
            if value not in (0, 255):
                inside = (plane == value).view(np.uint8)
                cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        for ending, content in (("jpg", image), ("png", mask)) if files else ():
            with open(os.path.join(out, f"{number}.{ending}"), "wb") as file:
                file.write(content)


def work(row: str, data: str, out: str) -> None:
    """Do what a row measures."""
    from dsbuild.interop.annotations import run as annotations
    from dsbuild.interop.export import run as containers

    if row == "copy":
        copy(data, out)
    elif row in ("contours", "files"):
        contours(data, out, row == "files")
    elif row in CONTAINERS:
        containers.export(data, out, row)
    else:
        annotations.export(data, out, row)


def child(row: str, data: str) -> None:
    """Measure a row in this process, after its imports."""
    with tempfile.TemporaryDirectory() as warm, tempfile.TemporaryDirectory() as out:
        work(row, data, warm)
        begin = time.process_time()
        work(row, data, out)
        print(time.process_time() - begin)


def main() -> None:
    """Measure all rows and print them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    rows = ("copy", "contours", "files", *CONTAINERS, *ANNOTATIONS)
    times: dict[str, list[float]] = {row: [] for row in rows}
    for _ in range(asked.rounds):
        for row in rows:
            words = [sys.executable, __file__, CHILD, row, asked.data]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            times[row].append(float(done.stdout.splitlines()[-1]))
    found = {row: median(each) for row, each in times.items()}
    print("| row | CPU s | to copy | to contours | to files |\n|---|--:|--:|--:|--:|")
    for row, seconds in found.items():
        ratios = [f"{seconds / found[base]:.2f}" for base in ("copy", "contours", "files")]
        print(f"| {row} | {seconds:.3f} | {' | '.join(ratios)} |")


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        child(*sys.argv[2:])
    else:
        main()
