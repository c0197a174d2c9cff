"""`dsbuild demo`."""

import shlex

import click

from dsbuild.cli import next_command
from dsbuild.cli.command import Command
from dsbuild.cli.kinds import Choice, Path
from dsbuild.cli.options import echo_line, errors

# The layouts that are drawn; a test compares them with those of `dsbuild.demo`, which is imported
# only to draw, as it needs NumPy and Pillow.
DRAWN = (
    *(
        "voc",
        "cityscapes",
        "coco",
        "ade20k",
        "ade20k-full",
        "pascal-context",
        "mapillary",
        "bdd100k",
        "oxford-pets",
        "labelme",
        "yolo",
        "cvat",
        "supervisely",
    ),
    *("matting", "pairs", "classes"),
)


@click.command(cls=Command)
@click.argument("layout", type=Choice(DRAWN), default="voc", metavar="[LAYOUT]")
@click.argument("folder", type=Path(folder=True), default="data")
@click.option(
    "--samples",
    type=click.IntRange(4, 100_000),
    default=40,
    show_default=True,
    help="How many pictures.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Which ones.")
def demo(layout: str, folder: str, samples: int, seed: int) -> None:
    """Draw a small data set to try dsbuild on.

    LAYOUT is its form: voc, cityscapes, coco, ade20k, ade20k-full, pascal-context, mapillary,
    bdd100k, oxford-pets, labelme, yolo, cvat, supervisely, matting, pairs or classes. FOLDER is
    new or empty, ./data by default. The last line printed is the command that builds it.

    \b
    Example:
      dsbuild demo
      dsbuild demo pairs streets --samples 200
    """
    with errors("an unfinished folder is left; remove it and run the same command again"):
        from dsbuild.demo import draw
        from dsbuild.inspect.tables import count
        from dsbuild.layouts import LAYOUTS

        command = draw(layout, folder, samples, seed)
        title = LAYOUTS[layout].title
        echo_line(f"{folder}: drew {count(samples, 'sample')}, laid out like {title}")
        next_command.show(*shlex.split(command)[1:])
