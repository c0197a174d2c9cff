"""Print one table of the ratios that matter, with what is reached, in four to six minutes.

    python bench/quick.py --source VOCdevkit/VOC2012

The rows are those of build.py, layouts.py, validate.py and read.py, on fewer samples: each is a new
process, and all alternate. Rows whose package is not installed are left out and named.
"""

import argparse
import importlib.util
import json
import os
import sys
import tempfile

import build
import layouts
import peers
import read
import validate

EXTRA = "laplacian:raw16"
READING = (
    "bare limit",
    "dsbuild.open, two processes",
    "dsbuild.tf_dataset",
    "tf.data as in DeepLab",
    "TFDS on the same shards",
    "dsbuild.torch_dataset, two workers",
    "dsbuild.torch_dataset, two threads",
    "dsbuild.tf_dataset, augmented",
    "tf.data, resize, pad, crop, flip",
)
STARTS = {"--help": 0.09, "inspect": 0.25}  # seconds
# (row, what it is compared with, bound of the ratio of their times)
TIMES = (
    ("full 1", "bare limit 1", 1.05),
    ("full 2", "bare limit 2", 1.10),
    ("header 1", "plain copy 1", 2.0),
    ("header 2", "plain copy 2", 2.0),
    (f"{EXTRA}", f"bare {EXTRA}", 1.3),
    ("frames 1", "read and crc32c 1", 1.3),
    ("frames 2", "read and crc32c 2", 1.3),
    ("pixels 1", "bare limit 1", 1.15),
    ("pixels 2", "bare limit 2", 1.15),
)
# (row, what it is compared with, least ratio of their speeds)
SPEEDS = (
    ("dsbuild.open, two processes", "bare limit", 0.9),
    ("dsbuild.tf_dataset", "TFDS on the same shards", 1.05),
    ("dsbuild.tf_dataset", "tf.data as in DeepLab", 1.0),
    ("dsbuild.torch_dataset, two workers", "bare limit", 0.85),
    ("dsbuild.torch_dataset, two threads", "bare limit", 0.85),
    ("dsbuild.tf_dataset, augmented", "tf.data, resize, pad, crop, flip", 8.0),
)


def rows_of(root: str, made: str, out: str, bench: argparse.Namespace) -> dict[str, list[str]]:
    """Return the commands to measure, by name; `made` is a finished build."""
    rows = {}
    for n in (1, 2):
        rows[f"full {n}"] = build.command(root, out, n, "full")
        rows[f"bare limit {n}"] = build.child(build.bare_limit, root=root, processes=n)
        rows[f"header {n}"] = build.command(root, out, n, "header")
        rows[f"plain copy {n}"] = build.child(build.plain_copy, root=root, out=out, processes=n)
        words = [build.DSBUILD, "validate", made, "--json", "--workers", str(n), "--level"]
        rows |= {f"{level} {n}": [*words, level] for level in ("frames", "pixels")}
        here = os.path.abspath(validate.__file__)
        rows[f"read and crc32c {n}"] = [sys.executable, here, "child", made, str(n)]
    here = os.path.abspath(layouts.__file__)
    told = json.dumps({"root": root, "kind": "voc", "out": out, "extra": EXTRA})
    rows[EXTRA] = [sys.executable, here, layouts.CHILD, "dsbuild", told]
    rows[f"bare {EXTRA}"] = [sys.executable, here, layouts.CHILD, "bare", told]
    here = os.path.abspath(read.__file__)
    for name in READING:
        if name not in bench.lacking:
            rows[f"read: {name}"] = [sys.executable, here, build.CHILD, name, root, made]
    return rows


def at_most(name: str, found: float, goal: float) -> tuple[object, ...]:
    """Return a row of the table for what should be small."""
    return name, f"at most {goal}", found, "yes" if found <= goal else "no"


def at_least(name: str, found: float, goal: float) -> tuple[object, ...]:
    """Return a row of the table for what should be large."""
    return name, f"at least {goal}", found, "yes" if found >= goal else "no"


def main() -> None:
    """Show the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--source", help="a VOC2012 folder; without it, pairs are drawn")
    bench = parser.parse_args()
    bench.lacking = {n for n, name in read.NEEDS.items() if not importlib.util.find_spec(name)}
    with tempfile.TemporaryDirectory(prefix="dsbuild-bench-") as folder:
        root = build.make_tree(folder, bench.samples, bench.source)
        made = f"{folder}/made"
        build.run(build.command(root, made, 2, "full"))
        installed = {read.NEEDS[n] for n in READING if n in read.NEEDS and n not in bench.lacking}
        peers.prepare(root, made, installed)
        rows = rows_of(root, made, f"{folder}/out", bench)
        taken = build.in_turn(rows, bench.rounds, f"{folder}/out")
        starts = {f"dsbuild {words}": [build.DSBUILD, *words.split()] for words in STARTS}
        starts["dsbuild inspect"].append(made)
        answers = build.measure(starts, 7, f"{folder}/out")
    lines = []
    for one, other, goal in TIMES:
        lines.append(at_most(f"{one} / {other}", build.ratio(taken, one, other), goal))
    for one, other, goal in SPEEDS:
        if not {one, other} & bench.lacking:
            found = build.ratio(taken, f"read: {other}", f"read: {one}")
            lines.append(at_least(f"{one} / {other}", found, goal))
    lines += [at_most(f"{name}, s", row["best"], STARTS[name[8:]]) for name, row in answers.items()]
    origin = "real" if bench.source else "drawn"
    title = f"{bench.samples:,} {origin} pairs, {os.cpu_count()} cores, {bench.rounds} rounds"
    build.show(title, "ratio of times, or of speeds | target | measured | reached", lines)
    if bench.lacking:
        print("\nleft out, because not installed:", ", ".join(sorted(bench.lacking)))


if __name__ == "__main__":
    main()
