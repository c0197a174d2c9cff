"""Whatever needs an optional package says so in one line, with the command that installs it."""

import configparser
import subprocess
import sys

import pytest

import dsbuild
from dsbuild import errors
from tests.house import map as house

TENSORFLOW = ["keras", "tensorflow"]


def fresh(code, *arguments, blocked, cwd):
    """Run code in a process in which some packages are not installed."""
    code = f"import sys\nfor name in {blocked}: sys.modules[name] = None\n{code}"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=60,
    )


@pytest.fixture
def built(voc, out):
    dsbuild.build("voc", voc, out, split="val", workers=1)
    return out


@pytest.mark.parametrize(
    ("arguments", "blocked", "text"),
    [
        (["train", "OUT", "--run", "run"], TENSORFLOW, "Keras"),
        (["evaluate", "run", "OUT"], TENSORFLOW, "Keras"),
        (["predict", "run", "OUT"], TENSORFLOW, "Keras"),
        (["export", "OUT", "new", "--to", "parquet"], ["pyarrow"], "pyarrow"),
        (
            ["validate", "OUT", "--runner", "dask", "--scheduler", "tcp://h:1"],
            ["distributed"],
            "Dask",
        ),
        (["inspect", "s3://bucket/x"], ["obstore"], "obstore"),
    ],
)
def test_commands_name_the_extra(built, tmp_path, arguments, blocked, text):
    words = [built if word == "OUT" else word for word in arguments]
    code = "from dsbuild.cli import main; main()"
    done = fresh(code, *words, blocked=blocked, cwd=tmp_path)
    said = done.stderr.strip().splitlines()
    assert done.returncode == 2
    assert len(said) == 1, done.stderr
    assert f" needs {text}, which is not installed: pip install 'dsbuild[" in said[0]


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("tf_dataset", "tf"),
        ("augmented", "tf"),
        ("torch_dataset", "torch"),
        ("load_model", "train"),
        ("DeepLabModel", "train"),
    ],
)
def test_public_names_name_the_extra(tmp_path, name, extra):
    code = (
        f"import dsbuild\ntry: dsbuild.{name}\nexcept dsbuild.DsbuildError as error: print(error)"
    )
    done = fresh(code, blocked=[*TENSORFLOW, "torch"], cwd=tmp_path)
    assert done.stdout.startswith(f"dsbuild.{name} needs "), done.stderr
    assert f"pip install 'dsbuild[{extra}]'" in done.stdout


def test_a_package_that_cannot_be_imported_says_why():
    error = ImportError("libcudart.so.12: cannot open", name="torch")
    assert errors.lacking(error, "x") == (
        "x needs PyTorch, which cannot be imported (libcudart.so.12: cannot open): "
        "pip install 'dsbuild[torch]'"
    )
    assert errors.lacking(ImportError("no", name="other.torch"), "x") is None


def test_every_error_is_at_the_top():
    found = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.DsbuildError)
    }
    assert found <= set(dsbuild.__all__)
    assert all(getattr(dsbuild, name) is getattr(errors, name) for name in found)


def needs(extra, extras):
    """Return the names of the packages of an extra, those of extras within it included."""
    found = set()
    for line in filter(None, extras[extra].splitlines()):
        if line.startswith("dsbuild["):
            inner = line.removeprefix("dsbuild[").removesuffix("]").split(",")
            found = found.union(*(needs(one, extras) for one in inner))
        elif not line.startswith("#"):
            found.add(line.partition(">")[0].partition("=")[0].partition("[")[0])
    return found


def test_extras_do_not_mix_wheels():
    parser = configparser.ConfigParser()
    parser.read(house.ROOT / "setup.cfg")
    extras = parser["options.extras_require"]
    for name in ("tf", "train", "serve", "all"):
        assert "tensorflow" in needs(name, extras)
        assert "tensorflow-cpu" not in needs(name, extras)
    for name in ("tf-cpu", "train-cpu", "serve-cpu", "test"):
        assert "tensorflow-cpu" in needs(name, extras)
    assert "torch" not in needs("all", extras)
    named = {extra for _, extra in errors._OPTIONAL.values()}
    assert named <= set(extras)
    for module in errors._SMALL:
        assert f"{errors._OPTIONAL[module][1]}-cpu" in extras
