"""What kernels/run.py times of the heat bath and the field transformation, in forces of the same
fields."""

import torch
from torch import Tensor

from benchmarks.kernels.cases import BETA
from benchmarks.timing import best
from l2hmc_bridge import fast
from l2hmc_bridge.networks.transformation import FieldTransformation
from l2hmc_bridge.systems.actions import GaugeAction, cold_start

RHO = 0.06
SWEEPS = 5  # of an update whose share one sweep is
THERMALISATION = 30  # updates of 1 + 4 sweeps from the unit field
TURNS = 3  # force and rows one after the other, so that what slows the machine slows both


@torch.no_grad()
def sweeps(extent: int, budget: float) -> list[dict]:
    """Rows of one chain and of four, at beta = 6 in equilibrium, from and to the torch layout."""
    torch.set_num_threads(1)
    return [row for chains in (1, 4) for row in rows(extent, chains, budget / TURNS)]


def rows(extent: int, chains: int, budget: float) -> list[dict]:
    """Times of this many chains on extent^4: the best of TURNS turns."""
    links, words = equilibrium(extent, chains)
    action = GaugeAction(BETA)
    transformation = FieldTransformation.constant(RHO)
    calls = {
        "force": lambda: action.force(links),
        "heat bath, one sweep alone": lambda: fast.heat_bath(links, BETA, words, 1, 0),
        "heat bath, one of five sweeps": lambda: fast.heat_bath(links, BETA, words, SWEEPS, 0),
        "overrelaxed, one of five sweeps": lambda: fast.heat_bath(links, BETA, words, 0, SWEEPS),
        "F, one sweep with log det J": lambda: transformation(links, BETA),
        "F^-1, one sweep with log det J": lambda: transformation.inverse(links, BETA),
        "force of S(F(V)) - log det J": lambda: transformation.force(links, BETA, action.force),
    }
    found = dict.fromkeys(calls, float("inf"))
    for _ in range(TURNS):
        for name, call in calls.items():
            count = SWEEPS if "of five" in name else 1
            found[name] = min(found[name], best(call, budget) / count)
    return [{"sweep": name, "lattice": extent, "chains": chains,
             "us_per_site": 1e6 * seconds / (chains * extent**4),
             "of_force": seconds / found["force"]} for name, seconds in found.items()]


def equilibrium(extent: int, chains: int) -> tuple[Tensor, Tensor]:
    """Links at beta = 6 by the heat bath, and words to draw by."""
    links = cold_start((extent,) * 4, chains)
    words = torch.arange(4 * chains).reshape(chains, 4)
    for number in range(THERMALISATION):
        links = fast.heat_bath(links, BETA, words + 1000 * number, 1, 4)
    return links, words
