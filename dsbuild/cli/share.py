"""`dsbuild interop` and `dsbuild export`: a finished folder, for other tools."""

import click

from dsbuild.cli.base import errors


@click.command()
@click.argument("path", default="tfrecord")
@click.option("--license", help="Licence of the data set: its short name, or a URL.")
@click.option("--citation", help="How to cite it: BibTeX or text.")
@click.option("--description", help="What it is, in a few words.")
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
    """Write the files by which other tools open a finished folder.

    PATH is a folder that dsbuild wrote, by this version or an older one; ./tfrecord by default.
    TFDS, Croissant and the card README.md are written by every build; here they are written
    anew, with licence, citation and description, which later builds keep.

    \b
    Example:
      dsbuild interop --license CC-BY-4.0 --description "Street scenes of three towns."
      dsbuild interop tfrecord --pbtxt
    """
    with errors():
        from dsbuild import storage
        from dsbuild.describe import describe
        from dsbuild.interop import Terms

        path = storage.local(path)
        for name in describe(path, Terms(license, citation, description), pbtxt):
            if not quiet:
                click.echo(storage.join(path, name))
