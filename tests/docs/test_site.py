"""The site as `make docs` built it: links, pictures, nothing from elsewhere, every window width."""

import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

import l2hmc_bridge as lb
from docs.making import mounted
from l2hmc_bridge.cli import main
from tests.support import browser
from tests.support.places import CONFIGURATION, ROOT

SITE = ROOT / "build" / "site"
SCREENSHOTS = os.environ.get("L2HMC_BRIDGE_SCREENSHOTS", "")  # a folder to look at


class Links(HTMLParser):
    """References and anchors of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()
        self.loaded: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if "id" in given:
            self.anchors.add(given["id"])
        for name in ("href", "src"):
            if given.get(name):
                self.targets.append(given[name])
                if tag in ("img", "script", "iframe") or given.get("rel") == "stylesheet":
                    self.loaded.append(given[name])


@pytest.fixture(scope="module")
def pages() -> dict[Path, Links]:
    if not (SITE / "index.html").is_file():
        pytest.skip("the site is not built: make docs")
    built = (SITE / "index.html").stat().st_mtime
    if any(path.stat().st_mtime > built for path in mounted.pages()):
        pytest.skip("the site is older than its pages: make docs")
    return {path: Links(path) for path in sorted(SITE.rglob("*.html")) if path.name != "404.html"}


def test_every_page_is_there(pages):
    names = {str(path.relative_to(SITE)) for path in pages}
    for page in [*mounted.MOUNTED, "reference/command-line.md", "reference/python.md",
                 *(str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")),
                 *(f"notebooks/{path.stem}.md" for path in ROOT.glob("docs/notebooks/*.ipynb"))]:
        assert str(Path(page).with_suffix(".html")) in names, page


def test_no_link_is_broken(pages):
    broken = []
    for path, links in pages.items():
        for target in links.targets:
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            there = (path.parent / unquote(file)).resolve() if file else path
            there = there / "index.html" if there.is_dir() else there
            lost = anchor and there in pages and unquote(anchor) not in pages[there].anchors
            if not there.is_file() or (lost and not anchor.startswith("__")):
                broken.append(f"{path.relative_to(SITE)}: {target}")
    assert broken == []


def test_nothing_is_loaded_from_elsewhere(pages):
    for path, links in pages.items():
        assert not [one for one in links.loaded if one.startswith(("http", "//"))], path


def test_every_public_name_is_on_the_page_of_the_python_interface(pages):
    text = (SITE / "reference" / "python.html").read_text()
    for name in set(lb.__all__) - {"__version__"}:
        assert re.search(rf"\b{name}\b", text), name


def test_formulas_are_there(pages):
    text = (SITE / "explained" / "step.html").read_text()
    assert text.count("<math") > 40 and "arithmatex" not in text and "<merror" not in text


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of playwright
def test_every_page_fits_every_window_and_says_nothing_on_the_console(pages):
    with browser.chromium() as chromium, browser.served(SITE) as address:
        found = [fault for path in pages for fault in
                 browser.faults(chromium, f"{address}/{path.relative_to(SITE)}", pictures(path))]
    assert found == []


def pictures(path: Path) -> str:
    return SCREENSHOTS and f"{SCREENSHOTS}/{path.parent.name}-{path.stem}-{{width}}.png"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_reports_fit_every_window(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in (["sample", "--in", str(CONFIGURATION), "--out", "stream", "-n", "60", "--seed",
                   "1", "--save-every", "20"],
                  ["analyze", "stream", "--report", "analyze.html"],
                  ["validate", "stream", "--against", "stream", "--report", "validate.html"]):
        main(words)
    with browser.chromium() as chromium:
        found = [fault for name in ("analyze.html", "validate.html") for fault in
                 browser.faults(chromium, (tmp_path / name).as_uri(), pictures(tmp_path / name))]
    assert found == []


@pytest.mark.slow
def test_a_page_that_overflows_is_found(tmp_path):
    (tmp_path / "wide.html").write_text(
        "<!doctype html><p style='width: 900px'>wide</p><img src='none.png'>"
        "<script>console.error('wrong')</script>")
    with browser.chromium() as chromium:
        found = "\n".join(browser.faults(chromium, (tmp_path / "wide.html").as_uri()))
    assert "wider than 400" in found and "wider than 1280" not in found
    assert "no picture" in found and "wrong" in found
