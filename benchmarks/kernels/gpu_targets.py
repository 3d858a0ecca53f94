"""What one Hopper GPU is to reach, and how each of these numbers is measured."""

import functools
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.kernels.cases import BETA, SYMANZIK
from benchmarks.kernels.gpu import best
from benchmarks.kernels.trajectories import NETWORKS, kernel, training_step
from l2hmc_bridge import fast
from l2hmc_bridge.fast.gpu import graphs, planar
from l2hmc_bridge.fields import su3
from l2hmc_bridge.sampling.hmc import HMC, integrate
from l2hmc_bridge.sampling.integrators import Schedule, schedule
from l2hmc_bridge.sampling.markov import State
from l2hmc_bridge.systems.actions import GaugeAction

Extents = tuple[int, int, int, int]
TWENTY = schedule("omf2", 0.02, 10)  # forces
THIRTY = schedule("omf2", 0.02, 15)
LARGE = (96, 48, 48, 48)
PARTS = {  # of NETWORKS: at most this times HMC with as many forces
    "trained steps only": 1.05,
    "kick network s, q, t, drift network q": 1.3,
    "everything": 2.2,
}


class Place(NamedTuple):
    """The device, and how long a number is looked at there."""

    device: torch.device
    budget: float = 0.4
    least: int = 3
    tried: bool = False  # this program is tried: lattices of 2^4, times that mean nothing

    def seconds(self, function: Callable) -> float:
        """The fastest of several calls."""
        function()
        return best(function, self.device, self.budget, self.least)


class Fields(NamedTuple):
    """Links and momenta of one chain."""

    links: Tensor
    momenta: Tensor

    @property
    def sites(self) -> int:
        return self.links.numel() // 36

    @property
    def extent(self) -> int:
        return self.links.shape[2]


class Target(NamedTuple):
    """A number that is wanted: at most `bound`, or at least, as `wanted` says."""

    name: str
    lattice: Extents
    precision: str
    wanted: str  # "at most", "at least"
    bound: float
    unit: str
    measure: Callable[[Place], float]

    def met(self, found: float) -> bool:
        """Whether this is good enough; NaN never is."""
        return found <= self.bound if self.wanted == "at most" else found >= self.bound


def fields(place: Place, extents: Extents, dtype: torch.dtype = torch.complex128,
           chains: int = 1) -> Fields:
    """Rough links and Gaussian momenta, drawn where they are used."""
    shape = (chains, 4, *((2, 2, 2, 2) if place.tried else extents))
    generator = torch.Generator(place.device).manual_seed(1)
    momenta = su3.random_algebra(shape, generator).to(dtype)
    unit = torch.eye(3, dtype=dtype, device=place.device)
    return Fields(fast.expm_multiply(momenta, unit.expand(momenta.shape), 0.6), momenta)


def trajectory(plan: Schedule) -> Callable[[Fields], Callable]:
    """A whole trajectory of HMC, its first force known."""

    def ready(at: Fields) -> Callable:
        action = GaugeAction(BETA)
        state = State(at.links, torch.zeros(len(at.links)), action.force(at.links))
        return lambda: integrate(action, state, at.momenta, plan)

    return ready


def _call(function: Callable[[Fields], Tensor]) -> Callable[[Fields], Callable]:
    return lambda at: lambda: function(at)


def apart_force(c1: float) -> Callable[[Fields], Callable]:
    """The force with numbers apart, as trajectories have it; of torch fields without a GPU."""

    def ready(at: Fields) -> Callable:
        if at.links.device.type != "cuda":
            return lambda: fast.force(at.links, BETA, c1)
        moving = planar.Moving(at.links, BETA, c1)

        def anew() -> None:
            moving.known = None
            moving.force()

        return anew

    return ready


def apart_drift(at: Fields) -> Callable:
    """exp(P) U with numbers apart, in its place."""
    if at.links.device.type != "cuda":
        return lambda: fast.expm_multiply(at.momenta, at.links, 0.1)
    moving = planar.Moving(at.links, BETA, momenta=at.momenta)
    return lambda: moving.drift(0.1)


# name: (ns per site at most, what is called); the last ones are on torch fields
FUNCTIONS = {
    "force": (1.0, apart_force(0.0)),
    "exp(P) U": (0.6, apart_drift),
    "force, rectangles": (4.0, apart_force(SYMANZIK)),
    "clover E, Q": (1.3, _call(lambda at: fast.clover(at.links))),
    "flow step": (4.0, _call(lambda at: fast.flow(at.links, 0.02))),
    "trajectory of 20 forces": (30.0, trajectory(TWENTY)),
}


@torch.no_grad()
def per_site(place: Place, ready: Callable, extents: Extents, dtype: torch.dtype) -> float:
    """ns per site."""
    at = fields(place, extents, dtype)
    return 1e9 * place.seconds(ready(at)) / at.sites


