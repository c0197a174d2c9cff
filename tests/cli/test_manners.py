"""Short options, other names, headings, suggestions: what all commands have in common."""

import json
import re
import shlex
import shutil
import subprocess
import sys

import click
import pytest

from dsbuild.cli import headings, main
from dsbuild.cli.command import SHORT, names
from dsbuild.cli.kinds import Choice
from dsbuild.cli.train import ALIASES
from dsbuild.layouts import LAYOUTS, RECORDED, TITLES
from tests.support.runs import content

COMMANDS = sorted(main.commands)


def program():
    """Return the context of commands: Click keeps the first help option that it makes of each."""
    return click.Context(main, info_name="dsbuild", **main.context_settings)


def options(name):
    """Return the options of a command that are not hidden, and the help among them."""
    context = click.Context(main.commands[name], program(), info_name=name)
    found = main.commands[name].get_params(context)
    return [one for one in found if isinstance(one, click.Option) and not one.hidden]


def parsed(name, *args):
    """Return what a command would be given for some arguments."""
    return main.commands[name].make_context(name, [str(arg) for arg in args], program()).params


def option_rows(text):
    """Return the names and the metavar of each option in a help."""
    options = text.partition("Example:")[2]
    return re.findall(r"^  (-.*?)(?:  .*)?$", options, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("width", [80, 100])
def test_the_help_names_every_option_once(name, width, run, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    text = run(name, "--help").stdout
    rows = option_rows(text)
    for option in options(name):
        shown = [row for row in rows if re.search(rf"{max(option.opts, key=len)}(?![\w-])", row)]
        mine = [row for row in shown if all(word in row for word in option.opts)]
        assert len(mine) == 1, f"{option.opts} of dsbuild {name}: {mine}"
    assert "RANGE" not in text
    assert "x>=" not in text
    examples = text.partition("Example:")[2].partition("\n\n")[0]
    prose = [line for line in text.splitlines() if line not in examples.splitlines()]
    assert max(map(len, prose)) <= width


def test_headings_name_options_that_exist():
    known = {name for command in COMMANDS for one in options(command) for name in one.opts}
    for command in COMMANDS:
        for listed in headings.headings(command).values():
            assert set(listed) <= known | {"--rare"}, command
    assert [name for listed in headings.COMMANDS.values() for name in listed] == [*main.commands]


def test_the_help_of_the_program_has_the_first_sentence_of_each_command():
    for listed in headings.COMMANDS.values():
        for name, text in listed.items():
            assert main.commands[name].get_short_help_str(1000) == text
    assert {name: layout.title for name, layout in LAYOUTS.items()} == TITLES
    assert all(name == layout.name for name, layout in RECORDED.items())


def test_the_help_of_the_program_imports_no_command():
    code = (
        "import sys; from dsbuild.cli import main; main(['--help'], standalone_mode=False);"
        "print('\\n'.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = set(done.stdout.splitlines())
    assert "dsbuild.cli.headings" in found
    assert not found & {"dsbuild.cli.build", "dsbuild.layouts.base", "dsbuild.layouts.voc", "numpy"}


@pytest.mark.parametrize("width", [80, 100])
def test_the_list_of_commands_has_whole_sentences(width, run, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    lines = run("--help").stdout.splitlines()
    for name in COMMANDS:
        (row,) = [line for line in lines if line.startswith(f"  {name} ")]
        assert row.endswith(".")
        assert not row.endswith("..")
        assert len(row) <= width
    assert run().stdout.splitlines() == lines


def test_short_options_are_those_of_the_long_ones():
    for command in COMMANDS:
        for option in options(command):
            for long, short in SHORT.items():
                if long in option.opts:
                    assert set(short) <= set(option.opts), f"{long} of dsbuild {command}"
            letters = [word for word in option.opts if len(word) == 2]
            known = {letter for short in SHORT.values() for letter in short} | {"-h", "-V"}
            assert set(letters) <= known


def test_short_options_do_what_the_long_ones_do(voc, tmp_path, run):
    one, two = tmp_path / "one", tmp_path / "two"
    long = ["--out", one, "--workers", 1, "--quiet", "--overwrite", "--shards", 1]
    short = ["-o", two, "-j", 1, "-q", "-f", "--shards", 1]
    assert run("voc", voc, *long).output == ""
    assert run("voc", voc, *short).output == ""
    assert content(one) == content(two)
    assert run("-V").output == run("--version").output


def test_out_is_an_argument_or_an_option(voc, out, tmp_path, run):
    assert run("voc", voc, out, "-o", out, "-q").exit_code == 0
    both = run("voc", voc, out, "-o", tmp_path / "other")
    assert both.exit_code == 2
    assert both.stderr == (
        f"error: found OUT {out} and --out {tmp_path / 'other'}; expected one of them; "
        "see dsbuild voc --help\n"
    )
    assert not (tmp_path / "other").exists()
    tars = tmp_path / "tars"
    assert run("export", out, "-o", tars, "--to", "webdataset", "-q").exit_code == 0
    assert list(tars.glob("*.tar"))
    missing = run("export", out, "--to", "webdataset")
    assert missing.exit_code == 2
    assert missing.stderr.startswith("error: OUT is missing; expected a folder to write")


def test_splits_have_commas_or_options_of_their_own(voc, tmp_path, run):
    one, two = tmp_path / "one", tmp_path / "two"
    assert run("voc", voc, one, "--split", "train,val", "--shards", 1).exit_code == 0
    assert run("voc", voc, two, "--split", "train", "--split", "val", "--shards", 1).exit_code == 0
    assert content(one) == content(two)
    assert set(json.loads((one / "manifest.json").read_text())["splits"]) == {"train", "val"}
    assert parsed("voc", "--split", " train , val,")["split"] == ("train", "val")
    assert parsed("voc", "--extra", "sobel,canny", "--extra", "edges")["extra"] == (
        "sobel",
        "canny",
        "edges",
    )


def test_stats_is_statistics(voc, out, run):
    run("voc", voc, out, "--quiet")
    assert json.loads(run("stats", out, "--json").stdout) == json.loads(
        run("statistics", out, "--json").stdout
    )
    assert run("stats", "--help").stdout.startswith("Usage: ")


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--optimizer", "adam"], "optimiser", "adam"),
        (["--lr", "0.1"], "rate", 0.1),
        (["--learning-rate", "0.1"], "rate", 0.1),
        (["--learning_rate=0.1"], "rate", 0.1),
        (["--batch-size", "4"], "batch", 4),
        (["--batch_size", "4"], "batch", 4),
        (["--imgsz", "257"], "crop", 257),
        (["--weight-decay", "0"], "decay", 0.0),
        (["--model", "tiny"], "backbone", "tiny"),
        (["--amp"], "mixed", True),
        (["--no-mixed"], "mixed", False),
    ],
)
def test_train_knows_the_names_of_other_tools(words, name, value):
    assert parsed("train", "--run", "x", *words)[name] == value
    assert parsed("train", "-o", "x")["run"] == "x"


def test_predict_knows_the_names_of_other_tools():
    assert parsed("predict", "run", "a.png", "--batch-size", 3)["batch"] == 3
    assert parsed("predict", "run", "a.png", "--imgsz", 513, "-o", "x")["resize"] == 513


@pytest.mark.parametrize("name", COMMANDS)
def test_no_two_options_share_a_name(name):
    found = [word for option in options(name) for word in set(names(option))]
    assert sorted(found) == sorted(set(found))


def test_other_names_are_not_in_the_help(run):
    text = run("train", "--help").stdout
    for others in ALIASES.values():
        assert not any(re.search(rf"{other}(?![\w-])", text) for other in others)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("vco", "there is no command 'vco'; did you mean voc? see dsbuild --help"),
        ("statz", "there is no command 'statz'; did you mean stats? see dsbuild --help"),
        ("xyz", "there is no command 'xyz'; see dsbuild --help"),
        ("-x", "there is no option -x; see dsbuild --help"),
        ("voc --shrads 2", "there is no option --shrads; did you mean --shards? see dsbuild voc"),
        ("train --optimzer adam", "there is no option --optimzer; did you mean --optimiser? see"),
        ("voc --shards", "--shards requires an argument; see dsbuild voc --help"),
        ("voc --shards x", "--shards: found 'x'; expected a whole number; see dsbuild voc --help"),
        ("voc --shards 0", "--shards: found 0; expected 1 to 99999; see dsbuild voc --help"),
        ("voc -j 0", "--workers: found 0; expected at least 1; see dsbuild voc --help"),
        ("voc --store-seconds 0", "--store-seconds: found 0.0; expected above 0, at most 3600;"),
        (
            "voc ''",
            "SOURCE: found an empty text, expected a path; is a variable empty? see dsbuild",
        ),
        ("voc data ''", "OUT: found an empty text, expected a path; is a variable empty? see"),
        ("pairs --classes ''", "--classes: found an empty text, expected a path; is a variable"),
        ("voc a b c", "got unexpected extra argument (c); see dsbuild voc --help"),
        ("voc --order sorted", "--order: found 'sorted'; expected one of listed, shuffled;"),
        ("voc --shard-size x", "--shard-size: found 'x'; expected a size such as 128MB or 1GB;"),
        ("voc --task 3", "--task: found '3'; expected K/N with K from 1 to N, such as 3/64; see"),
        ("train --lr x", "--rate: found 'x'; expected a number; see dsbuild train --help"),
        ("train", "--run is missing; see dsbuild train --help"),
        ("diff a", "B is missing; see dsbuild diff --help"),
        ("export a b", "--to is missing; expected one of webdataset, parquet, array_record,"),
        ("export a b --to tar", "--to: found 'tar'; expected one of webdataset, parquet, array_"),
        ("validate --level pixel", "pixels, source; did you mean pixels? see dsbuild validate"),
        ("voc --runner dsak", "--runner: found 'dsak'; expected local, dask, beam, or a runner"),
        ("voc --runner dsak", "such as DataflowRunner; did you mean dask? see dsbuild voc --help"),
        ("voc --runner baem", "did you mean beam? see dsbuild voc --help"),
        ("voc --runner loacl", "did you mean local? see dsbuild voc --help"),
        ("voc -- --project=p", "name a runner of Beam, as in --runner beam; see dsbuild voc"),
        ("voc --runner dask", "--scheduler ADDRESS go together: start the cluster's scheduler"),
        ("demo vox", "LAYOUT: found 'vox'; expected one of voc, cityscapes, coco,"),
        ("build", "PATH is missing; see dsbuild build --help"),
        ("build x --layout vco", "did you mean voc? see dsbuild build --help"),
    ],
)
def test_wrong_usage_is_one_line_and_says_where_help_is(words, text, run):
    done = run(*shlex.split(words))
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert text in done.stderr
    assert re.search(r"[;?] see dsbuild( \w+)? --help\n$", done.stderr)


def test_errors_name_options_and_no_field(voc, out, run):
    """What the library says of a field, the command says of its option."""
    for words in (["--plan-only", "--task", "1/2"], ["--finish", "--dry-run"]):
        text = run("voc", voc, out, *words).stderr
        assert words[0] in text
        assert not re.search(r"\b(plan_only|dry_run)\b", text)


def test_all_has_its_short_names_where_there_is_something_to_list(voc, out, run):
    have = {name for name in COMMANDS if any("--all" in one.opts for one in options(name))}
    assert {"inspect", "validate", "statistics", "diff", "build", "voc"} <= have
    for name in COMMANDS:
        found = bool(re.search(r"(?<![\w-])-v\b", run(name, "--help").stdout))
        assert found == (name in have)
    run("voc", voc, out, "--quiet")
    shutil.rmtree(voc)
    shown = [run("inspect", out, word).stdout for word in ("-v", "--verbose", "--all")]
    assert shown[0] == shown[1] == shown[2]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_choice_suggests_the_nearest_word(name):
    for param in main.commands[name].params:
        assert not isinstance(param.type, click.Choice) or isinstance(param.type, Choice), param
