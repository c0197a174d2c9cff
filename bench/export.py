"""Compare exports with the work that they cannot do without.

    python bench/export.py DATA --rounds 3
    python bench/export.py --table memory --rows coco,yolo

DATA is a folder that dsbuild built. Each row is a new process on one core that prints its CPU time
inside, without imports; compared rows alternate (A B A B ...) after a warm-up round.

    copy       read the shards and write their bytes
    hashed     the same, with the sha256 of what is read, and of what was written, read again
    contours   read the records, decode the masks, find the contours of every class
    files      the same, and write image and mask of each record to files
    back       the same, read both files again, compare the image, draw the contours, and compare

A container is compared with `copy`, and with `hashed`, since it notes both digests. A target of
shapes is compared with `contours`; since it also writes files, reads them back by its own rules and
compares all pixels, `files` and `back` show how much of the rest is that work. Rows end with the
peak memory of their process.

The table of memory needs no DATA: small pairs are drawn, and built into shards of 1,000 records,
and into one shard of up to 20,000. It shows the largest memory of `dsbuild export` while it runs.
Set TMPDIR to choose where all that is written.
"""

import argparse
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from statistics import median

import build

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

CHILD = "_child"
BASES = ("copy", "hashed", "contours", "files", "back")
CONTAINERS = ("webdataset", "parquet", "array_record")
EACH = 1_000  # records of a shard in the table of memory
SIZE = 64, 48  # width and height of what is drawn for it
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


def copy(data: str, out: str, hashed: bool = False) -> None:
    """Read the shards and write their bytes; with `hashed`, also their digests."""
    import hashlib

    from dsbuild.format.folder import Folder

    for path in Folder.of(data).files:
        name, digest = os.path.join(out, os.path.basename(path)), hashlib.sha256()
        with open(path, "rb") as file, open(name, "wb") as to:
            while part := file.read(1 << 20):
                to.write(part)
                if hashed:
                    digest.update(part)
            to.flush()
            os.fsync(to.fileno())
        if hashed:
            with open(name, "rb") as file:
                assert hashlib.file_digest(file, "sha256").digest() == digest.digest()


def contours(data: str, out: str, row: str = "contours") -> None:
    """Decode the masks and find all contours; then write both files of each record, read back."""
    import cv2
    import numpy as np

    from dsbuild import images

    for number, (image, mask) in enumerate(records(data)):
        plane, found = images.plane(mask), {}
        # Not by np.unique, which sorts all pixels: that takes three times as long as the rest.
        for value in images.histogram(plane):
            if value not in (0, 255):
                inside = (plane == value).view(np.uint8)
                found[value], _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        if row == "contours":
            continue
        names = [os.path.join(out, f"{number}.{ending}") for ending in ("jpg", "png")]
        for name, content in zip(names, (image, mask), strict=True):
            with open(name, "wb") as file:
                file.write(content)
        if row == "back":
            again = [pathlib.Path(name).read_bytes() for name in names]
            drawn = np.zeros(plane.shape, np.uint8)
            for value, lines in found.items():
                cv2.drawContours(drawn, lines, -1, value, cv2.FILLED)
            assert again[0] == image
            np.count_nonzero(drawn != images.plane(again[1]))


def work(row: str, data: str, out: str) -> None:
    """Do what a row measures."""
    from dsbuild.interop.annotations import run as annotations
    from dsbuild.interop.export import run as containers

    if row in ("copy", "hashed"):
        copy(data, out, row == "hashed")
    elif row in ("contours", "files", "back"):
        contours(data, out, row)
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
        seconds = time.process_time() - begin
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def show_memory(rows: list[str], most: int) -> None:
    """Show the largest memory of the parent and of any worker, for few and many records."""
    sizes = [(n, n // EACH) for n in (1_000, 10_000, 100_000)] + [(1_000, 1), (20_000, 1)]
    found: dict[tuple[str, int], list[str]] = {(row, n): [] for row in rows for n in (1, 2)}
    sizes = [one for one in dict.fromkeys(sizes) if one[0] <= most]
    with tempfile.TemporaryDirectory(prefix="dsbuild-bench-") as folder:
        source = build.drawn(folder, *SIZE)
        for records, shards in sizes:
            with tempfile.TemporaryDirectory(dir=folder) as place:
                root = build.make_tree(place, records, source, link=True)
                data = f"{place}/tfrecord"
                words = ["voc", root, data, "--shards", str(shards), "--quiet"]
                build.run([build.DSBUILD, *words])
                for (row, workers), cells in found.items():
                    words = ["export", data, f"{place}/{row}-{workers}", "--to", row, "--quiet"]
                    peaks = build.peaks([build.DSBUILD, *words, "--workers", str(workers)])
                    cells.append(" / ".join(f"{peak / 1e6:.0f}" for peak in peaks[2::-2] if peak))
                    shutil.rmtree(f"{place}/{row}-{workers}")
    title = f"Peak RSS in MB of the parent / a worker, records of {SIZE[0]} x {SIZE[1]} pixels"
    head = " | ".join(f"{n:,} in {shards:,}" for n, shards in sizes)
    lines = [(f"{row}, {n}", *cells) for (row, n), cells in found.items()]
    build.show(title, f"format, workers; records in shards | {head}", lines)


def main() -> None:
    """Measure all rows and print them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", nargs="?")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", default=",".join((*BASES, *CONTAINERS, *ANNOTATIONS)))
    parser.add_argument("--table", choices=["time", "memory"], default="time")
    parser.add_argument("--records", type=int, default=100_000, help="most, in the table of memory")
    asked = parser.parse_args()
    if asked.table == "memory":
        show_memory([row for row in asked.rows.split(",") if row not in BASES], asked.records)
        return
    if asked.data is None:
        parser.error("DATA is missing; expected a folder that dsbuild built")
    rows = [*dict.fromkeys((*BASES, *asked.rows.split(",")))]
    times: dict[str, list[float]] = {row: [] for row in rows}
    peaks = dict.fromkeys(rows, 0)
    for _ in range(asked.rounds):
        for row in rows:
            words = [sys.executable, __file__, CHILD, row, asked.data]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            seconds, peak = done.stdout.splitlines()[-1].split()
            times[row].append(float(seconds))
            peaks[row] = max(peaks[row], int(peak))
    found = {row: median(each) for row, each in times.items()}
    print(f"| row | CPU s | {' | '.join(f'to {base}' for base in BASES)} | peak MB |")
    print(f"|---|--:{'|--:' * len(BASES)}|--:|")
    for row, seconds in found.items():
        ratios = [f"{seconds / found[base]:.2f}" for base in BASES]
        print(f"| {row} | {seconds:.3f} | {' | '.join(ratios)} | {peaks[row]} |")


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        child(*sys.argv[2:])
    else:
        main()
