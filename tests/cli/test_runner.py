"""`--runner` and what stands behind `--`; nothing here needs Apache Beam."""

import subprocess
import sys

import click
from click.testing import CliRunner

from dsbuild.cli import main
from dsbuild.cli.runner import Runner, RunnerCommand, engine_options
from tests.support.imports import loaded


@click.command(cls=RunnerCommand)
@click.argument("source", required=False)
@click.argument("out", default="tfrecord")
@engine_options
def command(**given):
    click.echo(repr(given))


def call(*arguments):
    """Return what a command is given, or its usage error."""
    result = CliRunner().invoke(command, list(arguments))
    return eval(result.output, {"Runner": Runner}) if result.exit_code == 0 else result.output


def test_without_a_runner_everything_is_local():
    rest = {"source": None, "out": "tfrecord"}
    assert call() == {"runner": Runner(), **rest}
    assert call("a", "b", "--workers", "2", "--")["runner"] == Runner(workers=2)


def test_what_follows_the_dashes_is_for_beam():
    given = call("--runner", "beam", "--", "--project", "p", "--", "x")
    assert given["runner"] == Runner("beam", ("--project", "p", "--", "x"))
    assert (given["source"], given["out"]) == (None, "tfrecord")
    given = call("a", "--runner", "DataflowRunner", "b", "--", "--region=r")
    assert given["runner"] == Runner("DataflowRunner", ("--region=r",))
    assert (given["source"], given["out"]) == ("a", "b")


def test_options_of_beam_without_beam_are_refused():
    assert "found --project=p after --" in call("a", "--", "--project=p")
    assert "--workers is for --runner local" in call("--runner", "beam", "--workers", "2")


def test_a_cluster_is_named_by_its_scheduler_alone():
    given = call("--runner", "dask", "--scheduler", "tcp://head:8786", "a")
    assert given["runner"] == Runner("dask", scheduler="tcp://head:8786")
    assert not given["runner"].local
    for words in (["--runner", "dask"], ["--scheduler", "x"], ["--runner=beam", "--scheduler=x"]):
        assert "--runner dask and --scheduler ADDRESS go together" in call(*words)
    words = ["--runner", "dask", "--scheduler", "tcp://head:8786"]
    assert "--runner dask, which has none" in call(*words, "--", "--project=p")
    assert "--workers is for --runner local" in call(*words, "--workers", "2")


def test_usage_says_where_beam_options_go():
    assert (
        "[OPTIONS] [SOURCE] [OUT] [-- BEAM OPTIONS]"
        in CliRunner().invoke(command, ["--help"]).output
    )


def test_missing_beam_is_named():
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


def test_local_work_imports_no_engine_and_no_store(voc, out):
    code = "from click.testing import CliRunner; from dsbuild.cli import main\n"
    for words in (["voc", voc, out, "--workers", "1"], ["statistics", out], ["validate", out]):
        found = loaded(code + f"assert CliRunner().invoke(main, {words}).exit_code == 0")
        assert "numpy" in found
        for name in ("apache_beam", "distributed", "obstore"):
            assert name not in found


def test_every_runner_command_says_where_beam_options_go(run):
    for name, command in main.commands.items():
        if any(parameter.name == "runner" for parameter in command.params):
            assert "[-- BEAM OPTIONS]" in run(name, "--help").stdout
