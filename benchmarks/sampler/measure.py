"""One setting for some time: tau_int of what moves slowly, and what a trajectory costs."""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.sampler.kernels import Setting, kernel_of
from l2hmc_bridge import fast
from l2hmc_bridge.analysis import statistics
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.observables import flow
from l2hmc_bridge.sampling.draws import trajectory_draws
from l2hmc_bridge.sampling.heatbath import HeatBath
from l2hmc_bridge.sampling.markov import Kernel
from l2hmc_bridge.sampling.mixture import Mixture
from l2hmc_bridge.systems.actions import GaugeAction, cold_start

SLOW = ("E(t=1)", "E(t=2)", "Q", "Q^2")  # Q at t = 2
FLOW_STEP = 0.15
FLOW_WORK = 30  # forces' worth of trajectories between two measurements of the flow
Row = list[list[float]]  # not arrays: beside what stays, the room of freed fields is lost
THERMALISATION = 300  # updates of the heat bath from the unit field
SKIPPED = 4  # measurements
COST_UPDATES, COST_TURNS = 30, 4  # of the heat bath, and timed trajectories, to measure costs alone


def start(lattice: tuple[int, int, int, int], beta: float, chains: int, seed: int,
          updates: int = THERMALISATION) -> Tensor:
    """Chains in equilibrium on (Nt, Nx, Ny, Nz), by the heat bath."""
    kernel = HeatBath(GaugeAction(beta))
    state = kernel.init(cold_start(lattice, chains))
    for number in range(updates):
        state, _ = kernel.update(state, trajectory_draws(seed, [number] * chains))
    return state.links


@torch.no_grad()
def measure(setting: Setting, beta: float, links: Tensor, seconds: float, error: float, seed: int
            ) -> dict[str, Any]:
    """Trajectories for `seconds` of the processor, or until tau(E(t=2)) is known to `error`."""
    kernel = kernel_of(setting, beta)
    chains, state = len(links), kernel.init(links)
    period = period_of(kernel)
    fast_rows: list[Row] = []  # [plaquette, accepted, weight] of every trajectory, [3, Nb]
    slow_rows: list[Row] = []
    stepping, forces, every, began, looked = 0.0, 0, 0, time.process_time(), 0.0
    while time.process_time() - began < seconds or len(slow_rows) < 4 * SKIPPED:
        clock = time.process_time()
        for _ in range(period):
            state, info = kernel.step(state, trajectory_draws(seed, [len(fast_rows)] * chains))
            forces += info.force_evaluations
            fast_rows.append(torch.stack([fast.plaquettes(state.links).mean(1),
                                          info.accepted.double(),
                                          info.log_ratio.exp().nan_to_num(0.0)]).tolist())
        stepping += time.process_time() - clock
        every = every or period * max(1, round(FLOW_WORK / forces))
        if len(fast_rows) % every == 0:
            slow_rows.append(flowed(state.links))
            if time.process_time() - began > 1.5 * looked and len(slow_rows) > 100:
                looked = time.process_time() - began
                if known(slow_rows, error):
                    break
    count = len(fast_rows)
    return {"setting": setting, "beta": beta, "chains": chains, "every": every,
            "trajectories": count, "seconds": time.process_time() - began,
            **costs(kernel, links, forces / count, stepping / (count * chains)),
            **averages(fast_rows), **slow(slow_rows, every)}


def period_of(kernel: Kernel) -> int:
    """Trajectories after which a mixture begins anew."""
    return sum(kernel.weights) if isinstance(kernel, Mixture) else 1


@torch.no_grad()
def recost(rows: list[dict[str, Any]], seed: int) -> None:
    """What a trajectory of each row costs, all in this one run, in place of what stood there."""
    fields: dict[tuple[int, float, int], Tensor] = {}
    for row in rows:
        place = row["lattice"], row["beta"], row["chains"]
        if place not in fields:
            fields = {place: start((place[0],) * 4, place[1], place[2], seed, COST_UPDATES)}
        kernel, links = kernel_of(row["setting"], row["beta"]), fields[place]
        state, forces, times = kernel.init(links), 0, []
        period = period_of(kernel)
        for turn in range(COST_TURNS):
            clock, forces = time.process_time(), 0
            for number in range(period):
                draws = trajectory_draws(78, [turn * period + number] * len(links))
                state, info = kernel.step(state, draws)
                forces += info.force_evaluations
            times.append((time.process_time() - clock) / (period * len(links)))
        row.update(costs(kernel, links, forces / period, min(times)))


