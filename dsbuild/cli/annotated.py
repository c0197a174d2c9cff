"""Options of annotated targets, which `export` and `convert` share, and what they print."""

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from dsbuild.cli.kinds import Choice
from dsbuild.cli.options import FOUND, echo, echo_json, note, problem
from dsbuild.errors import PlanError

if TYPE_CHECKING:
    from dsbuild.interop.annotations.receipt import Receipt

# As in interop.annotations.formats, which is too heavy for --help.
TARGETS = (
    *("coco", "coco-panoptic", "yolo", "ultralytics-semantic", "mmseg", "voc", "cityscapes"),
    *("hf", "labelme", "cvat", "png"),
)


class Share(click.ParamType):  # type: ignore[type-arg]  # generic since Click 8.2 alone
    """A share such as `0.1%`, or `0.001`."""

    name = "share"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Return the share, from 0 to 1."""
        if isinstance(value, float):
            return value
        text = value.strip()
        try:
            found = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            found = -1.0
        if not 0 <= found <= 1:
            self.fail(f"found {value!r}; expected a share such as 0.1%", param, ctx)
        return found


def annotated_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of annotated targets."""
    for decorate in (
        click.option(
            "--max-loss",
            type=Share(),
            metavar="SHARE",
            help="For annotations: fail if a class, or all of them, lost more than this share of "
            "its pixels, such as 0.1%.",
        ),
        click.option(
            "--shapes",
            type=Choice(["masks", "polygons"]),
            help="For coco, labelme, cvat: run lengths or bitmaps, or polygons. Default: masks.",
        ),
        click.option(
            "--objects",
            type=Choice(["components", "class"]),
            default="components",
            show_default=True,
            help="For coco, yolo, labelme, cvat: an object is a connected component, or all of a "
            "class.",
        ),
    ):
        command = decorate(command)
    return command


def refuse_others(target: str, asked: Mapping[str, Any]) -> None:
    """Raise PlanError if options of annotated targets are given for another one."""
    given = [name for name in ("shapes", "max_loss") if asked[name] is not None]
    given += ["objects"] if asked["objects"] != "components" else []
    if given:
        option = given[0].replace("_", "-")
        raise PlanError(f"--{option} is for annotations, and --to {target} is not; leave it out")


def told(
    receipt: "Receipt", out: str, most: float | None, quiet: bool, as_json: bool = False
) -> None:
    """Print what came of an export; end with exit code 1 if it lost more than it may."""
    from dsbuild.cli.text import receipt as text

    if as_json:
        echo_json(receipt.document())
    elif not quiet:
        echo(text.receipt_text(receipt, out))
        for line in text.renamed(receipt):
            note(line)
    problems = text.problems(receipt, out, most)
    for line in problems:
        problem(line)
    if problems:
        sys.exit(FOUND)
