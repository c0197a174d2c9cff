"""`dsbuild interop`: the files by which other tools open a finished folder."""

import click

from dsbuild.cli import next_command
from dsbuild.cli.command import Command, Option
from dsbuild.cli.kinds import Path
from dsbuild.cli.options import WHOLE, echo_line, errors, note


@click.command(cls=Command)
@click.argument("path", default="tfrecord", type=Path(folder=True))
@click.option(
    "--license",
    cls=Option,
    aliases=("--licence",),
    help="Licence of the data set: its short name, or a URL.",
)
@click.option("--citation", help="Citation: BibTeX or text.")
@click.option("--description", help="Description in a few words.")
@click.option("--pbtxt", is_flag=True, help="Also write schema.pbtxt, for TFX.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
def interop(
    path: str,
    license: str | None,
    citation: str | None,
    description: str | None,
    pbtxt: bool,
    quiet: bool,
) -> None:
    """Write what lets other tools open a finished folder.

    PATH is a folder that this or an older version of dsbuild wrote; ./tfrecord by default. Every
    build writes files for TFDS and Croissant, and the card README.md; this command writes them
    again with licence, citation and description, which later builds keep.

    \b
    Example:
      dsbuild interop --license CC-BY-4.0 --description "Street scenes of three towns."
      dsbuild interop tfrecord --pbtxt
    """
    with errors(WHOLE):
        from dsbuild import storage
        from dsbuild.build.side_files import describe
        from dsbuild.interop import Terms

        for name in describe(path, Terms(license, citation, description), pbtxt, note):
            if not quiet:
                echo_line(storage.join(path, name))
        next_command.show("validate", path)
