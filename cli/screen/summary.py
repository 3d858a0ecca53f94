"""What `sample` shows in the end: the summary of a stream as a table."""

from collections.abc import Mapping
from typing import Any

from l2hmc_bridge.cli.screen.tables import present
from l2hmc_bridge.stream.summary import shown


def show_summary(summary: Mapping[str, Any], title: str) -> None:
    """The summary as a table of two columns, one more for each of several chains."""
    chains = summary.get("chains", [])
    columns = ("quantity", "all chains" if chains else "value",
               *(f"chain {one['chain']}" for one in chains))
    rows = [(name, *(show(part) if name in _PER_CHAIN or part is summary else ""
                     for part in (summary, *chains))) for name, show in _ROWS.items()]
    present(columns, rows, title, prose=("quantity",))


def _observable(name: str) -> Any:
    return lambda part: shown(part[name])


def _tau(part: Mapping[str, Any]) -> str:
    entry = part["plaquette"] or {}
    if entry.get("tau_int") is None:
        return "not resolvable"
    return f"{entry['tau_int']:.2g} +- {entry['tau_int_error']:.2g}"


def _number(name: str, form: str) -> Any:
    return lambda part: "-" if part[name] is None else format(part[name], form)


def _kernel(about: Mapping[str, Any]) -> str:
    if about["kind"] == "heatbath":
        return f"heat bath, {about['sweeps']} + {about['overrelax']} overrelaxed sweeps"
    return about.get("nature") or f"HMC, {about.get('integrator', 'trained')}"


_ROWS = {
    "trajectories": lambda part: f"{part['trajectories']} of {part['target']}",
    "acceptance": _number("acceptance", ".3f"),
    "<exp(-dH + log|J|)>": _observable("exp_minus_dh"),
    "plaquette": _observable("plaquette"),
    "tau_int of the plaquette (1/2 + sum rho)": _tau,
    "topological charge (clover)": _observable("topological_charge"),
    "mean squared link change, (1/4V) sum |dU|^2": _observable("link_change"),
    "MD length": _number("md_length", ".4g"),
    "tuning factor": _number("tuning_factor", ".4g"),
    "force evaluations per trajectory": _number("force_evaluations_per_trajectory", ".4g"),
    "seconds per trajectory": _number("seconds_per_trajectory", ".3g"),
    "seed": lambda part: str(part["seed"]),
    "kernel": lambda part: _kernel(part["kernel"]),
    "bundle": lambda part: (f"{part['bundle']} {part['bundle_hash'][:12]}" if part["bundle"]
                            else "none"),
}
_PER_CHAIN = ("acceptance", "<exp(-dH + log|J|)>", "plaquette",
              "tau_int of the plaquette (1/2 + sum rho)", "topological charge (clover)",
              "mean squared link change, (1/4V) sum |dU|^2")
