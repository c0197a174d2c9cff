"""`--runner` and what stands behind `--`; nothing here needs Apache Beam."""

import subprocess
import sys

import click
from click.testing import CliRunner

from dsbuild.cli import main
from dsbuild.cli.runner import Runner, RunnerCommand, runner_option
from tests.conftest import make
from tests.test_floors import loaded


@click.command(cls=RunnerCommand)
@click.argument("source", required=False)
@click.argument("out", default="tfrecord")
@runner_option
@click.option("--workers", type=int)
def command(**given):
    click.echo(repr(given))


def call(*arguments):
    """Return what a command is given, or its usage error."""
    result = CliRunner().invoke(command, list(arguments))
    return eval(result.output, {"Runner": Runner}) if result.exit_code == 0 else result.output


def test_without_a_runner_all_is_local():
    assert call() == {"runner": Runner(), "source": None, "out": "tfrecord", "workers": None}
    assert call("a", "b", "--workers", "2", "--")["runner"].local


def test_what_stands_behind_the_dashes_is_of_beam():
    given = call("--runner", "beam", "--", "--project", "p", "--", "x")
    assert given["runner"] == Runner("beam", ("--project", "p", "--", "x"))
    assert (given["source"], given["out"]) == (None, "tfrecord")
    given = call("a", "--runner", "DataflowRunner", "b", "--", "--region=r")
    assert given["runner"] == Runner("DataflowRunner", ("--region=r",))
    assert (given["source"], given["out"]) == ("a", "b")


def test_options_of_beam_without_beam_are_refused():
    assert "found --project=p behind --" in call("a", "--", "--project=p")
    assert "--workers are of --runner local" in call("--runner", "beam", "--workers", "2")


def test_usage_tells_where_options_of_beam_stand():
    assert (
        "[OPTIONS] [SOURCE] [OUT] [-- BEAM OPTIONS]"
        in CliRunner().invoke(command, ["--help"]).output
    )


def test_beam_that_is_missing_is_named():
    code = (
        "import sys; sys.modules['apache_beam'] = None\n"
        "from dsbuild.cli.runner import Runner\n"
        "try: Runner('beam').beam()\n"
        "except Exception as error: print(repr(error))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert shown.startswith("DsbuildError(")
    assert "pip install 'dsbuild[beam]'" in shown


def test_local_work_never_imports_beam(voc, out):
    make(voc, out)
    code = "from click.testing import CliRunner; from dsbuild.cli import main\n"
    for command in ("statistics", "validate"):
        call = f"assert CliRunner().invoke(main, ['{command}', {out!r}]).exit_code == 0"
        found = loaded(code + call)
        assert "numpy" in found
        assert "apache_beam" not in found


def test_every_runner_command_says_where_options_of_beam_stand(run):
    for name, command in main.commands.items():
        if any(parameter.name == "runner" for parameter in command.params):
            assert "[-- BEAM OPTIONS]" in run(name, "--help").stdout
