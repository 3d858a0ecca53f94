"""Trajectories with networks on a GPU in the model of gpu_model.py: their kernels, starts, cost."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from benchmarks.kernels import trajectories
from benchmarks.kernels.cases import BETA
from benchmarks.kernels.modelled import launches
from benchmarks.kernels.table import table
from l2hmc_bridge.fast.gpu.learned.moves import FORWARD, INVERSE, TURN, Subset
from l2hmc_bridge.fast.gpu.learned.moving import Learned
from l2hmc_bridge.fast.gpu.learned.networks import Network
from l2hmc_bridge.fast.gpu.learned.seeing import Local
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.networks.covariant import Steps
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.systems.actions import GaugeAction

LEAPFROGS = 4  # drifts more, by which starts are counted
COLUMNS = {"trajectory": "trajectory of 20 forces", "starts": "kernels started", "a drift":
           "more for a drift more", "ns": "ns per site, expected", "of_hmc": "of HMC, expected"}
WORDS = """## Trajectories with networks

Ten steps of omf2 from where another trajectory ended, one chain, conversions of the fields at both
ends included; networks have eight hidden units. Kernels are counted as they are started; the time
is the sum of the model's, double precision. What torch does once a trajectory with weights and step
sizes, and accept/reject, are left out."""
Named = Callable[[str, Callable], object]


def kernels(links: Tensor, named: Named) -> None:
    """Every kernel of trajectories with networks, under its name in work.py."""
    network = Network(torch.zeros(4, 8, dtype=links.dtype.to_real()), False)
    turn = Subset(1, True, network)

    def at(*loops: str) -> Learned:
        return Learned(links, 5.7, 0.0, links, links, loops or ("square",))

    def waits(mode: int = INVERSE, mixing: float | None = None) -> Learned:
        learned = at()
        learned.kick_by(network, mode, 0.1, mixing, None)
        return learned

    named("look", at().look)
    for mode in (FORWARD, INVERSE, TURN):
        named("kick network and drift", lambda mode=mode: waits(mode).drift(0.1))
    named("kick network", lambda: waits()._flush())
    named("kick network and drift network", lambda: waits().take_turn(turn, 0.1, 1, False, True))
    named("subset, network", lambda: at().move(network, 1, True, 0.1, 1, None, False))
    named("drift of the rest", lambda: at().take_turn(turn, 0.1, 1, False, False))
    named("subset, network, Laplacian", lambda: at().move(network, 1, True, 0.1, 1, 0.1, True))
    named("subset, Laplacian", lambda: at().move(None, 1, True, 0.1, 1, 0.1, True))
    named("direction, Laplacian", lambda: at().move(None, 1, None, 0.1, 1, 0.1, True))
    mixed = waits(mixing=0.1)
    named("mixed kick", lambda: mixed.kick_mixed(0.1, 1.0, 0.1, mixed.momenta))
    named("mixed kick, network", lambda: mixed._mix(mixed.momenta, mixed.momenta, INVERSE, 0.1, 1.0,
                                                    0.1))
    named("kick network for mixing", mixed._flush)
    of_plain_kicks(links, turn, named)
    of_known_forces(at, network, named)


def of_plain_kicks(links: Tensor, turn: Subset, named: Named) -> None:
    """Drift networks after kicks without one."""
    for name, first in (("kick and drift of the rest", False), ("kick and drift network", True)):
        learned = Learned(links, 5.7, 0.0, links, links)
        learned.known = None
        learned.kick_at(None, 0.1, 1.0)
        named(name, lambda at=learned, first=first: at.take_turn(turn, 0.1, 1, False, first))


def of_known_forces(at: Callable[..., Learned], network: Network, named: Named) -> None:
    """Kicks at fields that were looked at."""
    for name, loop, mixing, drifts in (
            ("known kick network and drift", "square", None, True),
            ("known kick network", "square", None, False),
            ("known kick network for mixing", "square", 0.1, False),
            ("known kick network, Laplacian, and drift", "laplacian", None, True),
            ("known kick network, Laplacian", "laplacian", None, False)):
        learned = at(loop)
        square = learned.momenta if loop == "square" else None
        learned.local = Local(learned.momenta, learned.momenta, square, None)
        learned.kick_by(network, INVERSE, 0.1, mixing, None)
        named(name, (lambda at=learned: at.drift(0.1)) if drifts else learned._flush)


def expected(ns: Mapping[str, float]) -> list[dict]:
    """Starts and time of trajectories of 20 forces, with so many ns per site for each kernel."""
    found = []
    for name, made in all_of(10).items():
        starts, more = (launches.trajectory(one).launches
                        for one in (made, all_of(10 + LEAPFROGS)[name]))
        found.append({"trajectory": name, "starts": len(starts),
                      "a drift": (len(more) - len(starts)) / (2 * LEAPFROGS),
                      "ns": sum(one.share * ns[one.label] for one in starts)})
    return [row | {"of_hmc": row["ns"] / found[0]["ns"]} for row in found]


def all_of(steps: int) -> dict[str, HMC | L2HMC]:
    """HMC with so many steps of omf2 and each set of networks with as many drifts."""
    plan = Steps(schedule("omf2", 0.1, steps // 2))
    kernels: dict[str, HMC | L2HMC] = {"HMC": HMC(GaugeAction(BETA), 0.1, steps)}
    for name, parts in trajectories.NETWORKS.items():
        kernels[name] = trajectories.kernel(*parts, plan)
    return kernels


def page(ns: Mapping[str, float]) -> str:
    """The table of `expected`, with what it rests on."""
    return "\n".join([WORDS, "", *table(expected(ns), COLUMNS)])
