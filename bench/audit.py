"""Plant label errors into drawn pairs, and measure how many of them an audit finds.

    python bench/audit.py --folder FOLDER -- --backbone tiny --crop 97 --epochs 15 --rate 3e-3

swapped     a thing has another class
dropped     a thing is not in the label
shifted     the mask of a thing lies beside it
merged      two things and what is between them have one class

FOLDER keeps everything, so a measurement that was stopped continues. An error counts as found if
a suspect covers half of its pixels, or half of the suspect's pixels are of the error; each error
counts once. If cleanlab is installed, it looks for errors in the same confidences: in those of all
classes, which only this measurement keeps. Its images count as found if an error is anywhere in
them; its pixels as the connected regions that they form, the largest first.
"""

import argparse
import importlib.util
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence

import build
import cv2
import numpy as np
from PIL import Image

import dsbuild
from dsbuild.demo import scenes
from dsbuild.demo.scenes import Thing

KINDS = ("swapped", "dropped", "shifted", "merged")
STILL = ("boat", "bottle", "bus", "car", "cat", "person", "sofa", "tvmonitor")
STREET = ("building", "road", "sidewalk", "sky", "tree")  # besides cars and people
CLASSES = ("background", *STILL, *STREET)
STREETS = 0.4  # share of pictures
SIZE = (96, 72)
LEAST = 48  # pixels that an error changes
FIRST = 300  # suspects


def label(things: Sequence[Thing], names: Sequence[str]) -> np.ndarray:
    """Return the label of things with these classes: uint8 (h, w)."""
    values = [CLASSES.index(name) for name in names]
    return np.asarray(scenes.label(things, values, *SIZE, None))


def scene(rng: np.random.Generator) -> list[Thing]:
    """Draw up a street, or two or three things side by side."""
    if rng.random() < STREETS:
        return scenes.street(rng, *SIZE)
    names = rng.choice(STILL, int(rng.integers(2, 4)), replace=False)
    return scenes.still(rng, [str(name) for name in names], *SIZE)


def planted(rng: np.random.Generator, things: list[Thing], kind: str) -> np.ndarray:
    """Return the label of a scene with an error of a kind."""
    names = [one.name for one in things]
    i = int(rng.integers(len(things)))
    if kind == "swapped":
        others = [name for name in CLASSES[1:] if name != names[i]]
        names[i] = str(rng.choice(others))
    elif kind == "dropped":
        things, names = things[:i] + things[i + 1 :], names[:i] + names[i + 1 :]
    elif kind == "shifted":
        extent = np.ptp(things[i].points, axis=0)
        turn = rng.uniform(0, 2 * np.pi)
        by = extent * rng.uniform(0.2, 0.35) * np.array([np.cos(turn), np.sin(turn)])
        things = [*things]
        things[i] = Thing(names[i], things[i].points + by)
    else:
        i = min(i, len(things) - 2)
        both = np.concatenate([things[i].points, things[i + 1].points]).astype(np.float32)
        hull = Thing(names[i], cv2.convexHull(both)[:, 0].astype(float))
        things = [*things[:i], hull, *things[i + 2 :]]
        names = [*names[:i], names[i], *names[i + 2 :]]
    return label(things, names)


def draw(folder: str, count: int, errors: int, seed: int) -> None:
    """Draw pairs, of which some have an error; keep the pixels that it changed."""
    rng = np.random.default_rng(seed)
    wrong = dict(zip(rng.permutation(count)[:errors].tolist(), KINDS * errors, strict=False))
    os.makedirs(f"{folder}/images")
    os.makedirs(f"{folder}/labels")
    truth: dict[str, np.ndarray] = {}
    kinds: dict[str, str] = {}
    for i in range(count):
        key = f"{i:04d}"
        while True:
            things = scene(rng)
            right = given = label(things, [one.name for one in things])
            if i not in wrong:
                break
            given = planted(rng, things, wrong[i])
            if np.count_nonzero(given != right) >= LEAST:
                truth[key], kinds[key] = given != right, wrong[i]
                break
        scenes.picture(rng, things, *SIZE).save(f"{folder}/images/{key}.png")
        Image.fromarray(given).save(f"{folder}/labels/{key}.png")
    with open(f"{folder}/classes.txt", "w") as file:
        file.write("\n".join(CLASSES))
    np.savez_compressed(f"{folder}/truth.npz", **truth)
    with open(f"{folder}/kinds.json", "w") as file:
        json.dump(kinds, file)


def hits(regions: Sequence[tuple[str, np.ndarray]], truth: dict[str, np.ndarray]) -> list[str]:
    """Return the keys of the errors that regions (key, mask) find, in the order of the regions."""
    found: dict[str, None] = {}
    for key, mask in regions:
        if key in truth and key not in found:
            both = np.count_nonzero(mask & truth[key])
            if 2 * both >= min(np.count_nonzero(mask), np.count_nonzero(truth[key])):
                found[key] = None
    return list(found)


