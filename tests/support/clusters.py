"""A Dask cluster of local processes, to build on and to kill."""

import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable

REPOSITORY = str(pathlib.Path(__file__).parents[2])


class Cluster:
    """A scheduler and workers as processes; `folder` is where they leave their files."""

    def __init__(self, folder: pathlib.Path):
        self.folder, self.workers = folder, []
        file = folder / "scheduler.json"
        words = ["dask_scheduler", "--host=127.0.0.1", "--port=0", "--no-dashboard"]
        self.scheduler = self._start(*words, f"--scheduler-file={file}")
        wait_until(lambda: file.exists() and file.stat().st_size)
        self.address = next(
            text for text in file.read_text().split('"') if text.startswith("tcp://")
        )

    def _start(self, name: str, *words: str, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{name}", *words],
            env=os.environ | {"PYTHONPATH": REPOSITORY} | environment,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def start(self, count: int, **environment: str) -> None:
        """Start workers, and wait until there are no others."""
        words = [self.address, "--host=127.0.0.1", "--nthreads=1", "--no-nanny", "--no-dashboard"]
        self.workers += [self._start("dask_worker", *words, **environment) for _ in range(count)]
        self.settle()

    def kill(self, process: subprocess.Popen) -> None:
        """End a worker as a power cut would."""
        process.kill()
        process.wait(60)
        self.workers.remove(process)

    def settle(self) -> None:
        """Wait until the scheduler knows the workers that are alive."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            wait_until(lambda: len(client.nthreads()) == len(self.workers))

    def close(self) -> None:
        """End all processes."""
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait(60)


def wait_until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait until a condition holds; fail if that takes too long."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
