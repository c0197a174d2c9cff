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

        for name in describe(path, Terms(license, citation, description), pbtxt):
            if not quiet:
                click.echo(storage.join(path, name))


@click.command()
@click.argument("path")
@click.argument("out")
@click.option(
    "--to",
    "target",
    type=click.Choice(["webdataset", "parquet", "array_record"]),
    required=True,
    help="webdataset: a tar a shard. parquet: for Hugging Face datasets. array_record: for Grain.",
)
@click.option("--workers", type=click.IntRange(1), help="Processes. Default: all cores.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
def export(path: str, out: str, target: str, workers: int | None, quiet: bool) -> None:
    """Write TFRecords in the format of another loader, from the records alone.

    PATH is a folder that dsbuild wrote, any other folder of TFRecords, or one file; OUT is a
    folder. The bytes of images and masks stay. Files whose shard is unchanged are kept.

    \b
    Example:
      dsbuild export tfrecord tars --to webdataset
      dsbuild export tfrecord parquet --to parquet --workers 2
    """
    with errors():
        from dsbuild import export as exporting
        from dsbuild import job

        found = exporting.export(path, out, target, workers or job.cores(), quiet)
        if not quiet:
            kept = sum(one.kept for one in found)
            records, size = (
                sum(getattr(one, key) for one in found) for key in ("records", "bytes")
            )
            click.echo(
                f"{out}: {records:,} records, {size / 1e6:,.1f} MB in {len(found)} files ({target})"
                + (f"; {kept} stood and were kept" if kept else "")
            )
