"""Measure how fast samples are read and decoded, compared with the limit and with peers.

    python bench/read.py --source VOCdevkit/VOC2012 --rounds 5

Each row is a new process; rows alternate. The time is that inside, without imports, to decode image
and label of every sample to pixels, in two processes, threads or workers. Peaks of memory have
imports in them, and workers that are forked those of their parent. Rows whose package is not
installed are left out and named.
"""

import argparse
import importlib.util
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable

import build
import peers
from peers import count

WORKERS = 2


def bare_limit(root: str, _: str) -> Callable:
    """Read the files of every pair and decode both with OpenCV, in two processes."""
    import cv2  # noqa: F401

    return lambda: shared(_bare, build.pairs_of(root))


def _bare(pairs: Iterable[tuple[str, str]]) -> None:
    import cv2
    import numpy as np

    for image, mask in pairs:
        for path, mode in ((image, cv2.IMREAD_COLOR_RGB), (mask, cv2.IMREAD_UNCHANGED)):
            cv2.imdecode(
                np.frombuffer(build.read(path), np.uint8), mode | cv2.IMREAD_IGNORE_ORIENTATION
            )


def shared(work: Callable, items: list) -> int:
    """Do the work on equal parts in two processes."""
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        pool.map(work, build.split(items, WORKERS), chunksize=1)
    return len(items)


def reader(_: str, out: str) -> Callable:
    """Read with `dsbuild.open`, one share in each of two processes."""
    import cv2  # noqa: F401

    import dsbuild

    data = dsbuild.open(out)
    return lambda: len(data) * bool(shared(_touch, [(out, i) for i in range(WORKERS)]))


def _touch(shares: Iterable[tuple[str, int]]) -> None:
    import dsbuild

    for out, index in shares:
        for sample in dsbuild.open(out).epoch(1, index=index, count=WORKERS):
            sample.image, sample.label  # noqa: B018


def reader_threads(_: str, out: str) -> Callable:
    """Read with `dsbuild.open`, with two threads."""
    import cv2  # noqa: F401

    import dsbuild

    data = dsbuild.open(out)
    return lambda: sum(sample.label is not None for sample in data.epoch(1, threads=WORKERS))


def tf_dataset(_: str, out: str) -> Callable:
    """Read with `dsbuild.tf_dataset`, shuffled."""
    import dsbuild

    data = dsbuild.tf_dataset(out, seed=1)
    return lambda: count(data)


def augmented(_: str, out: str) -> Callable:
    """Read with `dsbuild.tf_dataset`, augmented to 513 x 513."""
    import dsbuild

    data = dsbuild.augmented(dsbuild.tf_dataset(out, seed=1), dsbuild.Augmentation(), 1)
    return lambda: count(data)


def torch_dataset(_: str, out: str) -> Callable:
    """Read with `dsbuild.torch_dataset`, two workers, in lists of 8."""
    import torch.utils.data

    import dsbuild

    data = dsbuild.torch_dataset(out)
    loader = torch.utils.data.DataLoader(
        data, 8, shuffle=True, num_workers=WORKERS, collate_fn=data.unpadded
    )
    return lambda: sum(map(len, loader))


def torch_threads(_: str, out: str) -> Callable:
    """Read with `dsbuild.torch_dataset`, two threads, in lists of 8."""
    import torch.utils.data

    import dsbuild

    data = dsbuild.torch_dataset(out, iterable=True, seed=1, threads=WORKERS)
    loader = torch.utils.data.DataLoader(data, 8, collate_fn=list)
    return lambda: sum(map(len, loader))


ROWS = {
    "bare limit": bare_limit,
    "dsbuild.open, two processes": reader,
    "dsbuild.open, two threads": reader_threads,
    "dsbuild.tf_dataset": tf_dataset,
    "tf.data as in DeepLab": peers.plain,
    "TFDS on the same shards": peers.tfds,
    "dsbuild.torch_dataset, two workers": torch_dataset,
    "dsbuild.torch_dataset, two threads": torch_threads,
    "tfrecord, two workers": peers.tfrecord,
    "WebDataset, two workers": peers.webdataset,
    "MosaicML Streaming, two workers": peers.streaming,
    "LitData, two workers": peers.litdata,
    "Grain and ArrayRecord, two workers": peers.grain,
    "DALI on CPUs, two threads": peers.dali,
    "FFCV, central squares, two threads": peers.ffcv,
    "dsbuild.tf_dataset, augmented": augmented,
    "tf.data, resize, pad, crop, flip": peers.plain_augmented,
}
NEEDS = {
    "TFDS on the same shards": "tensorflow_datasets",
    "dsbuild.torch_dataset, two workers": "torch",
    "dsbuild.torch_dataset, two threads": "torch",
    "tfrecord, two workers": "tfrecord",
    "WebDataset, two workers": "webdataset",
    "MosaicML Streaming, two workers": "streaming",
    "LitData, two workers": "litdata",
    "Grain and ArrayRecord, two workers": "grain",
    "DALI on CPUs, two threads": "nvidia",
    "FFCV, central squares, two threads": "ffcv",
}
LIMIT, PLAIN = "bare limit", "tf.data, resize, pad, crop, flip"
GOALS = [
    ("dsbuild.open, two processes", LIMIT, 0.9),
    ("dsbuild.tf_dataset", LIMIT, 0.9),
    ("dsbuild.open, two threads", LIMIT, 0.9),
    ("dsbuild.torch_dataset, two workers", LIMIT, 0.8),
    ("dsbuild.torch_dataset, two threads", LIMIT, 0.8),
    ("dsbuild.tf_dataset", "tf.data as in DeepLab", 1.0),
    ("dsbuild.tf_dataset", "TFDS on the same shards", 1.0),
    *(("dsbuild.torch_dataset, two workers", name, 1.0) for name in NEEDS if "workers" in name),
    ("dsbuild.tf_dataset, augmented", PLAIN, 4.0),
]


