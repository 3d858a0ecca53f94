"""The results of kernels/run.py as Markdown: benchmarks/results/kernels.md out of kernels.json.

    python -m benchmarks.kernels.table [JSON [MARKDOWN]]
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

FUNCTIONS = {"function": "function", "us_per_site": "us/site", "gflops": "GFLOP/s",
             "gbytes": "GB/s", "of_peak": "of peak", "over_one_thread": "one thread / this",
             "torch_us": "torch us/site", "torch_ratio": "torch / ours",
             "autograd_ratio": "autograd / ours"}
TABLES = {
    "trajectories": ("HMC trajectories", {
        "trajectory": "trajectory", "lattice": "lattice", "us_per_site": "us/site",
        "torch_us": "torch us/site", "torch_ratio": "torch / ours"}),
    "networks": ("L2HMC trajectories, ten Omelyan steps, random weights everywhere", {
        "trajectory": "trajectory", "lattice": "lattice", "us_per_site": "us/site",
        "of_hmc": "of HMC", "upstream_ratio": "upstream / ours"}),
    "training": ("Training steps", {
        "training": "trained", "lattice": "lattice", "us_per_site": "us/site",
        "torch_us": "torch us/site", "torch_ratio": "torch / ours"}),
    "sweeps": ("Heat bath and field transformation, in forces of the same fields", {
        "sweep": "function", "lattice": "lattice", "chains": "chains",
        "us_per_site": "us/site", "of_force": "of a force"}),
    "single": ("Single precision", {
        "function": "function", "lattice": "lattice", "single_us": "single us/site",
        "double_us": "double us/site", "double_ratio": "double / single",
        "single_mb": "single MB", "double_mb": "double MB"}),
    "exponents": ("Cost of the force", {"against": "against", "exponent": "exponent"}),
}


def text(value: object) -> str:
    """Three digits of a number; empty if there is none."""
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def table(rows: list[dict], columns: dict[str, str]) -> Iterator[str]:
    """Lines of one Markdown table."""
    used = {key: title for key, title in columns.items() if any(key in row for row in rows)}
    yield "| " + " | ".join(used.values()) + " |"
    yield "|---" * len(used) + "|"
    for row in rows:
        yield "| " + " | ".join(text(row.get(key)) for key in used) + " |"


def heading(report: dict) -> str:
    """What was run where, and what else the machine did."""
    machine = report["machine"]
    load = f"load {machine['load']} at the start"
    if "load_at_end" in machine:
        load += f" and {machine['load_at_end']} at the end"
    busiest = max(machine["load"], machine.get("load_at_end", 0.0))
    others = busiest > max(map(int, report["peaks"])) + 1
    peaks = "; ".join(f"{count} thread{'s' * (int(count) > 1)} {peak['gflops']:.0f} GFLOP/s, copy "
                      f"{peak['gbytes']:.1f} GB/s" for count, peak in report["peaks"].items())
    missing = f"Left out: {machine['left_out']}. " if "left_out" in machine else ""
    return (f"Written by `{machine.get('command', 'make bench')}`. {machine['processor']}, "
            f"{machine['cores']} cores, {load}, {machine['build']} build, torch "
            f"{machine['torch']}. "
            + "Other jobs ran beside this one: one thread is timed by its processor time and "
              "loses little but room in shared caches; two threads are timed by the clock and "
              "lose what the others took. " * others
            + missing
            + f"Measured peaks: {peaks}. What the columns mean: benchmarks/README.md.")


def markdown(report: dict) -> Iterator[str]:
    """Lines of the whole page, with the tables that the report has."""
    yield f"# Kernels: measured, {report['machine']['build']}"
    yield f"\n{heading(report)}"
    groups: dict[tuple, list[dict]] = {}
    for row in report.get("functions", ()):
        groups.setdefault((row["lattice"], row["chains"], row["threads"]), []).append(row)
    for (lattice, chains, threads), rows in groups.items():
        yield f"\n## Functions, {lattice}^4, {chains} chain(s), {threads} thread(s)\n"
        yield from table(rows, FUNCTIONS)
    for name, (title, columns) in TABLES.items():
        if name in report:
            yield f"\n## {title}\n"
            yield from table(report[name], columns)


def main() -> None:
    given = [Path(one) for one in sys.argv[1:]]
    source = given[0] if given else Path("benchmarks/results/kernels.json")
    target = given[1] if len(given) > 1 else source.with_suffix(".md")
    target.write_text("\n".join(markdown(json.loads(source.read_text()))) + "\n")


if __name__ == "__main__":
    main()
