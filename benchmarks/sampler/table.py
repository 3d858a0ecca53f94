"""The page of sampler/run.py out of its JSON."""

import math
from collections.abc import Callable
from typing import Any

from benchmarks.sampler.kernels import family
from benchmarks.sampler.measure import SLOW
from l2hmc_bridge.analysis.statistics import with_error

Row = dict[str, Any]
COSTS: dict[str, Callable[[Row], float | None]] = {
    "trajectories": lambda row: 1.0,
    "gauge forces": lambda row: row["gauge_forces"],
    "ms": lambda row: 1e3 * row["seconds_per_trajectory"],
    "host forces": lambda row: row["host_forces"],
}
CLAIMED = 0.08  # largest relative error of a number that is claimed
RIVAL = 0.2  # largest relative error of the tau_int of a kernel that others are held against
SHORTEST = 24  # measurements of a chain, below which tau_int would look shorter than it is
UNCORRELATED = 0.75  # a tau_int in measurements below which they are too far apart to tell more
HEAD = """# What a decorrelated configuration costs

Written by `python -m benchmarks.sampler.run` from `benchmarks/results/efficiency.json`: {machine}.
Wilson action, SU(3), one thread, processor time per chain. tau_int is 1/2 + sum rho (pyerrors); E
is the clover energy density and Q the clover charge after the Wilson flow, Q at t = 2. "F rho" is a
trajectory in V = F^-1(U), F one sweep of the field transformation with this rho. "Gauge forces"
count a plain force as 1, an update of the heat bath and a force in V as what they take beside it in
the same process; "host forces" are what a stream with quarks pays for: one for every MD step, and
a heat bath has none. In brackets: one standard error; numbers known to {claimed:.0%} or better are
**bold**, others are too coarse to be claimed; "<": measured too seldom to resolve it; "too short":
of chains with fewer than {shortest} measurements no tau_int is said. The squared jump from one
measurement to the next, per trajectory, is known well long before tau_int is; it
compares kernels whose measurements are about as far apart.
"""


def page(report: dict[str, Any]) -> str:
    """Every lattice and coupling: averages, tau_int times each cost, the scan."""
    machine = report["machine"]
    text = [HEAD.format(machine=f"{machine['kernels']}, torch {machine['torch']}",
                        claimed=CLAIMED, shortest=SHORTEST)]
    places = dict.fromkeys((row["lattice"], row["beta"]) for row in report["long"])
    for size, beta in places:
        rows = [row for row in report["long"] if (row["lattice"], row["beta"]) == (size, beta)]
        text += [f"\n## {size}^4, beta {beta:g}\n", *averages(rows)]
        for cost, of in COSTS.items():
            text += [f"\ntau_int x {cost}\n" if cost != "trajectories" else
                     "\ntau_int in trajectories\n", *taus(rows, of)]
        text += against(rows)
        scan = [row for row in report["scan"] if (row["lattice"], row["beta"]) == (size, beta)]
        text += ["\nScanned settings\n", *scanned(scan)]
    return "\n".join(text) + "\n"


def title(row: Row) -> str:
    """The kernel and its setting."""
    setting, words = row["setting"], family(row["setting"])
    if setting["kind"] == "hmc":
        return f"{words}, {setting['steps']} steps of {setting['length']:g}"
    if setting["kind"] == "steps":
        return f"{words}, {setting['repeats']} x, steps x {setting['scale']:.3f}"
    return words


def averages(rows: list[Row]) -> list[str]:
    """Acceptance, exactness, plaquette against the heat bath's, lengths and costs."""
    lines = ["| kernel | MD length | acceptance | mean exp(-dH + log\\|J\\|) | plaquette | from "
             "the heat bath's, sigma | gauge forces | host forces | ms | trajectories |",
             "|---" * 10 + "|"]
    baths = [row for row in rows if row["setting"]["kind"] == "heatbath"]
    truth = min(baths, key=lambda row: row["plaquette"]["error"] or math.inf, default=None)
    for row in rows:
        weight, host = row["exp_minus_dh"], row["host_forces"]
        lines.append("| " + " | ".join([
            title(row), f"{row['md_length']:.2f}", f"{row['acceptance']:.3f}",
            "1" if weight is None else shown(weight["value"], weight["error"]),
            shown(row["plaquette"]["value"], row["plaquette"]["error"]), apart(row, truth),
            f"{row['gauge_forces']:.4g}", "-" if host is None else f"{host:.4g}",
            f"{1e3 * row['seconds_per_trajectory']:.3g}",
            f"{row['chains']} x {row['trajectories']}"]) + " |")
    return lines


def apart(row: Row, truth: Row | None) -> str:
    """Standard errors between two plaquettes."""
    if truth is None or truth is row:
        return "-"
    one, other = row["plaquette"], truth["plaquette"]
    if not one["error"] or not other["error"]:
        return "not resolved"
    return f"{(one['value'] - other['value']) / math.hypot(one['error'], other['error']):+.1f}"


