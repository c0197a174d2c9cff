import base64
import html
import io
import json
import math
import os
import pathlib
import random
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import dsbuild
from dsbuild.extras import functions
from dsbuild.format import example, manifest, tfrecord
from dsbuild.inspect import gallery
from dsbuild.inspect.html import run as page
from dsbuild.inspect.html import svg
from dsbuild.layouts.voc import Voc
from tests.support import fakes
from tests.support.damage import damaged_records
from tests.support.pages import Reader
from tests.support.runs import counts
from tests.support.texts import EVIL


@pytest.fixture
def show(run, tmp_path):
    """Make the page of a folder; returns its text and what a browser sees."""

    def call(path, *options, exit_code=0):
        result = run("inspect", path, "--html", tmp_path / "page.html", *options)
        assert result.exit_code == exit_code, result.stderr
        text = (tmp_path / "page.html").read_text()
        return text, Reader(text)

    return call


@pytest.fixture
def built(voc, out, run):
    extras = ["--extra", "laplacian", "--extra", "edges"]
    assert run("voc", voc, out, "--shards", 2, *extras, "--quiet").exit_code == 0
    return out


def picture(uri):
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
        return image.format, np.asarray(image.convert("RGBA"))


def rows_of(text, section, split):
    """Return the cells of a split's table of classes, as texts."""
    body = re.search(f'<section id="{section}">.*?</section>', text, re.DOTALL)[0]
    body = next(part for part in body.split("<details")[1:] if f"<summary>{split}<" in part)
    rows = re.findall(r"<tr>(.*?)</tr>", body.split("<tbody>")[1], re.DOTALL)
    cells = [re.findall(r"<td.*?>(.*?)</td>", row) for row in rows]
    return [[re.sub(r"<.*?>", "", cell) for cell in row] for row in cells]


def test_shares_and_counts_equal_the_manifest(built, show):
    text, _ = show(built)
    for split, entry in manifest.load(built)["splits"].items():
        rows = rows_of(text, "classes", split)
        assert len(rows) == 22
        whole = sum(c["pixels"] for c in entry["classes"]) + entry["ignore"]["pixels"]
        for cells, known in zip(rows, [*entry["classes"], entry["ignore"]], strict=True):
            share = 100 * known["pixels"] / whole
            assert cells[2] in (f"{share:.1f} %", "&lt;0.1 %", "<0.1 %")
            assert cells[3] == f"{100 * known['images'] / entry['records']:.1f} %"
            assert cells[4] == f"{known['images']}"
    assert "36</b><span>records" in text
    assert all(name in text for name in counts(built))


def test_cards_have_the_pixels_of_the_sources(built, show, voc):
    _, seen = show(built)
    cards = seen.data["cards"]
    assert len(cards) == 36
    for card in cards:
        with Image.open(f"{voc}/SegmentationClass/{card['key']}.png") as image:
            plane = np.asarray(image)
        form, mask = picture(card["mask"])
        colours = np.zeros((256, 4), np.uint8)
        colours[:21, :3] = Voc.palette[:21]
        colours[255, :3] = (224, 224, 192)
        colours[:, 3] = np.where(colours.any(1), 255, 0)
        assert form == "PNG"
        assert np.array_equal(mask, colours[plane])
        with Image.open(f"{voc}/JPEGImages/{card['key']}.jpg") as image:
            near = np.abs(np.asarray(image).astype(int) - picture(card["image"])[1][..., :3])
        assert near.mean() < 6
        assert dict(map(tuple, card["classes"])) == {
            int(value): int((plane == value).sum()) for value in np.unique(plane)
        }
        assert list(card["extras"]) == ["laplacian", "edges"]


def test_equal_bytes_for_a_seed(built, show):
    one, again = show(built, "--samples", 9)[0], show(built, "--samples", 9, "--workers", 1)[0]
    assert one == again
    assert one != show(built, "--samples", 9, "--seed", 1)[0]


def test_large_pictures_are_shrunk(tmp_path, run, show):
    root = fakes.voc(tmp_path / "large", 2, 1, 1000, 600)
    run("voc", root, tmp_path / "made", "--split", "train", "--extra", "edges", "--quiet")
    for card in show(tmp_path / "made")[1].data["cards"]:
        for uri in (card["image"], card["mask"], card["extras"]["edges"]):
            assert picture(uri)[1].shape[:2] == (480, 800)
        assert card["size"] == [1000, 600]


