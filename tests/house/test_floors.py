"""Imports only go down, and heavy libraries stay in their rooms."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]

FLOORS = {
    10: ["__main__"],
    9: ["cli"],
    8: ["pipelines"],
    7: ["diff", "page", "repair", "report", "spread", "statistics", "train"],
    6: ["build", "decode", "describe", "examine", "export", "sections", "torch", "validate"],
    5: ["audit", "folder", "gallery", "reader", "shard"],
    4: ["census", "example", "plan", "presence", "records"],
    3: ["interop", "listing", "mistakes", "receipts", "recipe", "scan"],
    2: ["cluster", "extras", "layouts", "manifest", "policy", "shown", "spool", "tfrecord"],
    1: [
        "blocks",
        "charts",
        "images",
        "job",
        "order",
        "palettes",
        "schema",
        "splits",
        "storage",
        "tables",
        "weights",
        "wire",
    ],
    0: ["documents", "errors", "findings", "harmless", "problems", "split_names", "waiting"],
}
FLOOR = {room: floor for floor, rooms in FLOORS.items() for room in rooms}
ROOMS = {
    "PIL": {"images"},
    "array_record": {"export"},
    "apache_beam": {"pipelines"},
    "click": {"cli"},
    "cv2": {"extras", "images", "train"},
    "distributed": {"cluster"},
    "google_crc32c": {"tfrecord", "example"},
    "keras": {"train"},
    "matplotlib": set(),
    "obstore": {"storage"},
    "pyarrow": {"export"},
    "scipy": {"layouts"},
    "tensorflow": {"decode", "train"},
    "torch": {"torch"},
    "tqdm": {"job"},
}


def modules():
    """Return (room, path) of every module; a room is a module, or a folder of some."""
    for top, prefix in (("dsbuild", ()), ("pipelines", ("pipelines",))):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = [*prefix, *path.relative_to(ROOT / top).with_suffix("").parts]
            if parts != ["__init__"]:
                yield parts[0], path


def imports(path):
    """Return the names that a module imports anywhere, as dotted text."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize(
    ("room", "path"), list(modules()), ids=lambda value: getattr(value, "name", value)
)
def test_imports_go_down(room, path):
    assert room in FLOOR, f"{path}: give this room a floor"
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top == "dsbuild" and rest != "__version__":
            other = rest.partition(".")[0]
            if other != room:
                assert FLOOR[other] < FLOOR[room], f"{path} imports {name}, which is not below it"
        elif top in ROOMS:
            assert room in ROOMS[top], f"{path} imports {name} outside its room"


WRITING = {"audit", "build", "cluster", "example", "layouts", "plan", "policy", "recipe", "shard"}


def test_reading_knows_nothing_of_writing():
    code = "import importlib, pkgutil, sys\n"
    code += "for room in ('decode', 'reader', 'torch', 'train'):\n"
    code += "    room = importlib.import_module(f'dsbuild.{room}')\n"
    code += "    for one in pkgutil.walk_packages(room.__path__, room.__name__ + '.'):\n"
    code += "        importlib.import_module(one.name)\n"
    code += "print(*(name for name in sys.modules if name.startswith('dsbuild.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = done.stdout.split()
    assert {"dsbuild.train.fit.run", "dsbuild.reader.torch.datasets"} <= set(found)
    assert not [name for name in found if name.split(".")[1] in WRITING]


def test_every_room_on_a_floor_exists():
    assert {room for room, _ in modules()} == set(FLOOR)


@pytest.mark.parametrize(
    ("room", "path"), list(modules()), ids=lambda value: getattr(value, "name", value)
)
def test_modules_are_of_one_idea(room, path):
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    assert ast.get_docstring(ast.parse(text))
    assert path.stem not in ("utils", "helpers", "common")


def test_no_key_on_disk_stands_in_the_code():
    for _, path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                first = node.value.splitlines()[:1]
                assert not first or not first[0].startswith("image/"), f"{path}:{node.lineno}"


def loaded(code):
    """Return which heavy modules a fresh process holds after running code."""
    heavy = sorted({*ROOMS, "numpy", "concurrent"} - {"click"})
    code += f"\nimport sys; print([name for name in {heavy} if name in sys.modules])"
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_help_imports_nothing_heavy():
    code = "from click.testing import CliRunner; from dsbuild.cli import main\n"
    for arguments in (["--help"], ["voc", "--help"], ["inspect", "--help"]):
        call = f"assert CliRunner().invoke(main, {arguments}).exit_code == 0"
        assert loaded(code + call) == "[]"


def test_frames_are_checked_without_what_decodes_pixels(voc, out, run):
    assert run("voc", voc, out).exit_code == 0
    code = "from click.testing import CliRunner; from dsbuild.cli import main\n"
    arguments = ["validate", out, "--level", "frames", "--workers", "1"]
    call = f"assert CliRunner().invoke(main, {arguments}).exit_code == 0"
    assert loaded(code + call) == "['google_crc32c']"


def test_a_build_without_extras_needs_no_opencv(voc, out):
    code = "from click.testing import CliRunner; from dsbuild.cli import main\n"
    arguments = ["voc", voc, out, "--workers", "1"]
    call = f"assert CliRunner().invoke(main, {arguments}).exit_code == 0"
    assert "cv2" not in loaded(code + call)