def suspects(out: str) -> list[tuple[str, np.ndarray]]:
    """Return key and pixels of the suspects of an audit, in order."""
    from dsbuild.train.audit import shown

    return [(one.suspect.key, one.marks.astype(bool)) for one in shown.regions_of(out)]


def keep_shares(folder: str, data: str, out: str) -> None:
    """Keep labels and confidences of all classes of all records."""
    from dsbuild.train import runs
    from dsbuild.train.audit.planes import read
    from dsbuild.train.audit.suspects import confidences, folder_of
    from dsbuild.train.predict.predictor import Predictor

    samples = dsbuild.open(data, "train")
    count, (width, height) = len(samples), SIZE
    shape = (count, len(samples.classes), height, width)
    shares = np.lib.format.open_memmap(f"{folder}/shares.npy", "w+", np.float32, shape)
    labels = np.zeros((count, height, width), np.int64)
    for fold in range(len(os.listdir(f"{out}/folds"))):
        predictor = Predictor(runs.load(f"{folder_of(out, fold)}/run"))
        for one in read(confidences(out, fold)):
            labels[one.number] = one.given
            image = samples[one.number].image
            shares[one.number] = predictor.probabilities(image).transpose(2, 0, 1)
    shares.flush()
    np.save(f"{folder}/labels.npy", labels)


def pieces(keys: Sequence[str], issues: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Return the connected regions of the pixels with issues, the largest first."""
    found = []
    for key, plane in zip(keys, issues, strict=True):
        count, parts = cv2.connectedComponents(plane.astype(np.uint8))
        found += [(key, parts == i) for i in range(1, count)]
    return sorted(found, key=lambda one: -np.count_nonzero(one[1]))


def peer(name: str, folder: str) -> dict[str, float]:
    """Return seconds and peak memory of a process that finds errors in the kept confidences."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "audit_peers.py")
    return json.loads(build.run([sys.executable, script, name, folder]).splitlines()[-1])


def row(name: str, keys: Sequence[str], kinds: dict[str, str], cost: dict[str, float]) -> str:
    """Return a row of the table: how many errors of each kind are among those found."""
    found = Counter(kinds[key] for key in keys)
    parts = " | ".join(f"{found[kind]}" for kind in KINDS)
    share = f"{len(keys) / len(kinds):.1%}"
    rest = f"{cost['seconds']:.1f} | {cost['peak']:.0f} | {cost['peak'] - cost['imports']:.0f}"
    return f"| {name} | {len(keys)} | {share} | {parts} | {rest} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--errors", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("options", nargs="*", help="options of dsbuild audit, after --")
    asked = parser.parse_args()
    folder = asked.folder
    source, data, out = (os.path.join(folder, name) for name in ("pairs", "data", "audit"))
    if not os.path.exists(f"{source}/kinds.json"):
        draw(source, asked.count, asked.errors, asked.seed)
    names = f"{source}/classes.txt"
    build.run([build.DSBUILD, "pairs", source, data, "--classes", names, "--quiet"])
    build.run([build.DSBUILD, "audit", data, "--learn", "--out", out, *asked.options])
    with open(f"{source}/kinds.json") as file:
        kinds = json.load(file)
    truth = dict(np.load(f"{source}/truth.npz"))
    cells = [f"the first {FIRST}", "errors", "recall", *KINDS, "s", "peak MB", "MB without imports"]
    print(f"| {' | '.join(cells)} |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    cost = peer("dsbuild", folder)
    listed = suspects(out)
    print(row("dsbuild: suspects", hits(listed[:FIRST], truth), kinds, cost))
    images = list(dict.fromkeys(key for key, _ in listed))[:FIRST]
    print(row("dsbuild: images of suspects", [k for k in images if k in truth], kinds, cost))
    if importlib.util.find_spec("cleanlab") is None:
        print("\ncleanlab: left out; pip install cleanlab")
        return
    if not os.path.exists(f"{folder}/labels.npy"):
        keep_shares(folder, data, out)
    keys = [sample.key for sample in dsbuild.open(data, "train")]
    cost = peer("cleanlab", folder)
    found = np.load(f"{folder}/cleanlab.npz")
    regions = pieces(keys, found["issues"])
    print(row("cleanlab: regions of its pixels", hits(regions[:FIRST], truth), kinds, cost))
    for name, scores in (("softmin", found["softmin"]), ("issues", -found["issue_share"])):
        images = [keys[i] for i in np.argsort(scores, kind="stable")[:FIRST]]
        print(row(f"cleanlab: images by {name}", [k for k in images if k in truth], kinds, cost))


if __name__ == "__main__":
    sys.exit(main())