def gain(place: Place, ready: Callable, extents: Extents) -> float:
    """How much faster single precision is."""
    double, single = (per_site(place, ready, extents, dtype)
                      for dtype in (torch.complex128, torch.complex64))
    return double / single


@torch.no_grad()
def graph_gain(place: Place, extents: Extents) -> float:
    """How much faster a trajectory is as a graph than launched kernel by kernel."""
    run = trajectory(TWENTY)(fields(place, extents))
    with graphs.one_by_one():
        launched = place.seconds(run)
    return launched / place.seconds(run)


@functools.lru_cache(maxsize=1)
@torch.no_grad()
def large(place: Place) -> tuple[float, float]:
    """Seconds of a trajectory of thirty forces on a large lattice, and GB it takes at the most."""
    at = fields(place, LARGE)
    run = trajectory(THIRTY)(at)
    if place.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(place.device)
    seconds = place.seconds(run)
    taken = torch.cuda.max_memory_allocated(place.device) if place.device.type == "cuda" else 0
    return seconds, 1e-9 * taken


@torch.no_grad()
def of_hmc(place: Place, name: str, extents: Extents) -> float:
    """A trajectory with these parts in HMC's with as many forces, each from where one ended."""
    at, generator = fields(place, extents), torch.Generator().manual_seed(2)
    made, hmc = kernel(*NETWORKS[name]), HMC(GaugeAction(BETA), 0.1, 10, "omf2")
    for part in (made.steps, made.kick_network, made.drift_network, made.mixing):
        if part is not None:
            part.to(place.device)
    seconds = []
    for one in (made, hmc):
        first = one.init(at.links)
        end = one.trajectory(first, at.momenta, generator)
        state = State(end.links, first.action, end.force, seen=end.seen)
        seconds.append(place.seconds(lambda one=one, state=state: one.trajectory(
            state, at.momenta, generator)))
    return seconds[0] / seconds[1]


def training_gain(place: Place, extents: Extents) -> float:
    """A training step with both networks: seconds on this machine's CPU in those on the GPU."""
    parts = NETWORKS["kick network s, q, t, drift network q"]
    there = fields(place, extents, chains=1 if place.tried else 8)
    here = Fields(there.links.cpu(), there.momenta.cpu())
    cpu = Place(torch.device("cpu"), place.budget, place.least, place.tried)
    return cpu.seconds(training_step(parts, here)) / place.seconds(training_step(parts, there))


def sampling(place: Place) -> float:
    """Wall clock of `sample` from a cold start in a process of its own, its kernels compiled."""
    word = "2,2,2,2" if place.tried else "32,32,32,32"
    command = [sys.executable, "-m", "l2hmc_bridge.cli", "sample", "--start", "cold", "--lattice",
               word, "--beta", "6.0", "--device", str(place.device), "-n", "5", "--seed", "1"]

    def once() -> None:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([*command, "--out", f"{folder}/stream"], check=True,
                           capture_output=True, timeout=120)

    once()
    return best(once, place.device, 0.0, 1)


def _cube(extent: int) -> Extents:
    return (extent,) * 4


def targets() -> Iterator[Target]:
    """All of them, what matters most first."""
    for cube in (_cube(16), _cube(32)):
        for name, (bound, ready) in FUNCTIONS.items():
            yield Target(name, cube, "double", "at most", bound, "ns per site",
                         lambda place, ready=ready, cube=cube: per_site(
                             place, ready, cube, torch.complex128))
    yield Target("force", _cube(8), "double", "at most", 4.0, "ns per site", lambda place: per_site(
        place, FUNCTIONS["force"][1], _cube(8), torch.complex128))
    yield Target("trajectory of 20 forces, a force", _cube(8), "double", "at most", 4.0,
                 "ns per site", lambda place: per_site(
                     place, trajectory(TWENTY), _cube(8), torch.complex128) / 20)
    yield Target("trajectory of 20 forces, a graph", _cube(8), "double", "at least", 1.0,
                 "times faster than launches", lambda place: graph_gain(place, _cube(8)))
    for name in ("force", "exp(P) U", "trajectory of 20 forces"):
        yield Target(name, _cube(32), "single", "at least", 1.7, "times faster than double",
                     lambda place, ready=FUNCTIONS[name][1]: gain(place, ready, _cube(32)))
    for name, bound in PARTS.items():
        yield Target(name, _cube(16), "double", "at most", bound, "of HMC's trajectory",
                     lambda place, name=name: of_hmc(place, name, _cube(16)))
    yield Target("trajectory of 30 forces", LARGE, "double", "at most", 0.6, "s",
                 lambda place: large(place)[0])
    yield Target("trajectory of 30 forces, memory", LARGE, "double", "at most", 80.0, "GB",
                 lambda place: large(place)[1])
    yield Target("sample, five trajectories, cold start", _cube(32), "double", "at most", 3.0, "s",
                 sampling)
    yield Target("training step, 8 chains", _cube(8), "double", "at least", 10.0,
                 "times faster than the CPU", lambda place: training_gain(place, _cube(8)))
