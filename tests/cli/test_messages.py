"""Every option that a message names is one that the verb which prints it has."""

import ast
import re
from functools import cache

import pytest

from l2hmc_bridge import cli
from l2hmc_bridge.cli.screen import hints
from tests.support import imports

NO_MESSAGES = {"l2hmc_bridge.stream.provenance", "l2hmc_bridge.fast.cpu.library"}  # git, pip
FILES = {imports.module(path): path for path in imports.files(*imports.LIBRARY)}


def templates(path) -> list[str]:
    """Texts of a module that a person may read: no docstrings, no help; {} for what is filled in.
    """
    tree = ast.parse(path.read_text())
    left_out: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and node.body and (
                isinstance(node.body[0], ast.Expr)):
            left_out.add(id(node.body[0].value))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and (
                node.func.attr in ("option", "argument", "command")):
            left_out |= {id(below) for below in ast.walk(node)}
        if isinstance(node, ast.JoinedStr):
            left_out |= {id(part) for part in node.values}
    found = []
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.JoinedStr):
            found.append("".join(str(part.value) if isinstance(part, ast.Constant) else "{}"
                                 for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return [text for text in found if hints.OPTION.search(text)]


def commands(text, options_of) -> set[str]:
    """Options in backticks that the verb named there lacks; `options_of` a verb, None for no verb.
    """
    wrong = set()
    for command in hints.COMMAND.findall(text):
        verbs = [word for word in command.strip("`").split() if options_of(word) is not None]
        known = options_of(verbs[0]) if verbs else ()
        wrong |= {option for option in hints.OPTION.findall(command)
                  if option not in (known or ())}
    return wrong


def typing_only(path) -> set[str]:
    """What a file imports for type checkers alone."""
    blocks = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.If)
              and ast.unparse(node.test) == "TYPE_CHECKING"]
    return set().union(*(imports.imported(path, block) for block in blocks))


@cache
def graph() -> dict[str, set[str]]:
    """What each module imports, of this package, while it runs."""
    return {name: (imports.imported(path) - typing_only(path)) & set(FILES)
            for name, path in FILES.items()}


def reached(start: str) -> set[str]:
    """The modules that a verb may run."""
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            ahead += graph()[name]
    return seen - NO_MESSAGES


@pytest.mark.slow
@pytest.mark.parametrize("verb", cli.VERBS)
def test_options_that_messages_name_are_the_verbs_own(verb):
    options, wrong, looked_at = cli.options_of(verb), [], 0
    for name in sorted(reached(cli._module(verb))):
        for text in templates(FILES[name]):
            looked_at += 1
            said = hints.fitting(text, options)
            # A message that begins with an option speaks of one that was given.
            left = set() if said.startswith("--") else hints.named(said) - options
            left |= commands(said, lambda word: cli.options_of(word)
                                   if word in cli.VERBS else None)
            if left:
                wrong.append(f"{name}: {sorted(left)} in {text!r}")
    assert wrong == []
    assert looked_at > 5 or verb in ("analyze",)


def test_the_filter():
    text = "found none (--beta states it; `convert --index` takes one out); see (a) (--x)"
    assert hints.fitting(text, {"beta", "x"}) == text
    short = "found none (`convert --index` takes one out); see (a)"
    assert hints.fitting(text, {"x"}) == f"{short} (--x)"
    assert hints.fitting(text, set()) == short
    assert hints.named("--a `gate --b` --c-d x--e") == {"a", "c-d"}
    known = {"gate": {"write"}}.get
    assert commands("`l2hmc-bridge gate x --write`", known) == set()
    assert commands("`gate --wrote`", known) == {"wrote"}


def test_templates_are_found():
    """Negative control: the reader of templates sees what it has to judge."""
    text = " ".join(templates(FILES["l2hmc_bridge.systems.decision"]))
    assert "(--quenched samples the gauge action alone; " in text and re.search(r"--beta", text)


def test_the_filter_is_at_work(tmp_path, capsys):
    (tmp_path / "x.bin").write_bytes(bytes(range(64)))
    (tmp_path / "c.toml").write_text("")
    assert cli.main(["measure", str(tmp_path / "x.bin")]) == 1
    assert "(--from names it)" in capsys.readouterr().err
    assert cli.main(["analyze", str(tmp_path / "x.bin")]) == 1
    assert "--from" not in capsys.readouterr().err