def test_pictures_of_black_and_white_are_exact(built, show, voc):
    for card in show(built, "--samples", 5)[1].data["cards"]:
        with Image.open(f"{voc}/SegmentationClass/{card['key']}.png") as image:
            form, shown = picture(card["extras"]["edges"])
            assert form == "PNG"
            assert np.array_equal(
                shown[..., 0] > 0, functions.edges(np.asarray(image), width=1) > 0
            )


def test_a_gallery_of_a_class(built, show):
    whole = show(built)[1].data["cards"]

    def part(card, value=15):
        pixels = dict(map(tuple, card["classes"]))
        return pixels.get(value, 0) / sum(pixels.values())

    shares = sorted(filter(None, map(part, whole)))
    assert len(shares) > 2
    most = show(built, "--most", "person", "--samples", 2)[1].data["cards"]
    assert [part(card) for card in most] == shares[:-3:-1]
    least = show(built, "--least", "person", "--samples", 2)[1].data["cards"]
    assert [part(card) for card in least] == shares[:2]
    text, seen = show(built, "--class", "person")
    assert sorted(map(part, seen.data["cards"])) == shares
    assert f"{len(shares)} of 36 records: with person, seed 0" in text


def test_an_unknown_class(built, run, tmp_path):
    result = run("inspect", built, "--html", tmp_path / "x.html", "--class", "unicorn")
    assert result.exit_code == 2
    assert "class 'unicorn': there is no such class. Classes: background" in result.stderr
    assert not (tmp_path / "x.html").exists()


def test_a_sample_is_labelled_as_a_sample(built, show, monkeypatch):
    monkeypatch.setattr(page, "_SAMPLE", 10)
    text, _ = show(built, "--samples", 4)
    # of image sizes, co-occurrence, heat maps and objects
    assert text.count("From a sample of 10 of 36 records, seed 0.") == 4
    assert "From a sample" not in show(built, "--class", "background")[0]


def test_classes_together(built, show, voc):
    text, _ = show(built)
    planes = []
    for name in ("train", "val", "trainval"):
        for key in pathlib.Path(f"{voc}/ImageSets/Segmentation/{name}.txt").read_text().split():
            with Image.open(f"{voc}/SegmentationClass/{key}.png") as image:
                planes.append(set(np.unique(np.asarray(image)).tolist()))
    names = Voc.classes
    for one, other in ((15, 0), (0, 15), (3, 7), (0, 1)):
        held = [plane for plane in planes if one in plane]
        both = sum(other in plane for plane in held)
        title = f'title="{names[one]} with {names[other]}: {both} of {len(held)} images"'
        assert (title in text) == bool(held and any(other in plane for plane in planes))


@pytest.fixture
def evil(tmp_path):
    """A data set whose keys, split, class names are markup and script."""
    root = pathlib.Path(fakes.pairs(tmp_path))
    for part in ("images", "labels"):
        (root / part / "<").mkdir()
        for path in sorted((root / part / "a").iterdir()):
            new = root / part / "<" / f"script>{path.stem}{EVIL}{path.suffix}"
            path.rename(new)  # so that a key begins with `</script>`
    names = ["</script><script>alert(2)</script>", EVIL, "$data"]
    (root / "names.txt").write_text(json.dumps(names))
    return root


def test_no_key_or_name_is_markup(evil, tmp_path, run, show):
    out = tmp_path / "<svg onload=alert(3)>"
    result = run("pairs", evil, out, "--classes", evil / "names.txt", "--quiet")
    assert result.exit_code == 0, result.stderr
    text, seen = show(out)
    keys = {card["key"] for card in seen.data["cards"]}
    assert any(key.startswith("</script>") and EVIL in key for key in keys)
    assert [one[1] for one in seen.data["classes"]][1:3] == [EVIL, "$data"]
    assert text.count("<script") == text.count("</script") == 2
    assert "onerror=alert" not in "".join(
        str(attributes) for _, attributes in seen.tags if not {"title", "alt"} & attributes.keys()
    )
    assert {tag for tag, _ in seen.tags}.isdisjoint({"iframe", "object", "link"})
    for _, attributes in seen.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert not attributes.get("href", "#").startswith(("http", "javascript"))
        assert attributes.get("src", "data:").startswith("data:")
    data = text.partition('id="data">')[2].partition("</script>")[0]
    assert not set("<>&") & set(data)


