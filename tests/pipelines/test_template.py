"""The Flex template offers what commands take.

`python -m tests.pipelines.test_template` writes it.
"""

import argparse
import importlib
import json
import pathlib
import re
import shlex

import click
import pytest

from dsbuild.cli import main
from dsbuild.cli.pipeline import arrange
from dsbuild.layouts import LAYOUTS

FOLDER = pathlib.Path(__file__).parents[2] / "pipelines" / "dataflow"
METADATA = FOLDER / "metadata.json"
PLACES = {"out": "gs://BUCKET/FOLDER to write.", "source": "gs://BUCKET/FOLDER that is built from."}
# Of Beam, what a template needs and gcloud has no option for.
BEAM = {
    "sdk_container_image": "Image of the workers, with dsbuild in it. Without, they are sent it.",
    "number_of_worker_harness_threads": "Shards in work at once in a process. Beam's default: 12.",
}
# Options that make no sense there: this machine's processes, other engines, unread output.
LEFT_OUT = {"verbose", "runner", "scheduler", "workers", "dry-run", "json", "quiet"}
LEFT_OUT |= {"plan-only", "task", "finish"}
LEFT_OUT |= {"out"}  # one of the places


def options():
    """Return name -> layout -> option, of all that a template offers."""
    found = {}
    for layout in LAYOUTS:
        for one in main.commands[layout].params:
            name = max(one.opts, key=len).removeprefix("--")
            if isinstance(one, click.Option) and name not in LEFT_OUT and not one.hidden:
                found.setdefault(name, {})[layout] = one
    return found


def parameter(name, text, regex=None, optional=True):
    found = {"name": name, "label": name.replace("_", " ").capitalize(), "helpText": text}
    found["isOptional"] = optional
    return found | ({"regexes": [regex]} if regex else {})


def described(name, layouts):
    """Return a parameter, made of the options of the same name."""
    texts, regexes = {}, set()
    for layout, one in layouts.items():
        default = one.default if isinstance(one.default, (str, int, float)) else None
        more = f" Default: {default}." if default not in (None, "", False) else ""
        text = one.help + more
        texts.setdefault(text + (" Several: a,b." if one.multiple else ""), []).append(layout)
        if isinstance(one.type, click.Choice):
            regexes.add("|".join(one.type.choices))
        elif one.is_flag:
            regexes.add("true|false")
        elif isinstance(one.type, click.IntRange) or one.type is click.INT:
            regexes.add("-?[0-9]+")
        else:
            regexes.add(".*")
    said = [
        text if len(those) == len(LAYOUTS) else f"{', '.join(those)}: {text}"
        for text, those in texts.items()
    ]
    regex = None if ".*" in regexes else f"^({'|'.join(sorted(regexes))})$"
    return parameter(name.replace("-", "_"), " ".join(said), regex)


def metadata():
    """Return the text of metadata.json."""
    places = [
        parameter("layout", "What SOURCE is.", f"^({'|'.join(LAYOUTS)})$", optional=False),
        *(parameter(k, v, "^gs://[^/]+/.+$", optional=False) for k, v in sorted(PLACES.items())),
    ]
    mine = [described(name, layouts) for name, layouts in options().items()]
    beam = [parameter(name, text) for name, text in BEAM.items()]
    document = {
        "name": "dsbuild",
        "description": "Segmentation data sets as published, to sharded TFRecords.",
        "parameters": [*places, *mine, *beam],
    }
    return json.dumps(document, indent=2) + "\n"


def parameters():
    return {one["name"]: one for one in json.loads(METADATA.read_text())["parameters"]}


def test_the_metadata_are_those_of_the_commands():
    assert METADATA.read_text() == metadata(), "run `python -m tests.pipelines.test_template`"


def test_every_parameter_is_an_option():
    known = options()
    for name in parameters().keys() - PLACES.keys() - BEAM.keys() - {"layout"}:
        assert name.replace("_", "-") in known
    required = {name for name, one in parameters().items() if not one["isOptional"]}
    assert required == {"layout", "source", "out"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_regexes_accept_what_the_command_accepts(layout):
    for option in main.commands[layout].params[2:]:
        one = parameters().get(max(option.opts, key=len).removeprefix("--").replace("-", "_"))
        for regex in one["regexes"] if one and "regexes" in one else ():
            if isinstance(option.type, click.Choice):
                assert all(re.match(regex, choice) for choice in option.type.choices)
                assert not re.match(regex, "nothing of it")
            if option.is_flag:
                assert re.match(regex, "true")
                assert not re.match(regex, "1")
            default = option.default
            if isinstance(default, (str, int)) and not isinstance(default, bool) and default:
                assert re.match(regex, str(default)), option.name


def test_what_a_launcher_passes_is_understood():
    given = [
        "--runner=DataflowRunner",
        "--project=p",
        "--template_location=gs://b/staging/object",
        "--layout=voc",
        "--source=gs://b/voc",
        "--out=gs://b/out",
        "--on_error=skip",
        "--overwrite=true",
        "--strict=false",
        "--split=train,val",
        "--labels=raw",
        "--number_of_worker_harness_threads=4",
    ]
    assert shlex.join(arrange(given)) == (
        "voc gs://b/voc gs://b/out --runner=DataflowRunner --on-error=skip --overwrite "
        "--split=train --split=val --labels=raw -- --project=p "
        "--template_location=gs://b/staging/object --number_of_worker_harness_threads=4"
    )
    with pytest.raises(click.UsageError, match="--strict: found '1'; expected true or false"):
        arrange(["voc", "--strict=1"])
    assert arrange(["voc", "a", "b", "--split", "x,y", "--quiet"]) == [
        *("voc", "a", "b", "--split", "x,y", "--quiet", "--runner=beam")
    ]


def test_parameters_of_beam_are_options_of_beam():
    pytest.importorskip("apache_beam", reason="Apache Beam is not installed")
    known = importlib.import_module("apache_beam.options.pipeline_options")
    parser = argparse.ArgumentParser()
    for group in (known.WorkerOptions, known.DebugOptions):
        group._add_argparse_args(parser)
    names = {name for action in parser._actions for name in action.option_strings}
    assert {f"--{name}" for name in BEAM} <= names


def test_the_image_holds_the_main_file():
    text = (FOLDER / "Dockerfile").read_text()
    copied = re.search(r"COPY (pipelines/dataflow/\S+) (\S+)", text)
    assert (FOLDER.parents[1] / copied[1]).is_file()
    assert f"FLEX_TEMPLATE_PYTHON_PY_FILE={copied[2]}" in text


if __name__ == "__main__":
    METADATA.write_text(metadata())
