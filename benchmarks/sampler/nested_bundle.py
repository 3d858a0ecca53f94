"""The bundle `quarks` that ships, out of results/nested.json: levels for any host with quarks.

    python -m benchmarks.sampler.nested_bundle l2hmc_bridge/models/quarks.safetensors
    l2hmc-bridge gate l2hmc_bridge/models/quarks.safetensors --write

One level: the kicks and drifts of ROW, as trained on CASE, at an inner drift of STEP; each drift is
one palindrome of the bundle `wilson`. Its provenance holds what the same steps are worth on every
ensemble of that file, beside the best that was not trained.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.sampler.nested_cases import CASES
from benchmarks.sampler.nested_rows import as_worth, at_scale, best
from benchmarks.sampler.nested_table import RESULTS
from l2hmc_bridge import models
from l2hmc_bridge.bundle import file as bundle, nested as nested_bundle
from l2hmc_bridge.sampling.integrators import Schedule
from l2hmc_bridge.sampling.levels import Level
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.sampling.stand_in import stand_in
from l2hmc_bridge.sampling.terms import Host
from l2hmc_bridge.training.nested.outcome import SCORE
from l2hmc_bridge.training.nested.sample import ratio

CASE, ROW = "heavy48", "trained leapfrog 16"
STEP = 0.125  # of an inner drift: 80 % acceptance takes 0.14 to 0.25 on the ensembles measured


def plan_of(row: dict[str, Any]) -> Schedule:
    """The steps of a row with inner drifts of STEP."""
    plan = at_scale(row)
    return plan.scaled(STEP / plan.drifts[len(plan.drifts) // 2])


def gains(report: dict[str, Any]) -> dict[str, Any]:
    """MD time per host force of these steps over the best untrained ones, ensemble by ensemble."""
    found = {}
    for case, rows in report.items():
        name = ROW if case == CASE else f"{ROW} of {CASE}"
        other = best(rows, "scan")
        if name in rows and other is not None:
            value, error = ratio(as_worth(rows[name]), as_worth(rows[other]))
            found[case] = {"over": other.removeprefix("scan "), "ratio": value, "error": error,
                           "inner_drift": max(at_scale(rows[name]).drifts)}
    return found


def main(argv: list[str] | None = None) -> None:
    """Write the bundle, without a gate report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    out = parser.parse_args(argv).out
    report = json.loads((RESULTS / "nested.json").read_text())
    case = CASES[CASE]
    inner = bundle.load(models.path("wilson"), case.beta).kernel
    every = stand_in("every term", 0)
    level = Level("quarks", (every,), plan_of(report[CASE][ROW]))
    nested_bundle.save(out, Nested(replace(inner, repeats=1), (level,)),
                       Host(nested_bundle.ANY, {}, (every,)),
                       {"trained_on": {"lattice_txyz": case.lattice, "beta": case.beta,
                                       "kappa": case.kappa, "2_kappa_mu": case.twist},
                        "row": ROW, "score": SCORE,
                        "md_time_per_host_force": gains(report)})


if __name__ == "__main__":
    main()
