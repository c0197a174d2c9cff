"""A wheel and an editable install both bring the whole package, and its schemas."""

import pathlib
import shutil
import subprocess
import sys
import sysconfig

import pytest

ROOT = pathlib.Path(__file__).parents[2]
CHECK = """
import importlib.util, dsbuild.cli, dsbuild.schemas, dsbuild.format.schema, dsbuild.inspect.html.run
# The pipelines are found, but not imported: Apache Beam need not be there.
pipelines = importlib.util.find_spec("dsbuild.pipelines").origin
print(dsbuild.__file__, dsbuild.schemas.__file__, pipelines, sep="\\n")
assert dsbuild.format.schema.load("segmentation")["image"].name == "image/encoded"
assert "<dialog" in dsbuild.inspect.html.run._file("page.html")
"""


def call(*command, **options):
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, **options
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture
def source(tmp_path):
    """A copy of the project, as a checkout has it."""
    usual = shutil.ignore_patterns(".venv*", ".git", "demo", "*.egg-info", "__pycache__")

    def ignore(folder, names):
        return {*usual(folder, names), *(["build"] if pathlib.Path(folder) == ROOT else [])}

    return pathlib.Path(shutil.copytree(ROOT, tmp_path / "source", ignore=ignore))


@pytest.fixture
def python(tmp_path):
    """The Python of a fresh environment, which sees this one's libraries but not its dsbuild."""
    call(sys.executable, "-m", "venv", "--without-pip", tmp_path / "env")
    (packages,) = (tmp_path / "env").glob("lib/python*/site-packages")
    # A path in a .pth file brings libraries, but not the hooks of editable installs.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return tmp_path / "env" / "bin" / "python"


def install(python, *arguments):
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    call(
        sys.executable, "-m", "pip", "--python", python, "install", "--quiet", *options, *arguments
    )


def test_wheel(source, python, tmp_path):
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", tmp_path, source)
    (wheel,) = tmp_path.glob("dsbuild-*.whl")
    install(python, wheel)
    places = call(python, "-c", CHECK, cwd=tmp_path).split()
    assert all(str(tmp_path / "env") in place for place in places)
    help_text = call(python.parent / "dsbuild", "voc", "--help", cwd=tmp_path)
    assert help_text.startswith("Usage: dsbuild voc")
    installed = pathlib.Path(places[0]).parent
    for module in (ROOT / "dsbuild").rglob("*.py"):
        assert (installed / module.relative_to(ROOT / "dsbuild")).exists(), module


def test_editable(source, python, tmp_path):
    install(python, "--editable", source)
    for folder in (tmp_path, source):
        places = call(python, "-c", CHECK, cwd=folder).split()
        assert places == [
            str(source / part / "__init__.py") for part in ("dsbuild", "schemas", "pipelines")
        ]
    assert call(python.parent / "dsbuild", "--version").startswith("dsbuild, version")
