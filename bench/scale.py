"""Measure the planning of a million samples, and the cost per sample of few and of many.

    python bench/scale.py --rounds 3

Each row is a complete new process. A plan names real files, of which there are a thousand, and
reads none. Builds are of small drawn records, so that everything except decoding matters.
"""

import argparse
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import build
from PIL import Image

sys.path.insert(0, build.REPOSITORY)

from dsbuild.build.audit import Request, audit
from dsbuild.build.recipe import Recipe
from dsbuild.build.run import prepare
from dsbuild.layouts import Sample
from dsbuild.layouts.base import Layout
from dsbuild.layouts.voc import Voc
from tests.support import fakes

FILES = 1000
A_SHARD = 100


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


def plan(root: str, out: str, total: int, order: str) -> None:
    """Print the time for planning in this process, and the size of the pipeline's graph."""
    asked = Request(
        recipe=Recipe(layout=Many(total=total)),
        root=root,
        out=out,
        order=order,
        shards=max(1, total // A_SHARD),
    )
    begin = time.perf_counter()
    found = audit(asked)
    audited = time.perf_counter()
    prepare(asked, found.splits, {}, lambda _: None)
    taken = {"audit": audited - begin, "plans": time.perf_counter() - audited}
    taken["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(json.dumps(taken | {"graph": graph(asked)}))


def graph(asked: Request) -> int | None:
    """Return the size in bytes of the pipeline that builds a request; None without Beam."""
    try:
        import apache_beam as beam
    except ModuleNotFoundError:
        return None
    from dsbuild.build import plan_files
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
    bench = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dsbuild-bench-") as bench.folder:
        bench.drawn = fakes.voc(f"{bench.folder}/drawn", 40, 20)
        show_plan(bench)
        show_build(bench)
        show_objects(bench)


if __name__ == "__main__":
    if sys.argv[1:2] == ["plan"]:
        root, out, total, order = sys.argv[2:]
        plan(root, out, int(total), order)
    else:
        main()
