"""The map of the house, from the code: wings by floor, what each is for, and what it imports.

`python -m tests.house.map` prints it. CONTRIBUTING.md shows the first part: `make docs` updates it
(`--write`), and a test compares the two.
"""

import ast
import collections
import functools
import pathlib
import re
import sys
from collections.abc import Iterator, Mapping

ROOT = pathlib.Path(__file__).parents[2]

# Imports go down: a wing imports only wings on lower floors.
WINGS = {
    9: ["cli"],
    8: ["pipelines"],
    7: ["inspect"],
    6: ["validate"],
    5: ["build", "train"],
    4: ["demo", "interop", "reader"],
    3: ["extras", "layouts"],
    2: ["engines", "format"],
    1: ["fields", "images", "shapes", "storage"],
    0: ["errors"],
}
FLOOR = {wing: floor for floor, wings in WINGS.items() for wing in wings}


@functools.cache
def modules() -> Mapping[str, pathlib.Path]:
    """Return dotted name -> path of every module; that of a package is its face."""
    found = {}
    for top, prefix in (("dsbuild", ["dsbuild"]), ("pipelines", ["dsbuild", "pipelines"])):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = [*prefix, *path.relative_to(ROOT / top).with_suffix("").parts]
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def wing(module: str) -> str:
    """Return the wing that a module lies in: the first name below dsbuild."""
    return module.split(".")[1] if "." in module else ""


def names(path: pathlib.Path) -> Iterator[str]:
    """Yield the dotted names that a module imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def module_of(name: str) -> str:
    """Return the module that an imported name is, or lies in; empty if it is none of ours."""
    while name and name not in modules():
        name = name.rpartition(".")[0]
    return name


@functools.cache
def arrows() -> Mapping[str, frozenset[str]]:
    """Return module -> the modules of dsbuild that it imports."""
    return {
        module: frozenset(map(module_of, names(path))) - {module, "", "dsbuild"}
        for module, path in modules().items()
    }


def between() -> Mapping[str, set[str]]:
    """Return wing -> the wings that it imports."""
    found = collections.defaultdict(set)
    for module, others in arrows().items():
        found[wing(module)] |= {wing(other) for other in others} - {wing(module)}
    return found


def rows(name: str) -> list[list[str]]:
    """Return the modules of a wing in rows: each imports only modules of the rows before its own.

    A last row that begins with an empty name holds modules that import each other in a circle.
    """
    left = {module for module in modules() if wing(module) == name}
    found = []
    while left:
        row = sorted(module for module in left if not arrows()[module] & left)
        if not row:
            return [*found, ["", *sorted(left)]]
        found.append(row)
        left -= set(row)
    return found


def picture() -> str:
    """Return the wings by floor, from the top, each with the first sentence of its docstring."""
    lines = []
    for floor, wings in sorted(WINGS.items(), reverse=True):
        for name in wings:
            text = ast.get_docstring(ast.parse(modules()[f"dsbuild.{name}"].read_text()))
            lines.append(f"{floor}  {name:<10} {text.splitlines()[0]}")
    return "\n".join(lines)


def write() -> None:
    """Update the picture in CONTRIBUTING.md."""
    page = ROOT / "CONTRIBUTING.md"
    block = re.compile(rf"(?<=```\n){max(WINGS)}  .*?(?=\n```)", re.DOTALL)
    page.write_text(block.sub(lambda _: picture(), page.read_text(), count=1))


def main() -> None:
    """Print the map, or update the page that shows it."""
    if sys.argv[1:] == ["--write"]:
        write()
        return
    print(picture())
    for name in FLOOR:
        print(f"\n{name} imports {', '.join(sorted(between()[name])) or 'nothing'}")
        for row in rows(name):
            print("   ", *(module.removeprefix(f"dsbuild.{name}.") for module in row))


if __name__ == "__main__":
    main()
