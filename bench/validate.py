"""Compare `dsbuild validate` with its limits. Each row is a complete new process.

`frames` is compared with reading the same bytes in blocks and computing their crc32c, `pixels` with
decoding every image with OpenCV and inflating every mask.
"""

import argparse
import glob
import os
import subprocess
import sys
import tempfile

import build


def read_and_checksum(folder: str, processes: int):
    """Read every shard and compute its crc32c."""
    import google_crc32c  # noqa: F401

    paths = sorted(glob.glob(f"{folder}/*.tfrecord"))
    return lambda: build.spread(_checksum, paths, processes)


def _checksum(paths):
    import google_crc32c

    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while data := file.read(
                1 << 16
            ):  # the memory of larger blocks is mapped again each time
                google_crc32c.value(data)


def run_child(folder: str, processes: str) -> None:
    read_and_checksum(folder, int(processes))()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--source", help="a VOC2012 folder; without it, pairs are drawn")
    bench = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dsbuild-bench-") as folder:
        root = build.make_tree(folder, bench.samples, bench.source)
        out = f"{folder}/built"
        build.run(build.command(root, out, bench.workers, "full"))
        rows = {}
        here = os.path.abspath(__file__)
        for n in sorted({1, bench.workers}):
            words = [build.DSBUILD, "validate", out, "--json", "--workers", str(n)]
            rows[f"frames {n}"] = [*words, "--level", "frames"]
            rows[f"read and crc32c {n}"] = [sys.executable, here, "child", out, str(n)]
            rows[f"records {n}"] = [*words, "--level", "records"]
            rows[f"pixels {n}"] = [*words, "--level", "pixels"]
            rows[f"bare limit {n}"] = build.child(build.bare_limit, root=root, processes=n)
        found = build.measure(rows, bench.rounds, f"{folder}/none")
    build.show(
        f"Validation of {bench.samples:,} records in {build.SHARDS} shards",
        "what, processes | whole process | best",
        [(name, row["whole"], row["best"]) for name, row in found.items()],
    )
    start = min(_start() for _ in range(5))
    lines = []
    for n in sorted({1, bench.workers}):
        for one, other, target in (
            ("frames", "read and crc32c", 1.5),
            ("pixels", "bare limit", 1.25),
        ):
            a, b = found[f"{one} {n}"]["whole"], found[f"{other} {n}"]["whole"]
            lines.append(
                (
                    f"{one} {n} / {other} {n}",
                    f"at most {target}",
                    a / b,
                    "yes" if a <= target * b else "no",
                )
            )
    build.show("Ratios", "ratio | target | measured | reached", lines)
    print(f"\n`dsbuild --help` takes {start:.2f} s")


def _start() -> float:
    import time

    begin = time.perf_counter()
    subprocess.run([build.DSBUILD, "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        run_child(*sys.argv[2:])
    else:
        main()
