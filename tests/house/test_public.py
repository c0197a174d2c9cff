"""The public functions give the values of the commands, print nothing, and are typed."""

import dataclasses
import importlib
import inspect
import json
import os
import pathlib
import pickle
import subprocess
import sys

import pytest

import dsbuild
from dsbuild.cli import main
from dsbuild.errors import DsbuildError, LayoutError, PlanError, SampleError, ShardError
from dsbuild.layouts import LAYOUTS
from tests.support import fakes
from tests.support.runs import content


def printed(run, *arguments):
    """Return the JSON document that a command prints."""
    result = run(*arguments, "--json")
    assert result.exit_code in (0, 1), result.output
    return json.loads(result.stdout)


def timeless(document):
    """Return a document without the seconds that a build took and where it lies."""
    return {key: value for key, value in document.items() if key not in ("seconds", "out")}


@pytest.fixture
def built(voc, out):
    return dsbuild.build("voc", voc, out, shards=2)


def test_build(voc, out, run, tmp_path, capfd):
    made = dsbuild.build("voc", voc, out, shards=2, extra="laplacian:png16", split="train")
    assert capfd.readouterr() == ("", "")
    assert (made.written, made.kept, made.rejects) == (2, 0, ())
    other = str(tmp_path / "other")
    options = ["--shards", 2, "--extra", "laplacian:png16", "--split", "train"]
    command = printed(run, "voc", voc, other, *options)
    assert content(out) == content(other)
    assert timeless(made.document()) == timeless(command)
    assert made.manifest == command["manifest"]
    again = dsbuild.build("voc", voc, out, shards=2, extra=["laplacian:png16"], split=("train",))
    assert (again.written, again.kept) == (0, 2)


def test_paths_may_be_paths(voc, out, tmp_path):
    out = pathlib.Path(out)
    dsbuild.build("voc", pathlib.Path(voc), out)
    assert not dsbuild.validate(out, pathlib.Path(voc), level="source").problems
    assert dsbuild.inspect(out, record=0, save=tmp_path / "pictures")["record"] == 0
    assert dsbuild.inspect(out, html=tmp_path / "page.html")["path"] == str(out)
    assert dsbuild.diff(out, out)["same"]


def test_dry_run(voc, out, run):
    made = dsbuild.build("voc", voc, out, dry_run=True, check_duplicates=True)
    assert made.summary is None
    assert made.document() == printed(run, "voc", voc, out, "--dry-run", "--check-duplicates")
    assert not os.path.exists(out)
    with pytest.raises(PlanError, match="nothing was written"):
        made.summary_document()


def test_options_of_the_layout_have_the_names_of_the_command(tmp_path, run):
    root = fakes.voc(tmp_path)
    folders = {"images": "JPEGImages", "labels": "SegmentationClass", "ignore": 255}
    (tmp_path / "names.txt").write_text("\n".join(f"class{i}" for i in range(21)))
    folders["classes"] = str(tmp_path / "names.txt")
    made = dsbuild.build("pairs", root, str(tmp_path / "one"), **folders)
    options = [word for name, value in folders.items() for word in (f"--{name}", value)]
    command = printed(run, "pairs", root, tmp_path / "other", *options)
    assert timeless(made.document()) == timeless(command)


def test_classes_are_a_list_or_a_path(tmp_path):
    root = fakes.voc(tmp_path)
    names = [f"class{i}" for i in range(21)]
    (tmp_path / "names.txt").write_text("\n".join(names))
    folders = {"images": "JPEGImages", "labels": "SegmentationClass", "ignore": 255}
    for classes in (names, tmp_path / "names.txt"):
        made = dsbuild.build("pairs", root, str(tmp_path / "out"), classes=classes, **folders)
    assert not made.written