def test_no_file_name_is_markup(built, tmp_path, show):
    (tmp_path / "other").mkdir()
    name = "<img src=x onerror=alert(1)>-00000-of-00001.tfrecord"
    shutil.copy(os.path.join(built, "val-00000-of-00002.tfrecord"), tmp_path / "other" / name)
    text, seen = show(tmp_path / "other")
    assert "iframe" not in {tag for tag, _ in seen.tags}
    assert seen.data["splits"] == ["<img src=x onerror=alert(1)>"]
    assert "<img src=x" not in text


def test_records_of_any_kind_make_a_page(tmp_path, show, voc):
    """Whatever features hold: no traceback, and what can be shown is."""
    image = pathlib.Path(f"{voc}/JPEGImages/2007_000000.jpg").read_bytes()
    label = pathlib.Path(f"{voc}/SegmentationClass/2007_000000.png").read_bytes()
    names = ["filename", "encoded", "segmentation/class/encoded", "class/label", "gradient"]
    names += ["gradient/encoded", "gradient/format", "sobel/encoded", "sobel/format"]
    names += ["canny/encoded", "alpha/encoded", "height"]
    some = [b"", b"raw16", b"png16", b"png", b"\xff\xfe", image, label, image[:99], label[:99]]
    some += [[], [image, image], 7, -3, 1 << 40, 0.5, math.inf, math.nan]
    some += [np.zeros(60 * 44), np.full(60 * 44, np.inf), np.arange(60 * 44), np.zeros(0, int)]
    rng = random.Random(0)
    with open(tmp_path / "any.tfrecord", "wb") as file:
        writer = tfrecord.Writer(file)
        for _ in range(300):
            features = {f"image/{name}": rng.choice(some) for name in rng.sample(names, 7)}
            writer.write(example.serialize(features))
    _, seen = show(tmp_path / "any.tfrecord", "--samples", 300)
    cards = seen.data["cards"]
    assert len(cards) == 300
    assert sum(card["image"] is not None for card in cards) > 5
    assert sum(card["mask"] is not None for card in cards) > 5
    assert any(card["problems"] for card in cards)
    _, seen = show(tmp_path / "any.tfrecord", "--problems", "--samples", 300)
    cards = seen.data["cards"]
    assert len(cards) > 100  # validation keeps the first thousand problems of a file
    assert all(card["problems"] for card in cards)


def test_the_page_is_self_contained(built, show):
    text, seen = show(built)
    plain = re.sub(r"data:image/[a-z]+;base64,[\w+/=]+", "", text)
    assert "//" not in re.sub(r"^\s*//.*$", "", plain, flags=re.MULTILINE)
    assert "@import" not in plain
    assert "url(" not in plain
    policies = [a["content"] for _, a in seen.tags if "http-equiv" in a]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none'")


def test_folders_written_by_others(built, show):
    whole = rows_of(show(built)[0], "classes", "val")
    for name in ("manifest.json", "schema.json"):
        os.remove(os.path.join(built, name))
    for name in ("index", ".dsbuild"):
        shutil.rmtree(os.path.join(built, name))
    text, seen = show(built)
    found = {row[0]: row[2:] for row in rows_of(text, "classes", "val")}
    assert found == {row[0]: row[2:] for row in whole if row[4] != "0"}
    assert len(seen.data["cards"]) == 36
    assert seen.data["classes"][1][2] == "#800000"
    shard = os.path.join(built, "val-00001-of-00002.tfrecord")
    assert len(show(shard, "--most", "0")[1].data["cards"]) == 3


def test_uncounted_labels_are_counted_for_the_page(voc, out, run, show):
    run("voc", voc, out, "--split", "val", "--verify", "header", "--quiet")
    rows = rows_of(show(out)[0], "classes", "val")
    assert sum(int(row[4]) for row in rows if row[0] == "0") == 6


def test_classification(tmp_path, run, show):
    run("classes", fakes.classes(tmp_path), tmp_path / "made", "--quiet")
    text, seen = show(tmp_path / "made", "--class", "dog")
    assert [card["mask"] for card in seen.data["cards"]] == [None] * 4
    assert rows_of(text, "classes", "train")[0][1:] == ["cat", "46.2 %", "6"]
    assert "Co-occurrence" not in text
    assert "Heat maps" not in text


def test_damage_is_on_the_page(built, show):
    name = next(iter(counts(built)))
    path = pathlib.Path(built, name)
    path.write_bytes(path.read_bytes()[:-9])
    text, _ = show(built, exit_code=1)
    assert "but the manifest lists" in re.search(r'class="bad">([^<]+)<', text)[1]
    path.unlink()
    assert "it is missing" in show(built, exit_code=1)[0]


