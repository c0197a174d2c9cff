"""The options of a Beam pipeline, from the name of a runner and a list of texts.

The list is always explicit: without one Beam reads `sys.argv`, and takes options of
dsbuild for its own. What Beam would only warn of, or end the process for, is an error.
"""

import argparse
import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import NoReturn

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners import create_runner

from dsbuild.errors import DsbuildError

IN_PROCESS = "FnApiRunner"
# Beam's own choice for this process tries to download another runner, Prism, first.
_ALIASES = dict.fromkeys(("beam", "direct", "directrunner"), IN_PROCESS)
_DASK = ("dask", "daskrunner", "apache_beam.runners.dask.dask_runner.daskrunner")


def parse(runner: str, flags: Sequence[str] = ()) -> PipelineOptions:
    """Return the options for a runner; raise DsbuildError for what Beam does not know.

    `beam` is the runner in this process, which downloads nothing; so is DirectRunner. Any
    other name, or a dotted one, is taken by Beam as it stands.
    """
    flags = list(flags)
    name = _ALIASES.get(runner.lower(), runner)
    if name.lower() in _DASK:
        raise DsbuildError(
            f"--runner {runner}: it loses branches of a pipeline and says that all went well; name "
            "another runner"
        )
    try:
        create_runner(name)  # loads its module too, which may bring options
    except (ValueError, ImportError, AttributeError) as error:
        raise DsbuildError(f"--runner {runner}: {error}") from error
    _refuse_unknown(flags)
    return PipelineOptions([f"--runner={name}", *flags])


def _refuse_unknown(flags: list[str]) -> None:
    parsers = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)
    (parser,) = parsers
    parser.error = _refuse
    known, unknown = parser.parse_known_args(flags)
    if unknown:
        _refuse(f"found {' '.join(unknown)}, which is no option of Beam")
    if known.runner is not None:
        _refuse(f"found --runner={known.runner}, expected one name of a runner, before them")


def _refuse(text: str) -> NoReturn:
    raise DsbuildError(f"options of Beam: {text}; `-- --help` lists them")


@contextlib.contextmanager
def quiet(options: PipelineOptions) -> Iterator[None]:
    """Keep to itself what Beam logs while it runs in this process: errors are raised, too."""
    logger = logging.getLogger("apache_beam")
    before = logger.level
    if options.view_as(StandardOptions).runner == IN_PROCESS:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def parser(text: str) -> argparse.ArgumentParser:
    """Return the parser of a program's own options; `text` is the module's docstring."""
    form = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser(description=text, formatter_class=form, allow_abbrev=False)
    made.add_argument("--runner", default="beam", help="name of a Beam runner; the rest is Beam's")
    return made


@contextlib.contextmanager
def program(
    own: argparse.ArgumentParser, arguments: Sequence[str] | None = None
) -> Iterator[tuple[argparse.Namespace, PipelineOptions]]:
    """Give a program's own options and Beam's; end it with one line at an error of the user."""
    try:
        asked, flags = own.parse_known_args(arguments)
        yield asked, parse(asked.runner, flags)
    except DsbuildError as error:
        own.exit(1, f"error: {error}\n")
