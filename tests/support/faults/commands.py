"""The commands that write, each with its starting state."""

import os
import pathlib

WORDS = ["--workers", "1", "--quiet"]


def fresh(run, voc, out):
    """A build into a new folder."""
    return ["voc", voc, out, "--split", "train", "--shards", "2", *WORDS]


def resumed(run, voc, out):
    """A build with missing shards and side files."""
    assert run(fresh(run, voc, out)).code == 0
    for name in ("train-00001-of-00002.tfrecord", "manifest.json", "schema.json"):
        os.remove(os.path.join(out, name))
    return fresh(run, voc, out)


def overwritten(run, voc, out):
    """A build over another split's build."""
    assert run(["voc", voc, out, "--split", "val", *WORDS]).code == 0
    return [*fresh(run, voc, out), "--overwrite"]


def repaired(run, voc, out):
    """A repair of a truncated shard, a missing index and a changed list."""
    assert run(fresh(run, voc, out)).code == 0
    os.truncate(os.path.join(out, "train-00000-of-00002.tfrecord"), 99)
    os.remove(os.path.join(out, "index", "train-00001-of-00002.tfrecord.idx"))
    pathlib.Path(out, "index", "train-00001-of-00002.tfrecord.values").write_text("1\n")
    return ["repair", out, voc, *WORDS]


def exported(to):
    def prepare(run, voc, out):
        assert run(fresh(run, voc, f"{out}-of")).code == 0
        return ["export", f"{out}-of", out, "--to", to, "--workers", "1"]

    prepare.__name__ = f"exported_{to}"
    return prepare


def counted(run, voc, out):
    """Statistics that are kept in the folder."""
    assert run(fresh(run, voc, out)).code == 0
    return ["statistics", out, "--workers", "1"]


def described(run, voc, out):
    """Side files that are written again."""
    assert run(fresh(run, voc, out)).code == 0
    return ["interop", out, "--license", "CC0-1.0", "--description", "Drawn."]


def shown(run, voc, out):
    """A page that replaces an older one."""
    of = os.path.join(os.path.dirname(out), "shown")
    assert run(fresh(run, voc, of)).code == 0
    page = ["inspect", of, "--html", f"{out}/page.html", "--workers", "1", "--samples"]
    assert run([*page, "1"]).code == 0
    return [*page, "2"]


def pictured(run, voc, out):
    """Pictures of a record."""
    of = os.path.join(os.path.dirname(out), "shown")
    assert run(fresh(run, voc, of)).code == 0
    return ["inspect", of, "--record", "1", "--save", out]


COMMANDS = [
    fresh,
    resumed,
    overwritten,
    repaired,
    exported("webdataset"),
    exported("parquet"),
    exported("array_record"),
    counted,
    described,
    shown,
    pictured,
]
