"""The page in a headless Chromium; skipped where playwright or Chromium are missing."""

import json
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from dsbuild import images
from tests.support import fakes
from tests.support.damage import damaged_records

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is missing: pip install playwright"
)
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(voc, out, run, tmp_path, browser):
    """Open the page of a drawn VOC; whatever the console says fails the test."""
    said, asked, pages = [], [], []
    extras = ["--extra", "laplacian", "--quiet"]
    assert run("voc", voc, out, "--split", "train", "--split", "val", *extras).exit_code == 0

    def call(path=out, *words, exit_code=0, **options):
        file = tmp_path / "page.html"
        assert run("inspect", path, "--html", file, *words).exit_code == exit_code
        tab = browser.new_page(**options)
        pages.append(tab)
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(file.as_uri())
        return tab

    yield call
    for tab in pages:
        tab.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []


def test_filters(opened):
    tab = opened()
    assert tab.locator(".card").count() == 18
    assert tab.locator("#count").inner_text() == "18 of 18"
    tab.select_option("#split", "val")
    assert tab.locator(".card").count() == 6
    tab.select_option("#split", "")
    tab.select_option("#class", label="person")
    some = tab.locator(".card").count()
    assert 0 < some < 18
    chip = tab.locator("#legend button", has_text="person")
    assert chip.get_attribute("aria-pressed") == "true"
    chip.click()
    assert tab.locator(".card").count() == 18
    chip.click()
    assert tab.locator(".card").count() == some


def test_rare_classes_first(opened):
    tab = opened()
    held = {
        entry[0]: entry[3] for entry in json.loads(tab.locator("#data").text_content())["classes"]
    }
    cards = json.loads(tab.locator("#data").text_content())["cards"]
    rarest = {card["key"]: min(held[value] for value, _ in card["classes"]) for card in cards}
    tab.select_option("#order", "rare")
    keys = tab.locator(".card .name").all_inner_texts()
    assert [rarest[key] for key in keys] == sorted(rarest.values())


def test_the_class_under_the_pointer(opened):
    tab = opened()
    stack = tab.locator(".card").first.locator(".stack")
    stack.scroll_into_view_if_needed()
    box, named = stack.bounding_box(), set()
    for x in range(4, 30):
        for y in (0.3, 0.5, 0.7):
            tab.mouse.move(box["x"] + box["width"] * x / 34, box["y"] + box["height"] * y)
            if tab.locator("#tip").count() and tab.locator("#tip").is_visible():
                named.add(tab.locator("#tip").inner_text())
    known = {entry[1] for entry in json.loads(tab.locator("#data").text_content())["classes"]}
    assert "background" in named
    assert named <= known


def test_a_link_to_a_record(opened):
    tab = opened()
    tab.locator(".card").nth(2).click()
    key = tab.locator("#large-key").inner_text()
    address = tab.locator("#large-text a").nth(1).get_attribute("href")
    tab.keyboard.press("Escape")
    tab.goto(tab.url.partition("#")[0] + address)
    assert tab.locator("#large-key").inner_text() == key
    tab.locator("#large-text a").first.click()
    assert not tab.locator("#large").is_visible()
    assert tab.evaluate("location.hash").startswith("#shard-")


def test_views_and_slider(opened):
    tab = opened()
    card = tab.locator(".card").first
    assert card.locator("img").count() == 2
    mask = card.locator("img.mask")
    assert mask.evaluate("node => getComputedStyle(node).opacity") == "0.55"
    tab.locator("#mix").evaluate(
        "node => { node.value = 10; node.dispatchEvent(new Event('input')); }"
    )
    assert mask.evaluate("node => getComputedStyle(node).opacity") == "0.1"
    views = tab.locator("#view option").all_inner_texts()
    assert views == ["overlay", "image", "mask", "laplacian"]
    for view in views[1:]:
        tab.select_option("#view", view)
        assert card.locator("img").count() == 1
        assert card.locator("img").evaluate("node => node.decode().then(() => node.naturalWidth)")


def test_keyboard(opened):
    tab = opened()
    keys = tab.locator(".card .name").all_inner_texts()
    tab.locator(".card").first.focus()
    tab.keyboard.press("Enter")
    large, shown = tab.locator("#large"), tab.locator("#large-key")
    assert large.is_visible()
    assert shown.inner_text() == keys[0]
    for i in (1, 2, 3):
        tab.keyboard.press("ArrowRight")
        assert shown.inner_text() == keys[i]
    tab.keyboard.press("ArrowLeft")
    assert shown.inner_text() == keys[2]
    tab.locator("#large-tools button", has_text="mask").click()
    tab.keyboard.press("ArrowRight")
    assert shown.inner_text() == keys[3]
    assert tab.locator("#large-stack.mask-only img").count() == 1
    tab.locator("#large-tools button", has_text="overlay").click()
    tab.locator("#large-tools input").focus()
    tab.keyboard.press("ArrowLeft")
    assert shown.inner_text() == keys[2]
    assert tab.locator("#large-text").inner_text().startswith("3 of 18 · train · ")
    tab.keyboard.press("Escape")
    assert not large.is_visible()
    tab.wait_for_function("key => document.activeElement.title === key", arg=keys[2])
    tab.keyboard.press("ArrowRight")
    assert not large.is_visible()


