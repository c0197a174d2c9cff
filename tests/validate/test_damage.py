"""Any damage to any file of a finished folder is found, and repaired or refused for good.

`python -m tests.validate.test_damage 10000` does so many damages and prints a table.
"""

import collections
import random
import sys

import pytest

from dsbuild.build.repair import repair
from dsbuild.errors import DsbuildError
from dsbuild.validate.run import validate
from tests.support.folders import built, in_memory, put, state

# Whose content is anybody's to change, or made again at will; see docs/validate.md.
EXEMPT = {"README.md", ".dsbuild/statistics.json"}


# Damaged together, nothing tells any more that there was a schema.pbtxt, or what people told.
UNTOLD = (
    {"manifest.json", ".dsbuild/side.json", "schema.pbtxt"},
    {"manifest.json", ".dsbuild/terms.json", "dataset_info.json"},
)


def flip(files, rng):
    name = rng.choice([name for name, data in files.items() if data])
    data = bytearray(files[name])
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return {name: bytes(data)}


def digit(files, rng):
    """Turn a digit of a text into another, as no checksum of JSON would notice."""
    name = rng.choice([name for name in files if not name.endswith(".tfrecord")])
    data = bytearray(files[name])
    places = [i for i, byte in enumerate(data) if chr(byte).isdigit()]
    if not places:
        return flip(files, rng)
    at = rng.choice(places)
    data[at] = ord(rng.choice("0123456789".replace(chr(data[at]), "")))
    return {name: bytes(data)}


def cut(files, rng):
    name = rng.choice([name for name, data in files.items() if data])
    return {name: files[name][: rng.randrange(len(files[name]))]}


def remove(files, rng):
    return {rng.choice(list(files)): None}


def swap(files, rng):
    one, other = rng.sample(list(files), 2)
    return {one: files[other], other: files[one]}


def copy(files, rng):
    """Put a file's bytes into the place of another of its kind, or of any."""
    one = rng.choice(list(files))
    alike = [name for name in files if name.rpartition(".")[2] == one.rpartition(".")[2]]
    return {rng.choice(alike if rng.randrange(2) else list(files)): files[one]}


def stray(files, rng):
    """Put a file of one split under a name that no shard has."""
    name = rng.choice([name for name in files if "train" in name])
    return {name.replace("train", "other").replace("-of-00002", "-of-00003"): files[name]}


def several(files, rng):
    changes = {}
    for _ in range(rng.randrange(2, 5)):
        changes |= rng.choice([flip, digit, cut, remove, swap, copy])(files, rng)
    return changes


DAMAGES = (flip, digit, cut, remove, swap, copy, stray, several)


def damage(root, out, good, rng):
    """Damage a folder once; return what was done and what became of it."""
    how = rng.choice(DAMAGES)
    changes = how(good, rng)
    damaged = {k: v for k, v in {**good, **changes}.items() if v is not None}
    put(out, damaged)
    touched = {name for name in changes if damaged.get(name) != good.get(name)}
    try:
        found = bool(validate(str(out)).problems)
    except DsbuildError:
        found = True  # no TFRecord is left at all
    assert found or touched <= EXEMPT, (how.__name__, touched)
    try:
        repair(str(out), root)
    except DsbuildError as error:
        assert "\n" not in str(error)
        left = state(out)
        worse = {name for name in good if left.get(name) not in (good[name], damaged.get(name))} | (
            damaged.keys() - left.keys() - touched
        )
        assert not worse, (how.__name__, touched, worse, str(error))
        return how.__name__, "refused", touched, str(error)
    left = state(out)
    wrong = {n for n in {*left, *good} if left.get(n) != good.get(n)} - EXEMPT
    wrong -= {name for name in touched - good.keys() if "/" not in name}  # somebody else's shard
    if any(lost <= touched for lost in UNTOLD):
        return how.__name__, "untold", touched, ""
    assert not wrong, (how.__name__, touched, wrong)
    return how.__name__, "restored" if touched - EXEMPT else "exempt", touched, ""


@pytest.fixture
def place():
    """A folder in memory where there is one, since every repair waits for the disk."""
    with in_memory() as folder:
        yield folder


def test_damage_to_any_file_is_found_and_repaired(place):
    table(place, 120, 1)


@pytest.mark.slow
def test_ten_thousand_damages(place):
    table(place, 10_000, 2)


def table(folder, count, seed):
    """Damage a folder so often; return how -> outcome -> how often."""
    root, out = built(folder)
    good, rng = state(out), random.Random(seed)
    assert not validate(str(out)).problems
    rows = collections.defaultdict(collections.Counter)
    refused = collections.Counter()
    for _ in range(count):
        how, outcome, touched, error = damage(root, out, good, rng)
        rows[how][outcome] += 1
        if outcome == "refused":
            refused[error.replace(str(out), "OUT")[:160], len(touched)] += 1
    for how, row in sorted(rows.items()):
        print(
            f"{how:10}",
            *(f"{name} {row[name]:6,}" for name in ("restored", "refused", "exempt", "untold")),
        )
    for (error, files), number in refused.most_common(20):
        print(f"{number:6,} of {files} files: {error}")
    return rows


if __name__ == "__main__":
    with in_memory() as folder:
        table(folder, int(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 3)
