"""Pages in a headless Chromium: what they say on the console, whether they fit their window."""

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTHS = (1280, 400)
OVERFLOW = """() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    return [...document.body.querySelectorAll('*')]
        .filter(one => one.getBoundingClientRect().right > width + 1)
        .map(one => one.tagName + '.' + one.className + ' ' + one.textContent.slice(0, 60));
}"""
EAGER = "() => document.querySelectorAll('img[loading]').forEach(one => one.loading = 'eager')"
BROKEN = "() => [...document.images].filter(one => !one.naturalWidth).map(one => one.src)"


@contextmanager
def chromium() -> Iterator:
    """A browser; skips the test if there is no Chromium or no playwright."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"expected one of {', '.join(NAMES)}, found none")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, without a line for each."""

    def log_message(self, *_):
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder, on this machine alone."""
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def faults(browser, address: str, pictures: str = "") -> list[str]:
    """What is wrong with a page: console errors, requests that fail or leave, overflow at WIDTHS.

    pictures: a file name with {width}, for screenshots to look at.
    """
    page = browser.new_page(viewport={"width": WIDTHS[0], "height": 900})
    found: list[str] = []
    page.on("console", lambda message: found.append(f"console: {message.text}")
            if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: found.append(f"error: {error}"))
    page.on("requestfailed", lambda request: found.append(f"request: {request.url}"))
    page.on("request", lambda request: found.append(f"leaves the machine: {request.url}")
            if request.url.startswith(("http:", "https:"))
            and not request.url.startswith("http://127.0.0.1:") else None)
    page.goto(address, wait_until="load")
    page.evaluate(EAGER)
    found += [f"no picture: {one}" for one in page.evaluate(BROKEN)]
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        found += [f"wider than {width}: {one}" for one in page.evaluate(OVERFLOW)]
        if pictures:
            page.screenshot(path=pictures.format(width=width), full_page=True)
    page.close()
    return [f"{address}: {one}" for one in found]
