"""Compare Cityscapes, matting and extras with the decoding and encoding that they need.

    python bench/layouts.py --rounds 3 --cityscapes DATA/cityscapes --matting DATA/matting

Each row is a new process on one core that prints its time inside, without imports; compared rows
alternate (A B A B ...) after a warm-up round. Bare is the minimum that a row needs, done with the
fastest common library: decoding, and encoding the results. Without real trees, pairs of the same
sizes are drawn.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from statistics import median

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

CHILD = "_child"
EXTRAS = ("laplacian", "laplacian:png16", "laplacian:raw16", "sobel:png16", "sobel:raw16")
EXTRAS += ("canny", "edges", "edges:width=3", "distance", "alpha", "trimap")


def read(path: str) -> bytes:
    """Return a file's bytes."""
    with open(path, "rb", buffering=0) as file:
        return file.readall()


def samples_of(root: str, kind: str) -> list[tuple[str, str]]:
    """Return the paths of all images and labels of a tree."""
    layout = layout_of(kind)
    listed = [s for split in layout.splits(root) for s in layout.samples(root, split)]
    return [(f"{root}/{s.image}", f"{root}/{s.label}") for s in listed]


def layout_of(kind: str):
    """Return the layout for a kind of row."""
    from dsbuild.layouts.cityscapes import Cityscapes
    from dsbuild.layouts.matting import Matting
    from dsbuild.layouts.voc import Voc

    if kind in ("trainids", "polygons"):
        return Cityscapes(labels=kind)
    return {"matting": Matting(), "voc": Voc()}[kind]


# What children do, in one process on one core.


def dsbuild(root: str, kind: str, out: str, extra: str = "") -> None:
    """Build a whole folder."""
    from dsbuild.build.audit import Request, audit
    from dsbuild.build.recipe import Recipe
    from dsbuild.build.run import build

    recipe = Recipe(layout=layout_of(kind), extras=tuple(filter(None, [extra])))
    request = Request(recipe=recipe, root=root, out=out)
    build(request, audit(request))


def bare(root: str, kind: str, extra: str = "", **_: str) -> None:
    """Decode, and draw and encode what the row needs."""
    import io

    import cv2
    import numpy as np
    from PIL import Image, ImageDraw

    from dsbuild import extras
    from dsbuild.format import example as wire
    from dsbuild.images.png import chunks, inflating
    from dsbuild.layouts.cityscapes import TRAIN_IDS

    def encode(image: Image.Image) -> bytes:
        file = io.BytesIO()
        image.save(file, "PNG", compress_level=6)
        return file.getvalue()

    def inflate(data: bytes) -> bytes:
        return inflating.decompress(b"".join(b for k, b, _ in chunks(data) if k == b"IDAT"))

    def label_of(data: bytes) -> np.ndarray | None:
        if kind == "polygons":
            annotation = json.loads(data)
            image = Image.new("L", (annotation["imgWidth"], annotation["imgHeight"]), 255)
            draw = ImageDraw.Draw(image)
            for shape in annotation["objects"]:
                if shape["label"] in TRAIN_IDS:
                    points = [tuple(point) for point in shape["polygon"]]
                    draw.polygon(points, fill=TRAIN_IDS[shape["label"]])
            encode(image)
        elif kind == "matting":
            alpha = np.asarray(Image.open(io.BytesIO(data)))[..., 3]
            encode(Image.fromarray((alpha > 50).astype(np.uint8)))
            return alpha
        elif of == "label":
            return np.asarray(Image.open(io.BytesIO(data)))
        else:
            inflate(data)
        return None

    chosen = extras.parse(extra) if extra else None
    of = chosen.extra.of if chosen else ""
    for image, label in samples_of(root, kind):
        data = np.frombuffer(read(image), np.uint8)
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
        plane = label_of(read(label))
        if chosen:
            made = extras.features([chosen], {"image": pixels, "label": plane, "alpha": plane})
            wire.serialize(made)


def rasterise(root: str, kind: str, **_: str) -> float:
    """Draw every annotation; return the ms for one."""
    from dsbuild.layouts import cityscapes

    texts = [read(label) for _, label in samples_of(root, kind)] * 10
    begin = time.perf_counter()
    for text in texts:
        cityscapes.rasterise(text, cityscapes.TRAIN_IDS)
    return 1e3 * (time.perf_counter() - begin) / len(texts)


def json2labelimg(root: str, kind: str, **_: str) -> float:
    """Draw every annotation with cityscapesScripts; return the ms for one."""
    from cityscapesscripts.helpers.annotation import Annotation
    from cityscapesscripts.preparation.json2labelImg import createLabelImage

    texts = [read(label).decode() for _, label in samples_of(root, kind)] * 10
    begin = time.perf_counter()
    for text in texts:
        annotation = Annotation()
        annotation.fromJsonText(text)
        createLabelImage(annotation, "trainIds")
    return 1e3 * (time.perf_counter() - begin) / len(texts)


