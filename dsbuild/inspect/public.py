"""`dsbuild.inspect` and `dsbuild.diff`: a whole inspection or comparison as one call."""

import os
from typing import overload

from dsbuild import engines
from dsbuild.engines import Engine
from dsbuild.errors import DataError, PlanError
from dsbuild.format.folder import Folder, PathLike
from dsbuild.inspect import documents, kept
from dsbuild.inspect.forms import Difference, Inspection, RecordDocument

Path = str | os.PathLike[str]


@overload
def inspect(
    path: PathLike = ...,
    *,
    html: Path | None = ...,
    samples: int | None = ...,
    seed: int = ...,
    class_: str | None = ...,
    most: str | None = ...,
    least: str | None = ...,
    problems: bool = ...,
    suspects: Path | None = ...,
    runner: str | Engine = ...,
    scheduler: str | None = ...,
    workers: int | None = ...,
    quiet: bool = ...,
) -> Inspection: ...


@overload
def inspect(path: PathLike = ..., *, record: int, save: Path | None = ...) -> RecordDocument: ...


@overload
def inspect(path: PathLike = ..., *, key: str, save: Path | None = ...) -> RecordDocument: ...


def inspect(
    path: PathLike = "tfrecord",
    *,
    record: int | None = None,
    key: str | None = None,
    save: Path | None = None,
    html: Path | None = None,
    samples: int | None = None,
    seed: int = 0,
    class_: str | None = None,
    most: str | None = None,
    least: str | None = None,
    problems: bool = False,
    suspects: Path | None = None,
    runner: str | Engine = "local",
    scheduler: str | None = None,
    workers: int | None = None,
    quiet: bool = True,
) -> Inspection | RecordDocument:
    """Return what TFRecords hold, as `dsbuild inspect PATH --json` prints it.

    Nothing is printed. The options are those of the command; `class_` is --class.

    Args:
      path: a folder that dsbuild wrote, any other folder of TFRecords, or one file.
      record: number of the record to return in full.
      key: key of the record to return in full.
      save: folder for the pictures of that record, as PNG files.
      html: file to write a page with charts and a gallery to.
      samples: how many samples the gallery shows; None for 48, or more if it takes more to show
        every class.
      seed: seed for choosing them.
      class_: the gallery shows samples with this class.
      most: the gallery shows the samples with the most of this class.
      least: the gallery shows the samples with the least of this class, among those that have it.
      problems: the gallery shows the samples in which `dsbuild.validate` finds problems.
      suspects: the folder of an audit; the page shows its suspects instead.
      runner: "local"; "dask", with its `scheduler`; or an engine.
      scheduler: address of a Dask scheduler, such as "tcp://host:8786".
      workers: processes; None for all cores.
      quiet: whether to hide the progress bar.

    Returns:
      The document of the whole folder, or that of one record. A damaged shard of a folder does not
      raise: its `problem` says what is wrong.

    Raises:
      PlanError: for options that contradict each other.
      ShardError: if there is no TFRecord, or no such record, or it cannot be read.
      DataError: for a picture to save that does not decode.

    Example:
      >>> found = dsbuild.inspect("tfrecord")
      >>> list(found["splits"]), found["complete"]
      (['train', 'val'], True)
      >>> one = dsbuild.inspect("tfrecord", record=0)
      >>> one["record"], one["features"]["image/width"]["kind"]
      (0, 'int64')
    """
    named = {"class_": class_, "most": most, "least": least, "problems": "" if problems else None}
    how = {kind: name for kind, name in named.items() if name is not None}
    if suspects is not None:
        how["suspects"] = ""
    wanted = record if key is None else key
    _refuse(
        samples is not None and type(samples) is not int, f"samples {samples!r}", "a whole number"
    )
    _refuse(record is not None and type(record) is not int, f"record {record!r}", "a whole number")
    _refuse(key is not None and type(key) is not str, f"key {key!r}", "a text")
    _refuse(record is not None and key is not None, "record and key", "one of them")
    _refuse(wanted is None and save is not None, "save without a record", "record or key as well")
    _refuse(wanted is not None and html is not None, "html and one record", "one of them")
    _refuse(len(how) > 1, " and ".join(how), "one of class_, most, least, problems and suspects")
    _refuse(bool(how) and html is None, f"{''.join(how)} without html", "html as well")
    _refuse(samples is not None and samples < 0, f"samples {samples}", "0 or more")
    folder = Folder.of(path)
    if wanted is not None:
        return _record(folder, wanted, save)
    engine = engines.chosen(runner, scheduler, workers, quiet)
    document = documents.inspect(folder, engine)
    counted = kept.load(folder)
    if counted is not None:
        document["statistics"] = counted
    if html is not None and suspects is not None:
        from dsbuild.inspect.html import run, suspects_page

        run.write(os.fspath(html), suspects_page.make(folder, os.fspath(suspects), samples))
    elif html is not None:
        from dsbuild.inspect.html import run

        ((kind, name),) = how.items() or (("any", ""),)
        kind = "with" if kind == "class_" else kind
        page = run.make(
            folder,
            document,
            samples=samples,
            seed=seed,
            how=kind,
            name=name,
            beside=os.fspath(html),
            engine=engine,
        )
        run.write(os.fspath(html), page)
    return document


def _refuse(wrong: bool, found: str, expected: str, what: str = "inspect") -> None:
    if wrong:
        raise PlanError(f"{what}: found {found}, expected {expected}")


def _record(folder: Folder, wanted: int | str, save: Path | None) -> RecordDocument:
    """Return a record's document, and save its pictures if `save` is given."""
    document = documents.record(folder, wanted)
    if save is not None:
        from dsbuild.inspect import gallery

        pictures, key = gallery.load(folder, document)
        gallery.save(os.fspath(save), gallery.files(pictures, key, gallery.colours(folder)))
        if pictures.problems:
            raise DataError("; ".join(pictures.problems))
    return document


def diff(
    a: PathLike,
    b: PathLike,
    *,
    html: Path | None = None,
    samples: int | None = None,
    runner: str | Engine = "local",
    scheduler: str | None = None,
    workers: int | None = None,
    quiet: bool = True,
) -> Difference:
    """Return how two builds differ, as `dsbuild diff A B --json` prints it.

    Nothing is printed.

    Args:
      a: a folder of TFRecords, or one file.
      b: another one.
      html: file to write a page of the masks that changed to: before, after and changed pixels.
      samples: how many of them the page shows as pictures, the largest change first; None for 48.
      runner: "local"; "dask", with its `scheduler`; or an engine.
      scheduler: address of a Dask scheduler, such as "tcp://host:8786".
      workers: processes; None for all cores.
      quiet: whether to hide the progress bar.

    Returns:
      A document whose "same" says whether recipes, samples and bytes are the same.

    Raises:
      PlanError: for options that contradict each other.
      ShardError: if there is no TFRecord, or a damaged one.

    Example:
      >>> dsbuild.diff("tfrecord", "tfrecord")["same"]
      True
    """
    wrong = samples is not None and (type(samples) is not int or samples < 0)
    _refuse(wrong, f"samples {samples!r}", "a whole number, 0 or more", "diff")
    _refuse(samples is not None and html is None, "samples without html", "html as well", "diff")
    from dsbuild.inspect import diff as comparing

    engine = engines.chosen(runner, scheduler, workers, quiet)
    before, after = (comparing.read(path, engine) for path in (a, b))
    document = comparing.diff(before, after)
    if html is not None:
        from dsbuild.inspect.html import mask_page, run

        run.write(os.fspath(html), mask_page.make(before, after, document, samples, engine))
    return document
