"""What bench_kernels.py times: the functions with their counts, trajectories, training steps."""

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge import fast, su3
from l2hmc_bridge.actions import GaugeAction
from l2hmc_bridge.fast import blocked, native, reference
from l2hmc_bridge.hmc import HMC
from l2hmc_bridge.integrators import schedule
from l2hmc_bridge.l2hmc import L2HMC, Point
from l2hmc_bridge.networks import DriftNetwork, KickNetwork, MomentumMixing, Steps
from l2hmc_bridge.topology import CLOVER, FIVE_LOOP_SHAPES

PRODUCT = 198  # flop of a product of complex 3x3 matrices
LINKS, ALGEBRA = 4 * 144, 4 * 64  # bytes per site: links, and algebra fields in components
UPSTREAM = 335.0  # us per site and chain of upstream's own 4 + 4 layer step, as reported
BETA, SYMANZIK = 6.0, -1 / 12


class Fields:
    """Haar links and Gaussian momenta of `chains` chains on extent^4, in both layouts."""

    def __init__(self, extent: int, chains: int):
        generator = torch.Generator().manual_seed(extent)
        self.extent, self.chains, self.volume = extent, chains, extent**4
        self.links = su3.random_group((chains, 4, *(extent,) * 4), generator)
        self.momenta = su3.random_algebra((chains, 4, *(extent,) * 4), generator)
        self.lattice = native.lattice((extent,) * 4)

    @cached_property
    def blocks(self) -> Tensor:
        return blocked.links_in(self.lattice, self.links)

    @cached_property
    def components(self) -> Tensor:
        return blocked.algebra_in(self.lattice, self.momenta)

    @cached_property
    def out(self) -> Tensor:
        return torch.empty_like(self.components)

    @cached_property
    def moved(self) -> Tensor:
        return torch.empty_like(self.blocks)


class Case(NamedTuple):
    """A function, what it is compared with, and its count per site."""

    name: str
    run: Callable
    torch: Callable | None
    autograd: Callable | None
    flop: float
    bytes: float


def autograd_force(fields: Fields) -> Tensor:
    """The force as the gradient of the action through torch, as upstream has it."""
    links = fields.links.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(reference.action(links, BETA).sum(), links)
    return su3.project_algebra(gradient @ links.mH) / 2


def _pair(name: str, function: Callable, products: float, bytes_: float, **more) -> Case:
    """The same call through the table, on the kernels and in torch."""
    return Case(name, function, function, more.get("autograd"), PRODUCT * products, bytes_)


def _matrix_exp(fields: Fields) -> Tensor:
    return torch.matrix_exp(0.1 * fields.momenta) @ fields.links


CASES = [
    _pair("force", lambda f: fast.force(f.links, BETA), 52, 2 * LINKS, autograd=autograd_force),
    _pair("force, rectangles", lambda f: fast.force(f.links, BETA, SYMANZIK), 340, 2 * LINKS),
    _pair("action", lambda f: fast.action(f.links, BETA), 15, LINKS),
    _pair("plaquettes", lambda f: fast.plaquettes(f.links), 15, LINKS),
    _pair("staples", lambda f: fast.staples(f.links), 48, 2 * LINKS),
    Case("exp(P) U", lambda f: fast.expm_multiply(f.momenta, f.links, 0.1), _matrix_exp, None,
         16 * PRODUCT, 3 * LINKS),
    _pair("kinetic", lambda f: fast.kinetic(f.momenta), 0.73, LINKS),
    _pair("clover E, Q", lambda f: fast.clover(f.links), 60, LINKS),
    _pair("charge density", lambda f: fast.charge_density(f.links, CLOVER), 60, LINKS + 8),
    _pair("five-loop charge", lambda f: fast.charge(f.links, FIVE_LOOP_SHAPES), 428, LINKS),
    _pair("flow step", lambda f: fast.flow(f.links, 0.02), 3 * 68, 2 * LINKS),
    _pair("laplacian", lambda f: fast.laplacian(f.links, f.momenta), 64, 3 * LINKS),
    _pair("staple traces", lambda f: fast.staple_trace(f.links), 48, LINKS + 32),
    Case("links in, out", lambda f: blocked.links_out(f.lattice, blocked.links_in(
        f.lattice, f.links)), None, None, 0, 4 * LINKS),
    Case("force, blocked", lambda f: blocked.force(f.lattice, f.blocks, BETA, 0, out=f.out),
         None, None, 52 * PRODUCT, LINKS + ALGEBRA),
    Case("force, rectangles, blocked", lambda f: blocked.force(
        f.lattice, f.blocks, BETA, SYMANZIK, out=f.out), None, None, 340 * PRODUCT,
         LINKS + ALGEBRA),
    Case("drift, blocked", lambda f: blocked.drift(
        f.lattice, f.components, f.blocks, 0.1, out=f.moved), None, None, 16 * PRODUCT,
         2 * LINKS + ALGEBRA),
]


def kernel(kick: tuple[str, ...] | None, drift: bool, mixing: bool) -> L2HMC:
    """Ten Omelyan steps (two palindromic halves) with networks whose weights are all random."""
    steps = Steps(schedule("omf2", 0.1, 5))
    made = L2HMC(
        GaugeAction(BETA), steps,
        None if kick is None else KickNetwork(len(steps.kicks), loops=kick),
        DriftNetwork(len(steps.drifts)) if drift else None,
        MomentumMixing() if mixing else None,
    )
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for part in (made.kick_network, made.drift_network, made.mixing):
            for p in part.parameters() if part is not None else ():
                p.copy_(0.05 * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    return made


NETWORKS = {  # name: (kick loops, drift network, mixing)
    "trained steps only": (None, False, False),
    "kick network s, q": ((), False, False),
    "kick network s, q, t": (("square",), False, False),
    "kick network s, q, t, Laplacian": (("laplacian",), False, False),
    "drift network": (None, True, False),
    "mixing": (None, False, True),
    "kick network and mixing": (("square",), False, True),
    "everything": (("square",), True, True),
}


def trajectories(extent: int, best: Callable, budget: float) -> list[dict]:
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
def networks(extent: int, best: Callable, budget: float) -> list[dict]:
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


def training(extent: int, best: Callable, budget: float) -> list[dict]:
    """Forward and backward through a proposal with two Omelyan steps per half."""
    torch.set_num_threads(1)
    if extent > 8:
        return []
    fields, rows = Fields(extent, 1), []
    for name, (loops, drift, mixing) in NETWORKS.items():
        made = kernel(loops, drift, mixing)
        made = L2HMC(made.action, Steps(schedule("omf2", 0.1, 2)), made.kick_network,
                     made.drift_network, made.mixing)
        trained = [p for part in (made.steps, made.kick_network, made.drift_network, made.mixing)
                   if part is not None for p in part.parameters()]

        def step(made=made, trained=trained):
            force = made.action.force(fields.links)
            end = made.palindrome(Point(made, fields.links, force), fields.momenta)
            energy = made.action(end.links) + fast.kinetic(end.momenta) - end.log_det
            loss = (energy + fast.clover(end.links)[:, 2] ** 2).sum()
            torch.autograd.grad(loss, trained, allow_unused=True)

        step()
        ours = best(step, budget, 2)
        with fast.using("torch"):
            slow = best(step, 0.0, 1)
        rows.append({"training": name, "lattice": extent, "us_per_site": 1e6 * ours / extent**4,
                     "torch_us": 1e6 * slow / extent**4, "torch_ratio": slow / ours})
    return rows
