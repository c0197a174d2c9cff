"""What commands begin with, on a store and on this machine, made once and kept."""

import functools
import pathlib
import shutil

import numpy as np
from PIL import Image

from tests.support import fakes
from tests.support.runs import content

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
    "large": ("voc", "large", "--split", "train", "--shards", "1"),
    "classes": ("classes", "classes", "--shards", "2"),
}

SKIPPING = ("skipped", "skippable")
WHOLE = tuple(name for name in RECIPES if name not in (*SKIPPING, "large"))


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
      made: what was made so far.
    """

    def __init__(self, room, driver, folder):
        self.room, self.driver, self.folder = room, driver, pathlib.Path(folder)
        self.made = {}

    @_once
    def source(self, name):
        """Return the root of a source on this machine."""
        folder = self.folder / "sources" / name
        folder.mkdir(parents=True)
        return DRAWN[name](folder)

    @_once
    def there(self, name):
        """Return the URL of a source on the store."""
        self.room.put(name, _files(self.source(name)))
        return f"{self.room.url}/{name}"

    def words(self, recipe, out, here=False):
        """Return the command that builds a recipe into `out`, from the store or from here."""
        layout, name, *options = RECIPES[recipe]
        if layout == "pairs":
            options += ["--classes", pathlib.Path(self.source("pairs"), "names.txt")]
        return [layout, self.source(name) if here else self.there(name), out, *options]

    @_once
    def local(self, recipe):
        """Return the folder of a recipe's build from and to this machine."""
        out = self.folder / "local" / recipe
        self.done(self.words(recipe, out, here=True))
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
    aside = ("receipts/", "/lock", "/tenure", "holder.json", "previous", "/repair/")
    return {name: data for name, data in files.items() if not any(one in name for one in aside)}


def shards(files):
    """Return the shards of a folder."""
    return {name: data for name, data in settled(files).items() if "-of-" in name}


def _bad(folder):
    """Draw a tree of VOC with two pictures that are none."""
    root = fakes.voc(folder, train=4, val=2)
    images = pathlib.Path(root, "JPEGImages")
    (images / "2007_000002.jpg").write_bytes(b"no picture")
    cut = images / "2007_000005.jpg"
    cut.write_bytes(cut.read_bytes()[:200])
    return root


def _pairs(folder):
    root = fakes.pairs(folder, count=4)
    pathlib.Path(root, "names.txt").write_text("a\nb\nc\n")
    return root


def _large(folder):
    """Draw a tree of VOC whose pictures are noise, for a shard that is sent in parts."""
    root = fakes.voc(folder, train=4, val=2)
    rng = np.random.default_rng(0)
    for path in sorted(pathlib.Path(root, "JPEGImages").iterdir()):
        with Image.open(path) as image:
            size = 40 * image.width, 40 * image.height
        noise = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(noise).save(path, quality=90)
        label = pathlib.Path(root, "SegmentationClass", f"{path.stem}.png")
        with Image.open(label) as image:
            larger = image.resize(size, Image.Resampling.NEAREST)
        larger.save(label)
    return root


DRAWN = {
    "voc": functools.partial(fakes.voc, train=4, val=2),
    "bad": _bad,
    "large": _large,
    "cityscapes": functools.partial(fakes.cityscapes, train=2, val=1, test=1),
    "matting": functools.partial(fakes.matting, groups=2, photos=2),
    "pairs": _pairs,
    "classes": functools.partial(fakes.classes, counts={"cat": 3, "dog": 2}),
}


def _files(root):
    """Return path -> bytes of the files below a folder."""
    root = pathlib.Path(root)
    found = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}
