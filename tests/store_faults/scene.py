"""What commands begin with, on a store and on this machine, made once and kept."""

import functools
import pathlib
import shutil

from tests import fakes
from tests.conftest import content

RECIPES = {
    "voc": ("voc", "voc", "--split", "train", "--split", "val", "--shards", "2"),
    "edges": ("voc", "voc", "--split", "trainval", "--shards", "3", "--extra", "edges"),
    "small": ("voc", "voc", "--split", "train", "--shards", "2", "--max-side", "32"),
    "shuffled": ("voc", "voc", "--split", "train", "--order", "shuffled", "--check-duplicates"),
    "skipped": ("voc", "bad", "--split", "trainval", "--shards", "2", "--on-error", "skip"),
    "skippable": ("voc", "voc", "--split", "trainval", "--shards", "2", "--on-error", "skip"),
    "cityscapes": ("cityscapes", "cityscapes", "--shards", "2"),
    "matting": ("matting", "matting", "--shards", "2", "--alpha-threshold", "50"),
    "pairs": ("pairs", "pairs", "--shards", "2"),
    "classes": ("classes", "classes", "--shards", "2"),
}

WHOLE = tuple(name for name in RECIPES if "skip" not in name)
SKIPPING = ("skipped", "skippable")


def _once(method):
    """Keep what a method of a scene returns for the same arguments."""

    @functools.wraps(method)
    def kept(scene, *args):
        key = method.__name__, *map(str, args)
        if key not in scene.made:
            scene.made[key] = method(scene, *args)
        return scene.made[key]

    return kept


class Scene:
    """A room, a driver, drawn sources, and what builds of them are.

    Attributes:
      room, driver: what commands run with.
      folder: on this machine.
    """

    def __init__(self, room, driver, folder):
        self.room, self.driver, self.folder = room, driver, pathlib.Path(folder)
        self.made = {}
        self.sources = _draw(self.folder / "sources")
        for name, root in self.sources.items():
            room.put(name, _files(root))

    def words(self, recipe, out, source=None):
        """Return the command that builds a recipe into `out`, from the store if none is named."""
        layout, name, *options = RECIPES[recipe]
        if layout == "pairs":
            options += ["--classes", self.folder / "sources" / "names.txt"]
        return [layout, source or f"{self.room.url}/{name}", out, *options]

    @_once
    def local(self, recipe):
        """Return the folder of a recipe's build from and to this machine."""
        out = self.folder / "local" / recipe
        self.done(self.words(recipe, out, self.sources[RECIPES[recipe][1]]))
        return out

    @_once
    def expected(self, recipe):
        """Return the files of a build."""
        return content(self.local(recipe))

    @_once
    def exported(self, recipe, target):
        """Return the files of an export of a build, all on this machine."""
        out = self.folder / target / recipe
        self.done(["export", self.local(recipe), out, "--to", target])
        return content(out)

    @_once
    def changed(self, recipe, *words):
        """Return the files of a build after a command that changes it; its name comes first."""
        out = self.folder / "changed" / "-".join((recipe, words[0]))
        shutil.copytree(self.local(recipe), out)
        self.done([words[0], out, *words[1:]])
        return content(out)

    @_once
    def stored(self, recipe):
        """Return the files of a build on the store, receipts among them."""
        self.room.fails()
        out = self.room.fresh()
        self.done(self.words(recipe, f"{self.room.url}/{out}"))
        found = self.room.get(out)
        assert settled(found) == settled(self.expected(recipe)), recipe
        self.room.wipe(out)
        return found

    @_once
    def said(self, recipe, *words):
        """Return what a command prints of a build, for `OUT` where that is named."""
        self.room.fails()
        out = self.room.fresh()
        self.room.put(out, self.stored(recipe))
        url = f"{self.room.url}/{out}"
        done = self.done([url if word == "OUT" else word for word in words])
        self.room.wipe(out)
        return done.out.replace(url, "OUT")

    def done(self, words, limit=120):
        """Run a command that has to succeed."""
        extra = [] if words[0] in ("interop", "open", "torch", "inspect") else ["--workers", 1]
        done = self.driver.run([*words, *extra], self.room.environment, limit=limit)
        assert done.code == 0, f"{words}\n{done}"
        return done


def settled(files):
    """Return the files of a folder whose bytes are promised."""
    aside = ("receipts/", "/lock", "previous", "/repair/")
    return {name: data for name, data in files.items() if not any(one in name for one in aside)}


def shards(files):
    """Return the shards of a folder."""
    return {name: data for name, data in settled(files).items() if "-of-" in name}


def _draw(folder):
    folder.mkdir(parents=True)
    drawn = {
        "voc": fakes.voc(folder / "voc", train=4, val=2),
        "bad": fakes.voc(folder / "bad", train=4, val=2),
        "cityscapes": fakes.cityscapes(folder, train=2, val=1, test=1),
        "matting": fakes.matting(folder, groups=2, photos=2),
        "pairs": fakes.pairs(folder, count=4),
        "classes": fakes.classes(folder, {"cat": 3, "dog": 2}),
    }
    (folder / "names.txt").write_text("a\nb\nc\n")
    images = pathlib.Path(drawn["bad"], "JPEGImages")
    (images / "2007_000002.jpg").write_bytes(b"no picture")
    cut = images / "2007_000005.jpg"
    cut.write_bytes(cut.read_bytes()[:200])
    return drawn


def _files(root):
    """Return path -> bytes of the files below a folder."""
    root = pathlib.Path(root)
    found = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}
