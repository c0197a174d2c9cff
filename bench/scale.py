"""Measure the planning of a million samples, and the cost per sample of few and of many.

    python bench/scale.py --rounds 3
    python bench/scale.py --table growth --most 10000000     # the curves of docs/scale.md

Each row is a complete new process. A plan names real files, of which there are a thousand, and
reads none. Builds are of small drawn records, so that everything except decoding matters.
"""

import argparse
import contextlib
import json
import math
import os
import random
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import build
from PIL import Image

sys.path.insert(0, build.REPOSITORY)

from dsbuild.build import plan_files
from dsbuild.build.audit import Request, audit
from dsbuild.build.recipe import Recipe
from dsbuild.build.run import prepare
from dsbuild.layouts import Sample
from dsbuild.layouts.base import Layout
from dsbuild.layouts.voc import Voc
from tests.support import fakes

FILES = 1000
A_SHARD = 100
LARGE = 1000  # samples of a shard in the table of growth, about 128 MB of VOC
PAGE = 1000  # objects in a listing of a store
ONE = 10**8  # what the curves are continued to


@dataclass(frozen=True, kw_only=True)
class Many(Voc):
    """Any number of samples from the same thousand files."""

    total: int = 0
    findings = Layout.findings

    def splits(self, root: str) -> tuple[str, ...]:
        return ("train",)

    def samples(self, root: str, split: str) -> Iterator[Sample]:
        for i in range(self.total):
            name = f"{i % FILES:06d}"
            yield Sample(f"{i:08d}", f"JPEGImages/{name}.jpg", f"SegmentationClass/{name}.png")