def test_a_gallery_of_problems(built, show):
    wrong = damaged_records(built)
    text, seen = show(built, "--problems", exit_code=1)
    cards = {(card["file"], card["record"]): card for card in seen.data["cards"]}
    assert cards.keys() == wrong.keys()
    for place, card in cards.items():
        assert list(dict.fromkeys(t.partition(":")[0] for t in card["problems"])) == wrong[place]
    shown = {place[1]: card for place, card in cards.items() if place[0].startswith("train")}
    assert [number for number, card in shown.items() if card["image"] is None] == [0, 5]
    assert [number for number, card in shown.items() if card["mask"] is None] == [1, 2, 5]
    assert shown[1]["problems"][0].startswith("label: found text (HTML or XML")
    assert shown[3]["problems"][0].startswith("values: found label values 77 (2,640 pixels)")
    assert shown[0]["key"] == shown[0]["key"].strip() != ""
    assert EVIL[:9] in " ".join(shown[4]["problems"])
    assert "7 of 7 records with problems." in text
    assert "<img src=x" not in text
    body = re.search('<section id="findings">.*?</section>', text, re.DOTALL)[0]
    assert re.search(r"dsbuild validate found [0-9]+ problems in [0-9]+ records", body)
    rows = [re.findall(r"<td.*?>(.*?)</td>", row) for row in body.split("<tr>")[2:]]
    counts = {row[0]: int(row[2]) for row in rows}
    assert counts["label"] == 2
    assert counts["index"] == counts["changed"] - 1 == 1
    none, seen = show(built, "--problems", "--samples", 0, exit_code=1)
    assert seen.data["cards"] == []
    assert "0 of 7 records with problems." in none
    # Of few every kind is among them; the second of a kind is not.
    few = show(built, "--problems", "--samples", 6, exit_code=1)[1].data["cards"]
    assert {(card["file"], card["record"]) for card in few} == wrong.keys() - {
        ("train-00000-of-00002.tfrecord", 2)
    }


@pytest.mark.parametrize("length", [0, 1, 20, -1])
@pytest.mark.parametrize(
    "name",
    ["val-00000-of-00002.tfrecord", "index/val-00000-of-00002.tfrecord.idx", "schema.json"],
)
def test_truncated_or_missing_files(built, show, name, length):
    """A page of what is left, or an error that names the file."""
    path = pathlib.Path(built, name)
    data = path.read_bytes()[:length]
    path.unlink()
    if length >= 0:
        path.write_bytes(data)
    if name != "schema.json" or length < 0:
        text, seen = show(built, "--problems", exit_code=int(name.startswith("val")))
        assert "validate found no problem" not in text
        assert all(card["problems"] for card in seen.data["cards"])


def test_no_problems(built, show):
    text, seen = show(built, "--problems")
    assert seen.data["cards"] == []
    assert "dsbuild validate found no problem in 36 records." in text
    assert "Not validated for this page" in show(built)[0]


def test_problems_in_folders_written_by_others(built, show):
    wrong = damaged_records(built)
    (name, _), *_ = wrong
    text, seen = show(os.path.join(built, name), "--problems", exit_code=1)
    assert [card["record"] for card in seen.data["cards"]] == [0, 1, 2, 4, 5]
    assert "there is no manifest: label values" in text


def section_of(text, name):
    body = re.search(f'<section id="{name}">.*?</section>', text, re.DOTALL)[0]
    return html.unescape(re.sub(r"<.*?>", " ", body))


def test_what_was_checked_is_on_the_page(built, show):
    found = section_of(show(built)[0], "findings")
    assert "only each shard's presence and size were checked" in found
    assert f"dsbuild inspect {built} --html FILE --problems" in found
    assert f"dsbuild statistics {built}" in found
    assert "The build's audit left out no sample." in found
    name = next(iter(counts(built)))
    other = section_of(show(os.path.join(built, name))[0], "findings")
    assert "left out" not in other
    os.remove(os.path.join(built, "manifest.json"))
    shutil.rmtree(os.path.join(built, manifest.STATE))
    assert "only the checksums of each record were" in section_of(show(built)[0], "findings")


