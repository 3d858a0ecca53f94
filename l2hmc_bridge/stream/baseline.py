"""What a stream is held against: HMC or heat bath, in memory from the same configurations."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from l2hmc_bridge.analysis.series import History, Series
from l2hmc_bridge.recorded.specs import StreamKernel
from l2hmc_bridge.sampling import tuning
from l2hmc_bridge.sampling.draws import trajectory_draws
from l2hmc_bridge.sampling.heatbath import HeatBath
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.markov import Info, State
from l2hmc_bridge.stream.trajectories import observed, update
from l2hmc_bridge.systems.actions import GaugeAction

LENGTH, STEPS, INTEGRATOR = 1.0, 4, "force_gradient"
TUNING = 20  # trajectories, on a copy
# Trajectory numbers for the randomness of the tuning: none that a recorded trajectory has.
TUNING_NUMBERS = 2**21


Report = Callable[[int], None]  # number of the trajectory that is done


@torch.no_grad()
def hmc_history(links: Tensor, action: GaugeAction, trajectories: int, seed: int,
                report: Report = lambda number: None) -> History:
    """A history of `trajectories` HMC trajectories of `links`, [chains,4,...].

    Four steps of the Hessian-free force-gradient scheme over MD time 1 (as `sample --kernel hmc`),
    scaled once for 80 % acceptance. `report(number)` is called after each trajectory.
    """
    kernel = HMC(action, LENGTH / STEPS, STEPS, INTEGRATOR)
    state = kernel.init(links)
    tuned = tuning.tune(kernel, state, TUNING,
                        lambda n: trajectory_draws(seed, [TUNING_NUMBERS + n] * len(links)),
                        lambda *_: False)
    kernel = kernel.scaled(tuned.factor)
    return _history(f"HMC ({INTEGRATOR}, {STEPS} steps of {kernel.step_size:.4g})", kernel, state,
                    action, trajectories, seed, report)


@torch.no_grad()
def heat_bath_history(links: Tensor, action: GaugeAction, updates: int, seed: int,
                      report: Report = lambda number: None) -> History:
    """A history of `updates` of the heat bath, one sweep and four overrelaxed ones each.

    Raises ActionError for any action but Wilson's.
    """
    kernel = HeatBath(action)
    return _history(f"heat bath (1 + {kernel.overrelax} overrelaxed sweeps)", kernel,
                    kernel.init(links), action, updates, seed, report)


BASELINES = {"hmc": hmc_history, "heatbath": heat_bath_history}


def _history(title: str, kernel: StreamKernel, state: State, action: GaugeAction, count: int,
             seed: int, report: Report) -> History:
    rows, chains = [], len(state.links)
    for number in range(1, count + 1):
        began = time.perf_counter()
        state, info = update(kernel, state, trajectory_draws(seed, [number] * chains))
        rows.append(_row(state.links, info, (time.perf_counter() - began) / chains))
        report(number)
    series = {name: Series(list(np.array([row[name] for row in rows], dtype=float).T))
              for name in rows[0]}
    return History(title, series, attributes={"kernel": kernel.name, "beta": action.beta,
                                              "action": action.name})


def _row(links: Tensor, info: Info, seconds: float) -> dict[str, list[float]]:
    count = links.shape[0]
    return {
        "delta_h": info.delta_h.tolist(),
        "log_det": info.log_det.tolist(),
        "accepted": info.accepted.double().tolist(),
        **{name: values.tolist() for name, values in observed(links).items()},
        "seconds": [seconds] * count,
        "force_evaluations": [info.force_evaluations] * count,
    }