def test_findings_stop_a_build_as_in_the_command(voc, out, run):
    image = next(pathlib.Path(voc, "JPEGImages").iterdir())
    image.unlink()
    notes = []
    with pytest.raises(SampleError, match="no such file"):
        dsbuild.build("voc", voc, out, note=notes.append)
    assert run("voc", voc, out).exit_code == 2
    assert not pathlib.Path(out, "manifest.json").exists()
    made = dsbuild.build("voc", voc, out, on_error="skip", note=notes.append)
    assert {one.key for one in made.rejects} == {image.stem}  # in trainval too


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"layout": "vok"}, PlanError, "found 'vok', expected one of voc"),
        ({"colour": "red"}, PlanError, "option colour, expected one of"),
        ({"runner": "beam"}, PlanError, "expected local, dask"),
        ({"runner": "dask"}, PlanError, "scheduler"),
        ({"scheduler": "tcp://host:1"}, PlanError, "scheduler"),
        ({"split": "tran"}, LayoutError, "no split 'tran'"),
        ({"split": 3}, PlanError, "split: found 3, expected a text or several"),
        ({"extra": None}, PlanError, "extra: found None, expected a text or several"),
        ({"workers": 0}, PlanError, "workers: found 0, expected a whole number, at least 1"),
        ({"workers": "2"}, PlanError, "workers: found '2', expected a whole number, at least 1"),
    ],
)
def test_wrong_options_of_a_build_are_named(voc, out, options, error, text):
    with pytest.raises(error, match=text):
        dsbuild.build(**{"layout": "voc", "source": voc, "out": out} | options)
    assert not os.path.exists(out)


def test_validate(built, voc, out, run, capfd):
    found = dsbuild.validate(out, voc, level="source")
    assert capfd.readouterr() == ("", "")
    assert found.document() == printed(run, "validate", out, voc, "--level", "source")
    assert not found.problems
    shard = pathlib.Path(out, "val-00000-of-00002.tfrecord")
    shard.write_bytes(shard.read_bytes()[:-1])
    found = dsbuild.validate(out)
    assert found.problems
    assert found.document() == printed(run, "validate", out)
    with pytest.raises(PlanError, match="level"):
        dsbuild.validate(out, level="all")
    with pytest.raises(DsbuildError):
        dsbuild.validate(str(pathlib.Path(out, "none")))


def test_inspect(built, out, run, tmp_path, capfd):
    document = dsbuild.inspect(out)
    assert capfd.readouterr() == ("", "")
    assert document == printed(run, "inspect", out)
    assert run("statistics", out).exit_code == 0
    assert "statistics" in dsbuild.inspect(out)
    assert dsbuild.inspect(out) == printed(run, "inspect", out)
    record = dsbuild.inspect(out, record=3)
    assert record == printed(run, "inspect", out, "--record", 3)
    key = record["features"]["image/filename"]["value"]
    page, other = str(tmp_path / "a.html"), str(tmp_path / "b.html")
    dsbuild.inspect(out, html=page, samples=3, seed=1, most="person")
    run("inspect", out, "--html", other, "--samples", 3, "--seed", 1, "--most", "person")
    assert pathlib.Path(page).read_bytes() == pathlib.Path(other).read_bytes()
    assert "2007" in str(key)


def test_a_record_by_key_is_saved(built, out, run, tmp_path):
    key = dsbuild.open(out, "train")[0].key
    record = dsbuild.inspect(out, key=key, save=str(tmp_path / "a"))
    run("inspect", out, "--key", key, "--save", tmp_path / "b")
    assert record == printed(run, "inspect", out, "--key", key)
    made = [sorted((tmp_path / name).iterdir()) for name in "ab"]
    assert [path.name for path in made[0]] == [path.name for path in made[1]]
    assert [path.read_bytes() for path in made[0]] == [path.read_bytes() for path in made[1]]


@pytest.mark.parametrize(
    "options",
    [
        {"record": 1, "key": "a"},
        {"save": "pictures"},
        {"record": 1, "html": "a.html"},
        {"html": "a.html", "most": "a", "least": "b"},
        {"problems": True},
        {"class_": "person"},
        {"samples": -1},
        {"samples": "3"},
        {"record": "3"},
        {"key": 3},
    ],
)
def test_options_of_an_inspection_that_contradict_each_other(options):
    with pytest.raises(PlanError, match="expected") as raised:
        dsbuild.inspect("none", **options)
    assert any(name in str(raised.value) for name in options)


def test_diff(built, voc, out, run, tmp_path, capfd):
    other = str(tmp_path / "other")
    dsbuild.build("voc", voc, other, shards=1, limit=4)
    assert dsbuild.diff(out, out)["same"]
    document = dsbuild.diff(out, other)
    assert capfd.readouterr() == ("", "")
    assert not document["same"]
    assert document == printed(run, "diff", out, other)
    with pytest.raises(ShardError):
        dsbuild.diff(out, str(tmp_path / "none"))


