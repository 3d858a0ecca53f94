"""The tables of l2hmc_bridge/models/README.md from the JSON of sampler/run.py.

    python -m benchmarks.sampler.table sampler.json
"""

import argparse
import json
import math
from pathlib import Path

from benchmarks.sampler.run import label
from l2hmc_bridge.analysis.statistics import with_error


def name(row: dict) -> str:
    """HMC with integrator and steps, or the bundle with its factor."""
    setting = row["setting"]
    if setting["kind"] == "hmc":
        return f"HMC {setting['integrator']}, {setting['steps']} steps"
    return f"bundle {label(setting)}, {setting['repeats']} x, steps x {setting['scale']:.3f}"


def number(value: float | None, error: float | None) -> str:
    """Value with its error in brackets; "not resolved" if there is none."""
    if value is None or error is None or value != value or error != error:
        return "not resolved"
    return with_error(value, error)


def jump_per_force(row: dict) -> str:
    """Squared jump of the energy density flowed to t = 1, per force evaluation."""
    jump = row["e1"]
    spread = jump["squared_jump_error"] / jump["squared_jump"] * jump["jump_per_force"]
    return number(1e7 * jump["jump_per_force"], 1e7 * spread) + "e-7"


def long_table(rows: list[dict]) -> list[str]:
    """One line per long run."""
    lines = [
        "| kernel | MD length | acceptance | forces | trajectories | `<exp(-dH)>` | "
        "tau(E, t=1) | tau(E, t=2) | tau(plaquette) | tau(E, t=2) x forces | "
        "tau(E, t=2) x seconds | jump^2(E, t=1) per force | ms per trajectory |",
        "|---" * 13 + "|",
    ]
    for row in rows:
        taus = [number(row[key]["tau_trajectories"], row[key]["tau_trajectories_error"])
                for key in ("e1", "e2", "plaquette")]
        e2, weight = row["e2"], row["exp_minus_dh"]
        relative = e2["tau_trajectories_error"] or float("nan")
        per = [number(e2["tau_trajectories"] * cost, relative * cost)
               for cost in (row["forces"], row["seconds_per_trajectory"])]
        lines.append(" | ".join([
            f"| {name(row)}", f"{row['length']:.2f}", f"{row['acceptance']:.3f}",
            str(row["forces"]), str(row["trajectories"]),
            number(weight["value"], weight["error"]), *taus, *per,
            jump_per_force(row),
            f"{1e3 * row['seconds_per_trajectory']:.1f} |",
        ]))
    return lines


def cost_table(rows: list[dict]) -> list[str]:
    """tau_int times cost and squared jump over cost of every observable, per force and second."""
    names = {"e1": "E(t=1)", "e2": "E(t=2)", "plaquette": "plaquette"}
    head = [f"{what} {name}" for what in ("tau x forces,", "tau x seconds,", "jump^2 per force,",
                                          "jump^2 per second,") for name in names.values()]
    lines = ["| kernel | " + " | ".join(head) + " |", "|---" * (len(head) + 1) + "|"]
    for row in rows:
        costs = (row["forces"], row["seconds_per_trajectory"])
        cells = [number(row[key]["tau_trajectories"] * cost,
                        (row[key]["tau_trajectories_error"] or float("nan")) * cost)
                 for cost in costs for key in names]
        for cost in costs:
            for key in names:
                one = row[key]
                value = one["jump_per_force"] * row["forces"] / cost
                error = value * one["squared_jump_error"] / one["squared_jump"]
                cells.append(scientific(value, error))
        lines.append(f"| {name(row)} | " + " | ".join(cells) + " |")
    return lines


def scientific(value: float, error: float) -> str:
    """Value with its error and one power of ten: 2.27(9)e-6."""
    power = math.floor(math.log10(value))
    return f"{with_error(value / 10**power, error / 10**power)}e{power}"


def scan_table(rows: list[dict]) -> list[str]:
    """One line per setting of the scan that was the best of its kind and length."""
    lines = ["| kernel | MD length | acceptance | forces | jump^2(E, t=1) per force |",
             "|---" * 5 + "|"]
    best = {}
    for row in rows:
        setting = row["setting"]
        key = label(setting), setting.get("length", setting.get("repeats"))
        if key not in best or row["e1"]["jump_per_force"] > best[key]["e1"]["jump_per_force"]:
            best[key] = row
    for row in best.values():
        lines.append(f"| {name(row)} | {row['length']:.2f} | {row['acceptance']:.2f} | "
                     f"{row['forces']} | {jump_per_force(row)} |")
    return lines


def main() -> None:
    """Print the markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path)
    report = json.loads(parser.parse_args().report.read_text())
    for beta in dict.fromkeys(row["beta"] for row in report["scan"]):
        print(f"\n### beta {beta}, 8^4\n")
        print("\n".join(long_table([r for r in report["long"] if r["beta"] == beta])))
        print("\ntau_int x cost, squared jump / cost\n")
        print("\n".join(cost_table([r for r in report["long"] if r["beta"] == beta])))
        print("\nScan: steps, acceptance: best steps of each length\n")
        print("\n".join(scan_table([r for r in report["scan"] if r["beta"] == beta])))


if __name__ == "__main__":
    main()
