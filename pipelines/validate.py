"""Validation on a runner of Beam: one file per element, the checks of `dsbuild.validate.run`.

python -m dsbuild.pipelines.validate PATH --level pixels --runner FnApiRunner ...
"""

import importlib
import json
import sys

from apache_beam.options.pipeline_options import PipelineOptions

from dsbuild.pipelines import engine, options
from dsbuild.validate import run as checks


def validate(
    path: str, level: str, source: str | None, flags: PipelineOptions
) -> checks.Validation:
    """Return what `dsbuild.validate.run` returns; what concerns a whole folder is checked here."""
    return checks.validate(path, level, source, engine.Beam(flags))


def main() -> None:
    """Validate as a program; exit with 1 if there is a problem."""
    parser = options.parser(__doc__)
    parser.add_argument("path")
    parser.add_argument("--level", choices=checks.LEVELS, default="pixels")
    parser.add_argument("--source")
    with options.program(parser) as (asked, flags):
        found = validate(asked.path, asked.level, asked.source, flags)
        json.dump(found.document(), sys.stdout, indent=2)
        parser.exit(1 if found.problems else 0)


if __name__ == "__main__":
    # By its name, since workers look the functions up by it.
    importlib.import_module("dsbuild.pipelines.validate").main()
