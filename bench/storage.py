"""Compare building and reading from and to an object store with the same on local files.

    python bench/storage.py --samples 2000 --rounds 3 --latency 0.02
    python bench/storage.py --table reading --samples 2000

Each row is a complete new process; rows alternate after a warm-up round. The store is bench/s3.py,
which answers every request after the latency.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from statistics import median

from build import SHARDS, make_tree

CHILD, READ = "_child", "_read"
WIDTH = 128  # that of dsbuild.storage.prefetch; other widths are set only in the child
FEW = 300  # samples for the table of widths


def child(width: str, *arguments: str) -> None:
    """Build, reading this many objects ahead if everything happens in this process."""
    from dsbuild.cli import main
    from dsbuild.storage import prefetch

    prefetch.WIDTH = int(width)
    main(["voc", *arguments])


def read(kind: str, seed: str, path: str) -> None:
    """Read all samples with image and label decoded; print the seconds without imports."""
    import dsbuild

    order = int(seed) if seed else None
    if kind == "tf":
        import tensorflow  # noqa: F401

        begin = time.monotonic()
        for _ in dsbuild.tf_dataset(path, "train", seed=order).batch(1):
            pass
    elif kind.startswith("torch"):
        from torch.utils.data import DataLoader

        workers = {"torch, 2 workers": 2}.get(kind, 0)
        begin = time.monotonic()
        threads = 0 if workers else 2
        data = dsbuild.torch_dataset(
            path, "train", iterable=True, seed=order, threads=threads, as_supervised=True
        )
        context = "spawn" if workers else None
        for _ in DataLoader(
            data, 8, num_workers=workers, collate_fn=list, multiprocessing_context=context
        ):
            pass
    else:
        begin = time.monotonic()
        for sample in dsbuild.open(path, "train").epoch(seed=order, threads=2):
            sample.image, sample.label  # noqa: B018
    print(time.monotonic() - begin)


KINDS = ("NumPy, 2 threads", "tf", "torch, 2 threads", "torch, 2 workers")


def show_reading(options: argparse.Namespace, root: str, folder: str) -> None:
    """Print the table of reading."""
    places = {"local": f"{folder}/read", "store": "s3://files/read"}
    for out in places.values():
        command = [sys.executable, __file__, CHILD, str(WIDTH), root, out]
        subprocess.run([*command, "--shards", str(SHARDS), "--quiet"], check=True)
    times: dict[tuple[str, str, str], list[float]] = {}
    for turn in range(options.rounds + 1):
        for kind in KINDS:
            for seed in ("", "1"):
                for place, path in places.items():
                    command = [sys.executable, __file__, READ, kind, seed, path]
                    took = subprocess.run(command, check=True, capture_output=True, text=True)
                    if turn:
                        row = times.setdefault((kind, seed, place), [])
                        row.append(float(took.stdout.split()[-1]))
    print(
        "| what | order | local, samples/s | store, samples/s | of local |\n|---|---|--:|--:|--:|"
    )
    for kind in KINDS:
        for seed, order in (("", "stored"), ("1", "shuffled")):
            local, store = (median(times[kind, seed, place]) for place in places)
            speeds = f"{options.samples / local:.0f} | {options.samples / store:.0f}"
            print(f"| {kind} | {order} | {speeds} | {local / store:.2f} |")


def measure(row: tuple[str, int, int, int], source: str, out: str) -> float:
    """Return the seconds that a build takes."""
    _, processes, width, samples = row
    options = {"--shards": SHARDS, "--workers": processes, "--limit": samples}
    arguments = [str(word) for option in options.items() for word in option]
    command = [sys.executable, __file__, CHILD, str(width), source, out, *arguments]
    begin = time.monotonic()
    subprocess.run([*command, "--overwrite", "--quiet"], check=True)
    return time.monotonic() - begin


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=8000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.02)
    parser.add_argument("--source", help="a VOC tree; its pairs are repeated")
    parser.add_argument("--table", choices=("building", "reading"), default="building")
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
            if options.table == "reading":
                show_reading(options, root, folder)
                server.stdin.close()
                return
            rows = {
                ("local to local", 1, WIDTH, options.samples): (root, f"{folder}/a"),
                ("store to store", 1, WIDTH, options.samples): (url, "s3://files/a"),
                ("local to local", 2, WIDTH, options.samples): (root, f"{folder}/b"),
                ("local to store", 2, WIDTH, options.samples): (root, "s3://files/b"),
                ("store to local", 2, WIDTH, options.samples): (url, f"{folder}/c"),
                ("store to store", 2, WIDTH, options.samples): (url, "s3://files/c"),
            }
            few = min(FEW, options.samples)
            rows |= {
                ("store to store", 1, width, few): (url, f"s3://files/w{width}")
                for width in (1, 8, 16, 32, 64, 128)
            }
            times: dict[tuple, list[float]] = {row: [] for row in rows}
            for turn in range(options.rounds + 1):
                for row, places in rows.items():
                    seconds = measure(row, *places)
                    if turn:
                        times[row].append(seconds)
            server.stdin.close()
    print("| what | processes | window | samples | seconds | samples/s | of local |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for row, seconds in times.items():
        took, like = median(seconds), ("local to local", row[1], WIDTH, row[3])
        share = f"{median(times[like]) / took:.2f}" if like in times else ""
        print(f"| {' | '.join(map(str, row))} | {took:.2f} | {row[3] / took:.0f} | {share} |")


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        child(*sys.argv[2:])
    elif sys.argv[1:2] == [READ]:
        read(*sys.argv[2:])
    else:
        main()
