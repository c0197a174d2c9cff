import importlib
import sys

import pytest

from dsbuild.errors import DsbuildError

pytest.importorskip("apache_beam", reason="Apache Beam is not installed")
options = importlib.import_module("dsbuild.pipelines.options")


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
        ("beam", ["--splits=2"], "--splits=2, which Beam does not know"),
        ("beam", ["train"], "found train, which"),
        ("beam", ["--direct_num_workers=many"], "invalid int value: 'many'"),
        ("beam", ["--direct_running_mode=slow"], "invalid choice: 'slow'"),
        ("beam", ["--runner=DataflowRunner"], "name the runner once"),
        ("NoSuchRunner", [], "--runner NoSuchRunner: Unexpected pipeline runner"),
        ("no.such.Runner", [], "--runner no.such.Runner: No module named 'no'"),
        ("DaskRunner", [], "--runner DaskRunner: this runner drops branches"),
    ],
)
def test_options_unknown_to_beam_are_an_error(runner, flags, text, capsys):
    with pytest.raises(DsbuildError) as caught:
        options.parse(runner, flags)
    assert text in str(caught.value)
    assert capsys.readouterr() == ("", "")


def test_missing_dataflow_support_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.cloud.dataflow", None)
    with pytest.raises(DsbuildError, match=r"DataflowRunner: .*pip install 'dsbuild\[dataflow\]'"):
        options.parse("DataflowRunner", ["--temp_location=gs://bucket/tmp"])
