"""Measure builds from and to an object store beside local ones, and widths of reading ahead.

    python bench/storage.py --samples 2000 --rounds 3 --latency 0.02

Each row is a whole fresh process; rows take turns after a round that does not count. The store
is bench/s3.py, which answers every request after the latency.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from statistics import median

from build import SHARDS, make_tree

CHILD = "_child"


def child(width: str, source: str, out: str, workers: str, *rest: str) -> None:
    """Build, reading ahead so many objects; in this process where there is one worker."""
    from dsbuild.cli import main
    from dsbuild.storage import window

    window.WIDTH = int(width)
    main(["voc", source, out, "--shards", str(SHARDS), "--workers", workers, "--quiet", *rest])


def measure(width: int, source: str, out: str, workers: int, rest: tuple[str, ...]) -> float:
    """Return the seconds that a build takes."""
    begin = time.monotonic()
    arguments = [str(width), source, out, str(workers), "--overwrite", *rest]
    subprocess.run([sys.executable, __file__, CHILD, *arguments], check=True)
    return time.monotonic() - begin


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=8000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.02)
    parser.add_argument("--source", help="a VOC tree, whose pairs are repeated")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, url = make_tree(folder, options.samples, options.source), "s3://files/VOC2012"
        command = [sys.executable, os.path.join(os.path.dirname(__file__), "s3.py")]
        command += ["--latency", str(options.latency), "--files", folder]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server:
            os.environ |= {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.stdout.readline().strip()}",
                "AWS_ALLOW_HTTP": "true",
                "AWS_ACCESS_KEY_ID": "x",
                "AWS_SECRET_ACCESS_KEY": "x",
            }
            rows = {
                "local to local, 1 process": (32, root, f"{folder}/a", 1),
                "store to store, 1 process": (32, url, "s3://files/a", 1),
                "local to local, 2 processes": (32, root, f"{folder}/b", 2),
                "local to store, 2 processes": (32, root, "s3://files/b", 2),
                "store to local, 2 processes": (32, url, f"{folder}/c", 2),
                "store to store, 2 processes": (32, url, "s3://files/c", 2),
            }
            rows |= {
                f"store to store, 1 process, window {n}": (n, url, f"s3://files/w{n}", 1)
                for n in (1, 8, 16)
            }
            times: dict[str, list[float]] = {name: [] for name in rows}
            for turn in range(options.rounds + 1):
                for name, row in rows.items():
                    seconds = measure(*row, ())
                    if turn:
                        times[name].append(seconds)
            server.stdin.close()
    print("| what | seconds | samples/s | of local |\n|---|--:|--:|--:|")
    for name, seconds in times.items():
        processes = "2 processes" if "2 processes" in name else "1 process"
        local = median(times[f"local to local, {processes}"])
        took = median(seconds)
        print(f"| {name} | {took:.2f} | {options.samples / took:.0f} | {local / took:.2f} |")


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        child(*sys.argv[2:])
    else:
        main()
