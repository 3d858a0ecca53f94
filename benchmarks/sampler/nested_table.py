"""results/nested.json and nested.md out of what benchmarks.sampler.nested left in a folder.

    python -m benchmarks.sampler.nested_table FOLDER
"""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.sampler.nested_cases import CASES, SCAN
from benchmarks.sampler.nested_rows import as_worth, best
from l2hmc_bridge.analysis.statistics import with_error
from l2hmc_bridge.training.nested.sample import ratio

RESULTS = Path(__file__).resolve().parents[1] / "results"
AIMS = {"the best untrained": 1.3, "leapfrog": 2.5, "omf2": 1.8}
Rows = dict[str, Any]
HEAD = """\
# Nested steps: what a host's force buys

Quarks of [examples/two_flavour](../../examples/two_flavour/README.md), beta 5.6, one level of
kicks with their force around OMF4 of the gauge action. The number compared is MD time per host
force at 80 % acceptance, the force after a new draw of noise counted: fields of 16 chains in
equilibrium, noise and momenta that training never saw. Acceptance is <2 / (1 + e^|dH|)>, which is
<min(1, e^-dH)> in equilibrium with less noise. Errors are from the spread over points, those of
ratios on the same points.

<!-- not run: a case takes hours; the table is written from what they leave in FOLDER -->
```sh
python -m benchmarks.sampler.nested --case heavy48 --work FOLDER
python -m benchmarks.sampler.nested_table FOLDER
```

What is learned. To first order in the quarks' force, which is small beside the gauge force, the
energy error of a trajectory is that of a quadrature of dS/dt along it, S the quarks' action. Equal
steps are such a good one but for the two ends, and so a leapfrog, which has one force for each
step, needs nothing but other steps there (symplectic correctors, as in celestial mechanics). OMF2
spends a second force on every step for a smaller error everywhere. Training finds the ends from a
plain leapfrog; it is then worth most on long trajectories.

What is left is h^2/24 |F|^2 in the Hamiltonian that the steps conserve, F the quarks' force and h
the time between forces. With two forces to a step, kicks lambda, 1 - 2 lambda, lambda, it is (1 -
6 lambda + 12 lambda^2)/24 (2h)^2 |F|^2 once the ends are corrected, least at lambda = 1/4, the
leapfrog; a displaced kick removes it for one more force each, and then h would have to double,
beyond where the step is stable: at h = 0.28 on the heavy 4^3 x 8 a tenth of the points has |dH| >
2, by OMF2 already at 0.20. So 1.8 x OMF2 and 2.5 x leapfrog are out of reach of steps that call
this force for all quarks at once; a Hasenbusch ratio changes F, not this.

The gauge part costs little and hardly matters: one step of OMF4 in each drift is as good as two,
one of OMF2 costs 7 %; a leapfrog, whose gauge force then comes as seldom as the host's, half or
more.

On 8^4, heavier quarks, training went on from the step of 4^3 x 8: outer three kicks and drifts
free, 32 points, three iterations. The rms of dH went from 0.453 to 0.444: that step as it is does
nearly all that these steps can do there. The lighter quarks were not trained on: the step is that
of 4^3 x 8 with heavier ones. Their links began at those of the heavier quarks; chains that steps
too long had led astray were left out, and the seven others went on as sixteen with momenta of
their own, for 33 units of MD time and more. A solve takes 107 iterations there, not the few
hundred that were meant: no ensemble was made with lighter ones.

Streams on 8^4 are what 15 to 20 minutes of one core carry, mostly too short for tau_int. Their
acceptance is a check of the 80 % that MD time per force was taken at, and the squared jumps are
what is known: per host force E(t=1) moves 1.14(17) (heavier) and 1.25(12) (lighter) times as far
as by OMF2, the plaquette 1.39(16) and 0.92(9).
"""