def extra_costs(root: str, kind: str, extra: str, **_: str) -> tuple[float, float, float]:
    """Return means per record: ms to compute, ms to store, bytes."""
    import numpy as np

    from dsbuild import extras, images
    from dsbuild.format import example as wire

    one, taken = extras.parse(extra), []
    for path, label in samples_of(root, kind)[:60]:
        pixels = {"image": images.decode(data := read(path), images.header(data))}
        if kind == "matting":
            pixels["alpha"] = images.alpha(read(label))
        else:
            pixels["label"] = images.plane(read(label))
        begin = time.perf_counter()
        computed = one.extra.compute(pixels[one.extra.of], **dict(one.parameters))
        done = time.perf_counter()
        size = len(wire.serialize(extras.FORMS[one.form].store(one.name, computed)))
        taken.append((1e3 * (done - begin), 1e3 * (time.perf_counter() - done), size))
    return tuple(np.median(taken, axis=0).tolist())


CHILDREN = (dsbuild, bare, rasterise, json2labelimg, extra_costs)


def run_child(name: str, words: str) -> None:
    """Print as JSON the time that the named work took in this process, and its result."""
    import cv2
    import numpy  # noqa: F401
    import PIL.Image  # noqa: F401

    from dsbuild import engines

    engines.tune()
    cv2.setNumThreads(1)
    arguments = json.loads(words)
    work = {child.__name__: child for child in CHILDREN}[name]
    samples_of(arguments["root"], arguments["kind"])
    begin = time.perf_counter()
    result = work(**arguments)
    print(json.dumps({"seconds": time.perf_counter() - begin, "result": result}))


# Measuring and showing.


def taken(work: Callable, **arguments: str) -> dict:
    """Return the time that a work took in a new process."""
    shutil.rmtree(arguments["out"], ignore_errors=True)
    words = [sys.executable, os.path.abspath(__file__), CHILD, work.__name__]
    done = subprocess.run([*words, json.dumps(arguments)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def compare(works: Sequence[Callable], rounds: int, key: str, **arguments: str) -> list[float]:
    """Run works in turn; return the median of each one's seconds or result."""
    found = [[taken(work, **arguments)[key] for work in works] for _ in range(rounds + 1)]
    return [median(column) for column in zip(*found[1:], strict=True)]


def show(title: str, head: str, rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table; head contains its columns, separated by bars."""
    print(f"\n### {title}\n\n| {head} |\n|---|{'--:|' * head.count('|')}")
    for row in rows:
        cells = (f"{cell:,.2f}" if isinstance(cell, float) else str(cell) for cell in row)
        print(f"| {' | '.join(cells)} |", flush=True)


def show_layouts(bench: argparse.Namespace) -> None:
    """Compare whole builds of the larger layouts with bare decoding and encoding."""
    rows = []
    trees = {"trainids": bench.cityscapes, "polygons": bench.cityscapes, "matting": bench.matting}
    for kind, root in trees.items():
        count = len(samples_of(root, kind))
        whole, least = compare(
            (dsbuild, bare), bench.rounds, "seconds", root=root, kind=kind, out=bench.out
        )
        rows.append((kind, count, 1e3 * whole / count, 1e3 * least / count, whole / least, 1.25))
    show(
        "Layouts, ms per sample on one core",
        "labels | samples | dsbuild | bare | ratio | target",
        rows,
    )
    ours, theirs = compare(
        (rasterise, json2labelimg),
        bench.rounds,
        "result",
        root=bench.cityscapes,
        kind="polygons",
        out=bench.out,
    )
    title = "One annotation of Cityscapes, ms, including JSON"
    show(title, "dsbuild | json2labelImg | ratio | target", [(ours, theirs, ours / theirs, 1.0)])


def show_extras(bench: argparse.Namespace) -> None:
    """Show the cost of each extra, and compare whole builds with bare decoding."""
    rows = []
    for extra in bench.extra or EXTRAS:
        kind = "matting" if extra in ("alpha", "trimap") else "voc"
        arguments = {"root": getattr(bench, kind), "kind": kind, "out": bench.out, "extra": extra}
        costs = taken(extra_costs, **arguments)["result"]
        whole, least = compare((dsbuild, bare), bench.rounds, "seconds", **arguments)
        rows.append((extra, *costs[:2], f"{round(costs[2]):,}", whole / least, 1.25))
    head = "extra | ms to compute | ms to store | bytes | whole build / bare | target"
    show("Extras, per record: 500 x 375, and 600 x 800 for mattes", head, rows)


def main() -> None:
    """Show the tables."""
    from bench.build import make_tree
    from bench.draw import cityscapes, matting

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    # The audit and the last files take 0.1 s: with 160 samples that was a third of a fast row.
    parser.add_argument("--samples", type=int, default=600, help="VOC pairs of the extras' rows")
    parser.add_argument("--table", choices=("layouts", "extras", "all"), default="all")
    parser.add_argument("--cityscapes", help="a real tree with polygons and labelTrainIds")
    parser.add_argument("--matting", help="a real tree like aisegment's")
    parser.add_argument("--voc", help="a real VOC2012 folder; its pairs are repeated")
    parser.add_argument("--extra", action="append", choices=EXTRAS, help="only these extras")
    bench = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dsbuild-bench-") as folder:
        bench.out = f"{folder}/out"
        bench.cityscapes = bench.cityscapes or cityscapes(folder, 12)
        bench.matting = bench.matting or matting(folder, 60)
        bench.voc = make_tree(folder, bench.samples, bench.voc, link=True)
        if bench.table != "extras":
            show_layouts(bench)
        if bench.table != "layouts":
            show_extras(bench)


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        run_child(*sys.argv[2:])
    else:
        main()
