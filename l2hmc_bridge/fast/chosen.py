"""Whether the fastest that fits serves, or always the reference: in a process, and in a block."""

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar

from l2hmc_bridge.errors import ConfigError

CHOICES = ("auto", "torch")
# What the process starts with, threads started later included; `using` overrides it in a context.
_default = "torch" if os.environ.get("L2HMC_BRIDGE_FAST", "auto") in ("off", "torch") else "auto"
_choice: ContextVar[str | None] = ContextVar("l2hmc_bridge_fast", default=None)


def use(name: str) -> None:
    """Choose "auto" (the fastest that fits each call) or "torch" (always the reference).

    For the whole process, except where a `using` block says otherwise; raises ConfigError.
    """
    global _default
    _default = _known(name)
    if _choice.get() is not None:
        _choice.set(name)


@contextlib.contextmanager
def using(name: str) -> Iterator[None]:
    """The choice `name` for the length of a with block, in this thread or task alone."""
    before = _choice.set(_known(name))
    try:
        yield
    finally:
        _choice.reset(before)


def choice() -> str:
    """What is chosen here and now."""
    return _choice.get() or _default


def _known(name: str) -> str:
    if name not in CHOICES:
        raise ConfigError(f"fast: expected one of {', '.join(CHOICES)}, found {name!r}")
    return name
