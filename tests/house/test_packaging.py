"""A wheel and an editable install both contain the whole package, data files included."""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest

from tests.support.blocks import Session, blocks

ROOT = pathlib.Path(__file__).parents[2]
CHECK = """
import importlib.util, dsbuild.cli, dsbuild.schemas, dsbuild.format.schema, dsbuild.inspect.html.run
# Find the pipelines without importing them: Apache Beam may not be installed.
pipelines = importlib.util.find_spec("dsbuild.pipelines").origin
print(dsbuild.__file__, dsbuild.schemas.__file__, pipelines, sep="\\n")
assert dsbuild.format.schema.load("segmentation")["image"].name == "image/encoded"
text = dsbuild.inspect.html.document.file_text
assert "<html" in text("page.html") and "<dialog" in text("dialog.html")
"""


def call(*command, **options):
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, env=clean, **options
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture
def source(tmp_path):
    """A copy of the project, like a fresh checkout."""
    usual = shutil.ignore_patterns(".venv*", ".git", "*.egg-info", "__pycache__")

    def ignore(folder, names):
        made = {"build", "demo", "dist"} if pathlib.Path(folder) == ROOT else set()
        return {*usual(folder, names), *made}

    return pathlib.Path(shutil.copytree(ROOT, tmp_path / "source", symlinks=True, ignore=ignore))


@pytest.fixture
def python(tmp_path):
    """The Python of a fresh environment that has this one's libraries, but not its dsbuild."""
    call(sys.executable, "-m", "venv", "--without-pip", tmp_path / "env")
    (packages,) = (tmp_path / "env").glob("lib/python*/site-packages")
    # A path in a .pth file adds libraries, but not the import hooks of editable installs.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return tmp_path / "env" / "bin" / "python"


def install(python, *arguments):
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    call(
        sys.executable, "-m", "pip", "--python", python, "install", "--quiet", *options, *arguments
    )


def expected():
    """Return the files that the package has to contain, as names in a wheel."""
    found = {f"dsbuild/{name}" for name in files(ROOT / "dsbuild")}
    found |= {f"dsbuild/schemas/{name}" for name in files(ROOT / "schemas")}
    return found | {f"dsbuild/pipelines/{path.name}" for path in (ROOT / "pipelines").glob("*.py")}


def files(folder):
    """Yield the files of a folder by their relative paths, without caches and linked folders."""
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            yield path.relative_to(folder).as_posix()


def test_source_archive_and_wheel(source, python, tmp_path):
    # The wheel is made from the source archive, which therefore has to be complete, too.
    call(sys.executable, "-m", "build", "--no-isolation", "-o", tmp_path, source)
    (wheel,) = tmp_path.glob("dsbuild-*.whl")
    install(python, wheel)
    places = call(python, "-c", CHECK, cwd=tmp_path).split()
    assert all(str(tmp_path / "env") in place for place in places)
    help_text = call(python.parent / "dsbuild", "voc", "--help", cwd=tmp_path)
    assert help_text.startswith("Usage: dsbuild voc")
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in packed if ".dist-info/" not in name} == expected()


@pytest.mark.slow
def test_editable(source, python, tmp_path):
    install(python, "--editable", source)
    for folder in (tmp_path, source):
        places = call(python, "-c", CHECK, cwd=folder).split()
        assert places == [
            str(source / part / "__init__.py")
            for part in ("dsbuild", "dsbuild/schemas", "dsbuild/pipelines")
        ]
    assert call(python.parent / "dsbuild", "--version").startswith("dsbuild, version")


@pytest.mark.slow
def test_the_first_hour(source, tmp_path):
    """A fresh environment, the wheel with all that it requires, and README from top to bottom."""
    call(sys.executable, "-m", "build", "--no-isolation", "--wheel", "-o", tmp_path, source)
    call(sys.executable, "-m", "venv", tmp_path / "env")
    programs = tmp_path / "env" / "bin"
    call(programs / "pip", "install", "--quiet", *tmp_path.glob("dsbuild-*.whl"))
    (tmp_path / "fresh").mkdir()
    session = Session(tmp_path / "fresh", {}, programs)
    try:
        for block in blocks(ROOT / "README.md"):
            session.run(block)
    finally:
        session.close()
    assert (tmp_path / "fresh" / "tfrecord.html").exists()
