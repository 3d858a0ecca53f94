"""Pictures of the site, drawn from the JSON of real runs in benchmarks/results."""

import io
import json
import math
from pathlib import Path
from typing import Any

from matplotlib import rcParams
from matplotlib.figure import Figure

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
BLUE, ORANGE, GREEN, GREY = "#3b5bdb", "#e8590c", "#2b8a3e", "#868e96"


def made() -> dict[str, bytes]:
    """File name: SVG."""
    rcParams.update({"svg.fonttype": "path", "svg.hashsalt": "l2hmc-bridge", "font.size": 9,
                     "axes.grid": True, "grid.alpha": 0.25, "axes.spines.top": False,
                     "axes.spines.right": False})
    u1, kernels, sampler = (json.loads((RESULTS / f"{name}.json").read_text())
                            for name in ("u1", "kernels", "sampler"))
    return {"u1-tau.svg": _svg(tau_of_charge(u1)), "kernels.svg": _svg(speed(kernels)),
            "networks.svg": _svg(networks(kernels)), "scaling.svg": _svg(scaling(kernels)),
            "gains.svg": _svg(gains(sampler))}


def tau_of_charge(results: list[dict[str, Any]]) -> Figure:
    """N_LF x tau_int of Q and Q^2 in 2D U(1) against beta, with HMC's lower bounds."""
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    results = sorted(results, key=lambda one: one["beta"])
    for axes, name, label in zip(figure.subplots(1, 2, sharey=True), ("q", "q2"),
                                 ("Q", "Q^2"), strict=True):
        for key, said, colour, marker in (("hmc", "HMC, best of a scan", BLUE, "o"),
                                          ("hits", "HMC + instanton hit", GREEN, "s"),
                                          ("trained", "trained L2HMC", ORANGE, "D")):
            betas, values, errors = _resolved(results, key, name)
            axes.errorbar(betas, values, errors, fmt=marker + "-", ms=4, lw=1, capsize=2,
                          color=colour, label=said)
        if name == "q":
            betas = [one["beta"] for one in results]
            bounds = [one["scan"][0]["bound"] for one in results]
            axes.errorbar(betas, bounds, [0.35 * one for one in bounds], fmt="_", lolims=True,
                          color=BLUE, alpha=0.6, label="HMC, lower bound (95 %)")
            axes.legend(fontsize=7.5, frameon=False)
        axes.set(yscale="log", xlabel=r"$\beta$", title=f"$N_{{LF}}\\,\\tau_{{int}}({label})$")
    return figure


def _resolved(results: list[dict[str, Any]], key: str, name: str) -> tuple[list, list, list]:
    """(betas, N_LF tau, error) of those that are resolved; of a list, the best."""
    found: tuple[list, list, list] = ([], [], [])
    for result in results:
        rows = result.get(key)
        rows = [row for row in (rows if isinstance(rows, list) else [rows])
                if row and math.isfinite(row[name]["n_lf_tau"])]
        if rows:
            best = min(rows, key=lambda row: row[name]["n_lf_tau"])[name]
            for column, value in zip(found, (result["beta"], best["n_lf_tau"],
                                             best["n_lf_tau_error"]), strict=True):
                column.append(value)
    return found


def speed(kernels: dict[str, Any]) -> Figure:
    """Microseconds per site of the hot functions on 8^4, one thread: torch and compiled."""
    rows = [row for row in kernels["functions"] if row["lattice"] == 8 and row["chains"] == 1
            and row["threads"] == 1 and "torch_us" in row]
    rows = [row for row in rows if not row["function"].startswith("gradient")][::-1]
    figure = Figure(figsize=(7.6, 4.6), layout="constrained")
    axes = figure.subplots()
    for offset, key, said, colour in ((0.2, "us_per_site", "compiled", ORANGE),
                                      (-0.2, "torch_us", "torch", BLUE)):
        axes.barh([n + offset for n in range(len(rows))], [row[key] for row in rows], 0.38,
                  color=colour, label=said)
    axes.set_yticks(range(len(rows)), [row["function"] for row in rows])
    axes.set(xscale="log", xlabel=r"$\mu$s per site, $8^4$, one thread")
    axes.legend(frameon=False)
    return figure


def scaling(kernels: dict[str, Any]) -> Figure:
    """Microseconds per site of force and drift against the lattice, one thread and two."""
    figure = Figure(figsize=(7.6, 3), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("force, blocked", "drift, blocked"),
                          strict=True):
        for threads, colour in ((1, ORANGE), (2, BLUE)):
            rows = [row for row in kernels["functions"] if row["function"] == name
                    and row["chains"] == 1 and row["threads"] == threads]
            axes.plot([row["lattice"] for row in rows], [row["us_per_site"] for row in rows],
                      "o-", ms=4, lw=1, color=colour,
                      label="one thread" if threads == 1 else "two threads")
        axes.set(title=name, xlabel="$L$ of $L^4$", ylim=(0, None))
    figure.axes[0].set(ylabel=r"$\mu$s per site")
    figure.axes[0].legend(frameon=False)
    return figure


def networks(kernels: dict[str, Any]) -> Figure:
    """Cost of a trajectory with each kind of trained part, HMC with as many forces = 1."""
    ratios = {size: {row["trajectory"]: row["of_hmc"] for row in kernels["networks"]
                     if row["lattice"] == size} for size in (8, 16)}
    names = list(ratios[8])[::-1]
    figure = Figure(figsize=(7.6, 4.4), layout="constrained")
    axes = figure.subplots()
    for offset, size, colour in ((0.2, 8, ORANGE), (-0.2, 16, BLUE)):
        axes.barh([n + offset for n in range(len(names))], [ratios[size][one] for one in names],
                  0.38, color=colour, label=f"${size}^4$")
    axes.axvline(1, color=GREY, lw=1)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="time of a trajectory / HMC with as many forces")
    axes.legend(frameon=False, loc="upper right")
    return figure


def gains(sampler: dict[str, Any]) -> Figure:
    """Squared jump per force and per second on 8^4: the bundle that ships against tuned HMC."""
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    for axes, cost, title, power in zip(
            figure.subplots(1, 2), ("forces", "seconds_per_trajectory"),
            ("per force evaluation", "per second"), (6, 3), strict=True):
        for offset, beta, colour in ((0.2, 6.0, ORANGE), (-0.2, 5.8, BLUE)):
            rows = [row for row in sampler["long"] if row["beta"] == beta][::-1]
            values, errors = ([10**power * row["e1"][key] / row[cost] for row in rows]
                              for key in ("squared_jump", "squared_jump_error"))
            axes.barh([n + offset for n in range(len(rows))], values, 0.38, xerr=errors,
                      color=colour, label=rf"$\beta = {beta}$", error_kw={"lw": 1})
            axes.set_yticks(range(len(rows)), [_name(row["setting"]) for row in rows])
        axes.set(xlabel=f"$10^{power}$ x squared jump of $E(t=1)$ {title}")
    axes.legend(frameon=False, fontsize=8)
    return figure


def _name(setting: dict[str, Any]) -> str:
    return setting.get("integrator", "bundle").replace("_", " ") if setting["kind"] == "hmc" else (
        "the bundle that ships")


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