CALLS = {"validate": "validate", "inspect": "inspect", "diff": "diff"}
CALLS |= dict.fromkeys(LAYOUTS, "build")
# What only a terminal has, array jobs, and `--drift`, which decides on an exit code.
TERMINAL = {"as_json", "draw", "drift", "every", "finish", "plan_only", "quiet", "task", "top"}


@pytest.mark.parametrize("command", CALLS)
def test_parameters_and_defaults_are_those_of_the_command(command):
    parameters = inspect.signature(getattr(dsbuild, CALLS[command])).parameters
    given = {"a": "a", "b": "b"} if command == "diff" else {}
    context = main.commands[command].make_context(command, [*given])
    for name, default in context.params.items():
        old = name.startswith("before_")
        if old or name in TERMINAL | given.keys() or name in _fields(command):
            continue
        default = getattr(default, "name", default)  # of a runner
        assert (parameters[name].default or None) == (default or None), name


def _fields(command):
    """Return the names of a layout's own options."""
    fields = dataclasses.fields(LAYOUTS[command]) if command in LAYOUTS else ()
    names = (one.metadata.get("option", one.name) for one in fields)
    return {name.removeprefix("--").replace("-", "_") for name in names}


def test_names_are_listed():
    assert set(dsbuild.__all__) <= set(dir(dsbuild))
    for name in ("build", "validate", "inspect", "diff", "open", "kfold"):
        assert callable(getattr(dsbuild, name))
    with pytest.raises(AttributeError, match="nothing"):
        _ = dsbuild.nothing


def test_functions_and_subpackages_of_one_name(monkeypatch):
    for name in ("build", "validate", "inspect"):
        verb = getattr(dsbuild, name)
        assert verb is importlib.import_module(f"dsbuild.{name}")
        assert pickle.loads(pickle.dumps(verb)) is verb
        assert str(inspect.signature(verb)).startswith("(")
        assert verb.public.__name__ == f"dsbuild.{name}.public"
        function = getattr(importlib.import_module(f"dsbuild.{name}.public"), name)
        assert pickle.loads(pickle.dumps(function)) is function
    monkeypatch.setattr("dsbuild.build.audit.audit", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        importlib.import_module("dsbuild.build.audit").audit(None)


def test_importing_dsbuild_imports_little():
    code = "import sys, typing; before = set(sys.modules); import dsbuild\n"
    code += "print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = {name for name in done.stdout.split() if "." not in name}
    assert found <= {"dsbuild", "importlib"}
    inner = {name for name in done.stdout.split() if name.startswith("dsbuild.")}
    assert inner == {"dsbuild.build", "dsbuild.errors", "dsbuild.validate", "dsbuild.inspect"}


SCRIPT = """
import dsbuild

built = dsbuild.build("voc", "data", "out", split="train", shards=4, note=print)
samples: int = sum(len(planned.samples) for planned in built.audit.splits)
for reject in built.rejects:
    print(reject.key, reject.reason)
for problem in dsbuild.validate("out", level="records").problems:
    print(problem.file, problem.record)
shards: list[str] = [s["name"] for s in dsbuild.inspect("out")["splits"]["train"]["shards"]]
place: int = dsbuild.inspect("out", record=3)["byte"]
same: bool = dsbuild.diff("out", "other")["same"]
for sample in dsbuild.open("out", "train"):
    print(sorted(sample))
print(dsbuild.__version__, samples, shards, place, same)
"""
WRONG = 'import dsbuild\ndsbuild.build("voc", shards="four")\ndsbuild.validate(levle="records")\n'


@pytest.mark.slow
@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_script_of_a_user_is_checked(tmp_path, checker):
    pytest.importorskip(checker)
    config = tmp_path / "empty.cfg"
    config.write_text("[mypy]\n")
    words = ["--strict", "--config-file", str(config)] if checker == "mypy" else []
    for text, wrong in ((SCRIPT, 0), (WRONG, 2)):
        script = tmp_path / "script.py"
        script.write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", checker, *words, str(script)],
            capture_output=True,
            text=True,
            timeout=300,
        )
        mine = [line for line in done.stdout.splitlines() if "script.py:" in line]
        assert len([line for line in mine if "error" in line]) == wrong, done.stdout