def run_child(name: str, root: str, out: str) -> None:
    """Print as JSON the time that a row took in this process, and peaks of memory in MB."""
    work = ROWS[name](root, out)
    begin = time.perf_counter()
    told = {"samples": work(), "seconds": time.perf_counter() - begin}
    with open("/proc/self/status") as file:  # ru_maxrss may be that of the parent process
        told["reader"] = next(int(x.split()[1]) for x in file if x.startswith("VmHWM")) / 1e3
    told["worker"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    print(json.dumps(told))


def show_speed(rows: dict[str, list[str]], bench: argparse.Namespace) -> None:
    """Show samples per second, and the ratios."""
    found = build.measure(rows, bench.rounds, f"{bench.folder}/none")
    speeds = {name: bench.samples / row["seconds"] for name, row in found.items()}
    lines: list[tuple[object, ...]] = []
    for name, speed in speeds.items():
        row = found[name]
        peaks = round(row["reader"]), round(row["worker"])
        lines.append((name, row["seconds"], round(speed), speed / speeds[LIMIT], *peaks))
    build.show(
        f"Image and label of {bench.samples:,} records decoded",
        "what | inside, s | samples/s | to the bare limit | peak MB | of the largest worker",
        lines,
    )
    lines = []
    for one, other, goal in GOALS:
        if one in speeds and other in speeds and one != other:
            ratio = speeds[one] / speeds[other]
            lines.append(
                (f"{one} / {other}", f"at least {goal}", ratio, "yes" if ratio >= goal else "no")
            )
    build.show("Ratios", "ratio | target | measured | reached", lines)


def show_rest(out: str) -> None:
    """Show the time to the first batch and to an undecoded record, and memory by epoch."""
    code = (
        "import time, tensorflow, sys; begin = time.perf_counter(); import dsbuild;"
        "next(iter(dsbuild.tf_dataset(sys.argv[1], seed=1).padded_batch(8, drop_remainder=True)));"
        "print(time.perf_counter() - begin)"
    )
    first = min(float(build.run([sys.executable, "-c", code, out])) for _ in range(3))
    code = (
        "import random, time, sys, dsbuild; data = dsbuild.open(sys.argv[1]); data[0]['height'];"
        "picks = random.Random(1).choices(range(len(data)), k=5000); begin = time.perf_counter();"
        "[data[pick]['height'] for pick in picks]; print((time.perf_counter() - begin) / 5000)"
    )
    access = min(float(build.run([sys.executable, "-c", code, out])) for _ in range(3))
    lines = [
        ("first batch of 8 after TensorFlow's import, s", "at most 1", first),
        ("random access to a parsed record, microseconds", "at most 150", access * 1e6),
    ]
    build.show("Latency", "what | target | best of 3", lines)
    code = (
        "import psutil, sys, dsbuild\n"
        "data = dsbuild.tf_dataset(sys.argv[1], seed=1) if sys.argv[2] == 'tf' else None\n"
        "for epoch in range(4):\n"
        "    for sample in data or dsbuild.open(sys.argv[1]).epoch(1, epoch):\n"
        "        sample['image'] if data else sample.image\n"
        "    print(psutil.Process().memory_info().rss // 10**6)\n"
    )
    for kind in ("numpy", "tf"):
        rss = build.run([sys.executable, "-c", code, out, kind]).split()
        print(f"\nMemory after each of 4 epochs, {kind}: {', '.join(rss)} MB")


def main() -> None:
    """Show the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--source", help="a VOC2012 folder; without it, pairs are drawn")
    parser.add_argument("--only", help="only rows whose name contains this text, and the limit")
    bench = parser.parse_args()
    here = os.path.abspath(__file__)
    with tempfile.TemporaryDirectory(prefix="dsbuild-bench-") as bench.folder:
        root = build.make_tree(bench.folder, bench.samples, bench.source)
        out = f"{bench.folder}/out"
        build.run(build.command(root, out, WORKERS, "full"))
        lacking = {n for n, package in NEEDS.items() if not importlib.util.find_spec(package)}
        print("left out, because not installed:", ", ".join(sorted(lacking)) or "none")
        peers.prepare(root, out, {NEEDS[name] for name in NEEDS if name not in lacking})
        chosen = [n for n in ROWS if n not in lacking and (bench.only or "") in n]
        rows = {
            name: [sys.executable, here, build.CHILD, name, root, out]
            for name in dict.fromkeys([LIMIT, *chosen])
        }
        show_speed(rows, bench)
        show_rest(out)


if __name__ == "__main__":
    if sys.argv[1:2] == [build.CHILD]:
        run_child(*sys.argv[2:])
    else:
        main()
