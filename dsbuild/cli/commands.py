"""The command line: one command per layout, made from the layout, and commands for its output.

Only this wing imports Click; each command is one library call. Heavy modules are imported by the
command that needs them, so that `--help` answers at once.
"""

import click

from dsbuild import __version__
from dsbuild.cli.audit import audit
from dsbuild.cli.build import build_command
from dsbuild.cli.check import check
from dsbuild.cli.command import Group
from dsbuild.cli.convert import convert
from dsbuild.cli.demo import demo
from dsbuild.cli.diff import diff
from dsbuild.cli.evaluate import evaluate
from dsbuild.cli.export import export
from dsbuild.cli.inspect import inspect
from dsbuild.cli.interop import interop
from dsbuild.cli.merge import merge
from dsbuild.cli.options import STORE_SECONDS
from dsbuild.cli.predict import predict
from dsbuild.cli.recognised import build
from dsbuild.cli.statistics import statistics
from dsbuild.cli.train import train
from dsbuild.cli.validate import repair, validate
from dsbuild.layouts import LAYOUTS


@click.group(
    cls=Group,
    others={"stats": "statistics"},
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
)
@click.version_option(__version__, "--version", "-V", prog_name="dsbuild")
def main() -> None:
    """Convert segmentation data sets to sharded, verified TFRecords.

    \b
    Example:
      dsbuild build data/VOCdevkit
      dsbuild validate
      dsbuild inspect --html tfrecord.html
      dsbuild train --run runs/first
    """


main.add_command(build)
for _layout in LAYOUTS.values():
    main.add_command(build_command(_layout))
main.add_command(demo)
main.add_command(inspect)
main.add_command(statistics)
main.add_command(validate)
main.add_command(repair)
main.add_command(check)
main.add_command(diff)
main.add_command(merge)
main.add_command(interop)
main.add_command(export)
main.add_command(convert)
main.add_command(audit)
main.add_command(train)
main.add_command(evaluate)
main.add_command(predict)
for _command in main.commands.values():
    _command.params.append(STORE_SECONDS)