def taus(rows: list[Row], cost: Callable[[Row], float | None]) -> list[str]:
    """tau_int of everything slow and the plaquette times a cost; squared jump of E over it."""
    names = (*SLOW, "plaquette")
    lines = ["| kernel | " + " | ".join(names) + " | jump^2 of E(t=1) per cost | of "
             "E(t=2) |", "|---" * (len(names) + 3) + "|"]
    for row in rows:
        each = cost(row)
        if each is None:
            continue
        cells = ["too short" if too_short(row, name) else ("< " if far_apart(row, name) else "")
                 + claimed(row[name]["tau"], row[name]["tau_error"], each) for name in names]
        cells += [scientific(row[name]["jump"] / each, row[name]["jump_error"] / each)
                  for name in SLOW[:2]]
        lines.append(f"| {title(row)} | " + " | ".join(cells) + " |")
    return lines


def against(rows: list[Row]) -> list[str]:
    """How many times less each kernel pays than the best HMC.

    That is the one with the least tau_int(E(t=2)) x cost of those that are known to RIVAL; without
    one, whose E(t=2) jumps farthest at that cost.
    """
    lines: list[str] = []
    for cost in ("host forces", "ms"):
        of = COSTS[cost]
        paid = [(row, each) for row in rows if (each := of(row)) is not None]
        plain = [(row, each) for row, each in paid if row["setting"]["kind"] == "hmc"]
        if not plain:
            continue
        known = [one for one in plain if not too_short(one[0], SLOW[1])
                 and (one[0][SLOW[1]]["tau_error"] or math.inf) <= RIVAL * one[0][SLOW[1]]["tau"]]
        best, its = min(known, key=lambda one: one[0][SLOW[1]]["tau"] * one[1], default=max(
            plain, key=lambda one: one[0][SLOW[1]]["jump"] / one[1]))
        lines += [f"\nTimes less than {title(best)} in {cost}\n",
                  "| kernel | by jump^2 of E(t=1) | of E(t=2) | by tau_int of E(t=2) | of Q^2 |",
                  "|---" * 5 + "|"]
        for row, each in paid:
            if row is not best:
                lines.append(f"| {title(row)} | " + " | ".join(gains(row, best, each / its)) + " |")
    return lines


def gains(row: Row, best: Row, dearer: float) -> list[str]:
    """Ratios of jumps and of 1 / tau_int over that of the costs, with errors."""
    cells = []
    for name in SLOW[:2]:
        ratio = row[name]["jump"] / best[name]["jump"] / dearer
        error = math.hypot(*(one[name]["jump_error"] / one[name]["jump"] for one in (row, best)))
        cells.append(shown(ratio, ratio * error))
    for name in (SLOW[1], SLOW[3]):
        known = [(one[name]["tau"], one[name]["tau_error"]) for one in (row, best)]
        if too_short(row, name) or far_apart(row, name) or not all(v and e for v, e in known):
            cells.append("not resolved")
            continue
        ratio = known[1][0] / known[0][0] / dearer
        cells.append(shown(ratio, ratio * math.hypot(*(e / v for v, e in known))))
    return cells


def too_short(row: Row, name: str) -> bool:
    """Whether a chain has too few measurements of something to say its tau_int."""
    return row["trajectories"] // (row["every"] if name in SLOW else 1) < SHORTEST


def far_apart(row: Row, name: str) -> bool:
    """Whether tau_int of something measured every few trajectories is that of white noise."""
    found = row[name]["tau_int"]
    return name in SLOW and row["every"] > 1 and found is not None and found < UNCORRELATED


def scanned(rows: list[Row]) -> list[str]:
    """One line for each setting."""
    lines = ["| kernel | MD length | acceptance | gauge forces | jump^2 of E(t=1) per ms |",
             "|---" * 5 + "|"]
    for row in rows:
        jump, ms = row["E(t=1)"], 1e3 * row["seconds_per_trajectory"]
        lines.append(f"| {title(row)} | {row['md_length']:.2f} | {row['acceptance']:.2f} | "
                     f"{row['gauge_forces']:.4g} | "
                     f"{scientific(jump['jump'] / ms, jump['jump_error'] / ms)} |")
    return lines


def claimed(value: float | None, error: float | None, factor: float) -> str:
    """A number times `factor`, bold where it is known well enough."""
    text = shown(value and value * factor, error and error * factor)
    good = value and error and error <= CLAIMED * value
    return f"**{text}**" if good else text


def shown(value: float | None, error: float | None) -> str:
    """Value with its error in brackets; "not resolved" if there is none."""
    if value is None or error is None or not math.isfinite(value) or not math.isfinite(error):
        return "not resolved"
    return with_error(value, error)


def scientific(value: float, error: float) -> str:
    """Value with its error and one power of ten: 2.27(9)e-6."""
    if not value > 0 or not math.isfinite(error):
        return "not resolved"
    power = math.floor(math.log10(value))
    return f"{with_error(value / 10**power, error / 10**power)}e{power}"