def flowed(links: Tensor) -> Row:
    """SLOW of each chain, [4, Nb]; the flow in single precision, which leaves seven digits."""
    (_, first), (_, second) = flow.integrate(links.to(torch.complex64), [1.0, 2.0], FLOW_STEP)
    one, two = fast.clover(first), fast.clover(second)
    return torch.stack([one[:, :2].sum(1), two[:, :2].sum(1), two[:, 2],
                        two[:, 2].square()]).double().tolist()


def known(rows: list[Row], error: float) -> bool:
    """Whether tau_int of E(t=2) has at most this relative error."""
    found = statistics.estimate(list(np.stack(rows)[SKIPPED:, 1].T))
    resolved = found.tau_int_error is not None and math.isfinite(found.tau_int_error)
    return resolved and found.tau_int_error < error * found.tau_int


def costs(kernel: Kernel, links: Tensor, forces: float, seconds: float) -> dict[str, Any]:
    """What a trajectory costs: seconds of a chain, gauge forces, forces of a host.

    A host's terms have no heat bath: nothing is said of kernels with one.
    """
    parts = list(zip(kernel.kernels, kernel.weights, strict=True)) \
        if isinstance(kernel, Mixture) else [(kernel, 1)]
    single = processor_seconds(kernel.action.force, links)
    work = sum(weight * gauge_forces(part, links, single) for part, weight in parts)
    bath = any(isinstance(part, HeatBath) for part, _ in parts)
    return {"seconds_per_trajectory": seconds, "seconds_per_force": single,
            "gauge_forces": work / sum(weight for _, weight in parts),
            "host_forces": None if bath else forces, "md_length": kernel.length}


def gauge_forces(kernel: Kernel, links: Tensor, single: float) -> float:
    """Forces of one trajectory; where it is made of other work, that in forces of `single` seconds.

    The sweeps of an update of the heat bath, the forces of a trajectory in V: in turns with the
    plain force of the same links in this process.
    """
    state = kernel.init(links)
    draws = trajectory_draws(77, [0] * len(links))
    if isinstance(kernel, HeatBath):
        return processor_seconds(lambda _: kernel.update(state, draws), links) / single
    _, info = kernel.step(state, draws)
    if not isinstance(kernel, L2HMC) or kernel.transformation is None:
        return info.force_evaluations
    inside = kernel.within().action.force
    return info.force_evaluations * processor_seconds(inside, links) / single


def processor_seconds(work: Callable[[Tensor], object], links: Tensor, repeats: int = 5) -> float:
    """Processor seconds of some work on one chain, the best of a few."""
    best = math.inf
    for _ in range(repeats):
        clock = time.process_time()
        work(links)
        best = min(best, time.process_time() - clock)
    return best / len(links)


def averages(rows: list[Row]) -> dict[str, Any]:
    """Mean plaquette, acceptance, <exp(-dH + log|J|)> and tau_int of the plaquette."""
    series = np.stack(rows)  # [trajectories, 3, Nb]
    plaquette = statistics.estimate(list(series[len(rows) // 50:, 0].T))
    weight = series[:, 2].T
    exactness = None if (weight == 1).all() else statistics.estimate(list(weight)).as_dict()
    return {"acceptance": float(series[:, 1].mean()), "exp_minus_dh": exactness,
            "plaquette": {**plaquette.as_dict(), "tau": plaquette.tau_int,
                          "tau_error": plaquette.tau_int_error}}


def slow(rows: list[Row], every: int) -> dict[str, Any]:
    """Mean, tau_int in trajectories and squared jump of each of SLOW, with errors."""
    series = np.stack(rows)[SKIPPED:]
    found = {}
    for n, name in enumerate(SLOW):
        one = statistics.estimate(list(series[:, n].T))
        jumps = np.square(np.diff(series[:, n], axis=0)).mean(0)
        found[name] = {**one.as_dict(), "tau": _times(one.tau_int, every),
                       "tau_error": _times(one.tau_int_error, every),
                       "jump": float(jumps.mean()) / every,
                       "jump_error": float(jumps.std(ddof=1)) / len(jumps) ** 0.5 / every}
    return found


def _times(value: float | None, factor: int) -> float | None:
    return None if value is None else value * factor