def plan(root: str, out: str, total: int, order: str, a_shard: int = A_SHARD) -> None:
    """Print the time for planning in this process, and the size of the pipeline's graph."""
    files: list[tuple[int, int]] = []
    done = threading.Event()
    counter = threading.Thread(target=count_files, args=(files, done))
    counter.start()
    asked = Request(
        recipe=Recipe(layout=Many(total=total)),
        root=root,
        out=out,
        order=order,
        shards=max(1, total // a_shard),
    )
    begin = time.perf_counter()
    found = audit(asked)
    audited = time.perf_counter()
    prepare(asked, found.splits, {}, lambda _: None)
    taken = {"audit": audited - begin, "plans": time.perf_counter() - audited}
    done.set()
    counter.join()
    taken["cpu"] = time.process_time()
    taken["files"] = max(count for count, _ in files)
    taken["temporary"] = max(size for _, size in files) / 1e6
    taken["bytes"] = os.path.getsize(plan_files.path(out, "train"))
    taken["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(json.dumps(taken | {"graph": graph(asked)}))


def count_files(found: list[tuple[int, int]], done: threading.Event) -> None:
    """Note again and again how many files this process has open, and the bytes of unnamed ones."""
    while True:
        handles, size = os.listdir("/proc/self/fd"), 0
        for handle in handles:
            with contextlib.suppress(OSError):  # it was closed meanwhile
                status = os.stat(f"/proc/self/fd/{handle}")
                size += status.st_size if not status.st_nlink else 0
        found.append((len(handles), size))
        if done.wait(0.2):
            return


def graph(asked: Request) -> int | None:
    """Return the size in bytes of the pipeline that builds a request; None without Beam."""
    try:
        import apache_beam as beam
    except ModuleNotFoundError:
        return None
    from dsbuild.pipelines.build import Build

    pipeline = beam.Pipeline(options=beam.options.pipeline_options.PipelineOptions([]))
    places = pipeline | beam.Create([plan_files.path(asked.out, "train")])
    _ = places | Build(asked, ["train"])
    return len(pipeline.to_runner_api().SerializeToString())


def show_plan(bench: argparse.Namespace) -> None:
    """Show the time for planning few and many samples."""
    root = build.make_tree(bench.folder, FILES, bench.drawn, link=True)
    lines = []
    for order in ("listed", "shuffled"):
        for total in (1_000, 100_000, 1_000_000):
            found = []
            for _ in range(bench.rounds):
                with tempfile.TemporaryDirectory(dir=bench.folder) as out:
                    words = ["plan", root, f"{out}/out", str(total), order]
                    printed = build.run([sys.executable, os.path.abspath(__file__), *words])
                    found.append(json.loads(printed))
            audited, plans, peak = (median(f[k] for f in found) for k in ("audit", "plans", "peak"))
            each = (audited + plans) / total * 1e6
            name = f"{total:,} {order}, {max(1, total // A_SHARD):,} shards"
            size = max(one["graph"] or 0 for one in found) or "-"  # varies with generated names
            lines.append((name, audited, plans, each, round(peak), size))
    build.show(
        "Planning (target for a million: at most 60 s and 1,000 MB)",
        "samples | audit | plan files | microseconds per sample | peak RSS, MB | graph, bytes",
        lines,
    )


def show_build(bench: argparse.Namespace) -> None:
    """Show the time per small record in builds of few and of many, in one process."""
    lines = []
    for total in (1_000, 20_000):
        with tempfile.TemporaryDirectory(dir=bench.folder) as place:
            root = build.make_tree(place, total, bench.drawn, link=True)
            words = f"--shards {total // A_SHARD} --workers 1 --quiet --json".split()
            row = {"": [build.DSBUILD, "voc", root, f"{place}/out", *words]}
            found = build.measure(row, bench.rounds, f"{place}/out")[""]
            lines.append((f"{total:,}", found["whole"], found["whole"] / total * 1e3))
    build.show("Whole builds of small records", "samples | seconds | ms per sample", lines)


def show_growth(bench: argparse.Namespace) -> None:
    """Show what a build needs for more and more samples, the exponents, and 10^8 by these."""
    root = build.make_tree(bench.folder, FILES, bench.drawn, link=True)
    counts = [10**k for k in range(5, 1 + round(math.log10(bench.most)))]
    lines = []
    for order in ("listed", "shuffled"):
        columns = []
        for total in counts:
            with tempfile.TemporaryDirectory(dir=bench.folder) as out:
                words = ["plan", root, f"{out}/out", str(total), order, str(LARGE)]
                printed = build.run([sys.executable, os.path.abspath(__file__), *words])
            found = json.loads(printed)
            columns.append(found | of_shards(bench, total // LARGE) | {"lists": 2 * total // PAGE})
        for name, what in ROWS.items():
            values = [column[name] for column in columns]
            power = math.log(values[-1] / values[0]) / math.log(counts[-1] / counts[0])
            far = values[-1] * (ONE / counts[-1]) ** max(power, 0)
            numbers = (f"{value:,.0f}" for value in (*values, far))
            lines.append((f"{what}, {order}", *numbers, f"{power:.2f}"))
    heads = " | ".join(f"{total:,}" for total in counts)
    build.show("Growth", f"what | {heads} | {ONE:,} by the curve | exponent", lines)


ROWS = {
    "lists": "requests to list two folders of a store",
    "bytes": "bytes of the plan",
    "manifest": "bytes of the manifest",
    "receipts": "bytes of all receipts",
    "peak": "driver's peak RSS, MB",
    "files": "open files of the driver",
    "temporary": "temporary files of the driver, MB",
    "cpu": "driver's CPU seconds until the first shard",
}


def of_shards(bench: argparse.Namespace, shards: int) -> dict[str, float]:
    """Return the bytes of manifest and receipts, by small builds in 2 and in 10 shards."""
    if not hasattr(bench, "sizes"):
        bench.sizes = []
        for few in (2, 10):
            with tempfile.TemporaryDirectory(dir=bench.folder) as place:
                root = build.make_tree(place, few * LARGE, bench.drawn, link=True)
                words = f"--shards {few} --workers 1 --quiet".split()
                build.run([build.DSBUILD, "voc", root, f"{place}/out", *words])
                state = f"{place}/out/.dsbuild/receipts"
                sizes = [os.path.getsize(f"{state}/{name}") for name in os.listdir(state)]
                bench.sizes.append((os.path.getsize(f"{place}/out/manifest.json"), sum(sizes)))
    (few, _), (many, receipts) = bench.sizes
    each = (many - few) / 8
    return {"manifest": few + each * (shards - 2), "receipts": receipts / 10 * shards}


def draw_objects(folder: str, photo: str, images: int = 40_000, each: int = 8) -> int:
    """Draw a JSON of COCO's form, of half a gigabyte by default; return its size in bytes."""
    draw = random.Random(0)
    os.makedirs(f"{folder}/annotations")
    os.makedirs(f"{folder}/train")
    with Image.open(photo) as opened:
        width, height = opened.size
    points = [[draw.uniform(0, min(width, height)) for _ in range(86)] for _ in range(300)]
    shapes = [f'"segmentation":{json.dumps([one])}' for one in points]
    path = f"{folder}/annotations/instances_train.json"
    with open(path, "w") as file:
        file.write('{"images":[')
        for i in range(images):
            comma = "," if i else ""
            size = f'"height":{height},"width":{width}'
            file.write(f'{comma}{{"id":{i},"file_name":"{i}.jpg",{size}}}')
            os.link(photo, f"{folder}/train/{i}.jpg")
        file.write('],"annotations":[')
        for i in range(images * each):
            comma, of = "," if i else "", draw.randrange(images)
            named = f'"id":{i},"image_id":{of},"category_id":1,"iscrowd":0'
            file.write(f"{comma}{{{named},{draw.choice(shapes)}}}")
        file.write('],"categories":[{"id":1,"name":"thing"}]}')
    return os.path.getsize(path)


def show_objects(bench: argparse.Namespace) -> None:
    """Show time and peak memory of a build whose labels are all in one JSON."""
    with tempfile.TemporaryDirectory(dir=bench.folder) as place:
        photos = sorted(os.listdir(f"{bench.drawn}/JPEGImages"))
        size = draw_objects(f"{place}/coco", f"{bench.drawn}/JPEGImages/{photos[0]}")
        words = [build.DSBUILD, "coco", f"{place}/coco", f"{place}/out", "--quiet"]
        begin = time.perf_counter()
        _, status, used = os.wait4(os.spawnvp(os.P_NOWAIT, words[0], words), 0)
        taken = time.perf_counter() - begin
    if status:
        sys.exit("the build of objects failed")
    build.show(
        "A JSON of all annotations (target for 500 MB: at most 300 MB in any process)",
        "JSON, MB | seconds | peak RSS, MB",
        [(f"{size / 1e6:,.0f}", taken, round(used.ru_maxrss / 1e3))],
    )


def main() -> None:
    """Show the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--table", choices=("plan", "build", "growth", "objects"))
    parser.add_argument("--most", type=int, default=10**6, help="samples in the table of growth")
    bench = parser.parse_args()
    tables = {"plan": show_plan, "build": show_build, "growth": show_growth}
    tables["objects"] = show_objects
    with tempfile.TemporaryDirectory(prefix="dsbuild-bench-") as bench.folder:
        bench.drawn = fakes.voc(f"{bench.folder}/drawn", 40, 20)
        for show in [tables[bench.table]] if bench.table else [show_plan, show_build, show_objects]:
            show(bench)


if __name__ == "__main__":
    if sys.argv[1:2] == ["plan"]:
        root, out, total, order, *rest = sys.argv[2:]
        plan(root, out, int(total), order, *map(int, rest))
    else:
        main()
