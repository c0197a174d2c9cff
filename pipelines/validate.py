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
    """Validate on a runner; checks of a folder as a whole run here, in this process."""
    return checks.validate(path, level, source, engine.Beam(flags))


def main() -> None:
    """Validate records and print JSON; exit with 1 if there is a problem."""
    parser = options.parser(__doc__)
    parser.add_argument("path")
    parser.add_argument("--level", choices=checks.LEVELS, default="pixels")
    parser.add_argument("--source")
    with options.program(parser) as (given, flags):
        result = validate(given.path, given.level, given.source, flags)
        json.dump(result.document(), sys.stdout, indent=2)
        parser.exit(1 if result.problems else 0)


if __name__ == "__main__":
    # Imported by name, since workers look the functions up by it.
    importlib.import_module("dsbuild.pipelines.validate").main()
