"""Plaquettes of the heat bath against those of MILC, from cold and hot starts: `make heatbath`.

    python -m benchmarks.sampler.ensembles [--error 1e-4] [--only 8,8,8,8:6]

MILC's numbers are from version 7.8, su3_ora, updates of 4 overrelaxed and 4 quasi-heat-bath sweeps,
errors by the Gamma method. Ours: chains from both starts until the error is below --error. Ends
with status 1 if the two differ by more than 3 sigma, or cold from hot starts by more than 4.
"""

import argparse
import sys
import time
from typing import NamedTuple

import numpy as np
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.analysis.statistics import Estimate, estimate
from l2hmc_bridge.sampling.draws import trajectory_draws
from l2hmc_bridge.sampling.heatbath import HeatBath
from l2hmc_bridge.systems.actions import GaugeAction, cold_start, hot_start

CHAINS = 4  # from each start
SKIPPED, BATCH, MOST = 60, 100, 200_000  # updates; batches grow with what is there


class Ensemble(NamedTuple):
    """A lattice in x, y, z, t, its coupling, and the plaquette that MILC found."""

    lattice: tuple[int, int, int, int]
    beta: float
    plaquette: float
    error: float

    @property
    def name(self) -> str:
        return f"{','.join(map(str, self.lattice))}:{self.beta:g}"


ENSEMBLES = (
    Ensemble((4, 4, 4, 4), 5.6, 0.537469, 2.71e-4),
    Ensemble((8, 8, 8, 8), 5.7, 0.549383, 1.16e-4),
    Ensemble((4, 4, 4, 4), 6.0, 0.596802, 0.91e-4),
    Ensemble((4, 4, 4, 8), 6.0, 0.596020, 0.76e-4),
    Ensemble((4, 6, 8, 10), 6.0, 0.594918, 0.54e-4),
    Ensemble((8, 8, 8, 8), 6.0, 0.594185, 0.47e-4),
)


class Found(NamedTuple):
    """Our plaquette, that of the cold and of the hot starts alone, and what it took."""

    both: Estimate
    cold: Estimate
    hot: Estimate
    updates: int  # of each chain
    seconds: float  # of the processor


def measure(ensemble: Ensemble, error: float, seed: int = 1, chains: int = CHAINS) -> Found:
    """Updates of one heat-bath and four overrelaxed sweeps until the error is below `error`."""
    x, y, z, t = ensemble.lattice
    links = torch.cat([cold_start((t, x, y, z), chains),
                       hot_start((t, x, y, z), torch.Generator().manual_seed(seed), chains)])
    kernel = HeatBath(GaugeAction(ensemble.beta))
    state, rows, began = kernel.init(links), [], time.process_time()
    while len(rows) < MOST:
        for _ in range(max(BATCH, len(rows) // 4) if rows else SKIPPED + BATCH):
            state, _ = kernel.step(state, trajectory_draws(seed, [len(rows)] * 2 * chains))
            rows.append(fast.plaquettes(state.links).mean(1).tolist())
        series = np.array(rows[SKIPPED:]).T
        found = estimate(series)
        if found.error is not None and found.error < error:
            break
    return Found(found, estimate(series[:chains]), estimate(series[chains:]), len(rows),
                 time.process_time() - began)


def sigmas(one: float, its_error: float, other: float, other_error: float) -> float:
    """How many standard errors two independent numbers are apart."""
    return (one - other) / (its_error**2 + other_error**2) ** 0.5


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--error", type=float, default=1e-4)
    parser.add_argument("--only", choices=[ensemble.name for ensemble in ENSEMBLES],
                        metavar="X,Y,Z,T:BETA", help="one of them alone")
    options = parser.parse_args(argv)
    print(f"{fast.description()}\n{'lattice:beta':14} {'heat bath':>14} {'MILC':>14} "
          f"{'sigma':>6} {'cold-hot':>8} {'tau':>5} {'updates':>9} {'seconds':>8}")
    failed = 0
    for ensemble in ENSEMBLES:
        if options.only not in (None, ensemble.name):
            continue
        found = measure(ensemble, options.error)
        away = sigmas(found.both.value, found.both.error, ensemble.plaquette, ensemble.error)
        starts = sigmas(found.cold.value, found.cold.error, found.hot.value, found.hot.error)
        failed += abs(away) > 3 or abs(starts) > 4
        print(f"{ensemble.name:14} {found.both.value:.6f}({found.both.error * 1e6:3.0f}) "
              f"{ensemble.plaquette:.6f}({ensemble.error * 1e6:3.0f}) {away:+6.2f} {starts:+8.2f} "
              f"{found.both.tau_int:5.2f} {2 * CHAINS:3} x {found.updates:<5} "
              f"{found.seconds:6.1f}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
