"""The options of a Beam pipeline, from the name of a runner and a list of texts.

The list is always explicit: without one, Beam reads `sys.argv` and mistakes dsbuild's options for
its own. Whatever Beam would only warn about, or exit for, is an error.
"""

import argparse
import contextlib
import importlib
from collections.abc import Iterator, Sequence
from typing import NoReturn

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.runners import create_runner

from dsbuild.errors import DsbuildError

IN_PROCESS = "FnApiRunner"
DATAFLOW = "DataflowRunner"
# Beam's own default first tries to download another runner, Prism.
_ALIASES = dict.fromkeys(("beam", "direct", "directrunner"), IN_PROCESS) | dict.fromkeys(
    ("dataflow", "dataflowrunner"), DATAFLOW
)
_DASK = ("dask", "daskrunner", "apache_beam.runners.dask.dask_runner.daskrunner")


def parse(runner: str, flags: Sequence[str] = ()) -> PipelineOptions:
    """Return the options for a runner; raise DsbuildError for options that Beam does not know.

    `beam` and DirectRunner mean the runner in this process, which downloads nothing. Any other
    name, dotted or not, is passed to Beam as it is.
    """
    flags = list(flags)
    name = _ALIASES.get(runner.lower(), runner)
    if name.lower() in _DASK:
        raise DsbuildError(
            f"--runner {runner}: this runner drops branches of a pipeline and reports success; "
            "name another runner"
        )
    try:
        create_runner(name)  # also loads its module, which may add options
        if name == DATAFLOW:
            importlib.import_module("google.cloud.dataflow")  # otherwise Beam fails late
    except ModuleNotFoundError as error:
        more = "; pip install 'dsbuild[dataflow]'" if name == DATAFLOW else ""
        raise DsbuildError(f"--runner {runner}: {error}{more}") from error
    except (ValueError, ImportError, AttributeError) as error:
        raise DsbuildError(f"--runner {runner}: {error}") from error
    _refuse_unknown(flags)
    # Nothing of ours is defined in the main module, which Beam would send to Dataflow's workers.
    options = PipelineOptions([f"--runner={name}", "--no_save_main_session", *flags])
    cloud = options.view_as(GoogleCloudOptions)
    if name == DATAFLOW and not (cloud.temp_location or cloud.staging_location):
        # Beam would search for credentials for a long time, and then make a bucket.
        _refuse("found no --temp_location, expected --temp_location=gs://BUCKET/tmp")
    return options


def _refuse_unknown(flags: list[str]) -> None:
    parsers: list[argparse.ArgumentParser] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)
    (parser,) = parsers
    parser.error = _refuse  # type: ignore[method-assign]
    given, unknown = parser.parse_known_args(flags)
    if unknown:
        _refuse(f"found {' '.join(unknown)}, which Beam does not know")
    if given.runner is not None:
        _refuse(f"found --runner={given.runner}; name the runner once, before Beam's options")


def _refuse(message: str) -> NoReturn:
    raise DsbuildError(f"options of Beam: {message}; `-- --help` lists them")


def parser(text: str) -> argparse.ArgumentParser:
    """Return the parser of a program's own options; `text` is the module's docstring."""
    form = argparse.RawDescriptionHelpFormatter
    own = argparse.ArgumentParser(description=text, formatter_class=form, allow_abbrev=False)
    own.add_argument(
        "--runner", default="beam", help="name of a Beam runner; other options are Beam's"
    )
    return own


@contextlib.contextmanager
def program(
    own: argparse.ArgumentParser, arguments: Sequence[str] | None = None
) -> Iterator[tuple[argparse.Namespace, PipelineOptions]]:
    """Give a program's own options and Beam's; if the user made a mistake, exit with one line."""
    try:
        given, flags = own.parse_known_args(arguments)
        yield given, parse(given.runner, flags)
    except DsbuildError as error:
        own.exit(2, f"error: {error}\n")
    except KeyboardInterrupt:
        own.exit(130, "interrupted: run the same command again\n")
