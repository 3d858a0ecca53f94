"""Verbs on several ranks: the option, and that rank 0 alone speaks."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any

import click

from l2hmc_bridge.cli.screen.voice import voice

if TYPE_CHECKING:
    from l2hmc_bridge.ranks.crew import Crew


def ranks_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: the option --ranks."""
    return click.option(
        "--ranks", metavar="X,Y,Z,T", help="Each lattice over the processes that torchrun, mpirun "
        "or srun started: how many along each direction, or auto.")(command)


@contextmanager
def sharing(ranks: str | None, device: str = "cpu") -> "Iterator[Crew]":
    """The processes of a verb, each on its device; what those beside rank 0 would say is not said.
    """
    from l2hmc_bridge.ranks.crew import Alone

    if ranks is None:
        yield Alone(device)
        return
    from l2hmc_bridge.ranks.launch import is_beside
    from l2hmc_bridge.ranks.together import crew

    with ExitStack() as stack:
        if is_beside():
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(redirect_stdout(nowhere))
            stack.enter_context(redirect_stderr(nowhere))
            voice().log = None
        yield stack.enter_context(crew(ranks, device))
