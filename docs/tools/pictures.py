"""Make the pictures of the pages: `make pictures`.

The tutorial is followed as it is written: its blocks run in a fresh folder, and each picture in it
shows the terminal of the block above it, or what SPECIAL names. Pictures that pages show go to
docs/pictures; with `--all`, pictures for the eyes of a maintainer go to build/pictures: commands
at 80, 100 and 200 columns, the HTML page and the site on a desktop and a phone, light and dark.
"""

import argparse
import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping

from PIL import Image

from docs.tools import terminal, walk
from docs.tools.browser import Browser, browser, save, served

DOCS = walk.ROOT / "docs"
PICTURES = DOCS / "pictures"
OTHERS = walk.ROOT / "build" / "pictures"
COLUMNS = 100
DESKTOP, PHONE = (1440, 900), (390, 844)
Maker = Callable[[Browser, pathlib.Path, pathlib.Path], None]  # takes browser, folder, file


def _sheet(rows: list[list[pathlib.Path]], out: pathlib.Path, width: int = 240) -> None:
    """Save pictures in rows, with narrow gaps."""
    images = [[Image.open(path).convert("RGB") for path in row] for row in rows]
    height = images[0][0].height * width // images[0][0].width
    size = (len(images[0]) * (width + 6) - 6, len(images) * (height + 6) - 6)
    sheet = Image.new("RGB", size, "white")
    for y, row in enumerate(images):
        for x, image in enumerate(row):
            sheet.paste(image.resize((width, height)), (x * (width + 6), y * (height + 6)))
    save(sheet, out)


def _data(_: Browser, folder: pathlib.Path, out: pathlib.Path) -> None:
    names = ("001", "004", "006", "007")
    photos = [folder / "scenes" / "images" / f"{name}.jpg" for name in names]
    _sheet([photos, [folder / "scenes" / "labels" / f"{name}.png" for name in names]], out)


def _predicted(_: Browser, folder: pathlib.Path, out: pathlib.Path) -> None:
    names = ("001", "004", "006", "007")
    photos = [folder / "scenes" / "images" / f"{name}.jpg" for name in names]
    _sheet([photos, [folder / "predicted" / f"{name}.overlay.jpg" for name in names]], out)


def _page(browser: Browser, folder: pathlib.Path, out: pathlib.Path) -> None:
    browser.page((folder / "scenes.html").as_uri(), out, (1200, 1200))


# Pictures of the tutorial that show no terminal.
SPECIAL: Mapping[str, Maker] = {
    "tutorial-data.png": _data,
    "tutorial-page.png": _page,
    "tutorial-predict.png": _predicted,
}


def tutorial(browser: Browser, folder: pathlib.Path, environment: Mapping[str, str]) -> None:
    """Follow the tutorial in a folder, and save its pictures."""
    names: dict[str, object] = {}
    for block in walk.blocks(DOCS / "tutorial.md"):
        shells = []
        if block.kind == "python":
            with contextlib.chdir(folder):
                exec(compile(block.text, "tutorial.md", "exec"), names)
        else:
            for command in walk.commands(block):
                print("$", command, flush=True)
                screen, code = terminal.shown(command, folder, environment, COLUMNS)
                if code:
                    raise SystemExit("\n".join([*screen.display, f"exit code {code}: {command}"]))
                shells.append((command, screen))
        for picture in block.pictures:
            if picture in SPECIAL:
                SPECIAL[picture](browser, folder, PICTURES / picture)
            else:
                browser.element(terminal.window(shells, COLUMNS), PICTURES / picture)
    _page(browser, folder, PICTURES / "page.png")  # the README's


SHOWN = (
    "dsbuild --help",
    "dsbuild pairs --help",
    "dsbuild train --help",
    "dsbuild build scenes --colormap scenes/colours.txt --val-fraction 0.2 --dry-run",
    "dsbuild build scenes again --colormap scenes/colours.txt --val-fraction 0.2 --overwrite",
    "dsbuild inspect",
    "dsbuild inspect --record 3 --draw",
    "dsbuild statistics",
    "dsbuild validate",
    "dsbuild diff tfrecord again",
    "dsbuild evaluate runs/first",
    "dsbuild validate nowhere",
    "dsbuild inspekt",
)


def others(browser: Browser, folder: pathlib.Path, environment: Mapping[str, str]) -> None:
    """Save pictures for a maintainer: commands, the page and the site, in all sizes."""
    for columns in (80, 100, 200):
        for number, command in enumerate(SHOWN):
            screen, _ = terminal.shown(command, folder, environment, columns)
            out = OTHERS / f"terminal-{number:02}-{columns}.png"
            browser.element(terminal.window([(command, screen)], columns), out)
    subprocess.run([sys.executable, "-m", "mkdocs", "build", "--quiet"], cwd=walk.ROOT, check=True)
    with served(walk.ROOT / "build" / "site") as site:
        urls = {"page": (folder / "scenes.html").as_uri()}
        for name in ("index", "tutorial", "pairs", "training", "cli", "api-read", "api-errors"):
            urls[f"site-{name}"] = f"{site}/{name}.html"
        for name, url in urls.items():
            for size, width in ((DESKTOP, "desktop"), (PHONE, "phone")):
                for scheme in ("light", "dark"):
                    out = OTHERS / f"{name}-{width}-{scheme}.png"
                    browser.page(url, out, size, scheme=scheme, full=name == "page")


def main() -> None:
    """Make the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--all", action="store_true", help="those in build/pictures, too")
    every = parser.parse_args().all
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryDirectory() as made, browser() as opened:
        folder = pathlib.Path(made) / "tutorial"
        folder.mkdir()
        environment = walk.environment(pathlib.Path(made) / "bin")
        tutorial(opened, folder, environment)
        if every:
            others(opened, folder, environment)


if __name__ == "__main__":
    main()