def test_arrow_keys_between_cards(opened):
    tab = opened(viewport={"width": 1280, "height": 800})
    keys = tab.locator(".card .name").all_inner_texts()
    tops = tab.locator(".card").evaluate_all("cards => cards.map(card => card.offsetTop)")
    row = tops.count(tops[0])
    assert 1 < row < len(keys)
    tab.locator(".card").first.focus()
    steps = [("ArrowRight", 1), ("ArrowDown", 1 + row), ("ArrowLeft", row), ("ArrowUp", 0)]
    for key, place in [
        *steps,
        ("ArrowUp", 0),
        ("End", len(keys) - 1),
        ("ArrowRight", -1),
        ("Home", 0),
    ]:
        tab.keyboard.press(key)
        assert tab.evaluate("document.activeElement.title") == keys[place]
    assert not tab.locator("#large").is_visible()


def test_a_legend_of_many_classes(opened, tmp_path, run):
    root = fakes.classes(tmp_path, {f"kind {i:03d}": 1 for i in range(70)})
    assert run("classes", root, tmp_path / "made", "--quiet").exit_code == 0
    tab = opened(tmp_path / "made")
    legend = tab.locator("#legend button")
    assert legend.count() == 25
    tab.select_option("#class", label="kind 060")
    assert tab.locator(".card").count() == 1
    legend.last.click()
    assert legend.count() == 70
    assert tab.locator('#legend [aria-pressed="true"]').inner_text() == "kind 060"
    tab.locator('#legend [aria-pressed="true"]').click()
    assert tab.locator(".card").count() == 70


@pytest.mark.parametrize("width", [390, 1280])
def test_problems(opened, voc, tmp_path, run, width):
    made = tmp_path / "damaged"
    assert run("voc", voc, made, "--shards", 2, "--quiet").exit_code == 0
    wrong = damaged_records(made)
    tab = opened(made, "--problems", exit_code=1, viewport={"width": width, "height": 800})
    cards = tab.locator(".card")
    assert cards.count() == len(wrong)
    for i, kinds in enumerate(wrong.values()):
        words = cards.nth(i).locator(".why").all_inner_texts()
        assert list(dict.fromkeys(text.partition(":")[0] for text in words)) == kinds
    assert cards.first.locator(".mask-only img").count() == 1
    assert cards.nth(5).locator(".stack").inner_text() == "no picture"
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    cards.nth(4).click()
    assert "<img src=x" in tab.locator("#large-why").inner_text()
    assert tab.locator("img[src=x]").count() == 0
    tab.keyboard.press("ArrowRight")
    assert tab.locator("#large-why").inner_text().startswith("example: found bytes that are no")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_window(opened, width, scheme):
    tab = opened(viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    back = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert back == ("rgb(21, 23, 26)" if scheme == "dark" else "rgb(247, 247, 245)")
    tab.locator(".card").nth(1).click()
    box = tab.locator("#large").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


def test_images_by_class(opened, tmp_path, run):
    root = fakes.classes(tmp_path)
    assert run("classes", root, tmp_path / "made", "--quiet").exit_code == 0
    tab = opened(tmp_path / "made")
    assert tab.locator("#mix").count() == 0
    assert tab.locator("#view option").all_inner_texts() == ["image"]
    tab.select_option("#class", label="dog")
    assert tab.locator(".card").count() == 4
    tab.locator(".card").first.click()
    assert tab.locator("#large-classes").inner_text() == "dog"


def test_markup_in_keys_is_text(opened, tmp_path, run):
    root = pathlib.Path(fakes.pairs(tmp_path))
    evil = '<img src=x onerror=alert(1)>"'
    for part in ("images", "labels"):
        (root / part / "<").mkdir()
        for path in sorted((root / part / "a").iterdir()):
            path.rename(root / part / "<" / f"script>{path.stem}{evil}{path.suffix}")
    # As JSON, since a list of plain lines may hold no markup.
    names = ["</script><script>alert(2)</script>", evil, "plain"]
    (root / "names.json").write_text(json.dumps(names))
    made = tmp_path / "made"
    assert run("pairs", root, made, "--classes", root / "names.json", "--quiet").exit_code == 0
    tab = opened(made)
    assert tab.locator(".card").count() == 12
    assert tab.locator(".card", has_text="</script>").count() == 6
    assert tab.locator("#legend button").nth(1).inner_text() == evil
    tab.locator(".card", has_text="</script>").first.click()
    assert tab.locator("#large-key").inner_text().startswith("</script>")
    assert tab.locator("img[src=x]").count() == 0


SHOWN = """node => {
    const one = new Image();
    one.src = getComputedStyle(node).backgroundImage.slice('url("'.length, -'")'.length);
    return one.decode().then(() => one.naturalWidth);
}"""  # the width of the picture behind an element; an error if it cannot be decoded


def test_changed_masks(voc, out, run, tmp_path, browser):
    said = []
    for name in ("before", "after"):
        assert run("voc", voc, tmp_path / name, "--split", "train", "--quiet").exit_code == 0
        path = pathlib.Path(voc, "SegmentationClass/2007_000003.png")
        plane = np.asarray(Image.open(path)).copy()
        plane[:9] = 7
        path.write_bytes(images.encode(plane))
    page = tmp_path / "masks.html"
    assert run("diff", tmp_path / "before", tmp_path / "after", "--html", page).exit_code == 1
    tab = browser.new_page(viewport={"width": 390, "height": 800})
    tab.on("console", lambda message: said.append(message.text))
    tab.on("request", lambda request: said.append(request.url))
    tab.goto(page.as_uri())
    masks, photos = tab.locator(".triple img"), tab.locator(".triple .photo")
    assert (masks.count(), photos.count()) == (3, 3)
    for i in range(3):
        assert masks.nth(i).evaluate("node => node.decode().then(() => node.naturalWidth)")
        assert photos.nth(i).evaluate(SHOWN)
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    tab.close()
    assert [text for text in said if not text.startswith(("data:", "file:"))] == []