def gains(rows: Rows) -> list[str]:
    """One line for each baseline: trained over it, with its error, and what was aimed at."""
    winner, lines = best(rows, "trained"), []
    if winner is None:
        return ["Not trained yet."]
    for name, aim in AIMS.items():
        other = best(rows, "scan" if name.startswith("the") else f"scan {name}")
        if other is None:
            continue
        value, error = ratio(as_worth(rows[winner]), as_worth(rows[other]))
        lines.append(f"- {winner} over {name} ({other.removeprefix('scan ')}): "
                     f"**{with_error(value, error)}** (aim {aim:g}: "
                     f"{'reached' if value >= aim else 'missed'})")
    return lines


def table(rows: Rows) -> list[str]:
    """A line for every scheme, in the order of the scan."""
    lines = ["| scheme | forces | length | MD time per host force | |", "|---|---|---|---|---|"]
    order = [f"scan {name} {steps}" for name, steps in SCAN]
    order += [name for name in rows if name.startswith("trained") or " around " in name]
    top = {best(rows, "scan"), best(rows, "trained")}
    for name in (one for one in order if one in rows):
        row = rows[name]
        lines.append(f"| {name.removeprefix('scan ')} | {row['forces']:.0f} | {row['length']:.2f} "
                     f"| {with_error(row['value'], row['error'])} "
                     f"| {'best' if name in top else ''} |")
    return lines


def shape(rows: Rows) -> list[str]:
    """The outer steps of the best trained plan, in units of its middle drift."""
    winner = best(rows, "trained")
    if winner is None:
        return []
    kicks, drifts, displacements = rows[winner]["plan"]
    middle = drifts[len(drifts) // 2]
    told = [", ".join(f"{step / middle:.3f}" for step in part[:6]) for part in (kicks, drifts)]
    lines = ["", f"Steps of {winner} from either end, in units of its middle drift "
             f"({rows[winner]['scale'] * middle:.3f} at 80 %): kicks {told[0]}; drifts {told[1]}."]
    return lines if not any(displacements) else [*lines, "Some kicks are displaced."]


def streams(rows: Rows) -> list[str]:
    """tau_int times forces of what was run as a stream."""
    found = [name for name in rows if name.startswith("stream")]
    if not found:
        return []
    lines = ["", "tau_int (1/2 + sum rho) x host forces, and the squared jump from one trajectory "
             "to the next per host force (more is better):", "",
             "| stream | acceptance | trajectories | solver iterations | plaquette | E(t=1) "
             "| 10^6 jump^2 of the plaquette | of E(t=1) |", "|---|---|---|---|---|---|---|---|"]
    for name in found:
        row = rows[name]
        shown = [with_error(*pair) if None not in pair else "not resolved"
                 for pair in (row["plaquette_tau_forces"], row["e1_tau_forces"])]
        shown += [with_error(*(1e6 * number for number in row[key])) if key in row else "-"
                  for key in ("plaquette_jump", "e1_jump")]
        lines.append(f"| {name.removeprefix('stream ')} | {row['acceptance']:.2f} "
                     f"| {row['trajectories']} | {row['iterations'] / row['forces']:.0f} "
                     f"| {' | '.join(shown)} |")
    return lines


def page(folder: Path) -> tuple[Rows, str]:
    """(every result by case, the page)."""
    whole: Rows = {}
    lines = HEAD.splitlines()
    for name, case in CASES.items():
        path = folder / f"{name}.json"
        if not path.exists():
            continue
        rows = whole[name] = json.loads(path.read_text())
        t, x, y, z = case.lattice
        lines += ["", f"## {x}x{y}x{z}x{t}, kappa {case.kappa:g}, 2 kappa mu {case.twist:g}", "",
                  *gains(rows), *shape(rows), "", *table(rows), *streams(rows)]
    return whole, "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Write both files."""
    folder, = sys.argv[1:] if arguments is None else arguments
    whole, text = page(Path(folder))
    (RESULTS / "nested.json").write_text(json.dumps(whole, indent=1) + "\n")
    (RESULTS / "nested.md").write_text(text)


if __name__ == "__main__":
    main()