def test_samples_that_the_build_left_out(voc, out, run, show):
    for name in ("2007_000002", "2007_000005"):
        path = pathlib.Path(voc, "JPEGImages", f"{name}.jpg")
        path.write_bytes(path.read_bytes()[:300])
    options = ["--split", "train", "--on-error", "skip", "--quiet"]
    assert run("voc", voc, out, *options).exit_code == 0
    found = section_of(show(out)[0], "findings")
    assert "The build left out 2 samples: files that cannot be stored" in found
    assert "train: 2007_000002: " in found
    assert "left out no sample" not in found
    rejects = pathlib.Path(out, "rejects.jsonl")
    rejects.write_text(rejects.read_text().splitlines()[0] + '\n{"kind": 3\n[]\n')
    found = section_of(show(out)[0], "findings")
    assert "The build left out 1 sample: " in found
    assert "The build left out 1 more sample: see rejects.jsonl." in found
    rejects.unlink()
    assert "left out 2 samples: see rejects.jsonl." in section_of(show(out)[0], "findings")


def test_the_whole_page_stays_below_its_limit(built, show, monkeypatch):
    whole = len(show(built)[0].encode())
    monkeypatch.setattr(page, "_LIMIT", whole - 40_000)
    monkeypatch.setattr(gallery, "_SMALLEST", 8)
    text, seen = show(built)
    assert len(seen.data["cards"]) == 36
    assert len(text.encode()) <= whole - 40_000


def test_many_rows_are_folded():
    rows = [[str(i)] for i in range(41)]
    assert "<details" not in svg.folded(["n"], rows[:40], "<")
    shown, rest = svg.folded(["n"], rows, "<").split("<details", 1)
    assert re.findall(r"<td>([0-9]+)", shown) == [str(i) for i in range(20)]
    assert re.findall(r"<td>([0-9]+)", rest) == [str(i) for i in range(20, 41)]
    assert ">21 more</summary>" in rest


def test_weights_of_classes(voc, out, run, show):
    run("voc", voc, out, "--split", "train", "--split", "val", "--extra", "weights", "--quiet")
    text, _ = show(out)
    terminal = run("inspect", out).stdout
    for split, entry in manifest.load(out)["splits"].items():
        known = entry["weights"]
        rows = rows_of(text, "classes", split)
        for value, row in enumerate(rows[:-1]):
            weights = [known[name][value] for name in ("median_frequency", "effective_number")]
            assert row[5:] == [f"{weight:.3g}" for weight in weights]
            line = re.search(rf"^ +{value}  {Voc.classes[value]} .*", terminal, re.MULTILINE)[0]
            assert set(row[5:]) <= set(line.split())
        assert rows[-1][5:] == ["", ""]
    assert "median frequency" in text


def test_nothing_at_all(tmp_path, show):
    (tmp_path / "none.tfrecord").touch()
    text, seen = show(tmp_path / "none.tfrecord")
    assert seen.data["cards"] == []
    assert "No image size is known" in text


def test_a_file_that_is_not_a_page_is_left_alone(built, run, tmp_path):
    (tmp_path / "mine.html").write_text("<p>mine</p>")
    result = run("inspect", built, "--html", tmp_path / "mine.html")
    assert result.exit_code == 2
    assert "left alone" in result.stderr
    assert (tmp_path / "mine.html").read_text() == "<p>mine</p>"


def test_charts():
    assert 'width="50.00%"' in svg.bar(0.5)
    one = svg.sizes({(640, 480): 3, (100, 50): 1})
    assert "<title>640 x 480: 3</title>" in one
    assert one.index("640 x 480") < one.index("100 x 50")
    many = {(random.Random(i).randint(1, 70000), i + 1): 1 for i in range(50)}
    assert svg.sizes(many).count("<circle") == 50


def test_an_ignore_value_that_has_a_name_is_listed_once(tmp_path):
    for name, picture in (
        ("images", np.zeros((4, 4, 3), np.uint8)),
        ("labels", np.arange(16, dtype=np.uint8).reshape(4, 4) % 3),
    ):
        (tmp_path / "data" / name).mkdir(parents=True)
        Image.fromarray(picture).save(tmp_path / "data" / name / "a.png")
    (tmp_path / "names.txt").write_text("sky\nroad\nvoid\n")
    options = {"classes": str(tmp_path / "names.txt"), "ignore": 2, "workers": 1}
    dsbuild.build("pairs", tmp_path / "data", tmp_path / "out", **options)
    for split in dsbuild.inspect(tmp_path / "out")["splits"].values():
        assert [row["value"] for row in split["classes"]] == [0, 1, 2]
