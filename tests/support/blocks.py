"""Code blocks of a Markdown page, and a session that runs them in order as a reader would.

One bash runs the `sh` blocks of a page, one Python its `python` blocks: variables, imports, the
current folder and exported names last from block to block. A comment on the line before a block
says what it needs that not every machine has: `<!-- needs: beam -->`.
"""

import configparser
import contextlib
import importlib.util
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.support.processes import members

ROOT = pathlib.Path(__file__).parents[2]
SECONDS = 200  # for one block
# What a block may need -> whether it is here.
NEEDS: Mapping[str, Callable[[], bool]] = {
    "beam": lambda: importlib.util.find_spec("apache_beam") is not None,
    "a browser": lambda: False,
    "GPUs": lambda: False,
    "published weights": lambda: False,
    "torchvision": lambda: importlib.util.find_spec("torchvision") is not None,
}
FENCE = re.compile(
    r"^(?:<!-- needs: (?P<needs>[^\n]*?) -->\n)?```(?P<kind>\w*)[^\n]*\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
DRIVER = """
import os, sys, traceback
done = os.fdopen(int(sys.argv[1]), "w")
names = {"__name__": "__main__"}
for line in sys.stdin:
    try:
        with open(line.strip()) as file:
            exec(compile(file.read(), line.strip(), "exec"), names)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    sys.stdout.flush()
    print("done", file=done, flush=True)
"""
# What stands in for programs that a page calls: `make` plans only, `pip` looks up the extras, job
# schedulers and other machines are this machine.
PROGRAMS = {
    "dsbuild": 'exec {python} -m dsbuild "$@"',
    "python": 'exec {python} "$@"',
    "make": 'exec {make} -n -C {root} "$@"',
    "pip": 'exec {python} -m tests.support.blocks pip "$@"',
    "ssh": 'shift; exec "$@"',
    "sbatch": """
if [ "$1" = --parsable ]; then
    count=$(sed -n 's/^#SBATCH --array=1-//p' "$2")
    export SLURM_ARRAY_TASK_COUNT=$count
    for i in $(seq "$count"); do SLURM_ARRAY_TASK_ID=$i bash "$2" >&2 || exit; done
    echo 1
else
    exec sh -c "$3"
fi""",
}


@dataclass(frozen=True)
class Block:
    """One code block: its language, its text, its line in the page, and what it needs."""

    kind: str
    text: str
    line: int
    needs: str

    @property
    def runs(self) -> bool:
        """Whether what it needs is here."""
        return not self.needs or NEEDS[self.needs]()


def blocks(page: pathlib.Path) -> list[Block]:
    """Return the code blocks of a page."""
    text = page.read_text()
    return [
        Block(m["kind"], m["text"], text.count("\n", 0, m.start("text")) + 1, m["needs"] or "")
        for m in FENCE.finditer(text)
    ]


class Session:
    """What runs the blocks of one page in one folder."""

    def __init__(
        self,
        folder: pathlib.Path,
        environment: Mapping[str, str],
        installed: pathlib.Path | None = None,
    ):
        """Run in a folder; `installed` is the bin of an environment to use in place of this one."""
        self.folder = folder
        self.python = str(installed / "python") if installed else sys.executable
        self.files = folder.parent / f"{folder.name}-session"
        programs = self.files / "bin"
        programs.mkdir(parents=True)
        stand_ins = {"make": PROGRAMS["make"]} if installed else PROGRAMS
        for name, text in stand_ins.items():
            path = programs / name
            text = text.format(python=self.python, make=shutil.which("make"), root=ROOT)
            path.write_text(f"#!/bin/bash\n{text}\n")
            path.chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{programs}:{f'{installed}:' if installed else ''}{os.environ['PATH']}",
            "PYTHONPATH": "" if installed else str(ROOT),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            **environment,
        }
        self.processes: dict[str, tuple[subprocess.Popen, int]] = {}

    def run(self, block: Block) -> None:
        """Run a block; fail with its text and what it printed if it fails."""
        file = self.files / f"block-{block.line}"
        file.write_text(block.text)
        process, done = self._process(block.kind)
        line = f"source {file} </dev/null; echo done >&{done[1]}" if block.kind == "sh" else file
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        end = time.monotonic() + SECONDS
        while not (answered := select.select([done[0]], [], [], 0.2)[0]):
            if process.poll() is not None or time.monotonic() > end:
                break
        shown = self.log(block.kind).read_text()[-3000:]
        finished = bool(answered) and bool(os.read(done[0], 5))
        assert finished, f"line {block.line}:\n{block.text}\n{shown}"

    def log(self, kind: str) -> pathlib.Path:
        """Return the file of what blocks of a kind have printed."""
        return self.files / f"{kind}.log"

    def _process(self, kind: str) -> tuple[subprocess.Popen, tuple[int, int]]:
        if kind not in self.processes:
            ends = os.pipe()
            command = {
                "sh": [
                    "bash",
                    "-c",
                    'set -euo pipefail; while read -r line; do eval "$line"; done',
                ],
                "python": [self.python, "-c", DRIVER, str(ends[1])],
            }[kind]
            with self.log(kind).open("w") as log:
                process = subprocess.Popen(
                    command,
                    cwd=self.folder,
                    env=self.environment,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    text=True,
                    pass_fds=ends[1:],
                    start_new_session=True,
                )
            os.close(ends[1])
            self.processes[kind] = process, ends
        return self.processes[kind]

    def close(self) -> None:
        """End all that runs."""
        for process, ends in self.processes.values():
            for pid in members(process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.communicate(timeout=60)
            os.close(ends[0])
        shutil.rmtree(self.files, ignore_errors=True)


def pip(words: list[str]) -> None:
    """Stand in for `pip install`: its extras of dsbuild have to exist."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = setup["options.extras_require"]
    for word in words[1:]:
        match = re.fullmatch(r"(dsbuild|\.)(?:\[([\w,]+)\])?|torchvision", word)
        named = match[2].split(",") if match and match[2] else []
        if words[0] != "install" or not match or not {*named} <= {*extras}:
            sys.exit(f"pip {' '.join(words)}: not what the pages install")


if __name__ == "__main__":
    pip(sys.argv[2:])
