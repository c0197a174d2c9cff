"""Pictures of pages, taken by a Chromium without a window."""

import contextlib
import functools
import http.server
import io
import pathlib
import shutil
import threading
from collections.abc import Iterator

from PIL import Image
from playwright import sync_api

LIMIT = 200_000
NAMES = ("chromium", "chromium-browser", "google-chrome")


class Browser:
    """A browser that takes pictures; what a page reports or asks a network for is an error."""

    def __init__(self, chromium: sync_api.Browser) -> None:
        self._chromium = chromium

    def page(self, url: str, out: pathlib.Path, size: tuple[int, int], **how: str | bool) -> None:
        """Save what a window of a size shows: how may be scheme, full (all of it), and anchor."""
        phone = size[0] < 500
        tab = self._chromium.new_page(
            viewport={"width": size[0], "height": size[1]},
            device_scale_factor=2 if phone else 1,
            has_touch=phone,
            color_scheme="dark" if how.get("scheme") == "dark" else "light",
            reduced_motion="reduce",
        )
        said: list[str] = []
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on(
            "request", lambda request: said.append(request.url) if _foreign(request.url) else None
        )
        tab.goto(url, wait_until="networkidle")
        if anchor := how.get("anchor"):
            tab.locator(str(anchor)).first.scroll_into_view_if_needed()
        picture = tab.screenshot(full_page=bool(how.get("full")))
        tab.close()
        if said:
            raise SystemExit(f"{url}: {said}")
        save(Image.open(io.BytesIO(picture)), out)

    def element(self, text: str, out: pathlib.Path, selector: str = "main") -> None:
        """Save one element of a page that is given as text, at one and a half times its size."""
        tab = self._chromium.new_page(
            viewport={"width": 2400, "height": 900}, device_scale_factor=1.5
        )
        tab.set_content(text)
        picture = tab.locator(selector).screenshot()
        tab.close()
        save(Image.open(io.BytesIO(picture)), out)


def _foreign(url: str) -> bool:
    return not url.startswith(("file:", "data:", "blob:", "http://127.0.0.1:"))


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Start Chromium, wherever it is installed."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    with sync_api.sync_playwright() as engine:
        chromium = engine.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield Browser(chromium)
        chromium.close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextlib.contextmanager
def served(folder: pathlib.Path) -> Iterator[str]:
    """Serve a folder on this machine while the context lasts; yield its URL."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def save(picture: Image.Image, out: pathlib.Path) -> None:
    """Save a picture as a PNG of fewer than LIMIT bytes, with as many colours as that allows."""
    out.parent.mkdir(parents=True, exist_ok=True)
    flat = picture.convert("RGB")
    for colours in (255, 128, 64, 32):
        few = flat.quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        few.save(out, optimize=True)
        if out.stat().st_size < LIMIT:
            break
