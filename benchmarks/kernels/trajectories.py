"""What kernels/run.py times beyond single functions: trajectories, networks, training steps."""

from collections.abc import Callable

import torch

from benchmarks.kernels.cases import BETA, SYMANZIK, Fields
from benchmarks.timing import best
from l2hmc_bridge import fast
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.networks.covariant import DriftNetwork, KickNetwork, MomentumMixing, Steps
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.systems.actions import GaugeAction
from l2hmc_bridge.training import precision

UPSTREAM = 335.0  # us per site and chain of upstream's own 4 + 4 layer step, as reported


def kernel(kick: tuple[str, ...] | None, drift: tuple | None, mixing: bool,
           steps: Steps | None = None) -> L2HMC:
    """Networks whose weights are all random, with ten Omelyan steps (two palindromic halves)."""
    steps = steps or Steps(schedule("omf2", 0.1, 5))
    made = L2HMC(
        GaugeAction(BETA), steps,
        None if kick is None else KickNetwork(len(steps.kicks), loops=kick),
        DriftNetwork(len(steps.drifts), 8, *drift) if drift else None,
        MomentumMixing() if mixing else None,
    )
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for part in (made.kick_network, made.drift_network, made.mixing):
            for p in part.parameters() if part is not None else ():
                p.copy_(0.05 * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    return made


NETWORKS = {  # name: (kick loops, subsets and outputs of the drift network, mixing)
    "trained steps only": (None, None, False),
    "kick network s, q": ((), None, False),
    "kick network s, q, t": (("square",), None, False),
    "kick network s, q, t, Laplacian": (("laplacian",), None, False),
    "drift network q": (None, ("turn", ("q",)), False),
    "drift network q, t": (None, ("turn", ("q", "t")), False),
    "kick network s, q, t, drift network q": (("square",), ("turn", ("q",)), False),
    "kick network s, q, t, drift network q, t": (("square",), ("turn", ("q", "t")), False),
    "drift network q, t, all subsets": (None, ("all", ("q", "t")), False),
    "mixing": (None, None, True),
    "kick network and mixing": (("square",), None, True),
    "kick network, drift network q and mixing": (("square",), ("turn", ("q",)), True),
    "everything": (("square",), ("turn", ("q", "t")), True),
    "everything, all subsets": (("square",), ("all", ("q", "t")), True),
}


def trajectories(extent: int, budget: float) -> list[dict]:
    """Whole HMC steps, energies, momenta, conversions and accept/reject included."""
    torch.set_num_threads(1)
    links, generator = Fields(extent, 1).links, torch.Generator().manual_seed(2)
    rows = []
    for name, integrator, c1 in (("leapfrog, 10 steps", "leapfrog", 0.0),
                                 ("omf2, 10 steps", "omf2", 0.0),
                                 ("omf2, 10 steps, rectangles", "omf2", SYMANZIK)):
        if extent > 8 and c1 != 0:
            continue
        hmc = HMC(GaugeAction(BETA, c1), 0.1, 10, integrator)
        state = hmc.init(links)
        ours = best(lambda hmc=hmc, state=state: hmc.step(state, generator), budget)
        with fast.using("torch"):
            slow = best(lambda hmc=hmc, state=state: hmc.step(state, generator), 0.0, 1)
        rows.append({"trajectory": name, "lattice": extent, "us_per_site": 1e6 * ours / extent**4,
                     "torch_us": 1e6 * slow / extent**4, "torch_ratio": slow / ours})
    return rows


@torch.no_grad()
def networks(extent: int, budget: float) -> list[dict]:
    """L2HMC steps against the HMC step with as many force evaluations."""
    torch.set_num_threads(1)
    links, generator = Fields(extent, 1).links, torch.Generator().manual_seed(2)
    hmc = HMC(GaugeAction(BETA), 0.1, 10, "omf2")
    state = hmc.init(links)
    kernels = {"HMC": hmc, **{name: kernel(*parts) for name, parts in NETWORKS.items()}}
    times = {name: [] for name in kernels}
    for _ in range(max(3, int(12 * budget))):  # in turns: the machine is the same for all
        for name, one in kernels.items():
            times[name].append(best(lambda one=one: one.step(state, generator), 0.0, 1))
    base = min(times["HMC"])
    return [{"trajectory": name, "lattice": extent, "us_per_site": 1e6 * min(t) / extent**4,
             "of_hmc": min(t) / base, "upstream_ratio": UPSTREAM / (1e6 * min(t) / extent**4)}
            for name, t in times.items()]


def training_step(parts: tuple, fields: Fields) -> Callable:
    """Forward and backward through a proposal with two Omelyan steps per half."""
    made = kernel(*parts)
    made = L2HMC(made.action, Steps(schedule("omf2", 0.1, 2)), made.kick_network,
                 made.drift_network, made.mixing)
    if fields.links.dtype == torch.complex64:
        made = precision.single(made)
    trained = [p for part in (made.steps, made.kick_network, made.drift_network, made.mixing)
               if part is not None for p in part.parameters()]

    def step() -> None:
        at = made.enter(fields.links, fields.momenta, made.action.force(fields.links))
        made.palindrome(at)
        end = at.leave()
        energy = made.action(end.links) + fast.kinetic(end.momenta) - end.log_det
        loss = (energy + fast.clover(end.links)[:, 2] ** 2).sum()
        torch.autograd.grad(loss, trained, allow_unused=True)

    return step


def training(extent: int, budget: float) -> list[dict]:
    """Steps of training, see above."""
    torch.set_num_threads(1)
    if extent > 8:
        return []
    fields, rows = Fields(extent, 1), []
    for name, parts in NETWORKS.items():
        step = training_step(parts, fields)
        step()
        ours = best(step, budget, 2)
        with fast.using("torch"):
            slow = best(step, 0.0, 1)
        rows.append({"training": name, "lattice": extent, "us_per_site": 1e6 * ours / extent**4,
                     "torch_us": 1e6 * slow / extent**4, "torch_ratio": slow / ours})
    return rows
