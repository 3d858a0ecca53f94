"""Every code block of every page runs, in order, or says why not and names what exists."""

import os

import pytest

from docs.making import mounted
from tests.support import blocks
from tests.support.places import ROOT

PAGES = mounted.pages()
SLOW = ("cross-validate.md", "existing-ensemble.md", "start.md", "README.md")


def page(path):
    slow = path.name in SLOW and "run" in {one.kind for one in blocks.blocks(path.read_text())}
    return pytest.param(path, id=str(path.relative_to(ROOT)),
                        marks=[pytest.mark.slow] if slow else [])


@pytest.mark.slow
@pytest.mark.parametrize("path", [page(path) for path in PAGES])
def test_blocks_run(path, monkeypatch, tmp_path):
    for name in ("examples", "benchmarks"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.syspath_prepend(str(tmp_path))
    scope: dict = {"__name__": "page"}
    name = str(path.relative_to(ROOT))
    for block in blocks.blocks(path.read_text()):
        if block.kind == "not run":
            blocks.held(block, name)
        else:
            blocks.run(block, scope, name)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_block_is_fenced_and_names_its_language(path):
    text = path.read_text()
    assert blocks.indented(text) == []
    assert {one.language for one in blocks.blocks(text)} <= set(blocks.LANGUAGES)
    fences = sum(line.strip().startswith("```") for line in text.splitlines())
    assert fences == 2 * len(blocks.blocks(text))


CASES = {
    "a reason that is none": "<!-- not run: long -->\n```sh\nmake test\n```",
    "a verb": "<!-- not run: takes an hour -->\n```sh\nl2hmc-bridge simple --in x\n```",
    "an option": "<!-- not run: takes an hour -->\n```sh\nl2hmc-bridge sample --inn x\n```",
    "a target": "<!-- not run: takes an hour -->\n```sh\nmake everything\n```",
    "a script": "<!-- not run: takes an hour -->\n```sh\npython examples/none.py\n```",
    "a name": "<!-- not run: takes an hour -->\n```python\nfrom l2hmc_bridge import nothing\n```",
    "an attribute": "<!-- not run: takes an hour -->\n```python\nlb.nothing()\n```",
}


@pytest.mark.parametrize("text", CASES.values(), ids=CASES)
def test_what_is_wrong_in_a_block_that_is_not_run_is_found(text):
    (block,) = blocks.blocks(text)
    with pytest.raises(AssertionError):
        blocks.held(block, "page")


def test_a_block_that_fails_is_found(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for text in ("```sh\nl2hmc-bridge info none.ildg\n```", "```sh\nfalse\n```",
                 "```python\nassert False\n```"):
        (block,) = blocks.blocks(text)
        with pytest.raises(AssertionError):
            blocks.run(block, {}, "page")


def test_no_page_of_the_repository_is_forgotten():
    known = {os.path.realpath(path) for path in PAGES}
    for path in ROOT.rglob("*.md"):
        parts = path.relative_to(ROOT).parts
        if parts[0] not in (".venv", "build", "tests") and not parts[0].startswith("."):
            assert os.path.realpath(path) in known, f"{path}: not in docs/making/mounted.py"
