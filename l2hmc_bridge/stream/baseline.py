"""The HMC stream that a stream is held against, run in memory from the same configuration."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.analysis.series import History, Series
from l2hmc_bridge.observables.topology import topological_charge
from l2hmc_bridge.sampling import markov, tuning
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.systems.actions import GaugeAction

LENGTH, STEPS, INTEGRATOR = 1.0, 4, "force_gradient"
TUNING = 20  # trajectories, on a copy
# Trajectory numbers for the randomness of the tuning: none that a recorded trajectory has.
TUNING_NUMBERS = 2**21


@torch.no_grad()
def hmc_history(
    links: Tensor,
    action: GaugeAction,
    trajectories: int,
    seed: int,
    report: Callable[[int], None] = lambda number: None,
) -> History:
    """A history of `trajectories` HMC trajectories of `links`, [chains,4,...].

    Four steps of the Hessian-free force-gradient scheme over MD time 1 (as `sample --kernel hmc`),
    scaled once for 80 % acceptance. `report(number)` is called after each trajectory.
    """
    kernel = HMC(action, LENGTH / STEPS, STEPS, INTEGRATOR)
    chains = range(links.shape[0])

    def generators(number: int) -> list[torch.Generator]:
        return [markov.trajectory_generator(seed, chain, number) for chain in chains]

    state = kernel.init(links)
    tuned = tuning.tune(kernel, state, TUNING, lambda n: generators(TUNING_NUMBERS + n),
                        lambda *_: False)
    kernel, rows = kernel.scaled(tuned.factor), []
    for number in range(1, trajectories + 1):
        began = time.perf_counter()
        state, info = kernel.step(state, generators(number))
        seconds = (time.perf_counter() - began) / len(chains)
        rows.append(_row(state.links, info, seconds))
        report(number)
    series = {name: Series(list(np.array([row[name] for row in rows], dtype=float).T))
              for name in rows[0]}
    return History(f"HMC ({INTEGRATOR}, {STEPS} steps of {kernel.step_size:.4g})", series,
                   attributes={"kernel": "hmc", "beta": action.beta, "action": action.name})


def _row(links: Tensor, info: markov.Info, seconds: float) -> dict[str, list[float]]:
    planes = fast.plaquettes(links)
    count = links.shape[0]
    return {
        "delta_h": info.delta_h.tolist(),
        "log_det": info.log_det.tolist(),
        "accepted": info.accepted.double().tolist(),
        "plaquette": planes.mean(1).tolist(),
        "plaquette_spatial": planes[:, 3:].mean(1).tolist(),
        "plaquette_temporal": planes[:, :3].mean(1).tolist(),
        "topological_charge": topological_charge(links).tolist(),
        "seconds": [seconds] * count,
        "force_evaluations": [info.force_evaluations] * count,
    }
