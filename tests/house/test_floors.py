"""Imports only go down, and heavy libraries are imported only where they may be."""

import ast
import subprocess
import sys

import pytest

from tests.house import map as house
from tests.support.imports import ROOMS, loaded

# One case per wing, of all its modules: a case per module takes longer than what it checks.
WINGS = pytest.mark.parametrize("wing", sorted({house.wing(name) for name in house.modules()}))


def inside(wing):
    """Return the modules of a wing: name -> path."""
    return {name: path for name, path in house.modules().items() if house.wing(name) == wing}


def test_every_wing_has_a_floor():
    assert {house.wing(name) for name in house.modules()} == {*house.FLOOR, "", "__main__"}


@WINGS
def test_imports_go_down(wing):
    top = 100 if wing in ("", "__main__") else house.FLOOR[wing]
    for name in inside(wing):
        for other in house.arrows()[name]:
            below = house.wing(other)
            assert below == wing or house.FLOOR[below] < top, f"{name} imports {other}: not below"


@pytest.mark.parametrize("wing", list(house.FLOOR))
def test_no_modules_of_a_wing_import_each_other_in_a_circle(wing):
    rows = house.rows(wing)
    assert rows[-1][0] != "", f"a circle is among {rows[-1][1:]}"
    face = f"dsbuild.{wing}"
    users = [name for name, others in house.arrows().items() if face in others]
    assert not [name for name in users if house.wing(name) == wing and name != face]


@WINGS
def test_heavy_libraries_stay_in_their_rooms(wing):
    for name, path in inside(wing).items():
        for imported in house.names(path):
            rooms = ROOMS.get(imported.partition(".")[0])
            if rooms is not None:
                here = f"{name.removeprefix('dsbuild.')}."
                assert any(here.startswith(f"{room}.") for room in rooms), f"{name}: {imported}"


def test_the_top_of_the_package_has_at_most_twenty_names():
    package = house.ROOT / "dsbuild"
    found = [path.name for path in package.iterdir() if not path.name.startswith("__pycache__")]
    assert len([name for name in found if not (package / name).is_symlink()]) <= 20


def test_the_map_in_contributing_is_true():
    assert house.picture() in (house.ROOT / "CONTRIBUTING.md").read_text()


WRITING = {"build", "layouts"}


@pytest.mark.heavy
def test_reading_never_imports_writing():
    code = "import importlib, pkgutil, sys\n"
    code += "for room in ('reader', 'train'):\n"
    code += "    room = importlib.import_module(f'dsbuild.{room}')\n"
    code += "    for one in pkgutil.walk_packages(room.__path__, room.__name__ + '.'):\n"
    code += "        importlib.import_module(one.name)\n"
    code += "print(*(name for name in sys.modules if name.startswith('dsbuild.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = done.stdout.split()
    assert {"dsbuild.train.fit.run", "dsbuild.reader.torch.datasets"} <= set(found)
    # The faces of wings that are public functions are always there, and empty.
    deep = [name for name in found if name.count(".") > 1]
    assert not [name for name in deep if name.split(".")[1] in WRITING]


@WINGS
def test_modules_are_short_and_documented(wing):
    for name, path in inside(wing).items():
        text = path.read_text()
        assert len(text.splitlines()) <= 300, f"{name} has more than 300 lines"
        assert ast.get_docstring(ast.parse(text)), f"{name} has no docstring"
        assert path.stem not in ("utils", "helpers", "common"), name


def test_no_feature_name_is_written_in_the_code():
    for path in house.modules().values():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                first = node.value.splitlines()[:1]
                assert not first or not first[0].startswith("image/"), f"{path}:{node.lineno}"


def test_help_imports_nothing_heavy():
    code = "from click.testing import CliRunner; from dsbuild.cli import main\n"
    for arguments in (["--help"], ["voc", "--help"], ["inspect", "--help"]):
        call = f"assert CliRunner().invoke(main, {arguments}).exit_code == 0"
        assert loaded(code + call) == "[]"


def test_frames_are_checked_without_image_libraries(voc, out, run):
    assert run("voc", voc, out).exit_code == 0
    code = "from click.testing import CliRunner; from dsbuild.cli import main\n"
    arguments = ["validate", out, "--level", "frames", "--workers", "1"]
    call = f"assert CliRunner().invoke(main, {arguments}).exit_code == 0"
    assert loaded(code + call) == "['google_crc32c']"


def test_a_finished_folder_is_shown_without_image_libraries(voc, out, run):
    assert run("voc", voc, out).exit_code == 0
    code = "from click.testing import CliRunner; from dsbuild.cli import main\n"
    call = f"assert CliRunner().invoke(main, ['inspect', {out!r}]).exit_code == 0"
    assert loaded(code + call) == "['google_crc32c', 'numpy']"


def test_a_build_without_extras_needs_no_opencv(voc, out):
    code = "from click.testing import CliRunner; from dsbuild.cli import main\n"
    arguments = ["voc", voc, out, "--workers", "1"]
    call = f"assert CliRunner().invoke(main, {arguments}).exit_code == 0"
    assert "cv2" not in loaded(code + call)
