"""Commands, each with what its folder holds before, and what it has to hold, or say, afterwards."""

from dataclasses import dataclass, replace
from typing import Any

from tests.support.store_faults.scene import SKIPPING, WHOLE


@dataclass(frozen=True)
class Case:
    """A command on a folder of a store.

    Attributes:
      words: the command.
      before: the folder's files, receipts among them.
      expected: its files afterwards.
      said: what is printed, with OUT for the folder; None where that is not compared.
      spares: whether the result may be left out, of which a note tells.
      matches: the requests on which most depends; none in particular.
      recipe: what is built.
    """

    words: list[Any]
    before: dict[str, bytes]
    expected: dict[str, bytes]
    said: str | None = None
    spares: bool = False
    matches: tuple[str, ...] = ()
    recipe: str = ""


def build(scene, rng, out):
    """A build from store to store."""
    recipe = rng.choice(WHOLE)
    return _fresh(scene, rng, recipe, out)


def skip(scene, rng, out):
    """A build that leaves bad samples out: of a source with two, or with none."""
    case = _fresh(scene, rng, rng.choice(SKIPPING), out)
    return replace(case, matches=(r"^GET .*\.jpg", r"^GET .*\.png", "Sets.*txt"))


def send(scene, rng, out):
    """A build from this machine to the store."""
    recipe = rng.choice(WHOLE)
    words = scene.words(recipe, out, here=True)
    return Case(_shared(words, rng), {}, scene.expected(recipe), recipe=recipe)


def large(scene, rng, out):
    """A build of which a shard is sent in parts, which Google's emulator cannot take."""
    if scene.room.kind != "s3":
        return send(scene, rng, out)
    words = scene.words("large", out, here=True)
    case = Case(_shared(words, rng), {}, scene.expected("large"), recipe="large")
    return replace(case, matches=("partNumber", "partNumber", "uploads", "uploadId"))


def resume(scene, rng, out):
    """A build of which some files are there."""
    recipe = rng.choice(WHOLE)
    before = dict(scene.stored(recipe))
    del before["manifest.json"]
    written = sorted(name for name in before if "-of-" in name)
    for name in rng.sample(written, rng.randint(1, len(written))):
        del before[name]
    return Case(
        _shared(scene.words(recipe, out), rng), before, scene.expected(recipe), recipe=recipe
    )


def overwrite(scene, rng, out):
    """A build over one of another recipe."""
    words = _shared([*scene.words("small", out), "--overwrite"], rng)
    case = Case(words, scene.stored("voc"), scene.expected("small"), recipe="small")
    return replace(case, matches=("^(POST|DELETE)", "-of-", "manifest", r"\.dsbuild"))


def repair(scene, rng, out):
    """A repair of shards and side files."""
    recipe = rng.choice(("voc", "edges", "pairs"))
    before, expected = dict(scene.stored(recipe)), scene.expected(recipe)
    for name in rng.sample(sorted(one for one in expected if "-of-" in one), rng.randint(1, 3)):
        data = before.pop(name)
        if rng.random() < 0.7:
            at = rng.randrange(len(data)) if data else 0
            before[name] = data[:at] + bytes([data[at] ^ 1 if data else 1]) + data[at + 1 :]
    words = ["repair", out, scene.words(recipe, out)[1]]
    return Case(_shared(words, rng), before, expected, recipe=recipe)


def validate(scene, rng, out):
    """A check of a whole folder."""
    recipe = rng.choice(("voc", "edges", "classes"))
    words = ["validate", out, "--level", rng.choice(("frames", "records", "pixels"))]
    return _read(scene, rng, recipe, out, *words)


def compare(scene, rng, out):
    """A check of a whole folder against its sources."""
    recipe = rng.choice(("voc", "cityscapes"))
    words = ["validate", out, scene.words(recipe, out)[1], "--level", "source"]
    return _read(scene, rng, recipe, out, *words)


def inspect(scene, rng, out):
    """A look into a folder."""
    words = ["inspect", out, *rng.choice(([], ["--json"]))]
    return _read(scene, None, rng.choice(("voc", "classes")), out, *words)


def differ(scene, rng, out):
    """A comparison with the same build on this machine."""
    recipe = rng.choice(("voc", "edges"))
    return _read(scene, rng, recipe, out, "diff", out, scene.local(recipe))


def read(scene, rng, out):
    """All samples by dsbuild.open."""
    return _read(scene, None, rng.choice(("voc", "small")), out, "open", out, "train")


def load(scene, rng, out):
    """All samples by a DataLoader of PyTorch, with workers of each kind."""
    method = rng.choice(("fork", "spawn", "forkserver"))
    words = ["torch", out, "train", rng.choice((0, 2)), method]
    case = _read(scene, None, "voc", out, "open", out, "train")
    return Case(words, case.before, case.expected, case.said, recipe="voc")


def export(scene, rng, out):
    """An export to the store, of a folder that is on this machine."""
    recipe, target = rng.choice(("voc", "edges")), rng.choice(("webdataset", "parquet"))
    words = ["export", scene.local(recipe), out, "--to", target]
    return Case(_shared(words, rng), {}, scene.exported(recipe, target), recipe=recipe)


def statistics(scene, rng, out):
    """A count of all records, which is kept in the folder."""
    recipe = rng.choice(("voc", "edges"))
    expected, before = dict(scene.changed(recipe, "statistics")), scene.stored(recipe)
    kept = ".dsbuild/statistics.json"  # which names the folder
    here = str(scene.folder / "changed" / f"{recipe}-statistics").encode()
    expected[kept] = expected[kept].replace(here, str(out).encode())
    return Case(_shared(["statistics", out], rng), before, expected, spares=True, recipe=recipe)


def interop(scene, rng, out):
    """Side files that are written again."""
    words = ("interop", "--license", "MIT", "--description", "Drawn.")
    expected = scene.changed("voc", *words)
    return Case([words[0], out, *words[1:]], scene.stored("voc"), expected, recipe="voc")


def _fresh(scene, rng, recipe, out):
    return Case(_shared(scene.words(recipe, out), rng), {}, scene.expected(recipe), recipe=recipe)


def _read(scene, rng, recipe, out, *words):
    """Return a case that changes nothing."""
    said = scene.said(recipe, *("OUT" if word == out else str(word) for word in words))
    before = scene.stored(recipe)
    words = _shared(words, rng) if rng else [*words]
    return Case(words, before, before, said, recipe=recipe)


def _shared(words, rng):
    """Return a command that one or two processes do."""
    return [*words, "--workers", rng.choice((1, 1, 1, 2))]


CASES = {
    one.__name__: one
    for one in (
        *(build, skip, send, large, resume, overwrite, repair, validate, compare),
        *(inspect, differ, read, load, export, statistics, interop),
    )
}
WRITERS = ("build", "skip", "send", "large", "resume", "overwrite", "repair", "export")
