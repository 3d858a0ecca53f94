"""Completion in the shell, as docs/how-to/install.md has it."""

import os
import subprocess
import sys

import pytest

from tests.support.places import ROOT

CODE = "import sys; from l2hmc_bridge.cli import main; sys.exit(main())"


def answer(**environment) -> str:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, cwd=ROOT,
                          env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_script(shell):
    script = answer(_L2HMC_BRIDGE_COMPLETE=f"{shell}_source")
    assert "_L2HMC_BRIDGE_COMPLETE" in script and "l2hmc-bridge" in script


def complete(words: str) -> list[str]:
    said = answer(_L2HMC_BRIDGE_COMPLETE="bash_complete", COMP_WORDS=words,
                  COMP_CWORD=str(len(words.split()) - 1))
    return [line.partition(",")[2] for line in said.splitlines()]


def test_verbs_options_and_choices_are_completed():
    assert complete("l2hmc-bridge sa") == ["sample"]
    assert complete("l2hmc-bridge sample --con") == ["--continue"]
    assert complete("l2hmc-bridge sample --kernel h") == ["hmc", "heatbath"]
