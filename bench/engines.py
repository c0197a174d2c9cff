"""Compare builds on Beam, in this process and in its own, and on Dask with local builds.

    python bench/engines.py --samples 2000 --rounds 5 --source VOCdevkit/VOC2012

Each row is a complete new process, as in bench/build.py; rows alternate. The Dask cluster is
already running, as clusters are.
"""

import argparse
import pathlib
import sys
import tempfile

import build

sys.path.insert(0, build.REPOSITORY)

from tests.support.clusters import Cluster

PROCESSES = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
IMPORT = "import of Beam"
RATIOS = (
    ("beam", "local 1", 1.3),
    ("beam 2 processes", "local 2", None),
    ("dask 2 workers", "local 2", None),
)


def command(root: str, out: str, *options: str) -> list[str]:
    """Return dsbuild's command line."""
    words = f"--shards {build.SHARDS} --quiet --json".split()
    return [build.DSBUILD, "voc", root, out, *words, *options]


def main() -> None:
    """Show the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--source", help="a VOC2012 folder; without it, pairs are drawn")
    bench = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dsbuild-bench-") as folder:
        root, out = build.make_tree(folder, bench.samples, bench.source), f"{folder}/out"
        dask = Cluster(pathlib.Path(folder))
        try:
            dask.start(2)
            rows = {
                "local 1": command(root, out, "--workers", "1"),
                "beam": command(root, out, "--runner", "beam"),
                IMPORT: [sys.executable, "-c", "import dsbuild.pipelines.build"],
                "local 2": command(root, out, "--workers", "2"),
                "beam 2 processes": command(root, out, "--runner", "beam", "--", *PROCESSES),
                "dask 2 workers": command(
                    root, out, "--runner", "dask", "--scheduler", dask.address
                ),
            }
            found = build.measure(rows, bench.rounds, out)
        finally:
            dask.close()
        largest = build.peaks(command(root, f"{out}-beam", "--runner", "beam"))[2]
    build.show(
        f"Build of {bench.samples:,} samples into {build.SHARDS} shards",
        "engine | whole process | best | inside",
        [(name, row["whole"], row["best"], row.get("seconds", "-")) for name, row in found.items()],
    )
    lines = []
    for one, other, target in RATIOS:
        over = found[IMPORT]["whole"] if one == "beam" else 0
        ratio = (found[one]["whole"] - over) / found[other]["whole"]
        inside = found[one]["seconds"] / found[other]["seconds"]
        name = f"({one} - {IMPORT}) / {other}" if over else f"{one} / {other}"
        reached = "-" if target is None else "yes" if ratio <= target else "no"
        lines.append((name, f"at most {target}" if target else "-", ratio, inside, reached))
    build.show("Ratios", "ratio | target | measured | inside | reached", lines)
    print(f"\nPeak RSS of the process that runs Beam: {largest / 1e6:.0f} MB (target: at most 400)")


if __name__ == "__main__":
    main()
