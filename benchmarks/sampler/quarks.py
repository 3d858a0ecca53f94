"""The two-flavour stream against what others know: tmLQCD's numbers, exact determinants.

    make two-flavour                                   # three hours on one core
    python -m benchmarks.sampler.quarks --chains 32 --out FILE

1. tmLQCD's test runs (4^4, beta 6.0, kappa 0.177, 2 kappa mu 0.177): plaquette 0.62450(5), and the
   ratios of the first three time slices of the pion's correlator, 1.638(5), 0.2020(6), 0.0424(2);
   from nested HMC and from the nested L2HMC step, without and with a Hasenbusch ratio.
2. 2^4, beta 5.0, kappa 0.15, 2 kappa mu 0.177: exact determinants of the 192 x 192 matrix, sampled
   and reweighted without any pseudofermion (tests/support/determinants.py).

Writes results/two_flavour.json. Exit status 1 if a number is more than 3 combined standard errors
off, or its error larger than stated.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from l2hmc_bridge.analysis.check import Check

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "examples"))

from two_flavour import stream  # noqa: E402

from tests.support import determinants  # noqa: E402

PLAQUETTE, PION = (0.62450, 5e-5), ((1.638, 5e-3), (0.2020, 6e-4), (0.0424, 2e-4))
ERROR, SMALL_ERROR = 2e-4, 5e-4  # largest standard errors that still prove something
SIGMAS = 3.0
VARIANTS = {"nested HMC": [], "nested HMC, ratio": ["--hasenbusch", "0.5"],
            "nested L2HMC": ["--kernel", "wilson"],
            "nested L2HMC, ratio": ["--kernel", "wilson", "--hasenbusch", "0.5"]}
RESULTS = ROOT / "benchmarks" / "results" / "two_flavour.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not there yet, print every check; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trajectories", type=int, default=240)
    parser.add_argument("--chains", type=int, default=32)
    parser.add_argument("--small", type=int, default=400, help="trajectories of 64 chains on 2^4")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    kept: dict[str, Any] = json.loads(given.out.read_text()) if given.out.exists() else {}
    for seed, (name, more) in enumerate(VARIANTS.items()):
        if name not in kept:
            kept[name] = stream.main(
                ["--two-kappa-mu", "0.177", "-n", str(given.trajectories), "--chains",
                 str(given.chains), "--thermalise", "40", "--seed", str(21 + seed), *more])
            given.out.write_text(json.dumps(kept, indent=1) + "\n")
    if "2^4" not in kept:
        kept["2^4"] = small(given.small)
        given.out.write_text(json.dumps(kept, indent=1) + "\n")
    found = checks(kept)
    for check in found:
        print(f"{'pass' if check.passed else 'FAIL'}  {check.name}: {check.ours:.6g}, expected "
              f"{check.theirs:.6g} within {check.tolerance:.2g} ({check.source})")
    return int(not all(check.passed for check in found))


def small(trajectories: int) -> dict[str, Any]:
    """The plaquette on 2^4 by determinants and by pseudofermions, [value, error] each."""
    beta, kappa, twist = 5.0, 0.15, 0.177
    value, error, share = determinants.reweighted(*determinants.sampled(
        beta, kappa, twist, 64, trajectories, seed=31))
    found: dict[str, Any] = {"determinant": [value, error], "effective": share}
    for name, more in VARIANTS.items():
        mean = stream.main(
            ["--lattice", "2,2,2,2", "--beta", str(beta), "--kappa", str(kappa), "--two-kappa-mu",
             str(twist), "-n", str(trajectories), "--chains", "64", "--outer", "3",
             "--pion-every", "0", "--seed", "41", *more])["plaquette"]
        found[name] = [mean["value"], mean["error"]]
    return found


def checks(kept: dict[str, Any]) -> list[Check]:
    """Every number against the one it must be."""
    rows = []
    for name in VARIANTS:
        mean = kept[name]["plaquette"]
        error = max(mean["error"], mean["error_between_chains"])  # centre sectors change seldom
        rows += _against(f"{name}: plaquette", [mean["value"], error], PLAQUETTE, ERROR,
                         "tmLQCD")
        for slice_at, ratio in enumerate(kept[name]["pion"]["ratios"], 1):
            (before, before_error), (after, after_error) = PION[slice_at - 1:slice_at + 1]
            theirs = after / before
            error = theirs * math.hypot(before_error / before, after_error / after)
            rows += _against(f"{name}: C({slice_at}) / C({slice_at - 1})",
                             [ratio["value"], ratio["error"]], (theirs, error), 0.02 * theirs,
                             "tmLQCD")
        rows += _against(f"2^4, {name}: plaquette", kept["2^4"][name],
                         tuple(kept["2^4"]["determinant"]), SMALL_ERROR, "determinants")
    return rows


def _against(name: str, ours: list[float], theirs: tuple[float, ...], largest: float, source: str
             ) -> list[Check]:
    error = math.hypot(ours[1] if ours[1] is not None else math.nan, theirs[1])
    return [Check(name, ours[0], theirs[0], SIGMAS * error, f"{source}, 3 sigma"),
            Check("  its error", ours[1] or math.nan, 0, largest, "stated bound")]


if __name__ == "__main__":
    sys.exit(main())
