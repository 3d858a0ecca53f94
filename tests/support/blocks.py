"""Code blocks of a Markdown page: found, run in order, or held against the program if not run.

A comment in front of a block says what is special about it:
`<!-- not run: reason -->`, `<!-- file: NAME -->` (written to NAME in place of being run).
"""

import ast
import importlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import markdown

import l2hmc_bridge as lb
from l2hmc_bridge.cli import VERBS, main, options_of
from tests.support.places import ROOT

LANGUAGES = ("python", "sh", "toml", "text")
_BLOCK = re.compile(r"(?:^[ ]*<!--\s*(?P<kind>not run|file):\s*(?P<said>.*?)\s*-->\s*\n)?"
                    r"^(?P<indent>[ ]*)```(?P<language>[^\n]*)\n(?P<text>.*?)^[ ]*```[ ]*$",
                    re.M | re.S)
_SHELL = re.compile(r"[|<>&;$`]|^\w+=")


class Block(NamedTuple):
    """A fenced block: its first line in the page, its language, and what its comment says."""

    line: int
    language: str
    text: str
    kind: str  # "run", "not run" or "file"
    said: str


def blocks(text: str) -> list[Block]:
    """All fenced blocks of a page, in order."""
    return [Block(text.count("\n", 0, found.start("language")) + 1, found["language"].strip(),
                  re.sub(f"^{found['indent']}", "", found["text"], flags=re.M),
                  found["kind"] or "run", " ".join((found["said"] or "").split()))
            for found in _BLOCK.finditer(text)]


def indented(text: str) -> list[str]:
    """Code blocks without a fence: nobody can tell what they are."""
    page = markdown.markdown(_BLOCK.sub("", text), extensions=["tables"])
    return re.findall(r"<pre><code>(.*?)</code></pre>", page, re.S)


def commands(text: str) -> list[str]:
    """The command lines of a shell block, continued ones as one."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]


def run(block: Block, scope: dict[str, Any], name: str) -> None:
    """Run a block in the present folder; AssertionError or what it raises."""
    if block.kind == "file":
        Path(block.said).write_text(block.text)
    elif block.language == "python":
        exec(compile("\n" * block.line + block.text, name, "exec"), scope)
    elif block.language == "sh":
        for line in commands(block.text):
            _command(line, name)
    elif block.language == "toml":
        tomllib.loads(block.text)


def _command(line: str, name: str) -> None:
    if line.startswith("l2hmc-bridge ") and not _SHELL.search(line):
        assert main(shlex.split(line, comments=True)[1:]) == 0, f"{name}: {line}"
        return
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(["bash", "-ec", line], capture_output=True, text=True,
                          env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, f"{name}: {line}\n{done.stdout}{done.stderr}"


def held(block: Block, name: str) -> None:
    """A block that is not run says why, parses, and names what exists."""
    assert len(block.said.split()) >= 3, f"{name}:{block.line}: not run, without a reason"
    if block.language == "python":
        _names(ast.parse(block.text), name)
    elif block.language == "sh":
        for line in commands(block.text):
            _parts(shlex.split(line, comments=True), name)


def _names(tree: ast.AST, name: str) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("l2hmc_bridge"):
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                known = alias.name in dir(module) or importlib.util.find_spec(
                    f"{node.module}.{alias.name}")
                assert known, f"{name}: {node.module} has no {alias.name}"
        if (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
                and node.value.id == "lb"):
            assert node.attr in lb.__all__, f"{name}: lb.{node.attr}"


def _parts(words: list[str], name: str) -> None:
    """Verbs, options, scripts, modules and targets of one command."""
    if "l2hmc-bridge" in words and words.index("l2hmc-bridge") + 1 < len(words):
        verb, *rest = words[words.index("l2hmc-bridge") + 1:]
        assert verb in VERBS or verb.startswith("-"), f"{name}: no verb {verb}"
        known = options_of(verb) if verb in VERBS else {"version", "help"}
        for word in (word[2:].split("=")[0] for word in rest if word.startswith("--")):
            assert word in known, f"{name}: {verb} has no --{word}"
    if words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
        assert words[1] in targets, f"{name}: no target {words[1]}"
    if words[0] == "python" and words[1] == "-m":
        assert importlib.util.find_spec(words[2]), f"{name}: no module {words[2]}"
    for word in words[1:]:
        if re.match(r"(examples|benchmarks|tests|docs)/[\w/.-]+\.(py|toml|ildg)$", word):
            assert (ROOT / word).is_file(), f"{name}: no file {word}"
