"""Compare the speed of dsbuild with the limits of the machine and with a TensorFlow builder.

    python bench/build.py --samples 2000 --rounds 3 --source VOCdevkit/VOC2012

Each row is a complete new process that works on copies of VOC pairs in a temporary folder (set
TMPDIR to choose where). Rows alternate (A B C A B C ...) after a warm-up round. Tables show medians
in seconds; "inside" excludes the start and imports of a process, but not those of dsbuild's
workers. full and header are `dsbuild voc --verify ...`.
"""

import argparse
import contextlib
import functools
import itertools
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from statistics import median

SHARDS = 8
DRAWN = 60  # distinct pairs to draw if there is no source
CHILD = "_child"  # the hidden subcommand, which measures one thing and prints JSON
DSBUILD = os.path.join(sysconfig.get_path("scripts"), "dsbuild")
REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def pair_of(root: str, key: str) -> tuple[str, str]:
    """Return the paths of a sample's image and mask."""
    return f"{root}/JPEGImages/{key}.jpg", f"{root}/SegmentationClass/{key}.png"


def pairs_of(root: str) -> list[tuple[str, str]]:
    """Return all pairs of a VOC tree."""
    return [pair_of(root, name[:-4]) for name in sorted(os.listdir(f"{root}/SegmentationClass"))]


def make_tree(folder: str, samples: int, source: str | None, link: bool = False) -> str:
    """Make a VOC tree that repeats the source's pairs, as copies or as links to the first ones."""
    source = source or drawn(folder, 500, 375)
    base, root = pairs_of(source), f"{folder}/VOC2012"
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        os.makedirs(f"{root}/{name}")
    keys = [f"{i:06d}" for i in range(samples)]
    for i, key in enumerate(keys):
        repeats = i >= len(base)
        sources = pair_of(root, keys[i - len(base)]) if repeats else base[i]
        for old, new in zip(sources, pair_of(root, key), strict=True):
            (os.link if link and repeats else shutil.copyfile)(old, new)
    with open(f"{root}/ImageSets/Segmentation/train.txt", "w") as file:
        file.writelines(f"{key}\n" for key in keys)
    return root


def drawn(folder: str, width: int, height: int) -> str:
    """Draw some pairs as a VOC tree below a folder; return its root."""
    train = DRAWN * 2 // 3
    call = f"fakes.voc({folder + '/drawn'!r}, {train}, {DRAWN - train}, {width}, {height})"
    program = f"from tests.support import fakes; print({call})"
    return run([sys.executable, "-c", program], cwd=REPOSITORY).strip()


def read(path: str) -> bytes:
    """Return a file's bytes."""
    with open(path, "rb", buffering=0) as file:
        return file.readall()


