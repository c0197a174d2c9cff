"""A page as somebody follows it: its code blocks in order, in one folder, and its pictures."""

import os
import pathlib
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).parents[2]
PART = re.compile(r"^```(\w+)\n(.*?)^```$|^!\[([^\]]*)\]\(pictures/([\w.-]+)\)", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A code block: its language, its text, and the pictures between it and the next block."""

    kind: str
    text: str
    pictures: tuple[str, ...] = ()


def blocks(page: pathlib.Path) -> list[Block]:
    """Return the code blocks of a page, each with the pictures that follow it."""
    found: list[Block] = []
    for kind, text, _, picture in PART.findall(page.read_text(encoding="utf-8")):
        if kind:
            found.append(Block(kind, text))
        elif found:
            last = found[-1]
            found[-1] = Block(last.kind, last.text, (*last.pictures, picture))
    return found


def commands(block: Block) -> list[str]:
    r"""Return the commands of a shell block, one per line or continued by `\`."""
    lines = re.findall(r"(?:.*\\\n)*.+", block.text)
    return [line for line in lines if line.strip()]


def environment(folder: pathlib.Path) -> Mapping[str, str]:
    """Return an environment in which `dsbuild` is this working copy, whatever is installed.

    `folder` gets the programs `dsbuild` and `python` that lead to it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, words in {"dsbuild": ["-m", "dsbuild"], "python": []}.items():
        program = shlex.join([sys.executable, *words])
        (folder / name).write_text(f'#!/bin/sh\nexec {program} "$@"\n')
        (folder / name).chmod(0o755)
    path = os.pathsep.join([str(folder), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
