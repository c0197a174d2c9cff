import importlib
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from dsbuild.cli.runner import Runner, RunnerCommand, runner_option
from dsbuild.errors import DsbuildError

pytest.importorskip("apache_beam", reason="Apache Beam is not installed")
options = importlib.import_module("dsbuild.pipelines.options")


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


@pytest.mark.parametrize("name", ["beam", "DirectRunner", "direct", "FnApiRunner"])
def test_runners_in_this_process(name):
    found = options.parse(name, ["--direct_num_workers=2"]).get_all_options()
    assert (found["runner"], found["direct_num_workers"]) == ("FnApiRunner", 2)


def test_options_are_never_those_of_the_process(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["dsbuild", "--project=p"])
    assert options.parse("beam").get_all_options()["project"] is None


@pytest.mark.parametrize(
    ("runner", "flags", "text"),
    [
        ("beam", ["--splits=2"], "--splits=2, which is no option of Beam"),
        ("beam", ["train"], "found train, which"),
        ("beam", ["--direct_num_workers=many"], "invalid int value: 'many'"),
        ("beam", ["--direct_running_mode=slow"], "invalid choice: 'slow'"),
        ("beam", ["--runner=DataflowRunner"], "expected one name of a runner"),
        ("NoSuchRunner", [], "--runner NoSuchRunner: Unexpected pipeline runner"),
        ("no.such.Runner", [], "--runner no.such.Runner: No module named 'no'"),
        ("DaskRunner", [], "--runner DaskRunner: it loses"),
    ],
)
def test_what_beam_does_not_know_is_an_error(runner, flags, text, capsys):
    with pytest.raises(DsbuildError) as caught:
        options.parse(runner, flags)
    assert text in str(caught.value)
    assert capsys.readouterr() == ("", "")


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