def split(items: Sequence, count: int) -> list[Sequence]:
    """Return items as `count` consecutive parts of about equal length."""
    bounds = [len(items) * i // count for i in range(count + 1)]
    return [items[a:b] for a, b in itertools.pairwise(bounds)]


def spread(work: Callable, items: Sequence, processes: int) -> None:
    """Do the work on equal parts in this number of processes; one means this process."""
    if processes == 1:
        work(items)
        return
    with multiprocessing.Pool(processes) as pool:
        pool.map(work, split(items, processes), chunksize=1)


# What children measure: each imports what it needs and returns the work to time.


def bare_limit(root: str, processes: int, tuned: bool = True) -> Callable:
    """Read all files, fully decode all images, inflate all masks, and do nothing else."""
    import cv2  # noqa: F401

    decode = functools.partial(_decode, tuned=tuned)
    return lambda: spread(decode, pairs_of(root), processes)


def _decode(pairs: Sequence[tuple[str, str]], tuned: bool) -> None:
    import zlib

    import cv2
    import numpy as np

    from dsbuild import engines
    from dsbuild.images.png import chunks

    if tuned:
        engines.tune()
    cv2.setNumThreads(1)
    for image, mask in pairs:
        data = np.frombuffer(read(image), np.uint8)
        cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        zlib.decompress(b"".join(body for kind, body, _ in chunks(read(mask)) if kind == b"IDAT"))


def plain_copy(root: str, out: str, processes: int) -> Callable:
    """Append all files to one file per shard, and sync each."""
    os.makedirs(out)
    shards = [(f"{out}/{i}", part) for i, part in enumerate(split(pairs_of(root), SHARDS))]
    return lambda: spread(_copy, shards, processes)


def _copy(shards: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> None:
    for path, pairs in shards:
        with open(path, "wb", buffering=1 << 20) as file:
            for name in itertools.chain.from_iterable(pairs):
                file.write(read(name))
            file.flush()
            os.fsync(file.fileno())


def tensorflow_builder(root: str, out: str) -> Callable:
    """Build shards with eager decoding, tf.train.Example and TFRecordWriter, as in tutorials."""
    import tensorflow as tf

    def feature(value: bytes | int) -> tf.train.Feature:
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    def record(image: str, mask: str) -> bytes:
        encoded, label = tf.io.read_file(image), tf.io.read_file(mask)
        height, width, channels = tf.io.decode_jpeg(encoded, channels=3).shape
        if tf.io.decode_png(label, channels=1).shape[:2] != (height, width):
            raise ValueError(f"{mask}: found another size than its image's")
        values = {
            "image/encoded": encoded.numpy(),
            "image/filename": os.path.basename(image).encode(),
            "image/format": b"jpeg",
            "image/height": height,
            "image/width": width,
            "image/channels": channels,
            "image/segmentation/class/encoded": label.numpy(),
            "image/segmentation/class/format": b"png",
        }
        features = tf.train.Features(feature={k: feature(v) for k, v in values.items()})
        return tf.train.Example(features=features).SerializeToString()

    def work() -> None:
        os.makedirs(out)
        for i, part in enumerate(split(pairs_of(root), SHARDS)):
            with tf.io.TFRecordWriter(f"{out}/train-{i:05d}-of-{SHARDS:05d}.tfrecord") as writer:
                for pair in part:
                    writer.write(record(*pair))

    return work


CHILDREN = (bare_limit, plain_copy, tensorflow_builder)


def run_child(name: str, arguments: str) -> None:
    """Print as JSON the time that the named work took in this process, and its result."""
    work = {child.__name__: child for child in CHILDREN}[name](**json.loads(arguments))
    before, begin = os.times(), time.perf_counter()
    result = work()
    seconds, after = time.perf_counter() - begin, os.times()
    taken = {"seconds": seconds, "user": after[0] - before[0], "system": after[1] - before[1]}
    print(json.dumps(taken | {"result": result}))


# Measuring and showing.


def child(work: Callable, **arguments: object) -> list[str]:
    """Return the command that measures a work in a new process."""
    return [sys.executable, os.path.abspath(__file__), CHILD, work.__name__, json.dumps(arguments)]


def command(root: str, out: str, workers: int, verify: str) -> list[str]:
    """Return dsbuild's command line."""
    words = f"--shards {SHARDS} --workers {workers} --verify {verify} --quiet --json"
    return [DSBUILD, "voc", root, out, *words.split()]


def run(words: list[str], **options: object) -> str:
    """Run a command and return its output; if it fails, exit with its errors."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    # An installed package has bytecode; without it, every start would compile dsbuild again.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(words, capture_output=True, text=True, env=environment, **options)
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stderr}")
    return done.stdout


TOLD = ("seconds", "user", "system", "reader", "worker")  # what rows may print of themselves
Taken = dict[str, list[dict[str, float]]]


def in_turn(rows: dict[str, list[str]], rounds: int, out: str) -> Taken:
    """Run the rows' commands in turn; return the times of each in every round."""
    taken: Taken = {name: [] for name in rows}
    for number, (name, words) in itertools.product(range(rounds + 1), rows.items()):
        shutil.rmtree(out, ignore_errors=True)
        os.sync()
        begin = time.perf_counter()
        printed = run(words)
        found = {"whole": time.perf_counter() - begin}
        if printed.startswith("{"):  # these print the time inside
            told = json.loads(printed)
            found |= {key: told[key] for key in TOLD if key in told}
        if number:  # the first round only warms the page cache
            taken[name].append(found)
    shutil.rmtree(out, ignore_errors=True)
    return taken


def measure(rows: dict[str, list[str]], rounds: int, out: str) -> dict[str, dict[str, float]]:
    """Run the rows' commands in turn; return the medians of their times, and their `best`."""
    found = {}
    for name, all in in_turn(rows, rounds, out).items():
        found[name] = {key: median(one[key] for one in all) for key in all[0]}
        found[name]["best"] = min(one["whole"] for one in all)
    return found


def ratio(taken: Taken, one: str, other: str) -> float:
    """Return the median of the rounds' ratios, which a machine's slow minutes change least.

    Where a row does not tell the time inside, whole processes are compared.
    """
    pairs = list(zip(taken[one], taken[other], strict=True))
    key = "seconds" if all("seconds" in row for row in pairs[0]) else "whole"
    return median(a[key] / b[key] for a, b in pairs)


def show(title: str, head: str, rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table; head contains its columns, separated by bars."""
    print(f"\n### {title}\n\n| {head} |\n|---|{'--:|' * head.count('|')}")
    for row in rows:
        cells = (f"{cell:,.3f}" if isinstance(cell, float) else str(cell) for cell in row)
        print(f"| {' | '.join(cells)} |", flush=True)


def show_build(bench: argparse.Namespace) -> None:
    """Compare dsbuild's builds with its limits, TensorFlow and the targets."""
    root, out, most = bench.root, f"{bench.folder}/out", bench.workers
    rows, goals = {}, []
    for n in sorted({1, most}):
        rows[f"full {n}"] = command(root, out, n, "full")
        rows[f"bare limit {n}"] = child(bare_limit, root=root, processes=n)
        rows[f"header {n}"] = command(root, out, n, "header")
        rows[f"plain copy {n}"] = child(plain_copy, root=root, out=out, processes=n)
        goals += [(f"full {n}", f"bare limit {n}", "at most", 1.1)]
        goals += [(f"header {n}", f"plain copy {n}", "at most", 2)]
    rows["TensorFlow builder 1"] = child(tensorflow_builder, root=root, out=out)
    goals += [("TensorFlow builder 1", f"full {most}", "at least", 3)]
    goals += [("TensorFlow builder 1", f"header {most}", "at least", 10)]
    goals += [("full 1", f"full {most}", "at least", 1.8)] if most > 1 else []
    found = measure(rows, bench.rounds, out)
    columns = [[row[key] for key in ("whole", "best", "seconds")] for row in found.values()]
    show(
        f"Build of {bench.samples:,} samples into {SHARDS} shards",
        "what, processes | whole process | best | inside | samples/s",
        [(n, *c, round(bench.samples / c[0])) for n, c in zip(found, columns, strict=True)],
    )
    lines = []
    for a, b, bound, goal in goals:
        whole, inside = (found[a][key] / found[b][key] for key in ("whole", "seconds"))
        met = whole <= goal if bound == "at most" else whole >= goal
        lines.append((f"{a} / {b}", f"{bound} {goal}", whole, inside, "yes" if met else "no"))
    show("Ratios", "ratio | target | measured | inside | reached", lines)


def show_memory(bench: argparse.Namespace) -> None:
    """Show the largest memory of any worker and of the parent, for few and many samples."""
    rows = []
    for samples in (1_000, 20_000):
        with tempfile.TemporaryDirectory(dir=bench.folder) as place:
            root = make_tree(place, samples, bench.source, link=True)
            sizes = peaks(command(root, f"{place}/out", bench.workers, "full"))
            rows.append((f"{samples:,}", *(round(size / 1e6) for size in sizes)))
    title = f"Peak memory in MB, full, {bench.workers} workers (target: at most 150 per worker)"
    show(title, "samples | worker's RSS | worker's USS | parent's RSS", rows)


def peaks(words: list[str]) -> tuple[int, int, int]:
    """Return the largest RSS and USS of any child process of a command, and its own RSS."""
    import psutil

    rss = uss = parent = 0
    with psutil.Popen(words, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                parent = max(parent, process.memory_info().rss)
                for below in process.children(recursive=True):
                    found = below.memory_full_info()
                    rss, uss = max(rss, found.rss), max(uss, found.uss)
            time.sleep(0.02)
    if process.returncode:
        sys.exit(f"{' '.join(words)}: exit code {process.returncode}")
    return rss, uss, parent


def show_startup(bench: argparse.Namespace) -> None:
    """Show how fast the command line answers, and which heavy modules it imports."""
    rows = {"python -c pass": [sys.executable, "-c", "pass"]}
    rows |= {f"dsbuild {rest}": [DSBUILD, *rest.split()] for rest in ("--help", "voc --help")}
    found = measure(rows, 10, f"{bench.folder}/out")
    lines = [(name, row["best"], row["whole"]) for name, row in found.items()]
    show("Startup, best and median of 10", "command | best | median", lines)
    heavy = ("tensorflow", "apache_beam", "cv2", "numpy")
    code = f"import dsbuild.cli, sys; print([m for m in {heavy} if m in sys.modules])"
    print(f"\nOf {', '.join(heavy)}, it imports {run([sys.executable, '-c', code])}")


def show_tune(bench: argparse.Namespace) -> None:
    """Show what the bare limit gains from keeping image-sized allocations in the heap."""
    names = {"tuned": True, "default": False}
    rows = {k: child(bare_limit, root=bench.root, processes=1, tuned=v) for k, v in names.items()}
    found = measure(rows, bench.rounds, f"{bench.folder}/out")
    keys, least = ("whole", "seconds", "user", "system"), found["tuned"]["seconds"]
    show(
        "Bare limit in one process, with and without dsbuild.engines.tune()",
        "malloc | whole process | inside | user | system | inside, to tuned",
        [(k, *(row[key] for key in keys), row["seconds"] / least) for k, row in found.items()],
    )


def main() -> None:
    """Show the chosen tables."""
    tables = (show_build, show_memory, show_startup, show_tune)
    names = {table.__name__.removeprefix("show_"): table for table in tables}
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--table", choices=[*names, "all"], default="all")
    parser.add_argument("--source", help="a VOC2012 folder; without it, pairs are drawn")
    bench = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dsbuild-bench-") as bench.folder:
        bench.root = make_tree(bench.folder, bench.samples, bench.source)
        size = sum(os.path.getsize(path) for pair in pairs_of(bench.root) for path in pair) / 1e6
        origin = "real" if bench.source else "drawn"
        print(f"{os.cpu_count()} cores; {bench.samples:,} {origin} pairs, {size:.0f} MB")
        for name in names if bench.table == "all" else [bench.table]:
            names[name](bench)


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        run_child(*sys.argv[2:])
    else:
        main()
