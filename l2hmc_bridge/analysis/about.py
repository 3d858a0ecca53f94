"""What a stream says of how it was run, for reports and figures: the attributes of its history."""

from collections.abc import Callable, Mapping
from typing import Any

from l2hmc_bridge.analysis.series import History


def run_of(history: History) -> list[tuple[str, str]]:
    """(what, value) of all that is known: command, date, versions, lattice, action, bundle, seed.
    """
    told = history.attributes
    found = [("stream", history.name)]
    for name, say in _ROWS.items():
        text = say(told)
        if text:
            found.append((name, text))
    return found


def heading_of(history: History) -> str:
    """Lattice, action and beta on one line, as far as they are known."""
    told = history.attributes
    parts = (_lattice(told), str(told.get("action") or ""), _beta(told))
    return ", ".join(part for part in parts if part)


def _lattice(told: Mapping[str, Any]) -> str:
    given = told.get("lattice")
    return given.replace(",", "x") if isinstance(given, str) else ""


def _beta(told: Mapping[str, Any]) -> str:
    beta = told.get("beta")
    return f"beta {beta:g}" if isinstance(beta, int | float) else ""


def _text(name: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda told: str(told.get(name) or "")


def _number(name: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda told: f"{told[name]:.6g}" if isinstance(told.get(name), int | float) else ""


def _bundle(told: Mapping[str, Any]) -> str:
    digest = str(told.get("bundle_hash") or "")
    return f"{told.get('bundle') or 'bundle'}, hash {digest}" if digest else ""


def _versions(told: Mapping[str, Any]) -> str:
    names = {"version": "l2hmc-bridge", "git_revision": "revision", "python": "Python",
             "torch": "torch", "numpy": "numpy"}
    return ", ".join(f"{shown} {told[name]}" for name, shown in names.items() if told.get(name))


_ROWS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "command": _text("command"),
    "date": _text("date"),
    "versions": _versions,
    "machine": lambda told: ", ".join(str(told[name]) for name in ("host", "compute")
                                      if told.get(name)),
    "lattice (x,y,z,t)": _lattice,
    "action": _text("action"),
    "beta": _number("beta"),
    "kernel": _text("kernel"),
    "bundle": _bundle,
    "seed": lambda told: str(told["seed"]) if "seed" in told else "",
    "MD length": _number("md_length"),
    "all steps times": _number("factor"),
    "updates before the first recorded one": _number("thermalised"),
    "device, threads": lambda told: f"{told['device']}, {told.get('threads', 1)}"
    if told.get("device") else "",
    "field strength of charge and energy": _text("convention"),
}
