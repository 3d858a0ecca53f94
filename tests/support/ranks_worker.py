"""One of several processes: trajectories of many kernels on a part of a lattice and on the whole.

    python -m tests.support.ranks_worker X,Y,Z,T T,X,Y,Z [without-copies]

Rank 0 writes a line for each kernel: its name, and what is not the same bit for bit.
"""

import sys
from dataclasses import replace

import torch

from l2hmc_bridge import fast
from l2hmc_bridge.fast.cpu import library
from l2hmc_bridge.fields import su3
from l2hmc_bridge.fields.part import holding, whole
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.networks.covariant import DriftNetwork, KickNetwork, MomentumMixing, Steps
from l2hmc_bridge.networks.smeared import SmearedDrift
from l2hmc_bridge.networks.transformation import FieldTransformation
from l2hmc_bridge.observables.topology import topological_charge
from l2hmc_bridge.ranks.grid import chosen
from l2hmc_bridge.ranks.reach import halo, needs_even
from l2hmc_bridge.ranks.share import Share
from l2hmc_bridge.ranks.world import joined
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.sampling.numbered import numbered
from l2hmc_bridge.systems.actions import gauge_action, normalised_change

WILSON, IWASAKI = gauge_action("wilson", 5.7), gauge_action("iwasaki", 2.6)
EVERY_LOOP = ("square", "laplacian", "rectangle")


def rough(network):
    """Random weights: untrained networks do nothing."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for one in network.parameters():
            one.copy_(0.03 * torch.randn(one.shape, generator=generator, dtype=one.dtype))
    return network


def learned(integrator="omf2", action=WILSON, loops=("square",), activation="isru", subsets=None,
            outputs=("q",), mixing=False, composition="palindrome", transformation=None):
    plan = schedule(integrator, 0.3, 2)
    drift = None if subsets is None else rough(DriftNetwork(len(plan.drifts), 4, subsets, outputs))
    mixed = MomentumMixing() if mixing else None
    if mixed is not None:
        mixed.coefficient.data.fill_(-0.01)
    return L2HMC(action, Steps(plan), rough(KickNetwork(len(plan.kicks), 4, loops, activation)),
                 drift, mixed, composition,
                 transformation=transformation)


def smearing(kind=FieldTransformation, sweeps=1, hidden=3, rho=0.08, times=1):
    """A field transformation whose rho differs from link to link."""
    made = rough(kind(sweeps, hidden))
    made.start_at(rho)
    with torch.no_grad():
        for one in (made.weight, made.bias):
            one.mul_(times)
    return made


KERNELS = {
    "hmc": HMC(WILSON, 0.2, 3, "force_gradient"),
    "hmc, steps of many halvings": HMC(WILSON, 1.7, 2, "omf2"),
    "hmc, rectangles": HMC(IWASAKI, 0.2, 2, "force_gradient"),
    "kick network": learned(),
    "every loop, tanh": learned(loops=EVERY_LOOP, activation="tanh"),
    "Laplacian and mixing": learned(loops=("laplacian",), mixing=True),
    "displaced forces": learned("force_gradient"),
    "direction": learned(composition="direction"),
    "drift network, turn": learned(subsets="turn"),
    "drift network, all, mixing": learned(subsets="all", outputs=("q", "t"), mixing=True),
    "all of it, rectangles": learned("force_gradient", IWASAKI, subsets="turn", mixing=True),
    "smeared drifts": replace(learned(mixing=True),
                              drift_network=smearing(SmearedDrift, 4, times=50)),
    "steps, field transformation": L2HMC(WILSON, Steps(schedule("omf2", 0.3, 2)),
                                         transformation=smearing(sweeps=2)),
    "all of it, field transformation": learned(
        "force_gradient", IWASAKI, subsets="turn", mixing=True, activation="tanh",
        composition="direction", transformation=smearing(hidden=6, rho=-0.06)),
}


def told(kernel, links):
    """What two trajectories from `links` come to."""
    rows, state = [], markov.state_at(kernel, links)
    for number in range(2):
        before = state.links
        state, info = markov.step(kernel, state, numbered(3, [number] * len(links)))
        rows.append({
            "dH": info.delta_h.tolist(), "log|J|": info.log_det.tolist(),
            "accepted": info.accepted.tolist(),
            "plaquettes": fast.plaquettes(state.links).tolist(),
            "charge": topological_charge(state.links).tolist(),
            "change": normalised_change(before, state.links).tolist()})
    return state, rows


def compared(world, grid, lattice, kernel):
    """Names of what differs between the parts and the whole, on rank 0."""
    generator = torch.Generator().manual_seed(1)
    links = su3.exp(0.4 * su3.random_algebra((2, 4, *lattice), generator))
    depth = halo(kernel)
    share = Share(world, chosen(grid, lattice, world.size, depth, needs_even(kernel)), lattice,
                  depth)
    with holding(share.part):
        state, rows = told(kernel, share.part.taken(links))
    gathered = share.whole_state(state)
    if gathered is None:
        return []
    with holding(whole(lattice)):
        expected, other = told(kernel, links)
    wrong = [name for name in ("links", "action", "force")
             if not torch.equal(getattr(gathered, name), getattr(expected, name))]
    return wrong + [name for one, two in zip(rows, other, strict=True) for name in one
                    if one[name] != two[name]]


@torch.no_grad()
def main(grid, lattice, *how):
    torch.set_num_threads(1)
    if how:
        library.Lattice.renew = lambda self, field: None
    with joined() as world:
        for name, kernel in KERNELS.items():
            wrong = compared(world, grid, tuple(map(int, lattice.split(","))), kernel)
            if world.first:
                print(f"{name}: {', '.join(wrong) or 'the same'}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
